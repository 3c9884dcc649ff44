"""The bytes of a file of rows, opened whatever their compression, and what is wrong with it."""

import bz2
import contextlib
import dataclasses
import gzip
import io
import lzma
import typing
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from raytrain.config.data import DropKind
from raytrain.errors import CorpusError
from raytrain.files.marks import lines_to_end, mark_of

DROPPABLE: tuple[str, ...] = typing.get_args(DropKind)
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
CHUNK_BYTES = 1 << 20
SHOWN_LINES = 20  # undecodable lines that are named; the others are counted

READ_ERRORS = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, pa.ArrowException)


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing wrong with a file of rows.

    Attributes:
        kind: One of `DROPPABLE` where leaving the row out is a remedy, else any other word.
        row: 1-based; a line of a text file, counting the header, or a row of a Parquet file.
        column: Name of the column; None where it is the whole row or file.
        message: What was expected, what was found, and what to do.
    """

    kind: str
    row: int | None
    column: str | None
    message: str

    def __str__(self) -> str:
        return self.line()

    def line(self, path: str | Path | None = None) -> str:
        """Says all in one line."""
        places = [
            str(path) if path is not None else "",
            f"row {self.row}" if self.row is not None else "",
            f"column {self.column}" if self.column is not None else "",
        ]
        where = ", ".join(place for place in places if place)
        return f"{where}{': ' if where else ''}{self.message}"


def open_bytes(path: str | Path) -> BinaryIO:
    """Opens a file to read its bytes, decompressed as the last suffix of its name says."""
    suffix = Path(path).suffix.lower()
    if suffix == ".zst":
        zst = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
        return cast(BinaryIO, io.BufferedReader(zst, CHUNK_BYTES))
    openers: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    return cast(BinaryIO, openers.get(suffix, open)(path, "rb"))


@contextlib.contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Turns what opening, decompressing or parsing a damaged file raises into a CorpusError naming it."""
    try:
        yield
    except READ_ERRORS as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise CorpusError(
            f"{path}: expected a readable, whole file of the kind its name says, found: {reason}"
        ) from error


def open_text(path: str | Path, encoding: str, newline: str | None = "") -> io.TextIOWrapper:
    """A file's lines, by default with their ends as they are, without a byte order mark before the first."""
    mark = mark_of(encoding)
    stream = open_bytes(path)
    if mark and stream.read(len(mark)) != mark:
        stream.close()
        stream = open_bytes(path)
    return io.TextIOWrapper(stream, encoding, errors="replace", newline=newline)


@contextlib.contextmanager
def open_lines(path: str | Path, encoding: str, newline: str | None = "") -> Iterator[Iterator[str]]:
    """A file's lines as `open_text` has them, without DOS's mark of its end."""
    with open_text(path, encoding, newline) as stream:
        yield lines_to_end(stream)
