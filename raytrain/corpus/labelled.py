"""Texts with a label each: read once, and refused unless every row is usable."""

import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raytrain.config.data import DropKind
from raytrain.corpus.cells import (
    check_cells,
    iter_tables,
    named_columns,
    numbered_rows,
    refuse,
    repeated_id,
    table_schema,
    told_once,
)
from raytrain.corpus.corpus import Corpus
from raytrain.corpus.label_spelling import merge_alike, merged_lines, two_spellings
from raytrain.corpus.several_labels import ADVICE, KIND, find_joined, indicators
from raytrain.corpus.times import read_times, times_lines
from raytrain.files.encodings import Problem
from raytrain.files.formats import BATCH_ROWS
from raytrain.files.reading import AS_FOUND, Reading
from raytrain.files.tables import iter_rows, read_column_names
from raytrain.files.told import reading_lines
from raytrain.storage.files import hash_file

_CANONICAL_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")


def read_corpus(
    path: str | Path,
    text_columns: Sequence[str],
    label: str,
    id: str | None = None,
    group: str | None = None,
    num_folds: int = 2,
    drop: Collection[DropKind] = (),
    time: str | None = None,
    reading: Reading = AS_FOUND,
    merge_labels: bool = False,
    least_classes: int = 2,
) -> Corpus:
    """Reads labelled texts, one pass over the file, and refuses them unless every row is usable.

    Texts are kept as they are; labels and groups are stripped. Integral floats and decimals become integers,
    and booleans `true` and `false`.

    Args:
        path: A file that `raytrain.files.tables.iter_rows` reads.
        text_columns: One column, or two for a text pair.
        label: The label column.
        id: The id column; None numbers the rows.
        group: The group column, if any.
        num_folds: Each class needs as many rows.
        drop: Kinds of unusable rows to leave out and count. Of rows with one id the first stays.
        time: The column of times, if any, as `corpus.times.read_times` reads it.
        reading: What is said of the file.
        merge_labels: Whether labels that look alike are one, spelt as most rows have it; else they are
            refused.
        least_classes: How many labels there must be: to learn two, to be judged by one.

    Raises:
        CorpusError: With every problem of the file at once.
    """
    columns = named_columns(text_columns, id) | {"label": label} | ({"group": group} if group else {})
    rows = _LabelledRows(path, columns, frozenset(drop), time, reading)
    schema = table_schema(columns)
    table = pa.concat_tables([schema.empty_table(), *iter_tables(rows, schema, BATCH_ROWS)])
    merged = rows.merge_labels() if merge_labels else {}
    kept = rows.check_classes(num_folds, least_classes)
    times, wrong = read_times(rows.times, time or "")
    rows.problems = told_once(rows.problems + wrong, KIND, lambda problem: "")
    rows.problems = [_ask_columns(problem, path, label, reading) for problem in rows.problems]
    refuse(f"{path}: these texts cannot be used", path, rows.problems, reading)
    if times is not None:
        table = table.append_column("time", times)
    labels = _sorted_labels(kept)
    spelt = [merged.get(name, name) for name in table["label"].to_pylist()] if merged else table["label"]
    indices = pc.index_in(spelt, value_set=pa.array([str(name) for name in labels], pa.string()))
    table = table.set_column(table.column_names.index("label"), "label", indices)
    table = table.filter(indices.is_valid()) if indices.null_count else table
    dropped = dict(sorted(rows.dropped.items()))
    told = (
        *reading_lines(path, reading),
        *times_lines(rows.times, time or ""),
        *filter(None, [rows.joined]),
        *merged_lines(merged),
    )
    return Corpus(table, labels, hash_file(Path(path)), str(path), dropped, reading=told)


class _LabelledRows:
    """Iterates over the usable rows of a file and gathers what is wrong with the others."""

    def __init__(
        self,
        path: str | Path,
        columns: dict[str, str],
        drop: frozenset[str],
        time: str | None = None,
        reading: Reading = AS_FOUND,
    ):
        self.problems: list[Problem] = []
        self.times: list[tuple[int, Any]] = []
        self._time = time
        self.dropped: Counter[str] = Counter()
        self._path = path
        self._reading = reading
        self._columns = columns
        self._drop = drop
        self.joined = ""
        self._class_rows: Counter[str] = Counter()
        self._label_rows: dict[str, int] = {}
        self._first_rows: dict[str, int] = {}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        read = self._columns | ({"time": self._time} if self._time else {})
        for row, number, values in numbered_rows(self._path, read, self.problems, self._reading):
            cells, found = check_cells(row, values, self._columns)
            key = cells.get("id", "")
            if key in self._first_rows:
                found.append(repeated_id(key, row, self._columns["id"], self._first_rows[key]))
            to_drop = [problem.kind for problem in found if problem.kind in self._drop]
            if to_drop:
                self.dropped[to_drop[0]] += 1
                continue
            if key:
                self._first_rows.setdefault(key, row)
            if self._time in values:
                self.times.append((row, values[self._time]))
            if cells["label"]:
                self._class_rows[cells["label"]] += 1
                self._label_rows.setdefault(cells["label"], row)
            self.problems += found
            if not found:
                yield {"id": number, **cells}
        malformed = [p for p in self.problems if p.kind == "malformed_row" and p.kind in self._drop]
        if malformed:
            self.dropped["malformed_row"] += len(malformed)
            self.problems = [problem for problem in self.problems if problem.kind != "malformed_row"]

    def merge_labels(self) -> dict[str, str]:
        """Counts labels that look alike as one; returns each that is spelt otherwise, and its spelling."""
        merged = merge_alike(self._class_rows)
        for name, spelling in merged.items():
            self._class_rows[spelling] += self._class_rows.pop(name)
        return merged

    def check_classes(self, num_folds: int, least_classes: int) -> list[str]:
        """Returns the labels that stay, once all rows have been read."""
        if any(problem.kind == KIND for problem in self.problems):
            return list(self._class_rows)  # what stands in lists has not been counted
        label = self._columns["label"]
        kept = dict(self._class_rows)
        joined = self._check_joined(num_folds)
        for name, num_rows in sorted(self._class_rows.items()):
            if num_rows < num_folds:
                kept.pop(name)
                if name in joined:
                    continue
                message = (
                    f"expected at least {num_folds} rows of each class, one per fold, found {num_rows} "
                    f"of {name!r}; use fewer folds or add rows"
                )
                if "rare_class" in self._drop:
                    self.dropped["rare_class"] += num_rows
                else:
                    self.problems.append(Problem("rare_class", None, label, message))
        self.problems += two_spellings(self._class_rows, label, self._reading)
        present = kept if "rare_class" in self._drop else self._class_rows
        if 0 < len(present) < least_classes:
            message = (
                f"expected two classes or more, found {next(iter(present))!r} alone; add rows of another"
            )
            self.problems.append(Problem("one_class", None, label, message))
        elif not present and not self.problems:
            message = f"expected rows with a label, found none after dropping {dict(self.dropped)}"
            self.problems.append(Problem("no_rows", None, None, f"{message}; mend the file, or drop less"))
        return list(kept)

    def _check_joined(self, num_folds: int) -> list[str]:
        """Says what labels join others. Returns those of which a problem tells that they are too rare."""
        mark, names = find_joined(self._class_rows)
        if not names:
            return []
        count = sum(self._class_rows[name] for name in names)
        if "rare_class" in self._drop or min(self._class_rows[name] for name in names) >= num_folds:
            self.joined = (
                f"labels such as {names[0]!r} ({count:,} rows) are several, joined by {mark}: each "
                "combination is a class of its own"
            )
            return []
        first = min(names, key=self._label_rows.__getitem__)
        found = f"found {first!r}, several joined by {mark} (the first of {count:,} such rows)"
        message = f"expected one label, {found}; {ADVICE}"
        self.problems.append(
            Problem("joined_labels", self._label_rows[first], self._columns["label"], message)
        )
        return names


def _ask_columns(problem: Problem, path: str | Path, label: str, reading: Reading) -> Problem:
    """Where the label column is missing: whether other columns have a label each."""
    if problem.kind != "missing_column" or problem.column != label:
        return problem
    read = iter_rows(path, read_column_names(path, reading), [], reading)
    columns = indicators([values for _, values in itertools.islice(read, BATCH_ROWS)])
    if not columns:
        return problem
    names = ", ".join(map(repr, columns))
    return replace(problem, message=f"{problem.message}; if {names} are a label each: {ADVICE}")


def _sorted_labels(names: Iterable[str]) -> list[int] | list[str]:
    names = sorted(names)
    if all(_CANONICAL_INTEGER.fullmatch(name) for name in names):
        return sorted(int(name) for name in names)
    return names
