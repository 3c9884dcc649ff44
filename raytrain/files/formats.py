"""The formats of files of rows: text, CSV and TSV, JSON Lines, Parquet; each read row by row."""

import csv
import dataclasses
import difflib
import json
import re
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq

from raytrain.files.encodings import (
    CHUNK_BYTES,
    Problem,
)

BATCH_ROWS = 4096
FIELD_LIMIT = 1 << 24  # characters; what an unclosed quote may swallow before it is noticed
SHOWN_COLUMNS = 50
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def empty_file(found: str) -> Problem:
    return Problem("empty_file", None, None, f"expected rows, found {found}; is it the right file?")


def _usable_columns(wanted: list[str], found: Sequence[str], problems: list[Problem]) -> list[str]:
    """Returns the wanted columns that are there once, and reports the others."""
    for column in wanted:
        if column not in found:
            near = difflib.get_close_matches(column, found, n=1, cutoff=0.5)
            near = near or [name for name in found if name.strip().lower() == column.strip().lower()]
            shown = ", ".join(repr(name) for name in found[:SHOWN_COLUMNS])
            advice = f"did you mean {near[0]!r}?" if near else "name one of them"
            message = f"expected a column of this name, found {shown}; {advice}"
            problems.append(Problem("missing_column", None, column, message))
        elif found.count(column) > 1:
            message = f"expected one column of this name, found {found.count(column)}; rename all but one"
            problems.append(Problem("duplicate_column", None, column, message))
    return [column for column in wanted if found.count(column) == 1]


def iter_txt(
    lines: Iterator[str], columns: list[str], problems: list[Problem]
) -> Iterator[tuple[int, dict[str, Any]]]:
    usable = _usable_columns(columns, ["text"], problems)
    for row, line in enumerate(lines, 1):
        yield row, dict.fromkeys(usable, line.rstrip("\r\n"))


class _Lines:
    """Counted lines; those of the present record can be given back, all but its first."""

    def __init__(self, lines: Iterator[str]):
        self._lines = lines
        self._again: deque[str] = deque()
        self._record: list[str] = []
        self.row = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self._record.append(line)
        self.row += 1
        return line

    def begin_record(self) -> int:
        self._record.clear()
        return self.row + 1

    def give_back(self) -> None:
        again = self._record[1:]
        self._again.extendleft(reversed(again))
        self.row -= len(again)


def csv_records(
    lines: Iterator[str], delimiter: str, problems: list[Problem]
) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(max(csv.field_size_limit(), FIELD_LIMIT))
    source = _Lines(lines)
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    while True:
        row = source.begin_record()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            found = f"a quote that is not closed or not doubled ({error})"
            message = f'expected fields in CSV quoting, found {found}; write a quote inside a field as ""'
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


def plain_records(lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Numbered rows of fields without quoting: a line each."""
    for row, line in enumerate(lines, 1):
        if fields := split_plain(line, delimiter):
            yield row, fields


def iter_csv(
    lines: Iterator[str], delimiter: str, columns: list[str], problems: list[Problem], is_quoted: bool = True
) -> Iterator[tuple[int, dict[str, Any]]]:
    records = csv_records(lines, delimiter, problems) if is_quoted else plain_records(lines, delimiter)
    num_before = len(problems)
    _, header = next(records, (0, []))
    if len(problems) > num_before:
        problems[num_before:] = [dataclasses.replace(problems[num_before], kind="malformed_header")]
        return
    if not header:
        problems.append(empty_file("blank lines alone"))
        return
    places = {column: header.index(column) for column in _usable_columns(columns, header, problems)}
    num_before = len(problems)
    row = None
    for row, fields in records:
        if len(fields) == len(header):
            yield row, {column: fields[place] for column, place in places.items()}
        else:
            message = (
                f"expected {len(header)} fields as in the header, found {len(fields)}; "
                "put a field that holds a delimiter, a quote or a line break in quotes"
            )
            problems.append(Problem("malformed_row", row, None, message))
    if row is None and len(problems) == num_before:
        problems.append(empty_file("a header and no rows"))


def iter_jsonl(
    lines: Iterator[str], columns: list[str], problems: list[Problem]
) -> Iterator[tuple[int, dict[str, Any]]]:
    found: dict[str, None] = {}
    absent = set(columns)
    is_blank = True
    for row, line in enumerate(lines, 1):
        if not line.strip():
            continue
        is_blank = False
        record, message = json_object(line)
        values = {column: record.get(column) for column in columns}
        if any(isinstance(value, str) and _LONE_SURROGATE.search(value) for value in values.values()):
            message = "expected characters, found half of one (a lone surrogate); mend the text"
        if message:
            problems.append(Problem("malformed_row", row, None, message))
            continue
        absent -= record.keys()
        if len(found) < SHOWN_COLUMNS:
            found.update(dict.fromkeys(record))
        yield row, values
    if is_blank:
        problems.append(empty_file("blank lines alone"))
    if found:
        _usable_columns([column for column in columns if column in absent], list(found), problems)


def json_object(line: str) -> tuple[dict[str, Any], str]:
    """Returns the object, and what is wrong with the line or an empty string."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        return {}, f"expected a JSON object in one line, found other text ({error}); mend the line"
    if isinstance(record, dict):
        return record, ""
    return {}, f"expected a JSON object in one line, found {record!r:.60}; write it as {{column: value}}"


def iter_parquet(
    path: str | Path, columns: list[str], problems: list[Problem]
) -> Iterator[tuple[int, dict[str, Any]]]:
    with pq.ParquetFile(str(path), buffer_size=CHUNK_BYTES) as file:
        usable = _usable_columns(columns, file.schema_arrow.names, problems)
        if file.metadata.num_rows == 0:
            problems.append(empty_file("columns and no rows"))
        row = 0
        for batch in file.iter_batches(BATCH_ROWS, columns=usable):
            values = {name: _column_values(batch.column(name), name, row, problems) for name in usable}
            for place in range(batch.num_rows):
                row += 1
                yield row, {name: column[place] for name, column in values.items()}


def _column_values(column: Any, name: str, rows_before: int, problems: list[Problem]) -> list[Any]:
    try:
        return cast(list[Any], column.to_pylist())
    except UnicodeDecodeError:
        values: list[Any] = []
    for row, value in enumerate(column, rows_before + 1):
        try:
            values.append(value.as_py())
        except UnicodeDecodeError:
            message = "expected UTF-8, found bytes that are not; write the file anew"
            problems.append(Problem("encoding", row, name, message))
            values.append("\N{REPLACEMENT CHARACTER}")
    return values
