"""What a run has to say of its fusion: members, the ways to fuse them, calibration."""

from typing import Any

from rich.table import Table

from raytrain.tasks import TASK_METRICS, TITLES

_NAMES = TASK_METRICS["classify"]


def member_table(summary: dict[str, Any]) -> Table | None:
    """Each member's weight and its own scores; None where there is one alone, or a tagger."""
    members = summary.get("fusion", {}).get("members", {})
    if len(members) < 2:
        return None
    table = _table("members of the ensemble", "member", "weight")
    for name, member in members.items():
        weight = "stacked" if member["weight"] is None else f"{member['weight']:.3f}"
        table.add_row(name, weight, *_cells(member["scores"]))
    return table


def alternative_table(summary: dict[str, Any]) -> Table | None:
    """Nested scores of the ways to fuse; None where there is nothing to choose between, or a tagger."""
    fusion = summary.get("fusion", {})
    if len(fusion.get("members", {})) < 2 or not fusion["alternatives"]:
        return None
    table = _table("ways to fuse, each fold by a rule of the others", "way", "temperature")
    for way in fusion["alternatives"]:
        temperature = "fitted" if way["calibrated"] else ""
        style = "bold" if way["chosen"] else ""
        table.add_row(way["name"], temperature, *_cells(way["scores"]), style=style)
    return table


def fusion_lines(summary: dict[str, Any]) -> list[str]:
    """What calibration brought, how is decided, and why something could not be fitted; often no line."""
    fusion = summary.get("fusion")
    if fusion is None:
        return []
    lines = []
    if fusion["unfit"] is not None:
        lines.append(f"the ensemble is the mean of its members: {fusion['unfit']}")
    if fusion["rule"]["temperature"] != 1:
        before, after = fusion["calibration"]["before"], fusion["calibration"]["after"]
        lines.append(
            f"calibration: log loss {before['log_loss']:.3f} → {after['log_loss']:.3f}, expected calibration "
            f"error {before['ece']:.3f} → {after['ece']:.3f}, temperature {fusion['rule']['temperature']:.2f}"
        )
    threshold = fusion["threshold"]
    if threshold is not None:
        name = TITLES.get(threshold["metric"], "mean cost")
        lines.append(
            f"decision: {fusion['decision']}; {name} {threshold['before']:.4f} → {threshold['after']:.4f}"
        )
    return lines


def _table(title: str, *first: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column(first[0], no_wrap=True)
    for name in (*first[1:], *(TITLES[name] for name in _NAMES), "ECE"):
        table.add_column(name, justify="right")
    return table


def _cells(scores: dict[str, float | None]) -> list[str]:
    """A score each; JSON has none of what is not defined."""
    values = [scores.get(name) for name in (*_NAMES, "ece")]
    return ["–" if value is None or value != value else f"{value:.4f}" for value in values]
