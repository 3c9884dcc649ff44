"""A rule fitted to what members said of rows that they had not learned."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from raytrain.fusion.average import Average, average_proba
from raytrain.fusion.costs import class_costs, fit_class_weights
from raytrain.fusion.rule import FusionRule
from raytrain.fusion.stack import fit_stack
from raytrain.fusion.temperature import fit_temperature, improves, scale
from raytrain.fusion.weights import equal_weights, select_greedily
from raytrain.scores.classes import log_loss

Weighing = Literal["equal", "greedy", "stack"]
Calibration = Literal["auto"] | bool
MOST_ROWS = 30_000  # to fit by: a rule has few numbers, which more rows hardly move
MIN_ROWS = 200  # that all members must cover: of fewer, weights and thresholds are those of chance
MIN_CLASS_ROWS = 5  # the same of each label, outside every fold


@dataclass(frozen=True)
class FusionSettings:
    """What is asked of a rule; values as of the config's section `ensemble`.

    Attributes:
        weights: How members are weighed.
        metric: By which `greedy` selects.
        average: What is averaged; auto: what has the lower log loss.
        calibrate: Whether a temperature is fitted; auto: where it lowers the log loss of other rows.
        threshold: What decisions are best by; None takes the most probable label.
        costs: (num_classes, num_classes) of threshold=cost.
    """

    weights: Weighing = "equal"
    metric: str = "log_loss"
    average: Average | Literal["auto"] = "auto"
    calibrate: Calibration = "auto"
    threshold: str | None = None
    costs: np.ndarray | None = None

    @property
    def is_explicit(self) -> bool:
        """Whether something is asked for that must be fitted."""
        thresholds = self.threshold not in (None, "cost")
        return self.weights != "equal" or self.calibrate is True or thresholds

    def unfitted(self) -> "FusionSettings":
        """The same without anything that must be fitted."""
        threshold = "cost" if self.threshold == "cost" else None
        average: Average = "logits" if self.average == "logits" else "proba"
        return FusionSettings("equal", self.metric, average, False, threshold, self.costs)


def why_unfit(labels: np.ndarray, folds: np.ndarray, num_classes: int) -> str | None:
    """Why nothing can be fitted by these rows, or None.

    Args:
        labels: (num_rows,) label indices of the rows that all members cover.
        folds: (num_rows,) the fold of each.
        num_classes: Number of labels.
    """
    if len(labels) < MIN_ROWS:
        return f"{len(labels):,} rows are covered by all members, fewer than {MIN_ROWS}"
    if len(np.unique(folds)) < 2:
        return "all rows that all members cover lie in one fold"
    for fold in np.unique(folds):
        least = int(np.bincount(labels[folds != fold], minlength=num_classes).min())
        if least < MIN_CLASS_ROWS:
            return f"a label has {least} rows outside of fold {fold}, fewer than {MIN_CLASS_ROWS}"
    return None


def fit_rule(
    members: Mapping[str, np.ndarray], labels: np.ndarray, folds: np.ndarray, settings: FusionSettings
) -> FusionRule:
    """Fits weights, then a temperature, then thresholds.

    Args:
        members: Each one's (num_rows, num_classes) probabilities of rows that it had not learned.
        labels: (num_rows,) label indices; all classes are there, unless nothing is to be fitted.
        folds: (num_rows,) the fold of each row, by which is judged whether a temperature helps.
        settings: What is asked for.
    """
    kept = spread_rows(labels)
    voices = np.stack([proba[kept] for proba in members.values()])
    labels, folds, names = labels[kept], folds[kept], [*members]
    averages: tuple[Average, ...] = ("proba", "logits")
    if settings.average != "auto":
        averages = (settings.average,)
    if settings.weights == "stack" or len(names) == 1:
        averages = averages[:1]
    found = [_fit_proba(names, voices, labels, folds, settings, average) for average in averages]
    losses = [log_loss(labels, proba) if len(found) > 1 else 0.0 for _, proba in found]
    rule, proba = found[int(np.argmin(losses))]
    costs = settings.costs if settings.threshold == "cost" else None
    if settings.threshold not in (None, "cost"):
        weights = fit_class_weights(proba, labels, settings.threshold)
        costs = None if weights is None else class_costs(weights)
    return FusionRule(rule.weights, rule.average, rule.stack, rule.temperature, costs)


def _fit_proba(
    names: list[str],
    voices: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    settings: FusionSettings,
    average: Average,
) -> tuple[FusionRule, np.ndarray]:
    """The rule but for its decisions, and what it says of the rows."""
    weights, stack = equal_weights(names), None
    if settings.weights == "stack":
        stack = fit_stack(voices, labels)
        proba = stack.proba(voices)
    else:
        if settings.weights == "greedy" and len(names) > 1:
            weights = select_greedily(voices, labels, settings.metric, average)
        proba = average_proba(voices, weights, average)
    temperature = 1.0
    if settings.calibrate is True or (settings.calibrate == "auto" and improves(proba, labels, folds)):
        temperature = fit_temperature(proba, labels)
    own = dict(zip(names, weights.tolist(), strict=True))
    return FusionRule(own, average, stack, temperature), scale(proba, temperature)


def spread_rows(labels: np.ndarray) -> np.ndarray:
    """(num_kept,) rows to fit by: all, or about `MOST_ROWS` evenly spaced ones, of each label its share."""
    if len(labels) <= MOST_ROWS:
        return np.arange(len(labels))
    step = len(labels) / MOST_ROWS
    kept = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        size = max(math.ceil(len(rows) / step), min(len(rows), MIN_CLASS_ROWS))
        kept.append(rows[np.linspace(0, len(rows) - 1, size).astype(int)])
    return np.sort(np.concatenate(kept))
