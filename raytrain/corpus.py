"""The corpus: labelled texts, read once and validated; and unlabelled ones, streamed for prediction."""

import dataclasses
import hashlib
import itertools
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raytrain.config import DropKind
from raytrain.encodings import Problem
from raytrain.errors import CorpusError
from raytrain.tables import BATCH_ROWS, iter_rows
from raytrain.tags import find_spans, type_names

TEXTS = ("text", "text_pair")
_CANONICAL_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Labelled texts, every row of which is usable.

    Attributes:
        table: id (string where an id column was given, else int64, the 0-based data row of the file),
            text, text_pair (for pairs alone), label (int32, an index into `labels`) or tags (such an index
            for each character), group (where asked).
        labels: Sorted: as numbers where each is an integer, else as strings; or of `tags.tag_names`.
        sha256: Of the file's bytes, in hexadecimal digits.
        path: The file, as it was given.
        dropped: Rows left out, by kind of problem.
    """

    table: pa.Table
    labels: list[int] | list[str]
    sha256: str
    path: str
    dropped: dict[str, int]

    @property
    def text_names(self) -> list[str]:
        return [name for name in TEXTS if name in self.table.column_names]

    @property
    def num_rows(self) -> int:
        return int(self.table.num_rows)

    @property
    def tags(self) -> tuple[np.ndarray, np.ndarray]:
        """The tags of all characters, laid end to end; and (num_rows + 1,): where each row's lie."""
        column = self.table["tags"].combine_chunks()
        return column.values.to_numpy(), column.offsets.to_numpy()

    def strata(self, num_folds: int) -> np.ndarray:
        """(num_rows,) what is to be spread evenly over the folds: the label, or the rarest type of a span.

        Types and combinations that are too rare to be in every fold do not count.
        """
        if "label" in self.table.column_names:
            return self.table["label"].to_numpy()
        held = self._types_held()
        rows_of = held.sum(axis=0)
        strata = np.zeros(self.num_rows, np.int64)
        for kind in np.argsort(-rows_of, kind="stable"):  # the rarest is written last
            if rows_of[kind] >= num_folds:
                strata[held[:, kind]] = kind + 1
        for stratum, count in zip(*np.unique(strata, return_counts=True), strict=True):
            if count < num_folds:
                strata[strata == stratum] = 0
        # What is left over may itself be too little to stand alone.
        return strata if (strata == 0).sum() >= num_folds else np.where(strata == 0, strata.max(), strata)

    def _types_held(self) -> np.ndarray:
        """(num_rows, num_types) bool: whether the row has a span of the type."""
        spans = find_spans(*self.tags)
        held = np.zeros((self.num_rows, len(self.labels) // 2), bool)
        held[spans.rows, spans.types] = True
        return held

    def _labels_told(self) -> list[dict[str, Any]]:
        if "label" in self.table.column_names:
            counts = {
                item["values"]: item["counts"] for item in self.table["label"].value_counts().to_pylist()
            }
            return [{"label": label, "rows": counts[i]} for i, label in enumerate(self.labels)]
        spans = np.bincount(find_spans(*self.tags).types, minlength=len(self.labels) // 2)
        rows = self._types_held().sum(axis=0)
        names = type_names([str(label) for label in self.labels])
        return [{"label": name, "rows": int(rows[i]), "spans": int(spans[i])} for i, name in enumerate(names)]

    def summary(self) -> dict[str, Any]:
        """Returns what there is to say of the corpus without its texts; plain values, fit for JSON.

        `duplicate_texts` counts the rows whose text (or pair of texts) an earlier row has already.
        """
        return {
            "path": self.path,
            "sha256": self.sha256,
            "rows": self.num_rows,
            "labels": self._labels_told(),
            "duplicate_texts": self.num_rows - self.table.group_by(self.text_names).aggregate([]).num_rows,
            "dropped": dict(self.dropped),
        }


def read_corpus(
    path: str | Path,
    text_columns: Sequence[str],
    label: str,
    id: str | None = None,
    group: str | None = None,
    num_folds: int = 2,
    drop: Collection[DropKind] = (),
) -> Corpus:
    """Reads labelled texts, one pass over the file, and refuses them unless every row is usable.

    Texts are kept as they are; labels are stripped. Integral floats become integers, and booleans
    `true` and `false`.

    Args:
        path: A file that `raytrain.tables.iter_rows` reads.
        text_columns: One column, or two for a text pair.
        label: The label column.
        id: The id column; None numbers the rows.
        group: The group column, if any.
        num_folds: Each class needs as many rows.
        drop: Kinds of unusable rows to leave out and count. Of rows with one id the first stays.

    Raises:
        CorpusError: With every problem of the file at once.
    """
    columns = _named_columns(text_columns, id) | {"label": label} | ({"group": group} if group else {})
    rows = _LabelledRows(path, columns, frozenset(drop))
    schema = _schema(columns)
    table = pa.concat_tables([schema.empty_table(), *_tables(rows, schema, BATCH_ROWS)])
    kept = rows.check_classes(num_folds)
    refuse(f"{path}: these texts cannot be trained on", path, rows.problems, may_drop=True)
    labels = _sorted_labels(kept)
    indices = pc.index_in(table["label"], value_set=pa.array([str(name) for name in labels], pa.string()))
    table = table.set_column(table.column_names.index("label"), "label", indices)
    table = table.filter(indices.is_valid()) if indices.null_count else table
    with Path(path).open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return Corpus(table, labels, sha256, str(path), dict(sorted(rows.dropped.items())))


def iter_texts(
    path: str | Path, text_columns: Sequence[str], id: str | None = None, batch_rows: int = BATCH_ROWS
) -> Iterator[pa.Table]:
    """Streams over texts to predict, in the order of the file.

    Args:
        path: A file that `raytrain.tables.iter_rows` reads.
        text_columns: One column, or two for a text pair. A missing text is an empty one.
        id: The id column; None numbers the rows from 0. Ids may recur.
        batch_rows: Rows of each table but the last.

    Yields:
        Tables of id, text and, for pairs, text_pair, typed as in `Corpus`.

    Raises:
        CorpusError: At the first table before whose end something is wrong; `count_texts` tells all.
    """
    columns = _named_columns(text_columns, id)
    problems: list[Problem] = []
    for table in _tables(_unlabelled_rows(path, columns, problems), _schema(columns), batch_rows):
        _refuse_texts(path, problems)
        yield table
    _refuse_texts(path, problems)


def count_texts(path: str | Path, text_columns: Sequence[str], id: str | None = None) -> tuple[int, int]:
    """Reads texts to predict once and keeps none, so that all that is wrong is known beforehand.

    Returns:
        The number of rows, and of those with an empty text (of a pair: either).

    Raises:
        CorpusError: With every problem of the file at once.
    """
    columns = _named_columns(text_columns, id)
    names = [name for name in TEXTS if name in columns]
    problems: list[Problem] = []
    num_rows = num_empty = 0
    for row in _unlabelled_rows(path, columns, problems):
        num_rows += 1
        num_empty += any(not row[name].strip() for name in names)
    _refuse_texts(path, problems)
    return num_rows, num_empty


def has_column(path: str | Path, column: str) -> bool:
    """Whether a file has a column and, in formats without a header, a value of it in its first rows.

    Raises:
        CorpusError: The file cannot be read.
    """
    problems: list[Problem] = []
    rows = iter_rows(path, [column], problems)
    first = [values.get(column) for _, values in itertools.islice(rows, BATCH_ROWS)]
    return any(value is not None for value in first)


def refuse(summary: str, path: str | Path, problems: list[Problem], may_drop: bool) -> None:
    """Raises what is wrong, if anything: first with the whole file, then row by row."""
    if not problems:
        return
    # Where no row has a column, that is one problem and not one for each row.
    absent = {problem.column for problem in problems if problem.kind == "missing_column"}
    told = [problem for problem in problems if problem.row is None or problem.column not in absent]
    told.sort(key=lambda problem: problem.row or 0)
    raise CorpusError(summary, [problem.line(path, may_drop) for problem in told])


def _refuse_texts(path: str | Path, problems: list[Problem]) -> None:
    refuse(f"{path}: these texts cannot be predicted", path, problems, may_drop=False)


def _named_columns(text_columns: Sequence[str], id: str | None) -> dict[str, str]:
    """Maps our names of the columns to the file's."""
    texts = dict(zip(TEXTS, text_columns, strict=False))
    return {"id": id, **texts} if id else texts


def _schema(columns: dict[str, str]) -> Any:
    """Takes ids as strings and row numbers as integers; labels become indices once all are known."""
    return pa.schema({"id": pa.int64()} | dict.fromkeys(columns, pa.string()))


def _tables(rows: Iterable[dict[str, Any]], schema: Any, batch_rows: int) -> Iterator[pa.Table]:
    rows = iter(rows)
    while batch := list(itertools.islice(rows, batch_rows)):
        yield pa.Table.from_pylist(batch, schema=schema)


class _LabelledRows:
    """Iterates over the usable rows of a file and gathers what is wrong with the others."""

    def __init__(self, path: str | Path, columns: dict[str, str], drop: frozenset[str]):
        self.problems: list[Problem] = []
        self.dropped: Counter[str] = Counter()
        self._path = path
        self._columns = columns
        self._drop = drop
        self._class_rows: Counter[str] = Counter()
        self._first_rows: dict[str, int] = {}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row, number, values in numbered_rows(self._path, self._columns, self.problems):
            cells, found = check_cells(row, values, self._columns)
            key = cells.get("id", "")
            if key in self._first_rows:
                message = (
                    f"expected each id once, found {key!r} in row {self._first_rows[key]} too; change one"
                )
                found.append(Problem("duplicate_id", row, self._columns["id"], message))
            to_drop = [problem.kind for problem in found if problem.kind in self._drop]
            if to_drop:
                self.dropped[to_drop[0]] += 1
                continue
            if key:
                self._first_rows.setdefault(key, row)
            if cells["label"]:
                self._class_rows[cells["label"]] += 1
            self.problems += found
            if not found:
                yield {"id": number, **cells}
        malformed = [p for p in self.problems if p.kind == "malformed_row" and p.kind in self._drop]
        if malformed:
            self.dropped["malformed_row"] += len(malformed)
            self.problems = [problem for problem in self.problems if problem.kind != "malformed_row"]

    def check_classes(self, num_folds: int) -> list[str]:
        """Returns the labels that stay, once all rows have been read."""
        label = self._columns["label"]
        kept = dict(self._class_rows)
        for name, num_rows in sorted(self._class_rows.items()):
            if num_rows < num_folds:
                kept.pop(name)
                message = (
                    f"expected at least {num_folds} rows of each class, one per fold, found {num_rows} "
                    f"of {name!r}; use fewer folds or add rows"
                )
                if "rare_class" in self._drop:
                    self.dropped["rare_class"] += num_rows
                else:
                    self.problems.append(Problem("rare_class", None, label, message))
        present = kept if "rare_class" in self._drop else self._class_rows
        if len(present) == 1:
            message = (
                f"expected two classes or more, found {next(iter(present))!r} alone; add rows of another"
            )
            self.problems.append(Problem("one_class", None, label, message))
        elif not present and not self.problems:
            message = f"expected rows to train on, found none after dropping {dict(self.dropped)}"
            self.problems.append(Problem("no_rows", None, None, f"{message}; mend the file, or drop less"))
        return list(kept)


def numbered_rows(
    path: str | Path, columns: dict[str, str], problems: list[Problem]
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Adds the 0-based data row, which counts the malformed rows too: dropping must not shift ids."""
    number = num_seen = 0
    for row, values in iter_rows(path, list(columns.values()), problems):
        number += sum(problem.kind == "malformed_row" for problem in problems[num_seen:])
        num_seen = len(problems)
        yield row, number, values
        number += 1


def _unlabelled_rows(
    path: str | Path, columns: dict[str, str], problems: list[Problem]
) -> Iterator[dict[str, Any]]:
    for row, number, values in numbered_rows(path, columns, problems):
        cells, found = check_cells(row, values, columns, may_be_empty=TEXTS)
        problems += found
        yield {"id": number, **cells}


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
        try:
            cell = _as_text(values[column]) if noun == "text" else _as_key(values[column])
        except TypeError:
            message = f"expected a {noun}, found {values[column]!r:.60}; write it as a string or a number"
            found.append(Problem("wrong_type", row, column, message))
            continue
        cells[name] = cell.strip() if noun == "label" else cell
        if name not in may_be_empty and not cell.strip():
            kind = "empty_text" if noun == "text" else f"missing_{noun}"
            message = f"expected a {noun}, found an empty one; fill it in"
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
    if isinstance(value, Decimal) or (isinstance(value, float) and not math.isnan(value)):
        raise TypeError
    return _as_text(value)


def _sorted_labels(names: Iterable[str]) -> list[int] | list[str]:
    names = sorted(names)
    if all(_CANONICAL_INTEGER.fullmatch(name) for name in names):
        return sorted(int(name) for name in names)
    return names
