"""What a run's classifiers said out of fold, fused: the rule of the ensemble, and what it is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raytrain.fusion.costs import decision_score, describe_costs, mean_cost
from raytrain.fusion.fit import FusionSettings, fit_rule, spread_rows, why_unfit
from raytrain.fusion.nested import Nested, compare, fuse_nested, score_way
from raytrain.fusion.reliability import judge_proba
from raytrain.fusion.rule import FusionRule
from raytrain.fusion.temperature import scale
from raytrain.scores.classes import log_loss


@dataclass(frozen=True)
class Fused:
    """What became of the members.

    Attributes:
        rule: Of all rows, for texts to come.
        proba: (num_rows, num_classes) of rules that did not see the row, NaN where no fold covered it.
        decisions: (num_rows,) label indices; None where all are the most probable ones.
        told: For the summary.
    """

    rule: FusionRule
    proba: np.ndarray
    decisions: np.ndarray | None
    told: dict[str, Any]


def fuse_members(
    members: Mapping[str, np.ndarray],
    mean: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    settings: FusionSettings,
    names: Sequence[Any],
) -> Fused:
    """Fits the rule, and fuses each fold's rows by a rule of the others.

    Args:
        members: Each one's (num_rows, num_classes) out-of-fold probabilities, NaN where it has none.
        mean: (num_rows, num_classes) mean of whoever covered a row; what not all covered stays so.
        labels: (num_rows,) label indices.
        folds: (num_rows,) the fold of each row in the first repeat.
        settings: What is asked for.
        names: The labels in order.
    """
    whole = np.all([np.isfinite(proba).all(axis=1) for proba in members.values()], axis=0)
    reason = why_unfit(labels[whole], folds[whole], len(names))
    asked, settings = settings, settings if reason is None else settings.unfitted()
    own = {name: proba[whole] for name, proba in members.items()}
    here = labels[whole], folds[whole]
    rule = fit_rule(own, *here, settings)
    if rule.is_plain:  # nothing of it is fitted: the mean is honest as it is
        nested = Nested(mean[whole], mean[whole], mean[whole].argmax(axis=1))
    else:
        nested = fuse_nested(own, *here, settings)
    proba, decisions = mean.copy(), rule.decide(scale(np.nan_to_num(mean), rule.temperature))
    proba[whole], decisions[whole] = nested.proba, nested.decisions
    told = {
        "rule": rule.to_dict(),
        "plain": rule.is_plain,
        "rows": int(whole.sum()),
        "unfit": reason if asked.is_explicit else None,
        "decision": describe_costs(rule.costs, names),
        "threshold": _tell_threshold(settings, nested, labels[whole]),
        "calibration": _tell_calibration(nested, labels[whole]),
    }
    # Of very many rows some tell as much of members and of other ways to fuse them.
    some = spread_rows(labels[whole])
    few, there = {name: said[some] for name, said in own.items()}, (labels[whole][some], folds[whole][some])
    told["members"] = _tell_members(rule, few, there[0])
    fits = reason is None and why_unfit(*there, len(names)) is None
    told["alternatives"] = compare(few, *there, nested.of(some), settings) if fits else []
    return Fused(rule, proba, _unlike_most(decisions, proba), told)


def _unlike_most(decisions: np.ndarray, proba: np.ndarray) -> np.ndarray | None:
    """The decisions, or None where those of all covered rows are the most probable labels."""
    covered = np.isfinite(proba).all(axis=1)
    return None if np.array_equal(decisions[covered], proba[covered].argmax(axis=1)) else decisions


def _tell_members(
    rule: FusionRule, members: Mapping[str, np.ndarray], labels: np.ndarray
) -> dict[str, dict[str, Any]]:
    """Each one's weight, None beside a stack, and its own scores on the same rows."""
    told = {}
    for name, proba in members.items():
        scores = score_way(labels, proba, proba.argmax(axis=1)) if len(labels) else {}
        told[name] = {"weight": None if rule.stack is not None else rule.weights[name], "scores": scores}
    return told


def _tell_threshold(settings: FusionSettings, nested: Nested, labels: np.ndarray) -> dict[str, Any] | None:
    """The nested score that decisions are best by, without thresholds and with them; None without any."""
    if settings.threshold is None or not len(labels):
        return None
    ways = [nested.proba.argmax(axis=1), nested.decisions]
    if settings.threshold == "cost" and settings.costs is not None:
        scores = [mean_cost(labels, decisions, settings.costs) for decisions in ways]
    else:
        scores = [
            decision_score(labels, decisions, nested.proba.shape[1], str(settings.threshold))
            for decisions in ways
        ]
    return {"metric": settings.threshold, "before": scores[0], "after": scores[1]}


def _tell_calibration(nested: Nested, labels: np.ndarray) -> dict[str, Any]:
    """Log loss, calibration error and reliability before and after the temperature."""
    told = {}
    for when, proba in (("before", nested.raw), ("after", nested.proba)) if len(labels) else ():
        found = judge_proba(labels, proba)
        told[when] = {"log_loss": log_loss(labels, proba), "ece": found.error, "bins": found.to_bins()}
    return told
