"""What fusing brings, on rows that the rule was not fitted by either.

Out-of-fold probabilities are honest for the members, but not for weights, a temperature or thresholds that
were chosen by them. So each fold's rows are fused by a rule of the others' rows: nested cross-validation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raytrain.fusion.costs import decide
from raytrain.fusion.fit import FusionSettings, fit_rule
from raytrain.fusion.reliability import judge_proba
from raytrain.fusion.temperature import scale
from raytrain.scores.classes import score_proba


@dataclass(frozen=True)
class Nested:
    """What rules of the other folds say of each fold's rows.

    Attributes:
        raw: (num_rows, num_classes) probabilities before the temperature.
        proba: (num_rows, num_classes) probabilities.
        decisions: (num_rows,) label indices.
    """

    raw: np.ndarray
    proba: np.ndarray
    decisions: np.ndarray

    def of(self, rows: np.ndarray) -> "Nested":
        """Of some rows alone."""
        return Nested(self.raw[rows], self.proba[rows], self.decisions[rows])


def fuse_nested(
    members: Mapping[str, np.ndarray], labels: np.ndarray, folds: np.ndarray, settings: FusionSettings
) -> Nested:
    """Fuses each fold's rows by the rule of all others; arguments as of `fit_rule`."""
    raw = np.zeros_like(next(iter(members.values())))
    proba, decisions = np.zeros_like(raw), np.zeros(len(labels), np.int64)
    for fold in np.unique(folds):
        here = folds == fold
        others = {name: said[~here] for name, said in members.items()}
        rule = fit_rule(others, labels[~here], folds[~here], settings)
        raw[here] = replace(rule, temperature=1.0).proba({name: said[here] for name, said in members.items()})
        proba[here] = scale(raw[here], rule.temperature)
        decisions[here] = rule.decide(proba[here])
    return Nested(raw, proba, decisions)


def compare(
    members: Mapping[str, np.ndarray],
    labels: np.ndarray,
    folds: np.ndarray,
    chosen: Nested,
    settings: FusionSettings,
) -> list[dict[str, Any]]:
    """Nested scores of every way to fuse, each without and with a temperature, and of the chosen one at last.

    Args:
        members: As of `fit_rule`; so are `labels` and `folds`.
        chosen: What the settings themselves lead to.
        settings: Of it; `greedy` selects by their metric.

    Returns:
        Each way's `name`, whether it is `calibrated` and whether it is `chosen`, and its `scores`.
    """
    ways: dict[str, FusionSettings] = {"equal (proba)": FusionSettings("equal", average="proba")}
    if len(members) > 1:
        ways |= {
            "equal (logits)": FusionSettings("equal", average="logits"),
            "greedy": FusionSettings("greedy", settings.metric),
            "stack": FusionSettings("stack"),
        }
    table = []
    for name, way in ways.items():
        said = fuse_nested(members, labels, folds, replace(way, calibrate=True))
        for calibrated, proba in ((False, said.raw), (True, said.proba)):
            scores = score_way(labels, proba, decide(proba))
            table.append({"name": name, "calibrated": calibrated, "chosen": False, "scores": scores})
    scores = score_way(labels, chosen.proba, chosen.decisions)
    calibrated = not np.array_equal(chosen.raw, chosen.proba)
    return [*table, {"name": "chosen", "calibrated": calibrated, "chosen": True, "scores": scores}]


def score_way(labels: np.ndarray, proba: np.ndarray, decisions: np.ndarray) -> dict[str, float]:
    """The scores of probabilities and decisions, and the expected calibration error as `ece`."""
    return {**score_proba(labels, proba, decisions), "ece": judge_proba(labels, proba).error}
