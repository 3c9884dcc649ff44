"""Whether quotes in a file of separated fields enclose fields or are characters of texts like any other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from raytrain.files.encodings import SHOWN_LINES, Problem
from raytrain.files.reading import AS_FOUND, Reading
from raytrain.files.separated import csv_records, plain_records, split_plain

KNOWN_VALUES = 10_000  # of each column; labels are fewer


@dataclass
class _Known:
    """What the sound rows hold in each column."""

    values: list[set[str]] = field(default_factory=list)
    is_number: list[bool] = field(default_factory=list)

    def add(self, fields: list[str]) -> None:
        if not self.values:
            self.values, self.is_number = [set() for _ in fields], [True] * len(fields)
        for place, value in enumerate(fields[: len(self.values)]):
            self.is_number[place] &= value.isdecimal()
            if len(self.values[place]) < KNOWN_VALUES:
                self.values[place].add(value)

    def resembles(self, fields: list[str]) -> bool:
        """Whether a field is one that a sound row has in its place, or a number where all are."""
        return any(
            value in known or (is_number and value.isdecimal())
            for value, known, is_number in zip(fields, self.values, self.is_number, strict=False)
        )


def has_quoting(
    open_lines: Callable[[], Iterator[str]],
    delimiter: str,
    problems: list[Problem],
    reading: Reading = AS_FOUND,
    doubtful: list[int] | None = None,
) -> bool:
    """Finds out whether quotes enclose fields.

    Where they do, some fields may hold line breaks. A row over several lines is suspect where each of its
    lines is a whole row by itself: then a text that begins with a quote has swallowed the rows below it.
    A TSV whose lines all have as many fields as the header is then read without quoting, as most published
    sets are written; else the file is refused.

    Args:
        open_lines: Gives the lines of the file from its first.
        delimiter: Between fields.
        problems: Takes the suspect rows.
        reading: What is said of the file.
        doubtful: Takes the rows of a CSV over several lines of which each might be a row, and nothing says so
            beside the number of its fields: they are read as one.
    """
    if reading.quoting != "auto":
        return reading.quoting == "csv"
    num_fields, is_even, is_quoted = _look(open_lines(), delimiter, not reading.columns)
    if not is_quoted:
        return True
    broken, known, is_wrong = _broken_rows(open_lines, delimiter, num_fields, not reading.columns)
    if is_even and delimiter == "\t" and num_fields > 1:
        if broken or is_wrong:
            return False
    elif num_fields > 1:
        suspect = [all(map(known.resembles, lines[1:])) for _, lines in broken]
        if doubtful is not None:
            doubtful += [row for (row, _), is_suspect in zip(broken, suspect, strict=True) if not is_suspect]
        broken = [row for row, is_suspect in zip(broken, suspect, strict=True) if is_suspect]
    elif delimiter == ",":
        # Each line of a single column is a whole row, which says nothing: such a CSV is taken at its word.
        broken = []
    problems += _refusals([(row, row + len(lines) - 1) for row, lines in broken], reading)
    return True


def begins_quoted(lines: Iterator[str], delimiter: str) -> bool:
    """Whether any field, read without quoting, begins with a quote."""
    return any(value.startswith('"') for _, fields in plain_records(lines, delimiter) for value in fields)


def _look(lines: Iterator[str], delimiter: str, has_header: bool) -> tuple[int, bool, bool]:
    """The fields of the first line; whether each has as many, none quoted in a header; and any quotes."""
    num_fields, is_even, is_quoted = 0, True, False
    for _, fields in plain_records(lines, delimiter):
        if not num_fields:
            num_fields = len(fields)
            is_even = not (has_header and any(value.startswith('"') for value in fields))
        is_even &= len(fields) == num_fields
        is_quoted |= any(value.startswith('"') for value in fields)
    return num_fields, is_even, is_quoted


def _broken_rows(
    open_lines: Callable[[], Iterator[str]], delimiter: str, num_fields: int, has_header: bool
) -> tuple[list[tuple[int, list[list[str]]]], _Known, bool]:
    """Rows over lines of which each is a whole row; what the other rows hold; whether one cannot be read."""
    wrong: list[Problem] = []
    known = _Known()
    broken = []
    records = csv_records(open_lines(), delimiter, wrong)
    if has_header:
        next(records, None)
    for row, fields in records:
        if any("\n" in value or "\r" in value for value in fields):
            lines = _lines_of(fields, delimiter)
            if all(len(line) == num_fields for line in lines):
                broken.append((row, lines))
        elif len(fields) == num_fields:
            known.add(fields)
    return broken, known, bool(wrong)


def _lines_of(fields: list[str], delimiter: str) -> list[list[str]]:
    """The lines of a row that was read with quoting, read without: where its quotes stood does not count."""
    joined = delimiter.join(fields).replace("\r\n", "\n").replace("\r", "\n")
    return [split_plain(line, delimiter) for line in joined.split("\n")]


def _refusals(swallowing: list[tuple[int, int]], reading: Reading) -> list[Problem]:
    none, csv = reading.option("quoting", "none"), reading.option("quoting", "csv")
    message = (
        "expected a field in quotes, found lines in it that look like rows of their own, down to row {}; "
        f"where quotes are characters of texts say {none}, where they are right say {csv}, or save as .jsonl"
    )
    found = [Problem("quoting", row, None, message.format(last)) for row, last in swallowing[:SHOWN_LINES]]
    if len(swallowing) > SHOWN_LINES:
        more = f"{len(swallowing) - SHOWN_LINES:,} more rows hold lines that look like rows of their own"
        found.append(Problem("quoting", None, None, f"{more}"))
    return found
