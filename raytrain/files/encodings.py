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

from raytrain.config.data import DropKind
from raytrain.errors import CorpusError
from raytrain.files.charsets import CHARSETS, likeliest_charsets
from raytrain.files.reading import AS_FOUND, Reading

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


def detect_encoding(path: str | Path, problems: list[Problem], reading: Reading = AS_FOUND) -> str | None:
    """Finds how a text file is encoded: as is said, or UTF-8, UTF-16, or what else its characters speak for.

    A file that is not UTF-8 throughout is still UTF-8 with bad bytes, not GB18030, where most of its
    lines with non-ASCII bytes are: otherwise one bad byte would turn every text into other characters.

    Args:
        path: The file, plain or compressed.
        problems: Takes one problem for each line that cannot be decoded.
        reading: What is said of the file.

    Returns:
        A codec's name, or None where the file as a whole cannot be decoded.
    """
    if reading.codec is not None:
        return _as_said(path, problems, reading)
    with open_bytes(path) as stream:
        beginning = stream.read(CHUNK_BYTES)
    if beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        if _decodes(path, "utf-16"):
            return "utf-16"
        message = "expected UTF-16, as its byte order mark says, found bytes that are not; save it as UTF-8"
        problems.append(Problem("encoding", None, None, message))
        return None
    if (order := unmarked_utf16(beginning)) and _decodes(path, order):
        return order
    if _decodes(path, "utf-8"):
        return "utf-8-sig"
    if _is_mostly_utf8(path):
        problems += _undecodable_lines(path, "utf-8", "UTF-8 as in most lines")
        return "utf-8-sig"
    likely = likeliest_charsets(_telling_lines(path))
    sound = [codec for codec in likely if _decodes(path, codec)]
    if len(sound) == 1:
        return sound[0]
    if sound:
        names = " and ".join(CHARSETS[codec].name for codec in sound)
        advice = f"say which with {reading.option('encoding', sound[0])}, or save it as UTF-8"
        message = f"expected text whose encoding can be told, found {names} as likely; {advice}"
        problems.append(Problem("encoding", None, None, message))
    elif likely == ["gb18030"] or len(likely) > 1:
        problems += _undecodable_lines(path, "gb18030", "UTF-8, GB18030, or UTF-16 with a byte order mark")
    else:
        problems += _undecodable_lines(path, likely[0], f"{CHARSETS[likely[0]].name} as in most characters")
    return None


def _as_said(path: str | Path, problems: list[Problem], reading: Reading) -> str | None:
    codec = str(reading.codec)
    if _decodes(path, codec):
        return codec
    said = reading.option("encoding", str(reading.encoding))
    message = f"expected {reading.encoding}, as {said} says, found bytes that are not; "
    remedy = "leave that out and the encoding is found out, or save the file as UTF-8"
    problems.append(Problem("encoding", None, None, message + remedy))
    return None


def encoding_line(path: str | Path, reading: Reading = AS_FOUND) -> str | None:
    """What is to be said of how a readable text file is encoded; None of UTF-8, Parquet and what was said."""
    if Path(path).suffix.lower() == ".parquet" or reading.encoding is not None:
        return None
    with readable(path):
        encoding = detect_encoding(path, [])
    if encoding in (None, "utf-8-sig"):
        return None
    name = CHARSETS[encoding].name if encoding in CHARSETS else encoding.upper()
    remedy = f"say so with {reading.option('encoding', 'NAME')}, or save the file as UTF-8"
    return f"read as {name}, by its characters; if they are wrong, {remedy}"


def unmarked_utf16(beginning: bytes) -> str | None:
    """UTF-16's byte order, where a file's first bytes make lines of characters by it and hold zeros."""
    if b"\0" not in beginning:
        return None
    for encoding in ("utf-16-le", "utf-16-be"):
        text = codecs.getincrementaldecoder(encoding)("replace").decode(beginning)
        is_text = all(char in "\t\r\n\u3000\u200b\ufeff" or char.isprintable() for char in text)
        if is_text and "\n" in text and "\N{REPLACEMENT CHARACTER}" not in text:
            return encoding
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


def _telling_lines(path: str | Path) -> bytes:
    """The first lines that are more than ASCII, up to a chunk of them: no charset differs in the others."""
    found = bytearray()
    with open_bytes(path) as stream:
        for line in stream:
            if not line.isascii():
                found += line
            if len(found) >= CHUNK_BYTES:
                break
    return bytes(found[:CHUNK_BYTES])


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
