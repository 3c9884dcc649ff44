"""Files of texts to find keywords in, with labels or without, dealt into chunks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raytrain.config.sections import DropKind
from raytrain.corpus.cells import DROP
from raytrain.corpus.labelled import read_corpus
from raytrain.corpus.unlabelled import count_texts, has_column, iter_texts
from raytrain.keywords.held import interleave
from raytrain.text.ragged import chunks_of

Chunk = tuple[list[str], np.ndarray]  # texts, and the group of each


@dataclass(frozen=True)
class Source:
    """A file of texts.

    Attributes:
        path: The file.
        labels: Its labels in order, or None where it has none.
        num_rows: Its rows.
        rows: Yields its texts, the second texts of pairs or None, and (rows,) label indices or None.
    """

    path: str
    labels: list[int] | list[str] | None
    num_rows: int
    rows: Callable[[], Iterator[tuple[list[str], list[str] | None, np.ndarray | None]]]


def open_source(
    path: str,
    text_columns: Sequence[str],
    label: str | None,
    drop: Sequence[DropKind] = (),
    drop_option: str = DROP,
) -> Source:
    """Looks through a file of texts, so that all that is wrong with it is known before any is counted.

    Args:
        path: A file that `raytrain.files.tables.iter_rows` reads.
        text_columns: One column, or two for a text pair.
        label: The label column; a file without it, or None, has no classes.
        drop: Kinds of unusable labelled rows to leave out.
        drop_option: As of `read_corpus`.

    Raises:
        CorpusError: With every problem of the file.
    """
    if label is None or not has_column(path, label):
        num_rows, _ = count_texts(path, text_columns)
        return Source(path, None, num_rows, lambda: _stream(path, text_columns))
    corpus = read_corpus(path, text_columns, label, num_folds=1, drop=drop, drop_option=drop_option)
    columns = [corpus.table[name].to_pylist() for name in corpus.text_names]
    pairs = columns[1] if len(columns) == 2 else None
    indices = corpus.table["label"].to_numpy()
    return Source(path, corpus.labels, corpus.num_rows, lambda: iter([(columns[0], pairs, indices)]))


def _stream(path: str, text_columns: Sequence[str]) -> Iterator[tuple[list[str], list[str] | None, None]]:
    for table in iter_texts(path, text_columns):
        pairs = table["text_pair"].to_pylist() if "text_pair" in table.column_names else None
        yield table["text"].to_pylist(), pairs, None


def short_names(paths: Sequence[str]) -> list[str]:
    """The files' names without folders and suffixes, numbered where two would be alike.

    >>> short_names(["a/posts.csv", "b/posts.csv", "titles.tsv"])
    ['posts_1', 'posts_2', 'titles']
    """
    names = [Path(path).name.split(".")[0] for path in paths]
    numbered = [f"{name}_{i}" if names.count(name) > 1 else name for i, name in enumerate(names, start=1)]
    while len(set(numbered)) < len(numbered):  # a number made one what another is called
        numbered = [f"{name}_{i}" for i, name in enumerate(numbered, start=1)]
    return numbered


def chunks_of_sources(sources: Sequence[Source], groups: Sequence[dict[Any, int]]) -> Iterator[Chunk]:
    """Yields all texts, piece by piece.

    Args:
        sources: Of `open_source`.
        groups: For each source the group of each of its labels; of None where it has none.
    """
    for source, own in zip(sources, groups, strict=True):
        first = min(own.values())
        for texts, pairs, indices in source.rows():
            parts = interleave(texts, pairs)
            group = np.full(len(texts), first) if indices is None else first + indices
            group = np.repeat(group, len(parts) // max(len(texts), 1))
            for chunk in chunks_of(parts):
                yield parts[chunk], group[chunk]
