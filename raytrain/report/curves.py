"""Learning curves: what each fold's training loss and scores were after every epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raytrain.report.facts import Facts
from raytrain.report.markup import Markup, element, paragraph
from raytrain.report.plots import SERIES, Line, plot_lines
from raytrain.tasks import SWEEP_METRIC, TITLES

RISE = 1.03  # of the valid log loss, beside its lowest: what chance does not do to a mean over folds


def curves_section(facts: Facts) -> Markup | None:
    """Train loss, valid log loss and the task's score by epoch; None where no fold has two epochs."""
    by_architecture = {
        name: [record for record in facts.records if record["architecture"] == name]
        for name in facts.summary["architectures"]
    }
    drawn = {
        name: records
        for name, records in by_architecture.items()
        if any(len(record["history"]) > 1 for record in records)
    }
    if not drawn:
        return None
    metric = SWEEP_METRIC[facts.config.task]
    titles = {
        "loss": "training loss",
        "log_loss": "log loss of valid rows",
        metric: f"{TITLES[metric]} of valid rows",
    }
    plots = [plot_lines(titles[key], ("epoch", ""), _lines(drawn, key), whole_x=True) for key in titles]
    note = "A thin line is a fold, a thick one the mean over folds; dashed is a fold that learned nothing."
    return element(
        "section",
        element("h2", "Learning curves"),
        [paragraph(line) for line in overfitting_lines(drawn)],
        element("div", plots, class_="plots"),
        paragraph(note, class_="note"),
        id="curves",
    )


def _lines(drawn: Mapping[str, Sequence[Mapping[str, Any]]], key: str) -> list[Line]:
    lines = []
    for (name, records), color in zip(drawn.items(), SERIES * len(drawn), strict=False):
        for record in records:
            epochs, values = _history(record, key)
            lines.append(Line(epochs, values, color, width=0.6, dashed=bool(record.get("dead"))))
        epochs, means = mean_curve(records, key)
        lines.append(Line(epochs, means, color, name if len(drawn) > 1 else None, 2.2, marker="o"))
    return lines


def _history(record: Mapping[str, Any], key: str) -> tuple[list[float], list[float]]:
    points = [(one["epoch"], one.get(key)) for one in record["history"]]
    return [epoch for epoch, _ in points], [np.nan if value is None else value for _, value in points]


def mean_curve(records: Sequence[Mapping[str, Any]], key: str) -> tuple[list[float], list[float]]:
    """Epochs that all living folds have, and the mean of their values there."""
    living = [record for record in records if not record.get("dead")] or list(records)
    curves = [dict(zip(*_history(record, key), strict=True)) for record in living]
    epochs = sorted(set.intersection(*(set(curve) for curve in curves)))
    return epochs, [float(np.mean([curve[epoch] for curve in curves])) for epoch in epochs]


def overfitting_lines(drawn: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Of which architectures the valid log loss has risen again before the end."""
    lines = []
    for name, records in drawn.items():
        epochs, losses = mean_curve(records, "log_loss")
        if len(losses) > 1 and np.isfinite(losses).all() and losses[-1] > RISE * min(losses):
            best = epochs[int(np.argmin(losses))]
            lines.append(
                f"{name}: the log loss of valid rows is lowest after epoch {best:g} ({min(losses):.3f}) and "
                f"{losses[-1]:.3f} after the last one, {epochs[-1]:g}: its probabilities grow too sure."
            )
    return lines
