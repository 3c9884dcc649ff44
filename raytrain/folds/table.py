"""What a person sees while folds train: a live table, or plain lines where there is no terminal."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from raytrain.folds.events import EpochEnded, Event, Labelled, Restarted, Retried, Started, Stepped
from raytrain.stages import LINE_EVERY, clock

STATES = ("waiting", "starting", "training", "committed", "kept", "stopped early", "stopped", "failed")
_STYLES = {
    "training": "cyan",
    "committed": "green",
    "kept": "green",
    "stopped early": "yellow",
    "stopped": "yellow",
    "failed": "bold red",
    "waiting": "dim",
}
_OPEN = ("waiting", "starting", "training")


@dataclass
class _Row:
    num_epochs: int
    work: float
    state: str = "waiting"
    epoch: int = 0
    step: int = 0
    num_steps: int = 0
    loss: float | None = None
    score: float | None = None
    rate: float | None = None
    first_seen: tuple[float, float] | None = None  # clock and share done at the first event
    goes_on: bool = False  # where an earlier start ended
    note: str = ""  # that it was begun again with another seed


class FoldTable:
    """The folds' states, drawn by rich.

    Args:
        epochs: Fold run names in their order, and how many epochs each has.
        console: Where to draw.
        metric: Which score of the valid rows is shown, and its title.
        work: How long each fold takes beside the others; None: all alike.
    """

    def __init__(
        self,
        epochs: Mapping[str, int],
        console: Console,
        metric: tuple[str, str] = ("accuracy", "acc"),
        work: Mapping[str, float] | None = None,
    ):
        work = work or dict.fromkeys(epochs, 1.0)
        self._rows = {name: _Row(num_epochs, work[name]) for name, num_epochs in epochs.items()}
        self._console = console
        self._metric, self._title = metric
        self._started = time.monotonic()
        self._done_before = 0.0
        self._live: Live | None = None
        self._told = self._started

    @contextlib.contextmanager
    def shown(self) -> Iterator["FoldTable"]:
        """Draws while the block runs; the last picture stays."""
        self._done_before = self._work_done()
        if not self._console.is_terminal:
            yield self
            return
        with Live(self, console=self._console, refresh_per_second=4) as self._live:
            yield self
        self._live = None

    def set_state(self, name: str, state: str) -> None:
        if self._rows[name].state != state:
            self._rows[name].state = state
            if state not in _OPEN:
                self._line(name, state)

    def update(self, name: str, event: Event) -> None:
        """Takes what a fold tells."""
        row = self._rows[name]
        if isinstance(event, Retried):
            row.state, row.rate = "starting", None
            self._line(name, event.what)
            return
        if isinstance(event, Labelled) and not event.texts:  # it is done
            row.note = event.what
            self._line(name, event.what)
            return
        if isinstance(event, Restarted | Labelled):
            self._rows[name] = _Row(row.num_epochs, row.work, "starting", note=event.what)
            self._line(name, event.what)
            return
        if row.state in ("waiting", "starting"):
            row.state = "training"
        if isinstance(event, Started):
            row.goes_on = event.goes_on
        if isinstance(event, EpochEnded):
            row.epoch, row.step = int(event.metrics["epoch"]), 0
            # Without valid rows there are no scores.
            row.score, row.loss = event.metrics.get(self._metric), event.metrics["loss"]
            done = f"epoch {event.metrics['epoch']:g}/{row.num_epochs}  loss {row.loss:.4f}"
            scored = "" if row.score is None else f"  valid {self._metric} {row.score:.4f}"
            self._line(name, done + scored)
        elif isinstance(event, Stepped):
            row.step, row.num_steps = event.step, event.num_steps
            row.loss, row.rate = event.loss, event.rate
        else:
            return
        if row.first_seen is None:
            row.first_seen = time.monotonic(), self._share(row)
            self._done_before += row.work * self._share(row) if row.goes_on else 0.0

    def tell(self) -> None:
        """Says how far the folds are, where there is no terminal and nothing was said for a while."""
        if self._live is None and time.monotonic() - self._told >= LINE_EVERY:
            training = [
                f"{name} {self._share(row):.0%}"
                for name, row in self._rows.items()
                if row.state == "training"
            ]
            self._say("  ·  ".join([*([", ".join(training)] if training else []), self._summary()]))

    def _line(self, name: str, text: str) -> None:
        if self._live is None:
            self._say(f"{name}  {text}")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
        self._told = time.monotonic()

    def _work_done(self) -> float:
        """Of finished folds, and of those in training what they are through."""
        return sum(row.work * self._share(row) for row in self._rows.values())

    def _share(self, row: _Row) -> float:
        if row.state not in _OPEN:
            return 1.0
        within = row.step / row.num_steps if row.num_steps else 0.0
        return min(1.0, (row.epoch + within) / row.num_epochs)

    def _fold_left(self, row: _Row) -> str:
        if row.state != "training" or row.first_seen is None:
            return ""
        began, share = row.first_seen
        return _time_left(time.monotonic() - began, self._share(row) - share, 1 - self._share(row))

    def __rich__(self) -> Group:
        rows = list(self._rows.items())
        if len(rows) > self._console.height - 6:
            rows = [(name, row) for name, row in rows if row.state in ("starting", "training", "failed")]
        table = Table(box=None, pad_edge=False)
        for title in ("fold", "state", "epoch", "loss", f"valid {self._title}", "texts/s", "left"):
            table.add_column(title, justify="left" if title in ("fold", "state") else "right")
        for name, row in rows:
            table.add_row(
                name,
                Text(row.state, style=_STYLES.get(row.state, "")),
                f"{min(row.epoch + (row.step > 0), row.num_epochs)}/{row.num_epochs}",
                *(_shown(value, spec) for value, spec in ((row.loss, ".4f"), (row.score, ".4f"))),
                _shown(row.rate if row.state == "training" else None, ",.0f"),
                self._fold_left(row),
            )
        notes = [Text(f"{name}: {row.note}", style="yellow") for name, row in rows if row.note]
        return Group(table, *notes, Text(self._summary(), style="dim"))

    def _summary(self) -> str:
        """How many folds are in which state, and the time taken and left."""
        states = [row.state for row in self._rows.values()]
        counts = ", ".join(f"{states.count(state)} {state}" for state in STATES if state in states)
        elapsed, done = time.monotonic() - self._started, self._work_done()
        whole = sum(row.work for row in self._rows.values())
        left = _time_left(elapsed, done - self._done_before, whole - done)
        return f"{counts}  ·  {clock(elapsed)} elapsed, {left or '–'} left"


def _shown(value: float | None, spec: str) -> str:
    return "" if value is None else format(value, spec)


def _time_left(elapsed: float, done: float, remaining: float) -> str:
    """What is left at the pace so far; nothing where there is no pace yet."""
    return "" if done <= 0 else clock(elapsed * remaining / done)
