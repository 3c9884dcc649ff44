"""What a run has to say at its end: out-of-fold scores of models and baselines, and their table."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from raytrain.messages import counted
from raytrain.tasks import TASK_METRICS, TITLES

_TYPE_METRICS = ("precision", "recall", "f1")


def is_complete(summary: Mapping[str, Any]) -> bool:
    """Whether all folds are there and none was stopped by the time budget."""
    return not summary.get("missing") and not summary.get("stopped_early")


def incomplete_line(summary: dict[str, Any]) -> str:
    """What the time budget left open, and how to go on."""
    stopped = counted(len(summary["stopped_early"]), "fold run")
    return (
        f"cluster.time_budget is used up: {stopped} stopped early, "
        f"{len(summary['missing'])} not trained; the ensemble is made of the others. "
        "Run the same command again to go on"
    )


def dead_lines(summary: dict[str, Any]) -> list[str]:
    """Which folds learned nothing, what to do, and what became of them; no line where all folds did learn."""
    dead, dropped = summary.get("dead", []), summary.get("dropped", [])
    if not dead:
        return []
    members = summary.get("fusion", {}).get("members", {})
    without = [name for name, member in members.items() if member["weight"] == 0]  # None beside a stack
    kept = [name for name in dead if name not in dropped and name.rpartition("-fold-")[0] not in without]
    lines = [
        f"{counted(len(dead), 'fold run')} learned nothing, whatever the seed; the prediction is a constant: "
        f"{', '.join(dead)}. Try a lower or a higher train.learning_rate, of the encoder "
        "train.encoder_learning_rate, more train.warmup, or another seed"
    ]
    if dropped:
        lines.append(
            f"left out of the ensemble: {', '.join(dropped)} (ensemble.drop_dead=false keeps them); the "
            "out-of-fold scores count them"
        )
    if kept:
        lines.append(
            f"in the ensemble all the same: {', '.join(kept)}; what ensemble.drop_dead leaves out are dead "
            "folds beside a living one of their architecture"
        )
    return lines


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
            name, style = (f"{fold['name']} dead", "yellow") if fold.get("dead") else (fold["name"], "")
            table.add_row(name, *scores, f"{fold['epochs']:g}", f"{fold['seconds']:.0f}", style=style)
        for kind in ("mean", "sd"):
            scores = [_shown(entry[kind][name]) for name in names]
            table.add_row(f"{architecture} {kind}", *scores, "", "", style="bold")
    return table


def score_table(summary: dict[str, Any]) -> Table:
    """Out-of-fold scores with their 95 % intervals: models first, then baselines."""
    entries = dict(summary["architectures"])
    if len(entries) > 1:
        entries["ensemble of all"] = summary["ensemble"]
    elif not summary.get("fusion", {}).get("plain", True):  # one architecture, calibrated or with a threshold
        entries["ensemble"] = summary["ensemble"]
    entries |= summary["baselines"]
    common = common_rows(entries.values())
    title = f"out-of-fold scores{_on_rows(common)}, with 95 % bootstrap intervals"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("model", no_wrap=True)
    names = _metrics_of(summary)
    for name in names:
        table.add_column(TITLES[name], justify="right")
    for name, entry in entries.items():
        told = name if common is not None else f"{name}\n{_on_rows(entry['rows'])}"
        style = "dim" if name in summary["baselines"] else ""
        table.add_row(told, *_with_interval(entry, names), style=style)
    return table


def common_rows(entries: Iterable[Mapping[str, Any]]) -> int | None:
    """How many rows each of these models was scored on; None where they differ.

    A model is scored on what its own folds covered, which after a time budget are not those of another; a
    baseline on the rows of all folds.
    """
    numbers = {int(entry["rows"]) for entry in entries}
    return numbers.pop() if len(numbers) == 1 else None


def _on_rows(rows: int | None) -> str:
    return "" if rows is None else f" on {rows:,} rows"


def _with_interval(entry: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """A score of each name, and below it its interval."""
    return [
        f"{_shown(entry['oof'][m])}\n{_shown(entry['interval'][m][0])}–{_shown(entry['interval'][m][1])}"
        for m in names
    ]


def compare_table(summary: dict[str, Any]) -> Table | None:
    """A model's scores under the run's folds and under easier ones; None where these were not compared."""
    compared = summary.get("compare")
    if compared is None:
        return None
    ways = compared["ways"]
    rows = next(iter(ways.values()))["rows"]
    title = f"the run's folds and easier ones: {compared['model']} on the same {rows:,} rows"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("folds", no_wrap=True)
    names = _metrics_of(summary)
    for name in names:
        table.add_column(TITLES[name], justify="right")
    for way, entry in ways.items():
        table.add_row(way, *_with_interval(entry, names))
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
