"""Files with a character and its tag a line, and a blank line between texts."""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from raytrain.files.detection import detect_encoding
from raytrain.files.encodings import COMPRESSIONS, Problem, open_text, readable
from raytrain.files.reading import AS_FOUND, Reading

# A character may itself be a blank.
_LINE_ENDS = "\n\r"
_PLACED = re.compile(r"(\S)(0|[1-9][0-9]{0,3})")
# Of characters with their place in a word behind them: from which on all count as such, and as some.
PLACED_SHARE, DOUBTFUL_SHARE = 0.98, 0.5
_LINE = re.compile(r"(\S+|\s)[ \t]+(\S+)\s*")
_JOINED = re.compile(r".+([,;|])(?:O|[BIESMLUW](?:[-_]\S+)?)")
# What may stand where a tag does and is read past: tags of any scheme, or one sign for all.
_TAG = re.compile(r"[!-~]|[BIESMLUW][-_]\S+|\S+[-_][BIESMLUW]|[A-Za-z]+[-_]\S+")
_SENTENCE = re.compile(r"[\u3400-\u9fff]{5}|[\u3400-\u9fff][，。！？；：、]|[，。！？；：、][\u3400-\u9fff]")
_EXPECTED = "expected a character, a blank and its tag"


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
        num_lines, num_placed, others = _count_places(path, encoding)
        is_placed = _are_places(num_lines, num_placed)
        if not is_placed and num_placed >= DOUBTFUL_SHARE * max(num_lines, 1):
            found = f"found it behind {num_placed:,} of {num_lines:,}"
            message = (
                "expected the place in its word behind each character (as in 我0 们1) or behind none, "
                f"{found}, and none in row {others[0]}; take all off, or write all"
            )
            problems.append(Problem("places", None, None, message))
        for lines in _sentences(path, encoding):
            is_empty = False
            yield _without_places(lines) if is_placed else lines
        if is_empty and not problems:
            message = "expected sentences, found none; is it the right file?"
            problems.append(Problem("empty_file", None, None, message))


def _sentences(path: str | Path, encoding: str) -> Iterator[list[tuple[int, str]]]:
    with open_text(path, encoding, newline=None) as stream:
        numbered = ((number, _without_mark(line.rstrip("\n"))) for number, line in enumerate(stream, 1))
        for is_blank, lines in itertools.groupby(numbered, lambda line: not line[1].strip()):
            if not is_blank:
                yield list(lines)


def _without_mark(line: str) -> str:
    """A line without the byte order mark that the second of two joined files began with."""
    return line[1:] if line[:1] == "\ufeff" and line[1:2].strip() else line


def places_line(path: str | Path, reading: Reading = AS_FOUND) -> str | None:
    """What is to be said of a BIO file whose characters carry their places in words; else None."""
    if not is_bio(path):
        return None
    with readable(path):
        encoding = detect_encoding(path, [], reading)
        if encoding is None:
            return None
        num_lines, num_placed, others = _count_places(path, encoding)
    if not _are_places(num_lines, num_placed):
        return None
    line = "each character has its place in a word behind it, a number (as in 我0 们1), which was taken off"
    if not others:
        return line
    return f"{line}, but for {len(others):,} rows with no such number, the first of them row {others[0]}"


def _count_places(path: str | Path, encoding: str) -> tuple[int, int, list[int]]:
    """How many lines there are, and with a place behind the character; the numbers of the other lines."""
    num_lines = num_placed = 0
    others: list[int] = []
    for lines in _sentences(path, encoding):
        num_lines += len(lines)
        for (row, _), char in zip(lines, _take_places(lines), strict=True):
            if char is None:
                others.append(row)
            else:
                num_placed += 1
    return num_lines, num_placed, others


def _are_places(num_lines: int, num_placed: int) -> bool:
    """Whether all characters, or nearly all, have their place behind them, as in the published Weibo NER."""
    return num_placed > 0 and num_placed >= PLACED_SHARE * num_lines


def _take_places(lines: Iterable[tuple[int, str]]) -> Iterator[str | None]:
    """Of each line of a sentence the character without its place; None where none goes on from the last."""
    before: int | None = -1  # None: any may follow
    for _, line in lines:
        found = _PLACED.fullmatch(first_field(line))
        place = None if found is None else int(found[2])
        goes_on = place is not None and (place == 0 or before is None or place == before + 1)
        yield found[1] if found is not None and goes_on else None
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
        return f"{_EXPECTED}, found {len(fields)} fields, {line!r:.60}; keep the first and the tag"
    if joined := _JOINED.fullmatch(line.strip()):
        return f"{_EXPECTED}, found {line!r:.60}; write a blank or a tab in the place of {joined[1]!r}"
    return f"{_EXPECTED}, found {line!r:.60}; mend the line"


def wrong_untagged(line: str) -> str:
    """What is wrong with a line whose tag may be missing or any; empty where it is a line of a text."""
    fields = split_line(line)
    if fields is not None and not _TAG.fullmatch(fields[1]):
        return f"{_EXPECTED}, or a character alone, found {line!r:.60}; write each character in a line"
    if fields is None and (len(line.split()) > 2 or _JOINED.fullmatch(line.strip())):
        return wrong_line(line)
    if fields is None and _SENTENCE.search(line):
        remedy = "write each character in a line, or name the file .txt where each line is a text"
        return f"{_EXPECTED}, or a character alone, found {line!r:.60}; {remedy}"
    return ""


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
