"""Cells of a file's rows under our names, as strings; and what is wrong with them, all in one error."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from raytrain.characters import is_blank
from raytrain.corpus.several_labels import KIND, lone_label, too_many
from raytrain.errors import CorpusError
from raytrain.files.encodings import DROPPABLE, Problem
from raytrain.files.reading import AS_FOUND, Reading
from raytrain.files.tables import iter_rows

TEXTS = ("text", "text_pair")
FEW = 5  # rows of one form that are each told


def named_columns(text_columns: Sequence[str], id: str | None) -> dict[str, str]:
    """Maps our names of the columns to the file's."""
    texts = dict(zip(TEXTS, text_columns, strict=False))
    return {"id": id, **texts} if id else texts


def table_schema(columns: dict[str, str]) -> Any:
    """Takes ids as strings and row numbers as integers; labels become indices once all are known."""
    return pa.schema({"id": pa.int64()} | dict.fromkeys(columns, pa.string()))


def iter_tables(rows: Iterable[dict[str, Any]], schema: Any, batch_rows: int) -> Iterator[pa.Table]:
    rows = iter(rows)
    while batch := list(itertools.islice(rows, batch_rows)):
        yield pa.Table.from_pylist(batch, schema=schema)


def numbered_rows(
    path: str | Path, columns: dict[str, str], problems: list[Problem], reading: Reading = AS_FOUND
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Adds the 0-based data row, which counts the malformed rows too: dropping must not shift ids."""
    number = num_seen = 0
    for row, values in iter_rows(path, list(columns.values()), problems, reading):
        number += sum(problem.kind == "malformed_row" for problem in problems[num_seen:])
        num_seen = len(problems)
        yield row, number, values
        number += 1


def check_cells(
    row: int, values: dict[str, Any], columns: dict[str, str], may_be_empty: Collection[str] = ()
) -> tuple[dict[str, str], list[Problem]]:
    """Returns the cells of a row under our names, empty where unusable, and what is wrong with them."""
    cells = dict.fromkeys(columns, "")
    found = []
    for name, column in columns.items():
        if column not in values:
            continue
        noun = "text" if name in TEXTS else name
        article = "an" if noun == "id" else "a"
        value = lone_label(values[column]) if noun == "label" else values[column]
        if noun == "label" and isinstance(value, list) and len(value) > 1:
            found.append(Problem(KIND, row, column, too_many(value)))
            continue
        try:
            cell = _as_text(value) if noun == "text" else _as_key(value)
        except TypeError:
            number = "number" if noun == "text" else "whole number"
            message = (
                f"expected {article} {noun}, found {values[column]!r:.60}; write it as a string or a {number}"
            )
            found.append(Problem("wrong_type", row, column, message))
            continue
        # Texts are read, and ids given back, as they are.
        cells[name] = cell.strip() if noun in ("label", "group") else cell
        if name not in may_be_empty and is_blank(cell):
            cells[name] = cell if noun == "text" else ""
            kind = "empty_text" if noun == "text" else f"missing_{noun}"
            empty = f"only what cannot be seen, {cell!a:.60}" if cell.strip() else "an empty one"
            message = f"expected {article} {noun}, found {empty}; fill it in"
            found.append(Problem(kind, row, column, message))
    return cells, found


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return str(value)
    raise TypeError


def _as_key(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return str(int(value))
    if isinstance(value, Decimal) or (isinstance(value, float) and not math.isnan(value)):
        raise TypeError
    return _as_text(value)


def repeated_id(key: str, row: int, column: str, first_row: int) -> Problem:
    """What is wrong with a row whose id an earlier one has."""
    message = f"expected each id once, found {key!r} in row {first_row} too; change one"
    return Problem("duplicate_id", row, column, message)


def told_once(
    problems: Sequence[Problem], kind: str, key: Callable[[Problem], str], most: int = 1
) -> list[Problem]:
    """The problems, but of one kind with more than `most` of one key the first alone, which counts them."""
    counts = Counter(key(problem) for problem in problems if problem.kind == kind)
    few = {one for one, count in counts.items() if count <= most}
    told = []
    for problem in problems:
        if problem.kind != kind or key(problem) in few:
            told.append(problem)
        elif count := counts.pop(key(problem), 0):
            times = f" (the first of {count:,} such rows)" if count > 1 else ""
            told.append(replace(problem, message=f"{problem.message}{times}"))
    return told


def remedy_of(problem: Problem) -> str:
    """What is to be done, which is the same for all problems of one form."""
    return problem.message.rpartition("; ")[2]


def refuse(summary: str, path: str | Path, problems: list[Problem], reading: Reading | None = None) -> None:
    """Raises what is wrong, if anything: first with the whole file, then row by row.

    Args:
        summary: What cannot be done.
        path: The file.
        problems: What is wrong with it.
        reading: Where rows may be left out: it tells how to say so.
    """
    if not problems:
        return
    # Where no row has a column, that is one problem, and nothing else is to be said of it.
    absent = {problem.column for problem in problems if problem.kind == "missing_column"}
    told = [one for one in problems if one.kind == "missing_column" or one.column not in absent]
    told = [one for one in told if one.kind == "separator"] or told  # the others come of it
    told.sort(key=lambda problem: problem.row or 0)
    raise CorpusError(summary, [problem.line(path) + _remedy(problem, reading) for problem in told])


def _remedy(problem: Problem, reading: Reading | None) -> str:
    if reading is None or problem.kind not in DROPPABLE:
        return ""
    return f", or drop such rows with {reading.option('drop', problem.kind)}"
