"""Whether the probabilities mean what they say, and what other decisions by them would give."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from raytrain.fusion.reliability import NUM_BINS, Reliability, read_bins, reliability
from raytrain.report.facts import Facts, Said
from raytrain.report.markup import Child, Markup, decimal, element, paragraph, percent, table, told
from raytrain.report.plots import ACCENT, FAINT, SECOND, THIRD, Line, plot_lines
from raytrain.tasks import TITLES

SHOWN_SHARES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)


def read_before(fusion: Mapping[str, Any]) -> Reliability | None:
    """The bins before a temperature was fitted, as the summary of a fusion has them.

    Returns:
        None where no temperature was, or where nothing of the kind stands there.
    """
    try:
        if fusion["rule"]["temperature"] == 1:
            return None
        bins = fusion["calibration"]["before"]["bins"]
        return read_bins(bins) if bins else None
    except (KeyError, TypeError, ValueError):
        return None


def calibration_section(facts: Facts, said: Said) -> Markup:
    """The reliability plot and the calibration error, as the ensemble's out-of-fold probabilities have it."""
    fusion = facts.summary.get("fusion") or {}
    confidence, is_right = said.proba.max(axis=1), _is_right(said)
    before, found = read_before(fusion), reliability(confidence, is_right)
    direction = "too sure" if found.excess > 0 else "not sure enough"
    sentence = (
        f"What the ensemble says with a mean probability of {percent(confidence.mean())} is right in "
        f"{percent(is_right.mean())} of the rows: on the whole it is {direction} by "
        f"{100 * abs(found.excess):.1f} points. Expected calibration error: {decimal(found.error)} "
        f"({NUM_BINS} bins)."
    )
    if before is not None:
        sentence += (
            f" Before all was divided by a temperature of {fusion['rule']['temperature']:.2f} it was "
            f"{decimal(before.error)}; each fold's rows have the temperature of the others."
        )
    return element(
        "section",
        element("h2", "Calibration"),
        paragraph(sentence),
        element("div", _reliability_plot(found, before), _coverage_plot(said), class_="plots"),
        _coverage_table(said),
        id="calibration",
    )


def _is_right(said: Said) -> np.ndarray:
    """(num_rows,) bool: whether the most probable label is right, whatever thresholds make of it."""
    return np.asarray(said.proba.argmax(axis=1) == said.truth)


def _reliability_plot(found: Reliability, before: Reliability | None) -> Markup:
    held = found.counts > 0
    edges = np.arange(len(found.counts)) / len(found.counts)
    start = float(edges[held][0]) if held.any() else 0.0
    lines = [
        Line([0, 1], [0, 1], FAINT, "perfect", 1.0, dashed=True),
        Line(found.confidence[held], found.accuracy[held], ACCENT, "out of fold", marker="o"),
    ]
    if before is not None:
        lines.append(Line(before.confidence, before.accuracy, SECOND, "without temperature", 1.2, marker="."))
    heights = found.counts / max(found.counts.max(), 1) * 0.25
    return plot_lines(
        "Reliability, and below it how many rows",
        ("probability of what is said", "share that is right"),
        lines,
        {"x": (start, 1.005), "y": (0, 1.02)},
        bars=(edges, heights),
    )


def coverage(said: Said) -> tuple[np.ndarray, np.ndarray]:
    """What is right of the surest rows.

    Returns:
        (num_rows,) share of rows that is kept, the surest ones first, and the accuracy of these.
    """
    order = np.argsort(-said.proba.max(axis=1), kind="stable")
    counts = np.arange(1, len(order) + 1)
    return counts / len(order), np.cumsum(_is_right(said)[order]) / counts


def _coverage_plot(said: Said) -> Markup:
    kept, accuracy = coverage(said)
    places = np.unique(np.linspace(0, len(kept) - 1, 200).astype(int))
    places = places[kept[places] >= min(0.1, kept[-1])]
    return plot_lines(
        "Accuracy where the least sure are left to a person",
        ("share of rows that the model decides", "accuracy of these"),
        [Line(kept[places], accuracy[places])],
        {"x": (0, 1.01)},
    )


def _coverage_table(said: Said) -> Markup:
    kept, accuracy = coverage(said)
    sure = np.sort(said.proba.max(axis=1))[::-1]
    rows: list[list[Child]] = []
    for share in SHOWN_SHARES:
        place = max(round(share * len(kept)) - 1, 0)
        rows.append([percent(share, 0), decimal(float(sure[place]), 3), percent(float(accuracy[place]))])
    return table(["decided", "at a probability of", "right"], rows, "accuracy by coverage", "numbers")


def decision_curves(truth: np.ndarray, proba: np.ndarray, thresholds: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of the second of two classes by the probability from which it is said.

    Args:
        truth: (num_rows,) 0 or 1.
        proba: (num_rows,) of 1.
        thresholds: Ascending.

    Returns:
        (num_thresholds,) each; precision is NaN where it is never said.
    """
    order = np.argsort(proba, kind="stable")
    first = np.searchsorted(proba[order], thresholds, "left")
    hits_above = np.append(np.cumsum(truth[order][::-1])[::-1], 0)[first]
    said_above, there = len(proba) - first, truth.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(said_above, hits_above / said_above, np.nan)
    recall = hits_above / max(there, 1)
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * hits_above / np.maximum(said_above + there, 1),
    }


def decisions_section(facts: Facts, said: Said) -> Markup | None:
    """How is decided, and what other thresholds would give; None where there is nothing to tell."""
    rule = _rule_line(facts.summary.get("fusion") or {})
    parts: list[Child] = [paragraph(rule)] if rule else []
    if len(said.labels) == 2:
        parts += _threshold_parts(said)
    return element("section", element("h2", "Decisions"), parts, id="decisions") if parts else None


def _rule_line(fusion: Mapping[str, Any]) -> str | None:
    """What thresholds or costs bring, where the summary of a fusion tells of any."""
    threshold = fusion.get("threshold")
    if not threshold:
        return None
    name = TITLES.get(threshold["metric"], "mean cost")
    return (
        f"How is decided: {fusion.get('decision')}. With it {name} is {decimal(threshold['after'])}, by the "
        f"most probable label {decimal(threshold['before'])}; each fold is decided by what the others led to."
    )


def _threshold_parts(said: Said) -> list[Child]:
    thresholds = np.linspace(0.01, 0.99, 99)
    curves = decision_curves(said.truth, said.proba[:, 1], thresholds)
    lines = [
        Line(thresholds, values, color, TITLES[name])
        for (name, values), color in zip(curves.items(), (ACCENT, SECOND, THIRD), strict=True)
    ]
    label, f1 = said.labels[1], curves["f1"]
    best, half = int(np.argmax(f1)), int(np.argmin(np.abs(thresholds - 0.5)))
    sentence: list[Child] = [
        "Said from a probability of 0.5 on, ",
        told(label, 40),
        f" has an F1 of {f1[half]:.3f}; the highest, {f1[best]:.3f}, would be from {thresholds[best]:.2f} on",
        ". That is looked up in the rows that it is scored on, so that a gain of a few thousandths is none.",
    ]
    rows: list[list[Child]] = [
        [f"{thresholds[place]:.2f}", *(decimal(float(curves[name][place]), 3) for name in curves)]
        for place in sorted({*range(9, 99, 10), best})
    ]
    axes_labels = "said from this probability on", ""
    drawn = plot_lines("Scores of this class by its threshold", axes_labels, lines, {"y": (0, 1.02)})
    header = ["from", *(TITLES[name] for name in curves)]
    shown = table(header, rows, "scores by threshold", "numbers")
    return [paragraph(sentence), element("div", drawn, shown, class_="plots")]
