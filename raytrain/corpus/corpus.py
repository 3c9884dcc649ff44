"""The corpus: texts and what is to be learned of them, read once; and what there is to say of it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raytrain.corpus.cells import TEXTS
from raytrain.corpus.tags import Spans, find_spans, type_names


@dataclass(frozen=True)
class Corpus:
    """Texts and what is to be learned of them; every row is usable.

    Attributes:
        table: id (string where an id column was given, else int64, the 0-based data row of the file),
            text, text_pair (for pairs alone), label (int32, an index into `labels`) or tags (such an index
            for each character), group and time (where asked), judged (where labels were changed: whether a
            person has looked at the row's).
        labels: Sorted: as numbers where each is an integer, else as strings; or of `corpus.tags.tag_names`.
        sha256: Of the file's bytes, in hexadecimal digits.
        path: The file, as it was given.
        dropped: Rows left out, by kind of problem.
        changed_labels: How many a person has changed; None where no file says so.
        reading: How the file was read, a line each, where that is to be said.
    """

    table: pa.Table
    labels: list[int] | list[str]
    sha256: str
    path: str
    dropped: dict[str, int]
    changed_labels: int | None = None
    reading: tuple[str, ...] = ()

    @property
    def text_names(self) -> list[str]:
        return [name for name in TEXTS if name in self.table.column_names]

    def all_texts(self) -> list[str]:
        """The texts, and of pairs the second ones behind them."""
        return [text for name in self.text_names for text in self.table[name].to_pylist()]

    @property
    def num_rows(self) -> int:
        return int(self.table.num_rows)

    @property
    def tags(self) -> tuple[np.ndarray, np.ndarray]:
        """The tags of all characters, laid end to end; and (num_rows + 1,): where each row's lie."""
        column = self.table["tags"].combine_chunks()
        return column.values.to_numpy(), column.offsets.to_numpy()

    def without(self, rows: np.ndarray, kind: str) -> "Corpus":
        """The corpus without some rows, which are counted as dropped.

        Args:
            rows: (num_rows,) bool, which to leave out.
            kind: What is wrong with them.
        """
        if not rows.any():
            return self
        dropped = dict(sorted({**self.dropped, kind: int(rows.sum())}.items()))
        return replace(self, table=self.table.filter(pa.array(~rows)), dropped=dropped)

    def strata(self, num_folds: int) -> np.ndarray:
        """(num_rows,) what is to be spread evenly over the folds: the label, or the rarest type of a span.

        Types and combinations that are too rare to be in every fold do not count.
        """
        if "label" in self.table.column_names:
            return self.table["label"].to_numpy()
        held = self._types_held(find_spans(*self.tags))
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

    def _types_held(self, spans: Spans) -> np.ndarray:
        """(num_rows, num_types) bool: whether the row has a span of the type."""
        held = np.zeros((self.num_rows, len(self.labels) // 2), bool)
        held[spans.rows, spans.types] = True
        return held

    def copies(self) -> tuple[int, int]:
        """How many rows have a text (or pair) that an earlier row has already; texts with several labels."""
        has_labels = "label" in self.table.column_names
        asked = [("label", "count_distinct")] if has_labels else []
        texts = self.table.group_by(self.text_names).aggregate(asked)
        mixed = int(pc.sum(pc.greater(texts["label_count_distinct"], 1)).as_py() or 0) if has_labels else 0
        return self.num_rows - texts.num_rows, mixed

    def _labels_told(self) -> list[dict[str, Any]]:
        if "label" in self.table.column_names:
            counts = {
                item["values"]: item["counts"] for item in self.table["label"].value_counts().to_pylist()
            }
            return [{"label": label, "rows": counts[i]} for i, label in enumerate(self.labels)]
        found = find_spans(*self.tags)
        spans = np.bincount(found.types, minlength=len(self.labels) // 2)
        rows = self._types_held(found).sum(axis=0)
        names = type_names([str(label) for label in self.labels])
        return [{"label": name, "rows": int(rows[i]), "spans": int(spans[i])} for i, name in enumerate(names)]

    def summary(self) -> dict[str, Any]:
        """Returns what there is to say of the corpus without its texts; plain values, fit for JSON.

        `duplicate_texts` counts the rows whose text (or pair of texts) an earlier row has already.
        """
        changed = {} if self.changed_labels is None else {"changed_labels": self.changed_labels}
        return {
            "path": self.path,
            "sha256": self.sha256,
            "rows": self.num_rows,
            "labels": self._labels_told(),
            "duplicate_texts": self.copies()[0],
            "dropped": dict(self.dropped),
            **changed,
        }
