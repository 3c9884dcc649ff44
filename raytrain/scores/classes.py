"""Scores of probabilities against labels, and what turns logits into probabilities."""

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.metrics import f1_score, roc_auc_score

from raytrain.scores.resampling import MOST, draw_counts, num_resamples
from raytrain.tasks import LOWER_IS_BETTER, TASK_METRICS

METRICS = TASK_METRICS["classify"]
# Resampled rows × columns of probabilities, some to some tens of seconds; of more than a million rows ×
# columns even `LEAST` resamples are more, and take as much longer.
BOOTSTRAP_WORK = 100_000_000


def proba_from_logits(logits: np.ndarray) -> np.ndarray:
    """Sigmoid for one column (two classes), softmax for more.

    Args:
        logits: (num_rows, 1) or (num_rows, num_classes).

    Returns:
        (num_rows, num_classes) float64; each row sums to 1.
    """
    logits = np.asarray(logits, np.float64)
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def log_loss(labels: np.ndarray, proba: np.ndarray) -> float:
    """Mean negative log of the true class's probability, in nats, clipped at 1e-7."""
    return float(row_losses(labels, proba).mean())


def row_losses(labels: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """(num_rows,) negative log of the true class's probability, in nats, clipped at 1e-7."""
    picked = np.asarray(proba)[np.arange(len(labels)), labels]
    return -np.log(np.clip(picked, 1e-7, 1.0))


def auc(labels: np.ndarray, proba: np.ndarray) -> float:
    """Area under the ROC curve; for more than two classes the unweighted mean over one-vs-rest.

    Returns:
        NaN where `labels` lacks a class, for then it is not defined.
    """
    num_classes = proba.shape[1]
    if len(np.unique(labels)) < num_classes:
        return float("nan")
    if num_classes == 2:
        return float(roc_auc_score(labels, proba[:, 1]))
    return float(np.mean([roc_auc_score(labels == c, proba[:, c]) for c in range(num_classes)]))


def score_proba(
    labels: np.ndarray, proba: np.ndarray, decisions: np.ndarray | None = None
) -> dict[str, float]:
    """All of `METRICS`, as plain Python floats. Macro-F1 is of the classes that are there or are said.

    Args:
        labels: (num_rows,) label indices.
        proba: (num_rows, num_classes), finite.
        decisions: (num_rows,) label indices, for accuracy and macro-F1; None takes the most probable.
    """
    predicted = proba.argmax(axis=1) if decisions is None else decisions
    return {
        "accuracy": float((predicted == labels).mean()),
        "macro_f1": float(f1_score(labels, predicted, average="macro", zero_division=0)),
        "auc": auc(labels, proba),
        "log_loss": log_loss(labels, proba),
    }


def bootstrap_interval(
    labels: np.ndarray,
    proba: np.ndarray,
    seed: int,
    resamples: int = MOST,
    level: float = 0.95,
    decisions: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap over rows, or over groups of rows, of every metric.

    It tells how far the score would move with other rows of the same kind; it does not know how
    far it would move with other training seeds. Large corpora with many classes get fewer resamples.
    Arguments as of `score_proba` and `draw_counts`, how many resamples at most, and what level.

    Returns:
        Metric to (lower, upper), NaN where a metric is not defined.
    """
    columns = 1 if proba.shape[1] == 2 else proba.shape[1]
    resamples = num_resamples(len(labels) * columns, BOOTSTRAP_WORK, resamples)
    weighted = WeightedScores(labels, proba, decisions)
    scores: dict[str, list[float]] = {name: [] for name in METRICS}
    for counts in draw_counts(len(labels), resamples, seed, groups):
        for name, value in weighted.score(counts).items():
            scores[name].append(value)
    tail = 100 * (1 - level) / 2

    def interval(values: list[float]) -> tuple[float, float]:
        kept = np.array(values)[~np.isnan(values)]
        if not len(kept):
            return float("nan"), float("nan")
        lower, upper = np.percentile(kept, [tail, 100 - tail])
        return float(lower), float(upper)

    return {name: interval(values) for name, values in scores.items()}


class WeightedScores:
    """`score_proba` of rows that count several times or not at all, at a tenth of its cost.

    What does not depend on the counts, above all the order of the probabilities, is found once.

    Args:
        labels: (num_rows,) label indices.
        proba: (num_rows, num_classes).
        decisions: (num_rows,) label indices; None takes the most probable.
        names: Those of `METRICS` that are wanted; AUC costs the most by far.
    """

    def __init__(
        self,
        labels: np.ndarray,
        proba: np.ndarray,
        decisions: np.ndarray | None = None,
        names: Sequence[str] = METRICS,
    ):
        self._names, self._num_classes = names, proba.shape[1]
        num_classes = self._num_classes
        self._cells = labels * num_classes + (proba.argmax(axis=1) if decisions is None else decisions)
        self._losses = row_losses(labels, proba)
        columns = [1] if num_classes == 2 else range(num_classes)
        columns = columns if "auc" in names else []
        self._ranked = [_RankedScores(labels == c, proba[:, c]) for c in columns]

    def score(self, counts: np.ndarray) -> dict[str, float]:
        """All that are wanted; `counts` says how often each row counts."""
        size = self._num_classes
        confusion = np.bincount(self._cells, counts, size**2).reshape(size, size)
        hits, total = np.diag(confusion), counts.sum()
        there = confusion.sum(0) + confusion.sum(1)
        f1 = 2 * hits[there > 0] / there[there > 0]
        found = {
            "accuracy": float(hits.sum() / total),
            "macro_f1": float(f1.mean()),
            "log_loss": float(self._losses @ counts / total),
        }
        if self._ranked:
            found["auc"] = float(np.mean([ranked.auc(counts) for ranked in self._ranked]))
        return {name: found[name] for name in self._names}


class _RankedScores:
    """AUC as the Mann-Whitney statistic, ties counted half (Hanley & McNeil 1982), for any counts of rows."""

    def __init__(self, positive: np.ndarray, score: np.ndarray):
        self._order = np.argsort(score)
        ordered = score[self._order]
        self._starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        self._positive = positive[self._order]

    def auc(self, counts: np.ndarray) -> float:
        counts = counts[self._order]
        positive = counts * self._positive
        if len(self._starts) < len(counts):
            counts = np.add.reduceat(counts, self._starts)
            positive = np.add.reduceat(positive, self._starts)
        negative = counts - positive
        num_positive, num_negative = int(positive.sum()), int(negative.sum())
        if not num_positive or not num_negative:
            return float("nan")
        below = np.cumsum(negative) - negative / 2
        return float(positive @ below / num_positive / num_negative)


def is_better(name: str) -> Callable[[float, float], bool]:
    """Returns a comparison: is the first value better than the second? NaN is never better."""
    if name in LOWER_IS_BETTER:
        return lambda new, old: new < old
    return lambda new, old: new > old
