"""Files of texts to find keywords in, with labels or without, dealt into chunks."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from raytrain.characters import without_unseen
from raytrain.config.data import DropKind
from raytrain.corpus.label_spelling import merge_alike, merged_lines, two_spellings
from raytrain.corpus.labelled import read_corpus
from raytrain.corpus.unlabelled import count_texts, iter_texts
from raytrain.errors import CorpusError
from raytrain.files.bio import is_bio
from raytrain.files.encodings import Problem
from raytrain.files.reading import AS_FOUND, Reading
from raytrain.files.tables import DELIMITERS, format_of, iter_rows, read_column_names
from raytrain.files.told import reading_lines
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
        told: How it was read, where that is to be said.
        class_rows: Rows of each label, by its name.
    """

    path: str
    labels: list[int] | list[str] | None
    num_rows: int
    rows: Callable[[], Iterator[tuple[list[str], list[str] | None, np.ndarray | None]]]
    told: tuple[str, ...] = ()
    class_rows: Counter[str] = field(default_factory=Counter)


def open_source(
    path: str,
    text_columns: Sequence[str],
    label: str | None,
    drop: Sequence[DropKind] = (),
    reading: Reading = AS_FOUND,
    merge_labels: bool = False,
) -> Source:
    """Looks through a file of texts, so that all that is wrong with it is known before any is counted.

    Args:
        path: A file that `raytrain.files.tables.iter_rows` reads.
        text_columns: One column, or two for a text pair.
        label: The label column; a file without it or, of `.jsonl` and `.parquet`, without a value in it has
            no classes; nor has any where it is None.
        drop: Kinds of unusable labelled rows to leave out.
        reading: What is said of the file.
        merge_labels: As of `read_corpus`.

    Raises:
        CorpusError: With every problem of the file.
    """
    if label is None or not _has_labels(path, label, reading):
        num_rows, _ = count_texts(path, text_columns, reading=reading)
        told = tuple(reading_lines(path, reading))
        return Source(path, None, num_rows, lambda: _stream(path, text_columns, reading), told)
    corpus = read_corpus(
        *(path, text_columns, label),
        num_folds=1,
        drop=drop,
        reading=reading,
        merge_labels=merge_labels,
        least_classes=1,
    )
    columns = [corpus.table[name].to_pylist() for name in corpus.text_names]
    pairs = columns[1] if len(columns) == 2 else None
    indices = corpus.table["label"].to_numpy()
    rows = np.bincount(indices, minlength=len(corpus.labels)).tolist()
    return Source(
        path,
        corpus.labels,
        corpus.num_rows,
        lambda: iter([(columns[0], pairs, indices)]),
        corpus.reading,
        Counter(dict(zip(map(str, corpus.labels), rows, strict=True))),
    )


def _has_labels(path: str, label: str, reading: Reading) -> bool:
    """Whether a file has the label column, or one so named but for case and blanks, which is then refused."""
    if is_bio(path):
        return False
    names = read_column_names(path, reading)
    if label not in names and _plain(label) in map(_plain, names):
        return True
    if format_of(path) in DELIMITERS:
        return label in names
    return any(values.get(label) is not None for _, values in iter_rows(path, [label], [], reading))


def _plain(name: str) -> str:
    return without_unseen(name).strip().casefold()


def agree_on_labels(
    sources: Sequence[Source], label: str, reading: Reading = AS_FOUND, merge_labels: bool = False
) -> list[Source]:
    """Checks that the labels of all files together are classes, spelt alike.

    Args:
        sources: Of `open_source`.
        label: The label column.
        reading: How to say that labels are to be merged.
        merge_labels: Whether labels of several files that look alike are one, spelt as most rows have it.

    Raises:
        CorpusError: Labels look alike, or all are one.
    """
    counts = sum((source.class_rows for source in sources), Counter[str]())
    problems = [] if merge_labels else two_spellings(counts, label, reading)
    merged = merge_alike(counts)
    if len(counts) - len(merged) == 1:
        [name] = counts.keys() - merged.keys()
        message = f"expected two classes or more, found {name!r} alone; add rows or a file of another"
        problems.append(Problem("one_class", None, label, message))
    if problems:
        paths = ", ".join(source.path for source in sources if source.labels)
        raise CorpusError(f"{paths}: these labels cannot be used", [problem.line() for problem in problems])
    spelt = {str(name): name for source in sources for name in source.labels or ()}
    agreed = []
    for source in sources:
        own = {name: merged[name] for name in map(str, source.labels or ()) if name in merged}
        labels: Any = source.labels and [spelt[own.get(str(name), str(name))] for name in source.labels]
        agreed.append(replace(source, labels=labels, told=(*source.told, *merged_lines(own))))
    return agreed


def _stream(
    path: str, text_columns: Sequence[str], reading: Reading
) -> Iterator[tuple[list[str], list[str] | None, None]]:
    for table in iter_texts(path, text_columns, reading=reading):
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
