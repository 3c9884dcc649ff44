"""The bytes of a file of rows: opened whatever their compression, and how they encode characters."""

import bz2
import codecs
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

from raytrain.config.sections import DropKind
from raytrain.errors import CorpusError

DROPPABLE: tuple[str, ...] = typing.get_args(DropKind)
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
CHUNK_BYTES = 1 << 20
SHOWN_LINES = 20  # undecodable lines that are named; the others are counted

_READ_ERRORS = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, pa.ArrowException)


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

    def line(self, path: str | Path | None = None, may_drop: bool = False) -> str:
        """Says all in one line; `may_drop` adds how to leave such rows out, where that is a remedy."""
        places = [
            str(path) if path is not None else "",
            f"row {self.row}" if self.row is not None else "",
            f"column {self.column}" if self.column is not None else "",
        ]
        where = ", ".join(place for place in places if place)
        drop = f", or drop such rows with data.drop=[{self.kind}]" if self.kind in DROPPABLE else ""
        return f"{where}{': ' if where else ''}{self.message}{drop if may_drop else ''}"


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
    except _READ_ERRORS as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise CorpusError(
            f"{path}: expected a readable, whole file of the kind its name says, found: {reason}"
        ) from error


def detect_encoding(path: str | Path, problems: list[Problem]) -> str | None:
    """Finds how a text file is encoded: UTF-8, UTF-16 by its byte order mark, or GB18030.

    A file that is not UTF-8 throughout is still UTF-8 with bad bytes, not GB18030, where most of its
    lines with non-ASCII bytes are: otherwise one bad byte would turn every text into other characters.

    Args:
        path: The file, plain or compressed.
        problems: Takes one problem for each line that cannot be decoded.

    Returns:
        A codec's name, or None where the file as a whole cannot be decoded.
    """
    with open_bytes(path) as stream:
        mark = stream.read(2)
    if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        if _decodes(path, "utf-16"):
            return "utf-16"
        message = "expected UTF-16, as its byte order mark says, found bytes that are not; save it as UTF-8"
        problems.append(Problem("encoding", None, None, message))
        return None
    if _decodes(path, "utf-8"):
        return "utf-8-sig"
    if _is_mostly_utf8(path):
        problems += _undecodable_lines(path, "utf-8", "UTF-8 as in most lines")
        return "utf-8-sig"
    if _decodes(path, "gb18030"):
        return "gb18030"
    problems += _undecodable_lines(path, "gb18030", "UTF-8, GB18030, or UTF-16 with a byte order mark")
    return None


def _decodes(path: str | Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    with open_bytes(path) as stream:
        try:
            while chunk := stream.read(CHUNK_BYTES):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _is_mostly_utf8(path: str | Path) -> bool:
    votes = 0
    with open_bytes(path) as stream:
        for line in stream:
            if not line.isascii():
                text = line.decode("utf-8", "ignore")
                num_wide = len(text) - len(text.encode("ascii", "ignore"))
                num_bad = len(line) - len(text.encode())
                votes += 1 if num_wide > num_bad else -1
    return votes > 0


def _undecodable_lines(path: str | Path, encoding: str, expected: str) -> list[Problem]:
    problems = []
    num_lines = 0
    with open_bytes(path) as stream:
        for row, line in enumerate(stream, 1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError as error:
                num_lines += 1
                if num_lines <= SHOWN_LINES:
                    found = f"the byte 0x{line[error.start]:02X} at byte {error.start + 1} of the line"
                    message = f"expected {expected}, found {found}; save the file as UTF-8"
                    problems.append(Problem("encoding", row, None, message))
    if num_lines > SHOWN_LINES:
        message = f"{num_lines - SHOWN_LINES:,} more lines are not {expected}; save the file as UTF-8"
        problems.append(Problem("encoding", None, None, message))
    return problems
