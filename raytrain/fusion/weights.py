"""How much each member of an ensemble counts."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from raytrain.fusion.average import Average, log_of
from raytrain.fusion.costs import decision_score
from raytrain.scores.classes import WeightedScores, is_better, log_loss, proba_from_logits

MOST_STEPS = 50  # of the selection: a weight is a multiple of one over them
PATIENCE = 10  # steps without a gain, in which a second member's share may still become small enough
GAIN = 1e-9  # less is rounding


def equal_weights(members: Sequence[str]) -> np.ndarray:
    """Each architecture counts alike, and of it each repeat, however many folds this has.

    Out of fold a row is judged by one fold of each repeat. An ensemble that is stored without a rule averages
    all folds of an architecture instead, which is the same but where folds are missing or left out.

    Args:
        members: Their names, as `rule.member_name` makes them.

    Returns:
        (num_members,) weights that sum to 1.
    """
    architectures = [name.partition("/")[0] for name in members]
    repeats = Counter(architectures)
    return np.array([1 / (len(repeats) * repeats[name]) for name in architectures])


def select_greedily(voices: np.ndarray, labels: np.ndarray, metric: str, average: Average) -> np.ndarray:
    """Ensemble selection with replacement from the best single member on (Caruana et al. 2004).

    Of what is equally good fewer members are taken, and then the earlier ones.

    Args:
        voices: (num_members, num_rows, num_classes) probabilities of rows that were not learned.
        labels: (num_rows,) label indices.
        metric: accuracy, macro_f1, auc or log_loss.
        average: How the members are averaged.

    Returns:
        (num_members,) weights that sum to 1; those of members that were not taken are 0.
    """
    said, score = voices if average == "proba" else log_of(voices), _METRICS[metric]
    better = is_better(metric)

    def gains(new: float, old: float) -> bool:
        return better(new, old) and abs(new - old) > GAIN

    counts, total = np.zeros(len(voices), np.int64), np.zeros(voices.shape[1:])
    best, kept, since = float("nan"), counts, 0
    for step in range(1, MOST_STEPS + 1):
        chosen, value = -1, float("nan")
        for member in sorted(range(len(voices)), key=lambda member: counts[member] == 0):
            mean = (total + said[member]) / step
            found = score(labels, mean if average == "proba" else proba_from_logits(mean))
            if chosen < 0 or gains(found, value):
                chosen, value = member, found
        counts[chosen] += 1
        total += said[chosen]
        if not since or gains(value, best):
            best, kept, since = value, counts.copy(), step
        elif step - since >= PATIENCE:
            break
    return kept / kept.sum()


def _accuracy(labels: np.ndarray, proba: np.ndarray) -> float:
    return decision_score(labels, proba.argmax(axis=1), proba.shape[1], "accuracy")


def _macro_f1(labels: np.ndarray, proba: np.ndarray) -> float:
    return decision_score(labels, proba.argmax(axis=1), proba.shape[1], "macro_f1")


def _auc(labels: np.ndarray, proba: np.ndarray) -> float:
    """`scores.classes.auc` by ranks: scikit-learn takes several times as long, and many means are judged."""
    return WeightedScores(labels, proba, names=("auc",)).score(np.ones(len(labels), np.int64))["auc"]


_METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": _accuracy,
    "macro_f1": _macro_f1,
    "auc": _auc,
    "log_loss": log_loss,
}
