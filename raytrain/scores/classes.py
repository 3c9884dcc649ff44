"""Scores of probabilities against labels, and what turns logits into probabilities."""

from collections.abc import Callable

import numpy as np
from sklearn.metrics import f1_score, roc_auc_score

from raytrain.tasks import LOWER_IS_BETTER, TASK_METRICS

METRICS = TASK_METRICS["classify"]
BOOTSTRAP_WORK = 500_000_000  # resampled rows × classes: about a minute


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
    picked = np.asarray(proba)[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(picked, 1e-7, 1.0)).mean())


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


def score_proba(labels: np.ndarray, proba: np.ndarray) -> dict[str, float]:
    """All of `METRICS`, as plain Python floats.

    Args:
        labels: (num_rows,) label indices.
        proba: (num_rows, num_classes), finite.
    """
    predicted = proba.argmax(axis=1)
    classes = np.arange(proba.shape[1])
    return {
        "accuracy": float((predicted == labels).mean()),
        "macro_f1": float(f1_score(labels, predicted, labels=classes, average="macro", zero_division=0)),
        "auc": auc(labels, proba),
        "log_loss": log_loss(labels, proba),
    }


def bootstrap_interval(
    labels: np.ndarray, proba: np.ndarray, seed: int, resamples: int = 1000, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap over rows (Efron 1979) of every metric.

    It tells how far the score would move with other rows of the same kind; it does not know how
    far it would move with other training seeds. Large corpora with many classes get fewer resamples,
    100 at least.

    Returns:
        Metric to (lower, upper), NaN where a metric is not defined.
    """
    columns = 1 if proba.shape[1] == 2 else proba.shape[1]
    resamples = int(np.clip(BOOTSTRAP_WORK // (len(labels) * columns), 100, resamples))
    rng = np.random.default_rng(seed)
    scores: dict[str, list[float]] = {name: [] for name in METRICS}
    for _ in range(resamples):
        rows = rng.integers(0, len(labels), len(labels))
        for name, value in _fast_scores(labels[rows], proba[rows]).items():
            scores[name].append(value)
    tail = 100 * (1 - level) / 2

    def interval(values: list[float]) -> tuple[float, float]:
        kept = np.array(values)[~np.isnan(values)]
        if not len(kept):
            return float("nan"), float("nan")
        lower, upper = np.percentile(kept, [tail, 100 - tail])
        return float(lower), float(upper)

    return {name: interval(values) for name, values in scores.items()}


def _fast_scores(labels: np.ndarray, proba: np.ndarray) -> dict[str, float]:
    """score_proba without scikit-learn's input checks, which would take most of a bootstrap's time."""
    num_classes = proba.shape[1]
    predicted = proba.argmax(axis=1)
    confusion = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    confusion = confusion.reshape(num_classes, num_classes)
    hits = np.diag(confusion)
    f1 = 2 * hits / np.maximum(confusion.sum(0) + confusion.sum(1), 1)
    columns = [1] if num_classes == 2 else range(num_classes)
    return {
        "accuracy": float(hits.sum() / len(labels)),
        "macro_f1": float(f1.mean()),
        "auc": float(np.mean([_rank_auc(labels == c, proba[:, c]) for c in columns])),
        "log_loss": log_loss(labels, proba),
    }


def _rank_auc(positive: np.ndarray, score: np.ndarray) -> float:
    """AUC as the Mann-Whitney statistic, ties counted half (Hanley & McNeil 1982)."""
    num_positive = int(positive.sum())
    num_negative = len(positive) - num_positive
    if not num_positive or not num_negative:
        return float("nan")
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float(
        (ranks[positive].sum() - num_positive * (num_positive + 1) / 2) / num_positive / num_negative
    )


def is_better(name: str) -> Callable[[float, float], bool]:
    """Returns a comparison: is the first value better than the second? NaN is never better."""
    if name in LOWER_IS_BETTER:
        return lambda new, old: new < old
    return lambda new, old: new > old
