"""From probabilities to decisions: the label of the least expected cost (Elkan 2001)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import f1_score

from raytrain.errors import ConfigError
from raytrain.fusion.average import log_of

MOST_ROUNDS = 10  # over the classes
GAIN = 1e-9  # less is rounding
CLOSE = 0.25  # standard errors of a share of the rows


def decide(proba: np.ndarray, costs: np.ndarray | None = None) -> np.ndarray:
    """The label whose expected cost Σ_i p_i C[i, j] is least; of equal ones the first.

    Args:
        proba: (num_rows, num_classes).
        costs: (num_classes, num_classes) of deciding a label, by column, where another is true; None takes
            the most probable label, which is what costs of 1 beside the diagonal do.

    Returns:
        (num_rows,) label indices.
    """
    return proba.argmax(axis=1) if costs is None else (proba @ costs).argmin(axis=1)


def mean_cost(labels: np.ndarray, decisions: np.ndarray, costs: np.ndarray) -> float:
    """What the decisions cost a row."""
    return float(costs[labels, decisions].mean())


def decision_score(labels: np.ndarray, decisions: np.ndarray, num_classes: int, metric: str) -> float:
    """Accuracy, macro_f1, or f1 of the second of two classes."""
    if metric == "accuracy":
        return float((labels == decisions).mean())
    classes = [1] if metric == "f1" else range(num_classes)
    return float(f1_score(labels, decisions, labels=[*classes], average="macro", zero_division=0))


def class_costs(weights: np.ndarray) -> np.ndarray:
    """The costs that decide for the largest w_i p_i: to miss class i costs w_i, whatever is said instead."""
    return np.where(np.eye(len(weights), dtype=bool), 0.0, weights[:, None])


def cost_matrix(costs: Mapping[str, Mapping[str, float]], names: Sequence[Any]) -> np.ndarray:
    """(num_classes, num_classes) of `ensemble.costs`; pairs that it lacks cost 1.

    Args:
        costs: True label to predicted label to cost.
        names: The labels in order.

    Raises:
        ConfigError: A label is none, or to be right costs something.
    """
    places = {str(name): index for index, name in enumerate(names)}
    problems, matrix = [], 1 - np.eye(len(names))
    for true, row in costs.items():
        for name in dict.fromkeys((true, *row)):
            if name not in places:
                key = f"ensemble.costs.{true}" + ("" if name == true else f".{name}")
                problems.append(f"{key}: no such label; the corpus has {', '.join(places)}")
        if row.get(true):
            problems.append(f"ensemble.costs.{true}.{true}: expected 0, for that is right; found {row[true]}")
        for said, cost in row.items():
            if not problems:
                matrix[places[true], places[said]] = cost
    if problems:
        raise ConfigError("the costs cannot be used", problems)
    return matrix


def fit_class_weights(proba: np.ndarray, labels: np.ndarray, metric: str) -> np.ndarray | None:
    """Class weights whose decisions score best, by coordinate ascent over all thresholds there are.

    Of thresholds that score less than `CLOSE` below the best one the nearest is taken: the best of many is
    best by chance, too.

    Args:
        proba: (num_rows, num_classes) of rows that were not learned.
        labels: (num_rows,) label indices.
        metric: accuracy, macro_f1, or f1 of the second of two classes.

    Returns:
        (num_classes,) above 0, summing to 1; None where the most probable label is as good.
    """
    num_classes = proba.shape[1]
    logs, shifts = log_of(proba), np.zeros(num_classes)
    shifted = logs.copy()
    # Of two classes only the one's weight beside the other's matters.
    coordinates = [1] if num_classes == 2 else range(num_classes)
    for _ in range(1 if num_classes == 2 else MOST_ROUNDS):
        before = shifts.copy()
        for place in coordinates:
            own = shifted[:, place].copy()
            shifted[:, place] = -np.inf  # so that all that is left is its rivals
            shifts[place] += _best_shift(own, shifted, labels, place, metric)
            shifted[:, place] = logs[:, place] + shifts[place]
        if np.array_equal(shifts, before):
            break
    if not shifts.any():
        return None
    weights = np.exp(shifts - shifts.max())
    return weights / weights.sum()


def _best_shift(own: np.ndarray, others: np.ndarray, labels: np.ndarray, place: int, metric: str) -> float:
    """What one class's logarithm is best moved by; 0 where that gains hardly anything."""
    rival = others.argmax(axis=1)
    needed = others[np.arange(len(own)), rival] - own  # a row is the class's once it is moved by more
    order = np.argsort(needed, kind="stable")
    needed = needed[order]
    scores = _scores_by_count(labels[order], rival[order], place, others.shape[1], metric)
    moves = np.concatenate([[needed[0] - 1], (needed[1:] + needed[:-1]) / 2, [needed[-1] + 1]])
    possible = np.concatenate([[True], needed[1:] > needed[:-1], [True]])
    best = min(1.0, float(scores[possible].max()))  # which is a sum of rounded ones
    enough = best - max(GAIN, CLOSE * math.sqrt(best * (1 - best) / len(labels)))
    if scores[np.searchsorted(needed, 0.0)] >= enough:
        return 0.0
    good = np.flatnonzero(possible & (scores >= enough))
    return float(moves[good[np.abs(moves[good]).argmin()]])


def _scores_by_count(
    labels: np.ndarray, rival: np.ndarray, place: int, num_classes: int, metric: str
) -> np.ndarray:
    """(num_rows + 1,) the score where so many of the first rows are the class's, the others their rival's.

    Of f1 the class is the second of two. A row that changes hands moves the F1 of two classes alone, so that
    this costs no more for many of them.
    """
    is_own, is_rivals = labels == place, labels == rival
    if metric == "accuracy":
        return (is_rivals.sum() + _counted(is_own.astype(int) - is_rivals)) / len(labels)
    true = np.bincount(labels, minlength=num_classes)
    own = _f1(_counted(is_own), np.arange(len(labels) + 1), true[place])
    if metric == "f1":
        return own
    said = np.bincount(rival, minlength=num_classes)
    hits = np.bincount(rival[is_rivals], minlength=num_classes)
    begin = np.delete(_f1(hits, said, true), place).sum()
    # Rival after rival, each one's rows in their order: what it still has behind each of them, and before.
    order = np.argsort(rival, kind="stable")
    of, is_hit = rival[order], is_rivals[order]
    said_after = np.cumsum(said)[of] - np.arange(1, len(of) + 1)
    hits_after = np.cumsum(hits)[of] - np.cumsum(is_hit)
    after = _f1(hits_after, said_after, true[of])
    changes = np.empty(len(labels))
    changes[order] = after - _f1(hits_after + is_hit, said_after + 1, true[of])
    return (begin + _counted(changes) + own) / num_classes


def _f1(hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """F1 of classes by their rows; 0 of those that are neither there nor said."""
    return 2 * hits / np.maximum(predicted + true, 1)


def _counted(values: np.ndarray) -> np.ndarray:
    """Sums of the first 0, 1, … rows."""
    return np.concatenate([[0], np.cumsum(values)])


def describe_costs(costs: np.ndarray | None, names: Sequence[Any]) -> str:
    """How is decided, in words."""
    if costs is None:
        return "the most probable label"
    if len(names) == 2 and costs[0, 1] + costs[1, 0] > 0:
        return f"{names[1]} where its probability is above {costs[0, 1] / (costs[0, 1] + costs[1, 0]):.3f}"
    off = ~np.eye(len(names), dtype=bool)
    weights = np.where(off, costs, 0).max(axis=1)
    if np.array_equal(class_costs(weights), costs):
        told = ", ".join(
            f"{name} {weight / weights.mean():.2f}" for name, weight in zip(names, weights, strict=True)
        )
        return f"the greatest probability times its label's weight: {told}"
    return "the label of the least expected cost"
