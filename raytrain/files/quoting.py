"""Whether quotes in a file of separated fields enclose fields or are characters of texts like any other."""

from collections import deque
from collections.abc import Callable, Iterator, MutableSequence
from dataclasses import dataclass, field
from itertools import islice

from raytrain.files.encodings import SHOWN_LINES, Problem
from raytrain.files.reading import AS_FOUND, Reading
from raytrain.files.separated import csv_records, plain_records
from raytrain.files.swallowing import Known, tall_fields


def has_quoting(
    open_lines: Callable[[], Iterator[str]],
    delimiter: str,
    problems: list[Problem],
    reading: Reading = AS_FOUND,
    doubtful: list[int] | None = None,
) -> bool:
    """Finds out whether quotes enclose fields.

    Where they do, some fields may hold line breaks. A row over several lines is suspect where its last line
    is a whole row by itself and so are others: then a text that begins with a quote has swallowed the rows
    below it. A TSV whose lines all have as many fields as the header, blank ones aside, is then read without
    quoting, as most published sets are written; else the file is refused.

    Args:
        open_lines: Gives the lines of the file from its first.
        delimiter: Between fields.
        problems: Takes the suspect rows.
        reading: What is said of the file.
        doubtful: Takes the rows over several lines that might be rows, though nothing says so beside the
            number of their fields: they are read as one.
    """
    if reading.quoting != "auto":
        return reading.quoting == "csv"
    num_fields, is_even, is_quoted = _look(open_lines(), delimiter, not reading.columns)
    if not is_quoted:
        return True
    file = _Quoted(open_lines, delimiter, num_fields, not reading.columns)
    found = _find(file)
    if is_even and delimiter == "\t" and num_fields > 1 and (found.has_tall or found.is_wrong):
        return False
    if num_fields == 1 and delimiter == ",":
        # Each line of a single column is a whole row, which says nothing: such a CSV is taken at its word.
        return True
    if found.has_tall:
        problems += _refusals(_swallowing(file, found, doubtful), reading)
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


@dataclass(frozen=True)
class _Quoted:
    """A file, read with quoting: its records of as many fields as the first line has."""

    open_lines: Callable[[], Iterator[str]]
    delimiter: str
    num_fields: int
    has_header: bool

    def records(self, wrong: MutableSequence[Problem]) -> Iterator[tuple[int, list[str]]]:
        records = csv_records(self.open_lines(), self.delimiter, wrong)
        for row, fields in islice(records, int(self.has_header), None):
            if len(fields) == self.num_fields:
                yield row, fields


@dataclass
class _Found:
    """What reading with quoting finds.

    Attributes:
        known: What the rows hold.
        has_tall: Whether any field may have swallowed rows.
        has_proper_quotes: Whether a row in one line has a separator within quotes.
        is_wrong: Whether some row cannot be read so.
    """

    known: Known = field(default_factory=Known)
    has_tall: bool = False
    has_proper_quotes: bool = False
    is_wrong: bool = False


def _find(file: _Quoted) -> _Found:
    wrong: deque[Problem] = deque(maxlen=1)
    found = _Found()
    for row, fields in file.records(wrong):
        found.known.add(fields)
        if any("\n" in value or "\r" in value for value in fields):
            found.has_tall = found.has_tall or bool(tall_fields(row, fields, file.delimiter))
        else:
            found.has_proper_quotes |= any(file.delimiter in value for value in fields)
    found.is_wrong = bool(wrong)
    return found


def _swallowing(file: _Quoted, found: _Found, doubtful: list[int] | None) -> Iterator[tuple[int, int]]:
    """The first and the last line of each record that has swallowed rows, once it is known what rows hold."""
    for row, fields in file.records(deque(maxlen=1)):
        tall = tall_fields(row, fields, file.delimiter)
        verdicts = [
            file.num_fields == 1 or field.is_swallowed(found.known, found.has_proper_quotes) for field in tall
        ]
        if True in verdicts:
            yield row, tall[0].last_row
        elif None in verdicts and doubtful is not None:
            doubtful.append(row)


def _refusals(swallowing: Iterator[tuple[int, int]], reading: Reading) -> list[Problem]:
    none, csv = reading.option("quoting", "none"), reading.option("quoting", "csv")
    message = (
        "expected a field in quotes, found lines in it that look like rows of their own, down to row {}; "
        f"where quotes are characters of texts say {none}, where they are right say {csv}, or save as .jsonl"
    )
    shown = islice(swallowing, SHOWN_LINES)
    found = [Problem("quoting", row, None, message.format(last)) for row, last in shown]
    if num_others := sum(1 for _ in swallowing):
        more = f"{num_others:,} more rows hold lines that look like rows of their own"
        found.append(Problem("quoting", None, None, more))
    return found
