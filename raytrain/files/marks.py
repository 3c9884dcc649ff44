"""Byte order marks, UTF-16 without one, and DOS's mark of a file's end."""

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator

from raytrain.files.charsets import DOS_END, ODD_SHARE, is_odd
from raytrain.files.frequent import HANZI

MARK = "\ufeff"  # also where the second of two joined files begins
_END = re.compile(rf"{DOS_END}[{DOS_END}\s]*\Z")
_REST = re.compile(rf"[{DOS_END}\s]*")
SKIPPED = ("utf-8-sig", "utf-16", "utf-32")  # codecs that take their mark off by themselves
# UTF-32's of little endian begins as UTF-16's does.
_MARKED = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    MARK.encode("gb18030"): "gb18030",
}
FREQUENT_SHARE = 0.5  # of characters of UTF-16, where neither line ends nor ASCII speak for it
ASCII_SHARE = 0.25


def marked_encoding(beginning: bytes) -> str | None:
    """The encoding other than UTF-8 whose byte order mark a file begins with."""
    return next((codec for mark, codec in _MARKED.items() if beginning.startswith(mark)), None)


def mark_of(encoding: str) -> bytes:
    """The byte order mark that a codec would leave in the text; none of those that take it off."""
    if codecs.lookup(encoding).name in SKIPPED:
        return b""
    return MARK.encode(encoding, "ignore")


def without_end(text: str) -> str:
    """A file's text without the mark of its end; elsewhere that is a control like any other."""
    return _END.sub("", text)


def lines_to_end(lines: Iterable[str]) -> Iterator[str]:
    """A file's lines without the mark of its end, and without the line that holds that alone."""
    held: list[str] = []
    for line in lines:
        if held and not _REST.fullmatch(line):
            yield from held
            held = []
        if held or (DOS_END in line and _END.search(line)):
            held.append(line)
        else:
            yield line
    if last := without_end("".join(held)):
        yield last


def unmarked_utf16(beginning: bytes, by_hanzi: bool = False) -> str | None:
    """UTF-16's byte order, where a file's first bytes are text by it, as they hardly are by accident.

    Zeros may lie in either byte: 一 is 0x4E00.

    Args:
        beginning: Of the file.
        by_hanzi: Whether frequent hanzi alone speak for it, as where the bytes are valid in UTF-8, too.
    """
    for encoding in ("utf-16-le", "utf-16-be"):
        counts = Counter(codecs.getincrementaldecoder(encoding)("replace").decode(beginning))
        if _is_text(counts, b"\0" in beginning and not by_hanzi):
            return encoding
    return None


def _is_text(counts: Counter[str], has_zeros: bool) -> bool:
    size = counts.total()
    num_odd = sum(count for char, count in counts.items() if is_odd(char) and not _is_private(char))
    num_odd += counts["\N{REPLACEMENT CHARACTER}"]
    if not size or num_odd > ODD_SHARE * size:
        return False
    if has_zeros and (counts["\n"] or counts["\r"]):
        return True
    num_ascii = sum(count for char, count in counts.items() if "!" <= char <= "~")
    num_frequent = sum(count for char, count in counts.items() if char in HANZI)
    return (has_zeros and num_ascii >= ASCII_SHARE * size) or num_frequent >= max(2, FREQUENT_SHARE * size)


def _is_private(char: str) -> bool:
    return unicodedata.category(char) == "Co"
