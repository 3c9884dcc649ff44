"""What a run answers first: is the ensemble better than the baselines, by how much, and is that sure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raytrain.report.facts import ENSEMBLE, Facts, Said
from raytrain.report.markup import Child, Markup, decimal, element, paragraph, table
from raytrain.scores.classes import WeightedScores
from raytrain.scores.resampling import draw_counts, num_resamples
from raytrain.scores.tables import dead_lines, incomplete_line, is_complete
from raytrain.tasks import LOWER_IS_BETTER, TITLES, reads_encoder

METRICS = ("macro_f1", "accuracy", "log_loss")  # the first one is what the answer is about
RESAMPLED_ROWS = 30_000_000  # and pairs of classes, of all resamples together: about two seconds
NAMES = {"majority": "majority guess", "tfidf_logistic": "TF-IDF + logistic regression"}


@dataclass(frozen=True)
class Difference:
    """How far one model is from another in a score, on the same rows.

    Attributes:
        ours: The score of the first.
        theirs: The score of the other.
        lower: Of the 95 % interval of the difference.
        upper: Of the same.
        by_fold: The difference in the rows of each fold.
    """

    ours: float
    theirs: float
    lower: float
    upper: float
    by_fold: tuple[float, ...]

    @property
    def value(self) -> float:
        return self.ours - self.theirs

    @property
    def fold_mean(self) -> float:
        return float(np.mean(self.by_fold))

    @property
    def fold_error(self) -> float:
        """Standard error of the mean over folds; NaN of one fold."""
        count = len(self.by_fold)
        return float(np.std(self.by_fold, ddof=1) / np.sqrt(count)) if count > 1 else float("nan")

    def num_better(self, metric: str) -> int:
        """In how many folds the first is better."""
        sign = -1 if metric in LOWER_IS_BETTER else 1
        return sum(sign * one > 0 for one in self.by_fold)

    def verdict(self, metric: str) -> str:
        """`better`, `worse` or `unsure`: whether the interval leaves out 0, and on which side."""
        if self.lower <= 0 <= self.upper:
            return "unsure"
        return "better" if (self.value > 0) != (metric in LOWER_IS_BETTER) else "worse"


def compare(
    truth: np.ndarray,
    ours: np.ndarray,
    theirs: np.ndarray,
    folds: np.ndarray,
    seed: int,
    predicted: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> dict[str, Difference]:
    """Holds two models against each other by a paired percentile bootstrap over rows, or groups of rows.

    Both are scored on the same resampled rows, so that what makes rows hard for both cancels out. The
    standard error over folds is of fewer, larger pieces, whose models share training rows.

    Args:
        truth: (num_rows,) label indices.
        ours: (num_rows, num_classes) probabilities, finite.
        theirs: The same of the other model.
        folds: (num_rows,) in which fold each row was valid.
        seed: Of the resamples.
        predicted: (num_rows,) what the first model says, where that is not the most probable.
        groups: As of `scores.resampling.draw_counts`.

    Returns:
        `METRICS` to difference.
    """
    models = WeightedScores(truth, ours, predicted, METRICS), WeightedScores(truth, theirs, None, METRICS)
    whole = [_scores(model, np.ones(len(truth))) for model in models]
    work = len(truth) + ours.shape[1] ** 2  # of a resample: its rows, and a table of classes by classes
    drawn = draw_counts(len(truth), num_resamples(work, RESAMPLED_ROWS), seed, groups)
    differences = np.stack([_difference(models, counts) for counts in drawn])
    lower, upper = np.percentile(differences, [2.5, 97.5], axis=0)
    masks = [(folds == fold).astype(float) for fold in np.unique(folds)]
    by_fold = np.array([_difference(models, mask) for mask in masks])
    columns = [part.tolist() for part in (*whole, lower, upper, by_fold.T)]
    return {
        metric: Difference(first, second, low, high, tuple(each))
        for metric, first, second, low, high, each in zip(METRICS, *columns, strict=True)
    }


def _difference(models: Sequence[WeightedScores], counts: np.ndarray) -> np.ndarray:
    return _scores(models[0], counts) - _scores(models[1], counts)


def _scores(model: WeightedScores, counts: np.ndarray) -> np.ndarray:
    return np.array(list(model.score(counts).values()))


def compare_all(said: Said, seed: int) -> dict[str, dict[str, Difference]]:
    """The ensemble against every other model, on the rows of both; name to differences."""
    found = {}
    for name, theirs in said.others.items():
        both = np.isfinite(theirs).all(axis=1)
        if both.any():
            rows = said.truth[both], said.proba[both], theirs[both], said.folds[both]
            groups = None if said.groups is None else said.groups[both]
            found[name] = compare(*rows, seed, said.predicted[both], groups)
    return found


def question_section(facts: Facts) -> Markup:
    """The answer in one sentence, what it rests on, and what is missing."""
    if facts.said is None:
        answer: list[Child] = [_tagger_sentence(facts.summary)]
    else:
        answer = _answer(facts, facts.said, compare_all(facts.said, facts.config.seed))
    return element("section", element("h2", _title(facts)), answer, _warnings(facts), id="answer")


def _title(facts: Facts) -> str:
    if facts.said is None:
        return "How well are spans found?"
    return f"Is {_subject(facts)} better than the baselines?"


def _subject(facts: Facts) -> str:
    names = facts.config.model.architectures
    if len(names) > 1:
        return "the ensemble"
    return "the network" if reads_encoder(names[0]) else names[0]


def _answer(facts: Facts, said: Said, found: Mapping[str, Mapping[str, Difference]]) -> list[Child]:
    if not facts.config.model.has_networks:  # the baseline of n-grams is what was trained
        found = {name: differences for name, differences in found.items() if name != "tfidf_logistic"}
    architectures = facts.config.model.architectures
    if len(architectures) == 1:  # the ensemble is nothing but this one, calibrated
        found = {name: differences for name, differences in found.items() if name != architectures[0]}
    baselines = [name for name in facts.summary.get("baselines", {}) if name in found]
    if not baselines:
        why = "baseline=false" if not facts.config.baseline else "the same command adds what is missing"
        return [paragraph(f"There is no baseline to hold it against ({why}).", class_="answer")]
    metric = METRICS[0]
    best = max(baselines, key=lambda name: found[name][metric].theirs)
    sentence = answer_sentence(_subject(facts), NAMES.get(best, best), found[best][metric], metric)
    basis = f"Both said it of the same {len(said.rows):,} rows, which no model had seen{_by_time(facts)}. "
    basis += f"Intervals: paired bootstrap over {_drawn(said)}, 95 %; ± is the standard error over folds, "
    basis += "whose models share training rows."
    return [sentence, paragraph(basis, class_="note"), _difference_table(facts, found)]


def _drawn(said: Said) -> str:
    """What is drawn in a resample."""
    is_bound = said.groups is not None and len(np.unique(said.groups)) < len(said.groups)
    return "groups of rows that belong together" if is_bound else "rows"


def answer_sentence(subject: str, other: str, difference: Difference, metric: str) -> Markup:
    """What the difference to the best baseline says, in one sentence."""
    word = {"better": "Yes", "worse": "No", "unsure": "Not surely"}[difference.verdict(metric)]
    side = "above" if difference.value >= 0 else "below"
    size = f"{100 * abs(difference.value):.1f} points {side} {other}"
    ends = f"95 % interval {_points(difference.lower)} to {_points(difference.upper)}"
    error = f" ± {100 * difference.fold_error:.1f}" if np.isfinite(difference.fold_error) else ""
    told = (
        f"{subject[0].upper()}{subject[1:]}'s {TITLES[metric]} is {difference.ours:.3f}, {size} "
        f"({difference.theirs:.3f}; {ends}); over folds it is {_points(difference.fold_mean)}{error}, and "
        f"better in {difference.num_better(metric)} of {len(difference.by_fold)}."
    )
    return paragraph(element("strong", f"{word}. "), told, class_="answer")


def _points(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def _by_time(facts: Facts) -> str:
    time = facts.config.flat().get("folds.time")
    return f", folds by time ({time}): each model learned the labels of earlier rows alone" if time else ""


def _difference_table(facts: Facts, found: Mapping[str, Mapping[str, Difference]]) -> Markup:
    rows = []
    for name, differences in found.items():
        cells: list[Child] = [f"to {NAMES.get(name, name)}"]
        for metric in METRICS:
            one = differences[metric]
            ends = f"{_signed(one.lower)} to {_signed(one.upper)}"
            folds = f"folds {_signed(one.fold_mean)} ± {decimal(one.fold_error)}"
            told = [_signed(one.value), element("small", ends), element("small", folds)]
            rows_class = {"better": "good", "worse": "bad", "unsure": None}[one.verdict(metric)]
            cells.append(element("td", told, class_=rows_class))
        rows.append(cells)
    header = [f"difference of {_subject(facts)}", *(_metric_title(metric) for metric in METRICS)]
    return table(header, rows, "differences to other models", class_="numbers")


def _metric_title(metric: str) -> str:
    return f"{TITLES[metric]}{' (lower is better)' if metric in LOWER_IS_BETTER else ''}"


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")


def _tagger_sentence(summary: Mapping[str, Any]) -> Markup:
    entry = summary[ENSEMBLE]
    scores, ends = entry["oof"], entry["interval"]["f1"]
    told = (
        f"F1 of exact spans is {scores['f1']:.3f} (95 % interval {ends[0]:.3f} to {ends[1]:.3f}), precision "
        f"{scores['precision']:.3f}, recall {scores['recall']:.3f}, on {entry['rows']:,} texts that no model "
        "had seen. "
    )
    singles = {name: one["oof"]["f1"] for name, one in summary["architectures"].items()}
    if len(singles) > 1:
        best = max(singles, key=lambda name: singles[name])
        told += f"The best architecture alone, {best}, has {singles[best]:.3f}."
    return paragraph(told, class_="answer")


def _warnings(facts: Facts) -> list[Markup]:
    """What makes the scores less than they seem."""
    summary = facts.summary
    lines = dead_lines(dict(summary))
    if not is_complete(summary):
        lines.append(incomplete_line(dict(summary)))
    missing = int(facts.oof.num_rows) - int(summary[ENSEMBLE]["rows"])
    if missing:
        lines.append(
            f"{missing:,} of {facts.oof.num_rows:,} rows were valid in no fold; no score counts them."
        )
    if summary.get("select") == "best":
        metric = TITLES.get(facts.config.train.monitor, facts.config.train.monitor)
        lines.append(
            f"Each fold's epoch was chosen by the {metric} of its valid rows (train.select=best): these "
            "scores are too good."
        )
    watched = facts.config.train.early_stopping is not None or facts.config.train.schedule == "plateau"
    if watched and summary.get("select") != "best":
        lines.append(
            "Each fold's epochs, or their rates, followed the scores of its valid rows "
            "(train.early_stopping, train.schedule=plateau): these scores are a little too good."
        )
    return [element("p", line, class_="warning") for line in lines]
