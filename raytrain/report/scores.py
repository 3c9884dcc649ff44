"""Scores of every model with their intervals; per class or type; and what is taken for what."""

import numpy as np

from raytrain.report.facts import Facts, Said
from raytrain.report.markup import (
    ABSENT,
    Child,
    Markup,
    decimal,
    element,
    interval,
    paragraph,
    percent,
    table,
    told,
)
from raytrain.report.question import NAMES
from raytrain.scores.tables import common_rows
from raytrain.tasks import LOWER_IS_BETTER, TASK_METRICS, TITLES

MOST_CELLS = 40  # classes of a confusion matrix that a person still reads
UPRIGHT = 6  # with more classes their titles stand upright, and cells have no shares
MOST_PAIRS = 12


def scores_section(facts: Facts) -> Markup:
    """Every model's scores, then the ensemble's class by class."""
    parts: list[Child] = [_score_table(facts)]
    parts += [_fusion_tables(facts), _compare_table(facts)]
    if facts.said is not None:
        parts += [_class_table(facts.said), *_confusion(facts.said)]
    return element("section", element("h2", "Scores"), parts, id="scores")


def _score_table(facts: Facts) -> Markup:
    metrics = TASK_METRICS[facts.config.task]
    noun = "texts" if facts.said is None else "rows"
    common = common_rows(facts.models.values())
    rows = []
    for name, entry in facts.models.items():
        own = element("small", f" on {entry['rows']:,} {noun}") if common is None else None
        cells: list[Child] = [[NAMES.get(name, name), own]]
        for metric in metrics:
            ends = entry["interval"].get(metric) or (None, None)
            cells.append([decimal(entry["oof"].get(metric)), interval(*ends)])
        rows.append(cells)
    header = ["model", *(f"{TITLES[m]}{' ↓' if m in LOWER_IS_BETTER else ''}" for m in metrics)]
    count = f", on {common:,} {noun}" if common is not None else ""
    note = f"Out of fold{count}, with 95 % bootstrap intervals."
    return element("div", paragraph(note, class_="note"), table(header, rows, "scores", "numbers"))


def _fusion_tables(facts: Facts) -> Child:
    """The members' weights and what other ways to fuse them would give, where the summary tells of any."""
    fusion = facts.summary.get("fusion") or {}
    members, ways = fusion.get("members") or {}, fusion.get("alternatives") or []
    if len(members) < 2:
        return None
    names = [*TASK_METRICS["classify"], "ece"]
    titles = [*(TITLES[name] for name in names[:-1]), "ECE"]
    own: list[list[Child]] = [
        [name, decimal(one.get("weight"), 3), *(decimal((one.get("scores") or {}).get(m)) for m in names)]
        for name, one in members.items()
    ]
    other: list[list[Child]] = [
        [
            element("strong", way.get("name")) if way.get("chosen") else way.get("name"),
            "fitted" if way.get("calibrated") else ABSENT,
            *(decimal((way.get("scores") or {}).get(name)) for name in names),
        ]
        for way in ways
    ]
    parts = [element("h3", "Members"), table(["member", "weight", *titles], own, "members", "numbers")]
    if other:
        note = "Each fold's rows are fused by a rule that was fitted to the rows of the others."
        parts += [element("h3", "Other ways to fuse"), paragraph(note, class_="note")]
        parts.append(table(["way", "temperature", *titles], other, "ways to fuse", "numbers"))
    return parts


def _compare_table(facts: Facts) -> Child:
    """Scores under the run's folds beside those under easier ones, where the summary has both."""
    compared = facts.summary.get("compare")
    if not compared:
        return None
    metrics = TASK_METRICS[facts.config.task]
    ways = compared["ways"]
    rows = [
        [way, *([decimal(entry["oof"][m]), interval(*entry["interval"][m])] for m in metrics)]
        for way, entry in ways.items()
    ]
    count = next(iter(ways.values()))["rows"]
    note = f"{NAMES.get(compared['model'], compared['model'])} on the same {count:,} rows."
    header = ["folds", *(TITLES[m] for m in metrics)]
    return [
        element("h3", "How much easier other folds are"),
        paragraph(note, class_="note"),
        table(header, rows, "the run's folds and easier ones", "numbers"),
    ]


def count_confusion(truth: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """(num_classes, num_classes) how many rows of the one (row) are taken for the other (column)."""
    cells = np.bincount(truth * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def class_scores(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of each class, (num_classes,) each; 0 where there is nothing to divide by."""
    hits, there, found = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return {
        "precision": hits / np.maximum(found, 1),
        "recall": hits / np.maximum(there, 1),
        "f1": 2 * hits / np.maximum(there + found, 1),
    }


def _class_table(said: Said) -> Markup:
    confusion = count_confusion(said.truth, said.predicted, len(said.labels))
    scores = class_scores(confusion)
    rows = [
        [
            told(label, 60),
            *(decimal(float(values[place])) for values in scores.values()),
            f"{confusion[place].sum():,}",
            f"{confusion[:, place].sum():,}",
        ]
        for place, label in enumerate(said.labels)
    ]
    header = ["class", *(TITLES[name] for name in scores), "rows", "predicted"]
    return element("div", element("h3", "Each class"), table(header, rows, "scores per class", "numbers"))


def _confusion(said: Said) -> list[Markup]:
    size = len(said.labels)
    confusion = count_confusion(said.truth, said.predicted, size)
    parts = [element("h3", "What is taken for what")]
    if size <= MOST_CELLS:
        note = "Rows are what a text is, columns what was said of it; the shade is the share of its row."
        parts += [paragraph(note, class_="note"), _matrix(said.labels, confusion)]
    if size > 2:
        parts.append(_pair_table(said.labels, confusion))
    return parts


def _matrix(labels: list[str], confusion: np.ndarray) -> Markup:
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    many = len(labels) > UPRIGHT
    rows: list[list[Child]] = []
    for row, label in enumerate(labels):
        cells: list[Child] = [told(label, 24)]
        for column in range(len(labels)):
            share = shares[row, column]
            below = None if many else element("small", percent(share))
            cells.append(
                element(
                    "td",
                    f"{confusion[row, column]:,}" if confusion[row, column] else element("i", "·"),
                    below,
                    class_="cell right" if row == column else "cell wrong",
                    style=f"--share: {_shade(share, row == column):.3f}",
                    title=f"{label} → {labels[column]}: {percent(share)}",
                )
            )
        rows.append(cells)
    header = ["", *(element("span", told(label, 24), class_="upright" if many else None) for label in labels)]
    return table(header, rows, "confusion matrix", "matrix")


def _shade(share: float, is_right: bool) -> float:
    """How strong a cell's colour is; mistakes are few, so that theirs rises faster."""
    return 0.75 * float(share) if is_right else 0.85 * float(np.sqrt(share))


def _pair_table(labels: list[str], confusion: np.ndarray) -> Markup:
    mistakes = confusion.copy()
    np.fill_diagonal(mistakes, 0)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:MOST_PAIRS]
    places = [divmod(int(cell), len(labels)) for cell in order]
    rows = [
        [
            [told(labels[row], 40), " taken for ", told(labels[column], 40)],
            f"{mistakes[row, column]:,}",
            percent(mistakes[row, column] / confusion[row].sum()),
        ]
        for row, column in places
        if mistakes[row, column]
    ]
    return table(["most frequent", "rows", "of the class"], rows, "most frequent mistakes", "numbers")
