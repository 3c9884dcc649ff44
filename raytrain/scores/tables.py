"""What a run has to say at its end: out-of-fold scores of models and baselines, and their table."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from rich.table import Table

from raytrain.scores.classes import METRICS, bootstrap_interval, score_proba
from raytrain.tasks import TASK_METRICS

TITLES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "auc": "AUC",
    "log_loss": "log loss",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
}


_TYPE_METRICS = ("precision", "recall", "f1")


def assemble_oof(
    parts: Iterable[tuple[np.ndarray, np.ndarray]], num_rows: int, num_classes: int
) -> np.ndarray:
    """Lays the folds' probabilities on their rows; repeats are averaged.

    Args:
        parts: (row indices, (rows, num_classes) probabilities) of each fold run.
        num_rows: Rows of the corpus.
        num_classes: Number of labels.

    Returns:
        (num_rows, num_classes), NaN where no fold covered the row.
    """
    total = np.zeros((num_rows, num_classes))
    counts = np.zeros(num_rows)
    for rows, proba in parts:
        total[rows] += proba
        counts[rows] += 1
    with np.errstate(invalid="ignore"):
        return total / counts[:, None]


def mean_oof(oof: dict[str, np.ndarray]) -> np.ndarray:
    """Averages architectures, each (num_rows, num_classes); a row counts where any of them covered it."""
    stacked = np.stack(list(oof.values()))
    covered = np.isfinite(stacked)
    counts = covered.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.where(covered, stacked, 0).sum(axis=0) / np.where(counts, counts, np.nan)


def oof_table(
    ids: pa.Array,
    folds: np.ndarray,
    label_names: Sequence[Any],
    labels: np.ndarray,
    oof: dict[str, np.ndarray],
) -> pa.Table:
    """oof.parquet: id, fold (of repeat 0), label, proba_<label>… of the whole, then per architecture.

    Args:
        ids: (num_rows,) ids.
        folds: (repeats, num_rows) assigned folds.
        label_names: The labels in order.
        labels: (num_rows,) label indices.
        oof: Architecture to (num_rows, num_classes).
    """
    columns: dict[str, Any] = {
        "id": ids,
        "fold": pa.array(folds[0], pa.int32()),
        "label": pa.array([label_names[index] for index in labels]),
    }
    whole = mean_oof(oof)
    for index, name in enumerate(label_names):
        columns[f"proba_{name}"] = pa.array(whole[:, index])
    if len(oof) > 1:
        for architecture, proba in oof.items():
            for index, name in enumerate(label_names):
                columns[f"{architecture}_proba_{name}"] = pa.array(proba[:, index])
    return pa.table(columns)


def score_oof(labels: np.ndarray, oof: np.ndarray, seed: int) -> dict[str, Any]:
    """Scores of the rows that folds covered, with their 95 % bootstrap interval."""
    covered = np.isfinite(oof).all(axis=1)
    labels, oof = labels[covered], oof[covered]
    intervals = bootstrap_interval(labels, oof, seed)
    return {
        "rows": len(labels),
        "oof": score_proba(labels, oof),
        "interval": {name: [lower, upper] for name, (lower, upper) in intervals.items()},
    }


def score_folds(
    fold_metrics: Sequence[dict[str, float]], names: Sequence[str] = METRICS
) -> dict[str, dict[str, float]]:
    """Mean and sample standard deviation over fold runs of every metric of these names."""
    values = {name: np.array([metrics[name] for metrics in fold_metrics]) for name in names}
    return {
        "mean": {name: float(value.mean()) for name, value in values.items()},
        "sd": {name: float(value.std(ddof=1)) if len(value) > 1 else 0.0 for name, value in values.items()},
    }


def score_baseline(labels: np.ndarray, folds: np.ndarray, oof: np.ndarray, seed: int) -> dict[str, Any]:
    """A baseline's scores in the shape that architectures have."""
    metrics = [score_proba(labels[folds == fold], oof[folds == fold]) for fold in np.unique(folds)]
    return {**score_folds(metrics), **score_oof(labels, oof, seed)}


def is_complete(summary: Mapping[str, Any]) -> bool:
    """Whether all folds are there and none was stopped by the time budget."""
    return not summary.get("missing") and not summary.get("stopped_early")


def incomplete_line(summary: dict[str, Any]) -> str:
    """What the time budget left open, and how to go on."""
    return (
        f"cluster.time_budget is used up: {len(summary['stopped_early'])} fold runs stopped early, "
        f"{len(summary['missing'])} not trained; the ensemble is made of the others. "
        "Run the same command again to go on"
    )


def fold_table(summary: dict[str, Any]) -> Table:
    """Scores of each fold run, then mean ± sd per architecture."""
    table = Table(title="valid scores per fold", title_justify="left", box=None, pad_edge=False)
    table.add_column("fold run", no_wrap=True)
    names = _metrics_of(summary)
    for title in (*(TITLES[name] for name in names), "epochs", "seconds"):
        table.add_column(title, justify="right")
    for architecture, entry in summary["architectures"].items():
        for fold in entry["folds"]:
            scores = [_shown(fold["metrics"][name]) for name in names]
            table.add_row(fold["name"], *scores, f"{fold['epochs']:g}", f"{fold['seconds']:.0f}")
        for kind in ("mean", "sd"):
            scores = [_shown(entry[kind][name]) for name in names]
            table.add_row(f"{architecture} {kind}", *scores, "", "", style="bold")
    return table


def score_table(summary: dict[str, Any]) -> Table:
    """Out-of-fold scores with their 95 % intervals: models first, then baselines."""
    table = Table(
        title=f"out-of-fold scores on {summary['rows']:,} rows, with 95 % bootstrap intervals",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("model", no_wrap=True)
    names = _metrics_of(summary)
    for name in names:
        table.add_column(TITLES[name], justify="right")
    entries = dict(summary["architectures"])
    if len(entries) > 1:
        entries["ensemble of all"] = summary["ensemble"]
    for name, entry in [*entries.items(), *summary["baselines"].items()]:
        cells = [
            f"{_shown(entry['oof'][m])}\n{_shown(entry['interval'][m][0])}–{_shown(entry['interval'][m][1])}"
            for m in names
        ]
        table.add_row(name, *cells, style="dim" if name in summary["baselines"] else "")
    return table


def type_table(summary: dict[str, Any]) -> Table | None:
    """Out-of-fold scores of each type of span; None of a classifier."""
    if "types" not in summary["ensemble"]:
        return None
    table = Table(title="out-of-fold scores per type", title_justify="left", box=None, pad_edge=False)
    for title in ("model", "type"):
        table.add_column(title, no_wrap=True)
    for title in (*(TITLES[name] for name in _TYPE_METRICS), "spans"):
        table.add_column(title, justify="right")
    entries = dict(summary["architectures"])
    if len(entries) > 1:
        entries["ensemble of all"] = summary["ensemble"]
    for model, entry in entries.items():
        for kind, scores in entry["types"].items():
            shown = [_shown(scores[name]) for name in _TYPE_METRICS]
            table.add_row(model, kind, *shown, f"{scores['spans']:,}")
    return table


def _metrics_of(summary: dict[str, Any]) -> Sequence[str]:
    return TASK_METRICS[summary.get("task", "classify")]


def _shown(value: float | None) -> str:
    return "–" if value is None or np.isnan(value) else f"{value:.4f}"
