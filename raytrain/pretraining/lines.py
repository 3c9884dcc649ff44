"""Files of texts without labels, streamed; which texts are held back."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytrain.characters import is_blank
from raytrain.corpus.unlabelled import count_texts, iter_texts
from raytrain.errors import CorpusError
from raytrain.files.reading import AS_FOUND, Reading
from raytrain.files.tables import FORMATS
from raytrain.stages import Stages
from raytrain.storage.files import hash_file

_PLAIN = ".txt"
COUNTED = 1000  # texts, after which it is told how many


@dataclass(frozen=True)
class Source:
    """A file of texts that has been looked through.

    Attributes:
        path: The file.
        column: Its text column.
        sha256: Of its bytes.
        num_texts: Its rows, without those whose text is empty.
        reading: What is said of it.
    """

    path: str
    column: str
    sha256: str
    num_texts: int
    reading: Reading = AS_FOUND

    def summary(self) -> dict[str, Any]:
        return {"path": self.path, "sha256": self.sha256, "texts": self.num_texts}


@dataclass(frozen=True)
class Texts:
    """What is learned from.

    Attributes:
        lines: Gives the texts, again at every call.
        count: How many there are.
        told: What the provenance says of them.
        hashes: Name to hash.
    """

    lines: Callable[[], Iterable[str]]
    count: int
    told: list[dict[str, Any]]
    hashes: Mapping[str, str]


def open_sources(paths: Sequence[str], column: str, reading: Reading = AS_FOUND) -> list[Source]:
    """Looks through the files, so that all that is wrong with them is known before anything is made of them.

    Args:
        paths: Files that `files.tables.iter_rows` reads.
        column: Their text column; .txt has none, unless its columns are named.
        reading: What is said of them.

    Raises:
        CorpusError: With every problem of every file, or where they hold no text.
    """
    sources, problems = [], []
    for path in paths:
        own = "text" if _is_plain(path) and reading.columns is None else column
        try:
            num_rows, num_empty = count_texts(path, [own], reading=reading)
            sources.append(Source(path, own, hash_file(Path(path)), num_rows - num_empty, reading))
        except CorpusError as error:
            problems += [error.summary, *error.problems]
    if not problems and not sum(source.num_texts for source in sources):
        problems.append(f"expected texts in {', '.join(paths)}, found none that is not empty")
    if problems:
        raise CorpusError("data.path cannot be used", problems)
    return sources


def _is_plain(path: str) -> bool:
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    known = [suffix for suffix in suffixes if suffix in FORMATS]
    return known[-1:] == [_PLAIN]


def iter_lines(sources: Iterable[Source]) -> Iterator[str]:
    """The texts one after another, none empty; memory does not grow with the files."""
    for source in sources:
        for table in iter_texts(source.path, [source.column], reading=source.reading):
            for text in table["text"].to_pylist():
                if not is_blank(text):
                    yield text


def counted_lines(sources: Sequence[Source], stages: Stages) -> Iterator[str]:
    """The texts, while an untrained mini's vocabulary is counted in them."""
    total = sum(source.num_texts for source in sources)
    with stages.stage("counting the vocabulary", total, "texts") as stage:
        for number, line in enumerate(iter_lines(sources), 1):
            if number % COUNTED == 0:
                stage.advance(COUNTED)
                stage.check()
            yield line


def texts_of(sources: Sequence[Source]) -> Texts:
    """The texts of files that were looked through."""
    return Texts(
        lines=lambda: iter_lines(sources),
        count=sum(source.num_texts for source in sources),
        told=[source.summary() for source in sources],
        hashes={f"data.path {source.path}": source.sha256 for source in sources},
    )


class HeldBack:
    """Chooses the texts to evaluate on, by a hash: whatever the order, equal texts fall alike.

    Args:
        share: Of the distinct texts, so many are held back; 0 none.
        most: At most about so many.
        num_texts: How many there are.
    """

    def __init__(self, share: float, most: int, num_texts: int):
        self._below = int(min(share, most / max(num_texts, 1)) * 2**64)

    def __contains__(self, text: str) -> bool:
        digest = hashlib.blake2b(text.strip().encode("utf-8", "surrogatepass"), digest_size=8)
        return int.from_bytes(digest.digest(), "big") < self._below
