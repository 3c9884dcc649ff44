"""Which labels are probably wrong by what models say that have not seen them, and in which order to look."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

REASONS = ("confident", "conflict", "all_wrong")
_ALMOST = 1e-6  # a probability that equals its class's threshold must not lie below it by rounding


@dataclass(frozen=True)
class Ranking:
    """Rows whose label is probably wrong, the least probable label first.

    Attributes:
        rows: (num_suspects,) row numbers, in the order in which a person should look.
        proba: (num_suspects,) what the models give the label.
        reasons: (num_suspects, 3) bool, which of `REASONS` hold.
    """

    rows: np.ndarray
    proba: np.ndarray
    reasons: np.ndarray

    def first(self, most: int | None) -> "Ranking":
        """The first so many of them; None for all."""
        return Ranking(self.rows[:most], self.proba[:most], self.reasons[:most])

    def count(self) -> dict[str, int]:
        """How many there are of each reason."""
        return dict(zip(REASONS, self.reasons.sum(axis=0).tolist(), strict=True))


def rank_labels(
    labels: np.ndarray,
    proba: np.ndarray,
    votes: Sequence[np.ndarray],
    groups: np.ndarray,
    judged: np.ndarray | None = None,
) -> Ranking:
    """Finds the rows whose label is probably wrong; only those that some model has been asked about.

    Their order is the label's probability (self-confidence, as Northcutt, Jiang & Chuang 2021 rank): of
    ten classes it finds more flipped labels than the margin to the likeliest other class, or than more
    reasons first; of two classes they agree.

    Args:
        labels: (num_rows,) label indices.
        proba: (num_rows, num_classes) out-of-fold probabilities, NaN where no model was asked.
        votes: Of each architecture and repeat the same.
        groups: (num_rows,) equal for rows of which the text is the same, or nearly.
        judged: (num_rows,) bool, labels that a person has looked at; they are no suspects.
    """
    own = proba[np.arange(len(labels)), labels]
    reasons = np.stack(
        [
            find_confident(labels, proba),
            find_conflicts(labels, groups, proba.shape[1]),
            find_all_wrong(labels, votes),
        ],
        axis=1,
    )
    covered = np.isfinite(proba).all(axis=1)
    may_be = covered if judged is None else covered & ~judged
    rows = np.flatnonzero(reasons.any(axis=1) & may_be)
    rows = rows[np.lexsort((-reasons[rows].sum(axis=1), own[rows]))]
    return Ranking(rows, own[rows], reasons[rows])


def find_confident(labels: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """(num_rows,) bool: what confident learning counts off the diagonal, and the models call otherwise.

    Of Northcutt, Jiang & Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels",
    equations 1 and 2; that models which agree with a label do not accuse it is cleanlab's addition.

    Args:
        labels: (num_rows,) label indices.
        proba: (num_rows, num_classes) out-of-fold probabilities; rows of NaN are no suspects.
    """
    believed = _believed(labels, proba)
    covered = np.isfinite(proba).all(axis=1)
    says = np.where(covered, np.where(covered[:, None], proba, 0).argmax(axis=1), labels)
    return (believed >= 0) & (believed != labels) & (says != labels)


def confident_joint(labels: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """(num_classes, num_classes) rows by the label they have and the class they confidently are of.

    Of the same paper, equation 1. Rows that reach no class's threshold are not counted.
    """
    size, believed = proba.shape[1], _believed(labels, proba)
    cells = labels[believed >= 0] * size + believed[believed >= 0]
    return np.bincount(cells, minlength=size**2).reshape(size, size)


def _believed(labels: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """(num_rows,) the likeliest class of those whose threshold the row reaches; -1 where it reaches none.

    A class's threshold is the mean probability of it over the rows that have its label. So classes of
    which models are rarely sure are held to less.
    """
    covered = np.isfinite(proba).all(axis=1)
    size = proba.shape[1]
    own = proba[np.arange(len(labels)), labels]
    counts = np.bincount(labels[covered], minlength=size)
    sums = np.bincount(labels[covered], own[covered], minlength=size)
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    reached = np.where(covered[:, None] & (proba >= thresholds - _ALMOST), proba, -1.0)
    return np.where(reached.max(axis=1) >= 0, reached.argmax(axis=1), -1)


def find_conflicts(labels: np.ndarray, groups: np.ndarray, num_classes: int) -> np.ndarray:
    """(num_rows,) bool: another label is as frequent or more among the rows of the same text.

    So of five equal texts the one whose label the four others do not have; of two with two labels both.

    Args:
        labels: (num_rows,) label indices.
        groups: (num_rows,) equal for rows of which the text is the same, or nearly.
        num_classes: Number of labels.
    """
    if not len(labels):
        return np.zeros(0, bool)
    group = np.unique(groups, return_inverse=True)[1].reshape(-1)
    # Only pairs that occur: groups × classes may be too many.
    pairs, inverse, counts = np.unique(group * num_classes + labels, return_inverse=True, return_counts=True)
    of_group = pairs // num_classes
    starts = np.flatnonzero(np.append(True, of_group[1:] != of_group[:-1]))
    most = np.maximum.reduceat(counts, starts)
    num_labels = np.diff(np.append(starts, len(pairs)))
    num_most = np.add.reduceat(counts == most[of_group], starts)
    own = counts[inverse.reshape(-1)]
    is_alone_on_top = (own == most[group]) & (num_most[group] == 1)
    return (num_labels[group] > 1) & ~is_alone_on_top


def find_all_wrong(labels: np.ndarray, votes: Sequence[np.ndarray]) -> np.ndarray:
    """(num_rows,) bool: two models or more were asked, and each says another class.

    Of one model alone it would say no more than that the model errs.

    Args:
        labels: (num_rows,) label indices.
        votes: Of each architecture and repeat (num_rows, num_classes), NaN where it was not asked.
    """
    asked, wrong = np.zeros(len(labels), np.int64), np.zeros(len(labels), np.int64)
    for proba in votes:
        covered = np.isfinite(proba).all(axis=1)
        asked += covered
        wrong[covered] += proba[covered].argmax(axis=1) != labels[covered]
    return (asked >= 2) & (wrong == asked)
