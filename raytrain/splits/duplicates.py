"""What a run makes of near-duplicates: groups that lie in one fold, or rows left out; and what it says."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from raytrain.config.data import DuplicatePolicy
from raytrain.config.schema import Config
from raytrain.corpus.corpus import Corpus
from raytrain.corpus.duplicates import find_duplicates
from raytrain.errors import CorpusError
from raytrain.messages import counted
from raytrain.stages import Stages

DROPPED = "near_duplicate"  # their kind in corpus.json
_TREATED = {"group": "each group lies in one fold", "drop": "the first row of each stays"}
_LISTED = "suspects.csv of the run lists those that look wrong, for data.labels to correct"
_IN_TIME = {**_TREATED, "group": "no fold learns from a group that it is judged by"}


def treatment(policy: str, in_time: bool) -> str:
    """What becomes of near-duplicates, in words; `in_time`: whether the folds are by time."""
    return (_IN_TIME if in_time else _TREATED)[policy]


@dataclass(frozen=True)
class Duplicates:
    """Near-duplicates in a corpus as it was read.

    Attributes:
        policy: What becomes of them, `group` or `drop`.
        groups: (num_rows,) the group of each row, the number of its first one.
        num_mixed: Groups whose rows have several labels; None of a tagger.
    """

    policy: DuplicatePolicy
    groups: np.ndarray
    num_mixed: int | None

    @property
    def is_first(self) -> np.ndarray:
        """(num_rows,) bool, whether the row is the first of its group, or alone."""
        return self.groups == np.arange(len(self.groups))

    @property
    def sizes(self) -> np.ndarray:
        """Of each group of two rows and more."""
        counts = np.bincount(self.groups)
        return counts[counts > 1]

    def line(self, in_time: bool = False) -> str:
        """One line of how many there are and what becomes of them; empty where there are none.

        Args:
            in_time: Whether the folds are by time: groups then lie in several.
        """
        sizes = self.sizes
        if not len(sizes):
            return ""
        mixed = f"; groups of several labels: {self.num_mixed:,}; {_LISTED}" if self.num_mixed else ""
        return (
            f"folds: {sizes.sum():,} of {len(self.groups):,} rows are near-duplicates of others, in "
            f"{counted(len(sizes), 'group')}; {treatment(self.policy, in_time)} "
            f"(folds.duplicates={self.policy}){mixed}"
        )

    def summary(self) -> dict[str, Any]:
        """The same as in summary.json."""
        sizes = self.sizes
        told = {"policy": self.policy, "rows": int(sizes.sum()), "groups": len(sizes)}
        return told if self.num_mixed is None else {**told, "groups_of_several_labels": self.num_mixed}


def copies_line(corpus: Corpus) -> str:
    """One line of exact copies and of those that disagree, whatever becomes of them; empty where none is."""
    count, mixed = corpus.copies()
    if not count:
        return ""
    conflict = f"; texts of several labels: {mixed:,}" if mixed else ""
    remedy = f"; {_LISTED}" if mixed else "; folds.duplicates=drop keeps one of each"
    return f"  {counted(count, 'row')} with the very text of an earlier row{conflict}{remedy}"


def treat_duplicates(config: Config, corpus: Corpus, stages: Stages) -> tuple[Corpus, Duplicates | None]:
    """Looks for near-duplicates, and drops them where the config says so.

    Returns:
        The corpus to learn from; and what was found, or None where the config keeps them as any rows.

    Raises:
        CorpusError: What stays of a class is less than a row per fold.
        TimeBudgetError: Before all was looked through.
    """
    policy = config.folds.duplicates
    if policy == "keep":
        return corpus, None
    with stages.stage("looking for near-duplicates") as stage:
        groups = find_duplicates([corpus.table[name].to_pylist() for name in corpus.text_names])
        stage.check()
    has_labels = "label" in corpus.table.column_names
    mixed = _count_mixed(groups, corpus.table["label"].to_numpy()) if has_labels else None
    found = Duplicates(policy, groups, mixed)
    if policy == "drop":
        corpus = corpus.without(~found.is_first, DROPPED)
        if has_labels:
            _check_classes(corpus, config.folds.num_folds)
    return corpus, found


def _count_mixed(groups: np.ndarray, labels: np.ndarray) -> int:
    """How many groups have rows of several labels."""
    return len(np.unique(groups[labels != labels[groups]]))


def _check_classes(corpus: Corpus, num_folds: int) -> None:
    counts = np.bincount(corpus.table["label"].to_numpy(), minlength=len(corpus.labels))
    problems = [
        f"expected at least {num_folds} rows of each class, one per fold, found {count} of {str(label)!r} "
        "without near-duplicates; use fewer folds, or keep them in one fold with folds.duplicates=group"
        for label, count in zip(corpus.labels, counts.tolist(), strict=True)
        if count < num_folds
    ]
    if problems:
        raise CorpusError(f"{corpus.path}: these texts cannot be trained on", problems)
