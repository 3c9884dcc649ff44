"""Whether quotes in a file of separated fields enclose fields or are characters of texts like any other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from raytrain.files.encodings import SHOWN_LINES, Problem
from raytrain.files.reading import AS_FOUND, Reading
from raytrain.files.separated import csv_records, plain_records
from raytrain.files.swallowing import Known, TallField, tall_fields


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
    found = _tall_rows(open_lines, delimiter, num_fields, not reading.columns)
    if is_even and delimiter == "\t" and num_fields > 1 and (found.tall or found.is_wrong):
        return False
    if num_fields == 1 and delimiter == ",":
        # Each line of a single column is a whole row, which says nothing: such a CSV is taken at its word.
        return True
    swallowing = {}
    for tall in found.tall:
        is_swallowed = num_fields == 1 or tall.is_swallowed(found.known, found.has_proper_quotes)
        if is_swallowed:
            swallowing[tall.row] = tall.last_row
        elif is_swallowed is None and doubtful is not None:
            doubtful.append(tall.row)
    problems += _refusals(list(swallowing.items()), reading)
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


@dataclass
class _Found:
    """What reading with quoting finds.

    Attributes:
        tall: Fields that may have swallowed rows.
        known: What the rows hold.
        has_proper_quotes: Whether a row in one line has a separator within quotes.
        is_wrong: Whether some row cannot be read so.
    """

    tall: list[TallField] = field(default_factory=list)
    known: Known = field(default_factory=Known)
    has_proper_quotes: bool = False
    is_wrong: bool = False


def _tall_rows(
    open_lines: Callable[[], Iterator[str]], delimiter: str, num_fields: int, has_header: bool
) -> _Found:
    wrong: list[Problem] = []
    found = _Found()
    records = csv_records(open_lines(), delimiter, wrong)
    for row, fields in islice(records, int(has_header), None):
        if len(fields) == num_fields:
            found.known.add(fields)
            if any("\n" in value or "\r" in value for value in fields):
                found.tall += tall_fields(row, fields, delimiter)
            else:
                found.has_proper_quotes |= any(delimiter in value for value in fields)
    found.is_wrong = bool(wrong)
    return found


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
