"""What a person wrote into the column `new_label`: read, checked against the corpus, and laid over it."""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from raytrain.corpus.corpus import Corpus
from raytrain.errors import CorpusError
from raytrain.files.encodings import Problem
from raytrain.files.reading import without_keys
from raytrain.files.spreadsheets import find_named
from raytrain.files.tables import iter_rows, read_column_names
from raytrain.suspects.table import NEW_LABEL, shown_text

DROP = "drop"  # leaves the row out, unless it is the name of a label
DROPPED = "by_hand"  # their kind in corpus.json
_NONE, _LEFT_OUT = -1, -2


def correct_labels(corpus: Corpus, paths: Sequence[str | Path], num_folds: int, has_ids: bool) -> Corpus:
    """Gives rows the labels that a person wrote into `new_label`, and leaves out those that say `drop`.

    Args:
        corpus: Labelled texts.
        paths: Files as a run writes them, with a column `id` and the column `new_label`; rows that have none
            are not read. Where they have texts, these must be the corpus's.
        num_folds: Each class needs as many rows afterwards.
        has_ids: Whether the corpus has ids of its own; row numbers alone say nothing of a row, so that the
            file must have the texts, too.

    Returns:
        The corpus with a further column `judged`, whether a person has looked at the row's label.

    Raises:
        CorpusError: With every problem of the files: what cannot be read, unknown ids, labels that the corpus
            does not have, two labels for one row, texts of another corpus, no new label at all, a class with
            too few rows left.
    """
    given = np.full(corpus.num_rows, _NONE, np.int32)
    reader = _Reader(corpus, given, has_ids)
    lines = [line for path in paths for line in _read(reader, path)]
    labels = corpus.table["label"].to_numpy()
    corrected = np.where(given >= 0, given, labels).astype(np.int32)
    left = np.bincount(corrected[given != _LEFT_OUT], minlength=len(corpus.labels))
    lines += [] if lines else _too_few(corpus, left, num_folds)
    if lines:
        raise CorpusError("data.labels: these new labels cannot be used", lines)
    place = corpus.table.column_names.index("label")
    table = corpus.table.set_column(place, "label", pa.array(corrected, pa.int32()))
    table = table.append_column("judged", pa.array(given != _NONE))
    changed = int((corrected != labels).sum())
    return replace(corpus, table=table, changed_labels=changed).without(given == _LEFT_OUT, DROPPED)


def _read(reader: "_Reader", path: str | Path) -> list[str]:
    """What is wrong with a file, be it that it cannot be read at all."""
    try:
        return [without_keys(problem.line(path)) for problem in reader.read(path)]
    except CorpusError as error:
        return [error.summary, *error.problems]


def count_marked(path: str | Path) -> int:
    """How many rows of a file of suspects have a new label.

    Raises:
        CorpusError: It cannot be read, or is no such file.
    """
    problems: list[Problem] = []
    marked = sum(bool(_cell(values.get(NEW_LABEL))) for _, values in iter_rows(path, (NEW_LABEL,), problems))
    wrong = [without_keys(problem.line(path)) for problem in problems if problem.kind != "empty_file"]
    if wrong:
        raise CorpusError(f"{path} is no file of suspects", wrong)
    return marked


def _too_few(corpus: Corpus, left: np.ndarray, num_folds: int) -> list[str]:
    return [
        f"expected at least {num_folds} rows of each class, one per fold, found {count} of {str(label)!r} "
        "once the labels are changed; use fewer folds, or change fewer"
        for label, count in zip(corpus.labels, left.tolist(), strict=True)
        if count < num_folds
    ]


@dataclass
class _Reader:
    """Reads files into `given`, (num_rows,) what a person gave each row.

    Attributes:
        corpus: Whose rows they are.
        given: Label indices, `_NONE` or `_LEFT_OUT`.
        has_ids: Whether the corpus has ids of its own.
        rows: Id to row.
        stripped: The same by ids without blanks at their ends, which a spreadsheet or a hand may have taken
            away, of ids that are still one.
        labels: Name to index, or to `_LEFT_OUT`.
        told: Row to where its label was given first.
    """

    corpus: Corpus
    given: np.ndarray
    has_ids: bool
    rows: dict[str, int] = field(init=False)
    stripped: dict[str, int] = field(init=False)
    labels: dict[str, int] = field(init=False)
    told: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rows = {str(key): row for row, key in enumerate(self.corpus.table["id"].to_pylist())}
        counts = Counter(key.strip() for key in self.rows)
        self.stripped = {key.strip(): row for key, row in self.rows.items() if counts[key.strip()] == 1}
        self.labels = {DROP: _LEFT_OUT} | {str(name): i for i, name in enumerate(self.corpus.labels)}

    def read(self, path: str | Path) -> list[Problem]:
        """Returns what is wrong with a file."""
        problems: list[Problem] = []
        present = read_column_names(path)
        texts = [name for name in self.corpus.text_names if not self.has_ids or name in present]
        num_marked = 0
        for number, values in iter_rows(path, ("id", NEW_LABEL, *texts), problems):
            name = _cell(values.get(NEW_LABEL))
            if not name:
                continue
            num_marked += 1
            found = self._take(path, number, name, values, texts)
            if found is not None:
                problems.append(found)
        if not num_marked and not problems:
            message = "expected a new label in some row, found none; fill some in, or leave data.labels out"
            problems.append(Problem("none_given", None, NEW_LABEL, message))
        return problems

    def _take(
        self, path: str | Path, number: int, name: str, values: dict[str, Any], texts: Sequence[str]
    ) -> Problem | None:
        """Takes one row's label, or returns what is wrong with it."""
        row, label = self._row(values.get("id")), find_named(name, self.labels)
        if "id" not in values:
            return None  # reported with the whole file
        if row is None:
            return Problem("unknown_id", number, "id", self._unknown_id(_cell(values["id"])))
        if label is None:
            return Problem("unknown_label", number, NEW_LABEL, self._unknown_label(name))
        for column in texts:
            problem = self._compare(number, row, column, values)
            if problem is not None:
                return problem
        if row in self.told and self.given[row] != label:
            message = f"expected one new label of each row, found another in {self.told[row]}; keep one"
            return Problem("two_labels", number, NEW_LABEL, message)
        self.told.setdefault(row, f"{path}, row {number}")
        self.given[row] = label
        return None

    def _row(self, key: Any) -> int | None:
        row = find_named(_text(key), self.rows)
        return row if row is not None else find_named(_cell(key), self.stripped)

    def _compare(self, number: int, row: int, column: str, values: dict[str, Any]) -> Problem | None:
        """A row of another corpus is one whose text is another."""
        expected, found = self.corpus.table[column][row].as_py(), _text(values.get(column))
        whole_or_cut = (_essence(expected), _essence(shown_text(expected)))
        if column not in values or _essence(found) in whole_or_cut:
            return None
        message = (
            f"expected the text of this id in {self.corpus.path}, {expected!r:.40}, found {found!r:.40}; "
            "is the file made from another corpus?"
        )
        return Problem("other_text", number, column, message)

    def _unknown_id(self, found: str) -> str:
        kind = "an id" if self.has_ids else "the number of a row"
        advice = "is the file made from another corpus, or did a spreadsheet rewrite its ids?"
        return f"expected {kind} of {self.corpus.path}, found {found!r:.60}; {advice}"

    def _unknown_label(self, found: str) -> str:
        names = [str(label) for label in self.corpus.labels]
        near = difflib.get_close_matches(found, names, 1, 0.5)
        near = near or [name for name in names if name.casefold() == found.casefold()]
        advice = f"did you mean {near[0]!r}?" if near else "a new class needs rows of its own in the corpus"
        drop = "" if DROP in names else f", or {DROP} to leave the row out"
        return f"expected one of {', '.join(names)}{drop}; found {found!r:.60}; {advice}"


def _cell(value: Any) -> str:
    return _text(value).strip()


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _essence(text: str) -> bytes:
    """What a spreadsheet leaves of a text: some write line breaks otherwise, some save as GBK."""
    kept = text.lstrip("'").encode("gbk", "ignore")
    return b"".join(kept.replace(b"?", b"").split())
