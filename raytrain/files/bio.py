"""Files with a character and its tag a line, and a blank line between texts."""

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from raytrain.files.detection import detect_encoding
from raytrain.files.encodings import COMPRESSIONS, Problem, open_text, readable
from raytrain.files.reading import AS_FOUND, Reading

# A character may itself be a blank.
_LINE_ENDS = "\n\r"
_PLACED = re.compile(r"(\S)[0-9]")
PLACED_SHARE = 0.98  # of characters with their place in a word behind them, from which on all count as such
_LINE = re.compile(r"(\S+|\s)[ \t]+(\S+)\s*")


def is_bio(path: str | Path) -> bool:
    """Whether a name says that the file has a character and its tag a line; it may be compressed."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes[-2:]]
    return ".bio" in suffixes[-1:] or (
        len(suffixes) == 2 and suffixes[0] == ".bio" and suffixes[1] in COMPRESSIONS
    )


def bio_lines(
    path: str | Path, problems: list[Problem], reading: Reading = AS_FOUND
) -> Iterator[list[tuple[int, str]]]:
    """Streams over the sentences of a BIO file: the numbered lines of each, without their ends.

    That there are none is a problem, too, where there is no other.

    Raises:
        CorpusError: The file is missing, unreadable, truncated or corrupt.
    """
    with readable(path):
        encoding = detect_encoding(path, problems, reading)
        if encoding is None:
            return
        is_empty = True
        is_placed = _has_places(path, encoding)
        with open_text(path, encoding, newline=None) as stream:
            numbered = ((number, _without_mark(line.rstrip("\n"))) for number, line in enumerate(stream, 1))
            for is_blank, lines in itertools.groupby(numbered, lambda line: not line[1].strip()):
                if not is_blank:
                    is_empty = False
                    yield [(row, _without_place(line) if is_placed else line) for row, line in lines]
        if is_empty and not problems:
            message = "expected sentences, found none; is it the right file?"
            problems.append(Problem("empty_file", None, None, message))


def places_line(path: str | Path, reading: Reading = AS_FOUND) -> str | None:
    """What is to be said of a BIO file whose characters carry their places in words; else None."""
    if not is_bio(path):
        return None
    with readable(path):
        encoding = detect_encoding(path, [], reading)
        if encoding is None or not _has_places(path, encoding):
            return None
    return "each character has its place in a word behind it, a digit (as in 我0 们1), which was taken off"


def _has_places(path: str | Path, encoding: str) -> bool:
    """Whether all characters, or nearly all, have a digit behind them, as in the published Weibo NER."""
    num_lines = num_placed = 0
    with open_text(path, encoding, newline=None) as stream:
        for line in stream:
            if line.strip():
                num_lines += 1
                num_placed += bool(_PLACED.fullmatch(first_field(_without_mark(line.rstrip("\n")))))
    return num_placed > 0 and num_placed >= PLACED_SHARE * num_lines


def _without_mark(line: str) -> str:
    """A line without the byte order mark that the second of two joined files began with."""
    return line[1:] if line[:1] == "\ufeff" and line[1:2].strip() else line


def _without_place(line: str) -> str:
    char = first_field(line)
    return line.replace(char, char[0], 1) if _PLACED.fullmatch(char) else line


def split_line(line: str) -> tuple[str, str] | None:
    """A line's character, which may be a blank, and its tag; None where it has not just these."""
    found = _LINE.fullmatch(line)
    return (found[1], found[2]) if found else None


def first_field(line: str) -> str:
    """The character of a line; its tag may be missing."""
    fields = split_line(line)
    return fields[0] if fields else line.split()[0]


def spread_tag(tag: str, size: int) -> list[str]:
    """A tag on each character of what a file keeps in one piece, as a word of Latin letters."""
    if size == 1 or tag[:2] not in ("B-", "I-", "E-", "S-"):
        return [tag] * size
    first, last = {"B": ("B", "I"), "I": ("I", "I"), "E": ("I", "E"), "S": ("B", "E")}[tag[0]]
    return [first + tag[1:], *[f"I{tag[1:]}"] * (size - 2), last + tag[1:]]


def write_sentence(text: str, tags: Sequence[str]) -> str:
    """A text's characters and tags a line each, as `bio_lines` and `split_line` read them, and a blank line.

    Line breaks of the text, which would end their line, become blanks.

    >>> write_sentence("你好", ["B-X", "O"])
    '你 B-X\\n好 O\\n\\n'
    """
    pairs = zip(text, tags, strict=True)
    return "".join(f"{' ' if char in _LINE_ENDS else char} {tag}\n" for char, tag in pairs) + "\n"
