"""What a person sees of a sweep: the trials as they run, and at the end the best ones."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from raytrain.config.schema import Config
from raytrain.stages import clock
from raytrain.sweep.records import STATES, TrialRecord, rank_trials
from raytrain.tasks import TITLES

_STYLES = {"running": "cyan", "finished": "green", "pruned": "yellow", "failed": "bold red", "stopped": "dim"}
SHOWN = 10


class TrialTable:
    """The trials' states, drawn by rich: a live table on a terminal, else a line per event.

    Args:
        records: What is known from an earlier session; this is where every trial's record is kept.
        config: The sweep's config.
        console: Where to draw.
    """

    def __init__(self, records: dict[int, TrialRecord], config: Config, console: Console):
        self.records = records
        self._config, self._console = config, console
        self._started = time.monotonic()
        self._before = max((record.ended for record in records.values()), default=0.0)
        self._live: Live | None = None

    @property
    def elapsed(self) -> float:
        """Seconds of this sweep, earlier sessions included."""
        return round(self._before + time.monotonic() - self._started, 1)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Draws while the block runs; the last picture stays."""
        if not self._console.is_terminal:
            yield
            return
        with Live(self, console=self._console, refresh_per_second=2) as self._live:
            yield
        self._live = None

    def tell(self, record: TrialRecord) -> None:
        """Says in a line what has become of a trial, where no table is drawn."""
        if self._live is None:
            metric = self._config.sweep.metric
            text = f"trial {record.number:>3}  {record.state:<8}  {_shown_point(record)}"
            if record.num_folds:
                text += f"  {TITLES[metric]} {record.mean(metric):.4f} ({_folds(record, self._config)} folds)"
            if record.error:
                text += f"  {record.error.splitlines()[-1]}"
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def __rich__(self) -> Group:
        records = sorted(self.records.values(), key=lambda record: record.number)
        room = max(4, self._console.height - 6)
        running = [record for record in records if record.state == "running"]
        best = rank_trials(records, self._config.sweep.metric)
        rows = running + [record for record in best if record.state != "running"]
        table = trial_table(rows[:room], self._config)
        counts = _count_states(records) or "starting"
        return Group(table, Text(f"{counts}  ·  {clock(self.elapsed)} elapsed", style="dim"))


def trial_table(records: Sequence[TrialRecord], config: Config) -> Table:
    """A row a trial: its values, and the sweep's metric over the folds so far; the others are in the file."""
    keys = list(dict.fromkeys(key for record in records for key in record.point))
    metric = config.sweep.metric
    table = Table(box=None, pad_edge=False)
    table.add_column("trial", justify="right")
    table.add_column("state", no_wrap=True)
    table.add_column("folds", justify="right")
    for key in keys:
        table.add_column(key.split(".")[-1].replace("_", " "))
    table.add_column(f"{TITLES[metric]} ± sd", justify="right", no_wrap=True)
    table.add_column("seconds", justify="right")
    for record in records:
        table.add_row(
            str(record.number),
            Text(record.state, style=_STYLES.get(record.state, "")),
            _folds(record, config),
            *(_shown(record.point.get(key)) for key in keys),
            score_text(record, metric),
            f"{sum(record.seconds):.0f}",
        )
    return table


def best_table(records: Sequence[TrialRecord], config: Config) -> Table:
    """The best ten, those with all folds first."""
    table = trial_table(rank_trials(records, config.sweep.metric)[:SHOWN], config)
    what = f"the best of {len(records)} trials by {TITLES[config.sweep.metric]}"
    table.title = f"{what} ({_count_states(records)})"
    table.title_justify = "left"
    return table


def _count_states(records: Sequence[TrialRecord]) -> str:
    states = [record.state for record in records]
    return ", ".join(f"{states.count(state)} {state}" for state in STATES if state in states)


def _folds(record: TrialRecord, config: Config) -> str:
    return f"{record.num_folds}/{config.sweep.num_folds}"


def score_text(record: TrialRecord, metric: str) -> str:
    """The mean of a metric over the folds so far ± its standard deviation, which one fold alone has not."""
    mean, sd = record.mean(metric), record.sd(metric)
    if np.isnan(mean):
        return "–"
    return f"{mean:.4f}" if np.isnan(sd) else f"{mean:.4f} ± {sd:.4f}"


def _shown_point(record: TrialRecord) -> str:
    return "  ".join(f"{key.split('.')[-1]}={_shown(value)}" for key, value in record.point.items())


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.2e}" if isinstance(value, float) and (value < 0.01 or value >= 1e4) else f"{value}"
