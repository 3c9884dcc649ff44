"""CSV and TSV: fields between separators, with quotes around them or without, row by row."""

import csv
import dataclasses
from collections import deque
from collections.abc import Iterator, MutableSequence, Sequence
from typing import Any

from raytrain.files.encodings import Problem
from raytrain.files.formats import empty_file, usable_columns
from raytrain.files.marks import MARK
from raytrain.files.reading import AS_FOUND, Reading

FIELD_LIMIT = 1 << 24  # characters; what an unclosed quote may swallow before it is noticed
_SEPARATORS = {"\t": ("tabs", ".tsv"), ",": ("commas", ".csv"), ";": ("semicolons", ""), "|": ("bars", "")}


class _Lines:
    """Counted lines; those of the present record can be given back, all but its first.

    A byte order mark is taken off where a record begins; `marked` takes the number of that line.
    """

    def __init__(self, lines: Iterator[str], marked: set[int]):
        self._marked = marked
        self._lines = lines
        self._again: deque[str] = deque()
        self._record: list[str] = []
        self.row = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.row += 1
        if not self._record and line.startswith(MARK):
            self._marked.add(self.row)
            line = line.removeprefix(MARK)
        self._record.append(line)
        return line

    def begin_record(self) -> int:
        self._record.clear()
        return self.row + 1

    def give_back(self) -> None:
        again = self._record[1:]
        self._again.extendleft(reversed(again))
        self.row -= len(again)


def csv_records(
    lines: Iterator[str],
    delimiter: str,
    problems: MutableSequence[Problem],
    reading: Reading = AS_FOUND,
    marked: set[int] | None = None,
) -> Iterator[tuple[int, list[str]]]:
    """Numbered rows of fields around which quotes may stand.

    A row may begin with a byte order mark, as in joined files: `marked` takes the number of its line.
    """
    csv.field_size_limit(max(csv.field_size_limit(), FIELD_LIMIT))
    source = _Lines(lines, set() if marked is None else marked)
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    while True:
        row = source.begin_record()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            found = f"a quote that is not closed or not doubled ({error})"
            remedy = f'write a quote inside a field as "", or say {reading.option("quoting", "none")}'
            message = f"expected fields in CSV quoting, found {found}; {remedy}"
            problems.append(Problem("malformed_row", row, None, message))
            # A stray quote runs on into the rows below it, which are sound.
            source.give_back()
            continue
        if fields:
            yield row, fields


def split_plain(line: str, delimiter: str) -> list[str]:
    """The fields of a line whose quotes are characters like any other; none of a blank line."""
    line = line.rstrip("\r\n")
    return line.split(delimiter) if line else []


def plain_records(
    lines: Iterator[str], delimiter: str, marked: set[int] | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Numbered rows of fields without quoting: a line each; `marked` as in `csv_records`."""
    for row, line in enumerate(lines, 1):
        if line.startswith(MARK):
            line = line.removeprefix(MARK)
            if marked is not None:
                marked.add(row)
        if fields := split_plain(line, delimiter):
            yield row, fields


def iter_csv(
    lines: Iterator[str],
    delimiter: str,
    columns: list[str],
    problems: list[Problem],
    is_quoted: bool = True,
    reading: Reading = AS_FOUND,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of separated fields by the names in their header, or that are said."""
    marked: set[int] = set()
    if is_quoted:
        records = csv_records(lines, delimiter, problems, reading, marked)
    else:
        records = plain_records(lines, delimiter, marked)
    num_before = len(problems)
    _, header = (0, list(reading.columns)) if reading.columns else next(records, (0, []))
    if len(problems) > num_before:
        problems[num_before:] = [dataclasses.replace(problems[num_before], kind="malformed_header")]
        return
    if not header:
        problems.append(empty_file("blank lines alone"))
        return
    if wrong := _wrong_header(header, delimiter, columns, reading):
        problems.append(wrong)
        return
    remedy = "" if reading.columns else f"; if that line is a row, say {reading.option('columns', '…')}"
    usable = usable_columns(columns, header, problems, remedy)
    places = {column: header.index(column) for column in usable}
    num_before = len(problems)
    row = None
    for row, fields in records:
        if wrong := _wrong_row(row, fields, header, is_quoted, reading, row in marked):
            problems.append(wrong)
        else:
            yield row, {column: fields[place] for column, place in places.items()}
    if row is None and len(problems) == num_before:
        problems.append(empty_file("rows" if reading.columns else "a header and no rows"))


def _wrong_row(
    row: int,
    fields: Sequence[str],
    header: Sequence[str],
    is_quoted: bool,
    reading: Reading,
    is_marked: bool,
) -> Problem | None:
    """What is to be said of a row that is the header again, or has another number of fields."""
    if reading.columns and row == 1 and list(fields) == list(header):
        said = reading.option("columns", ",".join(header))
        message = f"expected no header, as {said} says, found these names in the first line; leave that out"
        return Problem("malformed_header", row, None, message)
    if not reading.columns and list(fields) == list(header) and (len(header) > 1 or is_marked):
        # A single column may well hold its own name: only behind a joined file's mark is that the header.
        message = "expected a row, found the header once more, as in joined files; take the line out"
        return Problem("malformed_row", row, None, message)
    if len(fields) == len(header):
        return None
    source = reading.option("columns", ",".join(header)) if reading.columns else "the header"
    remedy = "put a field that holds a delimiter, a quote or a line break in quotes"
    if not is_quoted:
        remedy = f"take the delimiter out of the text, or say {reading.option('quoting', 'csv')}"
    message = f"expected {len(header)} fields as in {source}, found {len(fields)}; {remedy}"
    return Problem("malformed_row", row, None, message)


def _wrong_header(
    header: Sequence[str], delimiter: str, columns: Sequence[str], reading: Reading
) -> Problem | None:
    """What is to be said of a header whose names stand between other separators."""
    if reading.columns or len(header) > 1 or header[0] in columns:
        return None
    for other, (name, suffix) in _SEPARATORS.items():
        if other in header[0] and other != delimiter:
            wanted, own = _SEPARATORS[delimiter]
            remedy = f"end its name in {suffix}" if suffix else f"write {wanted}"
            message = (
                f"expected {wanted} between fields, as of {own}, found {name}: {header[0]!r:.80}; {remedy}"
            )
            return Problem("separator", None, None, message)
    return None
