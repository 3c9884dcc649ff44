"""Formats of files of rows: plain text, JSON Lines, Parquet; each read row by row."""

import difflib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq

from raytrain.characters import holds_half
from raytrain.files.encodings import CHUNK_BYTES, Problem
from raytrain.files.marks import MARK
from raytrain.files.reading import AS_FOUND, Reading

BATCH_ROWS = 4096
SHOWN_COLUMNS = 50


def empty_file(found: str) -> Problem:
    return Problem("empty_file", None, None, f"expected rows, found {found}; is it the right file?")


def usable_columns(
    wanted: list[str], found: Sequence[str], problems: list[Problem], remedy: str = ""
) -> list[str]:
    """Returns the wanted columns that are there once, and reports the others; a remedy adds to the advice."""
    for column in wanted:
        if column not in found:
            near = difflib.get_close_matches(column, found, n=1, cutoff=0.5)
            near = near or [name for name in found if name.strip().lower() == column.strip().lower()]
            shown = ", ".join(repr(name) for name in found[:SHOWN_COLUMNS])
            advice = f"did you mean {near[0]!r}?" if near else f"name one of them{remedy}"
            message = f"expected a column of this name, found {shown}; {advice}"
            problems.append(Problem("missing_column", None, column, message))
        elif found.count(column) > 1:
            message = f"expected one column of this name, found {found.count(column)}; rename all but one"
            problems.append(Problem("duplicate_column", None, column, message))
    return [column for column in wanted if found.count(column) == 1]


def iter_txt(
    lines: Iterator[str], columns: list[str], problems: list[Problem], reading: Reading = AS_FOUND
) -> Iterator[tuple[int, dict[str, Any]]]:
    """A text a line; lines that are rows of fields by tabs, throughout, are refused unless that is said."""
    names = list(reading.columns or ["text"])
    usable = usable_columns(columns, names, problems)
    num_tabs: Counter[int] = Counter()
    row = 0
    for row, line in enumerate(lines, 1):
        text = line.removeprefix(MARK).rstrip("\r\n")
        if text.strip():
            num_tabs[text.count("\t")] += 1
        yield row, dict.fromkeys(usable, text)
    if row == 0:
        problems.append(empty_file("nothing"))
    if reading.columns is None and len(num_tabs) == 1 and 0 not in num_tabs and num_tabs.total() > 1:
        [count] = num_tabs
        remedy = (
            f"where these are fields, name them with {reading.option('columns', 'text,label')}; "
            f"where each line is a text as it is, say {reading.option('columns', 'text')}"
        )
        message = f"expected a text a line, found {count} tab{'s' * (count > 1)} in every line; {remedy}"
        problems.append(Problem("separator", None, None, message))


def iter_jsonl(
    lines: Iterator[str], columns: list[str], problems: list[Problem]
) -> Iterator[tuple[int, dict[str, Any]]]:
    found: dict[str, None] = {}
    absent = set(columns)
    is_blank = True
    for row, line in enumerate(lines, 1):
        if not line.removeprefix(MARK).strip():
            continue
        is_blank = False
        record, message = json_object(line)
        values = {column: record.get(column) for column in columns}
        wrong = ((column, _wrong_within(value)) for column, value in values.items())
        where, message = next(((column, told) for column, told in wrong if told), (None, message))
        if message:
            problems.append(Problem("malformed_row", row, where, message))
            continue
        absent -= record.keys()
        if len(found) < SHOWN_COLUMNS:
            found.update(dict.fromkeys(record))
        yield row, values
    if is_blank:
        problems.append(empty_file("blank lines alone"))
    if found:
        usable_columns([column for column in columns if column in absent], list(found), problems)


def _wrong_within(value: Any) -> str:
    """What is wrong with a value of JSON, however deep, or an empty string."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str) and holds_half(value):
            return "expected characters, found half of one (a lone surrogate); mend the text"
        if isinstance(value, _Ambiguous):
            return value.message
        if isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            waiting += value
    return ""


def json_object(line: str) -> tuple[dict[str, Any], str]:
    """Returns the object, and what is wrong with the line or an empty string.

    A key that is there twice in an object within is wrong only for those who read the column.
    """
    try:
        record = json.loads(line.removeprefix(MARK), object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        return {}, f"expected a JSON object in one line, found other text ({error}); mend the line"
    if isinstance(record, _Ambiguous):
        return {}, record.message
    if isinstance(record, dict):
        return record, ""
    return {}, f"expected a JSON object in one line, found {record!r:.60}; write it as {{column: value}}"


class _Ambiguous(dict[str, Any]):
    """An object of JSON that has a key more than once, and what to say of it."""

    message = ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) == len(pairs):
        return record
    key = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
    ambiguous = _Ambiguous(record)
    ambiguous.message = f"expected each key once in an object, found {key!r:.60} again; leave out all but one"
    return ambiguous


def iter_parquet(
    path: str | Path, columns: list[str], problems: list[Problem]
) -> Iterator[tuple[int, dict[str, Any]]]:
    with pq.ParquetFile(str(path), buffer_size=CHUNK_BYTES) as file:
        usable = usable_columns(columns, file.schema_arrow.names, problems)
        if file.metadata.num_rows == 0:
            problems.append(empty_file("columns and no rows"))
        row = 0
        for batch in file.iter_batches(BATCH_ROWS, columns=usable):
            wrong: dict[int, Problem] = {}
            values = {name: _column_values(batch.column(name), name, row, problems, wrong) for name in usable}
            for place in range(batch.num_rows):
                row += 1
                if row in wrong:
                    problems.append(wrong[row])
                else:
                    yield row, {name: column[place] for name, column in values.items()}


def _column_values(
    column: Any, name: str, rows_before: int, problems: list[Problem], wrong: dict[int, Problem]
) -> list[Any]:
    """The values of a column; `wrong` takes the rows that Python cannot hold, each once."""
    try:
        return cast(list[Any], column.to_pylist())
    except (UnicodeDecodeError, OverflowError, ValueError):
        values: list[Any] = []
    for row, value in enumerate(column, rows_before + 1):
        try:
            values.append(value.as_py())
        except UnicodeDecodeError:
            message = "expected UTF-8, found bytes that are not; write the file anew"
            problems.append(Problem("encoding", row, name, message))
            values.append("\N{REPLACEMENT CHARACTER}")
        except (OverflowError, ValueError):
            message = f"expected a value in Python's range, found {_stored(value)}; mend it"
            wrong.setdefault(row, Problem("malformed_row", row, name, message))
            values.append(None)
    return values


def _stored(value: Any) -> str:
    """A date or time of Parquet that no calendar has, as the number that is stored."""
    try:
        return f"{value.value} as a {value.type}"
    except AttributeError:
        return f"another {value.type}"
