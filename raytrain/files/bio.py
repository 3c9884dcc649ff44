"""Files with a character and its tag a line, and a blank line between texts."""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from raytrain.files.detection import detect_encoding
from raytrain.files.encodings import COMPRESSIONS, Problem, open_lines, readable
from raytrain.files.marks import MARK
from raytrain.files.reading import AS_FOUND, Reading

# A character may itself be a blank.
_LINE_ENDS = "\n\r"
_PLACED = re.compile(r"(\S)(0|[1-9][0-9]{0,3})")
# Of characters with their place in a word behind them: from which on all count as such, and as some.
PLACED_SHARE, DOUBTFUL_SHARE = 0.98, 0.5
_LINE = re.compile(r"(\S+|\s)[ \t]+(\S+)\s*")
TAG = r"(?:O|[BIESMLUW](?:[-_]\S+)?)"
JOINED = re.compile(rf".+([,;|]){TAG}")
EXPECTED = "expected a character, a blank and its tag"


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
        places = _count_places(path, encoding)
        if not places.are_there and places.are_doubtful:
            found = f"found it behind {places.num_placed:,} of {places.num_lines:,}"
            message = (
                "expected the place in its word behind each character (as in 我0 们1) or behind none, "
                f"{found}, and none in row {places.first_unplaced}; take all off, or write all"
            )
            problems.append(Problem("places", None, None, message))
        for lines in _sentences(path, encoding):
            is_empty = False
            yield _without_places(lines) if places.are_there else lines
        if is_empty and not problems:
            message = "expected sentences, found none; is it the right file?"
            problems.append(Problem("empty_file", None, None, message))


def _sentences(path: str | Path, encoding: str) -> Iterator[list[tuple[int, str]]]:
    with open_lines(path, encoding, newline=None) as stream:
        numbered = ((number, _without_mark(line.rstrip("\n"))) for number, line in enumerate(stream, 1))
        for is_blank, lines in itertools.groupby(numbered, lambda line: not line[1].strip()):
            if not is_blank:
                yield list(lines)


def _without_mark(line: str) -> str:
    """A line without the byte order mark that the second of two joined files began with."""
    return line[1:] if line[:1] == MARK and (line == MARK or line[1:2].strip()) else line


def places_line(path: str | Path, reading: Reading = AS_FOUND) -> str | None:
    """What is to be said of a BIO file whose characters carry their places in words; else None."""
    if not is_bio(path):
        return None
    with readable(path):
        encoding = detect_encoding(path, [], reading)
        if encoding is None:
            return None
        places = _count_places(path, encoding)
    if not places.are_there:
        return None
    line = "each character has its place in a word behind it, a number (as in 我0 们1), which was taken off"
    if not places.num_bare:
        return line
    rows = f"{places.num_bare:,} rows with no such number"
    return f"{line}, but for {rows}, the first of them row {places.first_bare}"


@dataclass
class _Places:
    """What a file tells of places in words behind its characters, counted without keeping its rows.

    Attributes:
        num_lines: Of lines whose first field is more than digits, which alone are evidence.
        num_placed: Of these, the lines whose number is 0 or goes on from the line before.
        first_unplaced: The first row of the others.
        has_step: Whether one goes on from 0 to 1: without that, the numbers are the text's own.
        num_bare: Lines from which no number is taken off, once the file counts as placed.
        first_bare: The first row of these.
    """

    num_lines: int = 0
    num_placed: int = 0
    first_unplaced: int | None = None
    has_step: bool = False
    num_bare: int = 0
    first_bare: int | None = None

    @property
    def are_there(self) -> bool:
        """Whether all characters, or nearly all, have their place behind them, as in published Weibo NER."""
        return self.has_step and self.num_placed >= PLACED_SHARE * self.num_lines

    @property
    def are_doubtful(self) -> bool:
        """Whether too many have one for numbers of the text."""
        return self.has_step and self.num_placed >= DOUBTFUL_SHARE * self.num_lines


def _count_places(path: str | Path, encoding: str) -> _Places:
    counted = _Places()
    for lines in _sentences(path, encoding):
        before: int | None = -1  # None: any may follow
        stepped_from: int | None = None  # the place of the line before, where that is evidence
        for (row, line), char in zip(lines, _take_places(lines), strict=True):
            field = first_field(line)
            place = _place_of(field)
            if char is None:
                counted.num_bare += 1
                counted.first_bare = counted.first_bare or row
            is_placed = _goes_on(place, before)
            is_evidence = not _is_number(field)
            if is_evidence:
                counted.num_lines += 1
                counted.num_placed += is_placed
                counted.has_step |= stepped_from == 0 and place == 1
                if not is_placed:
                    counted.first_unplaced = counted.first_unplaced or row
            before, stepped_from = place, place if is_evidence else None
    return counted


def _place_of(field: str) -> int | None:
    found = _PLACED.fullmatch(field)
    return None if found is None else int(found[2])


def _goes_on(place: int | None, before: int | None) -> bool:
    """Whether a place begins a word or is the next of one; behind a line without a place any may follow."""
    return place is not None and (place == 0 or before is None or place == before + 1)


def _is_number(field: str) -> bool:
    return field.isascii() and field.isdigit()


def _take_places(lines: Iterable[tuple[int, str]]) -> Iterator[str | None]:
    """Of each line of a sentence whose file has places the character without its own; None where none is.

    Texts may be cut within a word, so that any place begins one; but digits alone, which may be a number
    without a place, must begin a sentence or go on.
    """
    before: int | None = None
    for _, line in lines:
        field = first_field(line)
        place = _place_of(field)
        is_place = place is not None and (_goes_on(place, before) or not _is_number(field))
        yield field[0] if is_place else None
        before = place


def _without_places(lines: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    return [
        (row, line if char is None else line.replace(first_field(line), char, 1))
        for (row, line), char in zip(lines, _take_places(lines), strict=True)
    ]


def wrong_line(line: str) -> str:
    """What is wrong with a line that has not just a character and its tag."""
    fields = line.split()
    if len(fields) > 2:
        return f"{EXPECTED}, found {len(fields)} fields, {line!r:.60}; keep the first and the tag"
    if joined := JOINED.fullmatch(line.strip()):
        return f"{EXPECTED}, found {line!r:.60}; write a blank or a tab in the place of {joined[1]!r}"
    return f"{EXPECTED}, found {line!r:.60}; mend the line"


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
