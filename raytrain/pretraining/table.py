"""What a person sees of a pre-training: how far it is, and in the end how good."""

import contextlib
import math
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from raytrain.folds.events import EpochEnded, Event, Retried, Started, Stepped
from raytrain.messages import counted
from raytrain.pretraining.settings import PretrainSpec
from raytrain.stages import LINE_EVERY, Stages, clock


class PretrainTable:
    """How far a pre-training is: a bar on a terminal, else plain lines.

    Args:
        steps: In all.
        batch_size: Sequences of a step.
        console: Where to draw.
    """

    def __init__(self, steps: int, batch_size: int, console: Console):
        self._steps, self._batch_size, self._console = steps, batch_size, console
        self._step, self._loss, self._rate = 0, math.nan, 0.0
        self._began: tuple[float, int] | None = None  # the clock and the step at the first one
        self._told = time.monotonic()
        self._bar: Progress | None = None

    @contextlib.contextmanager
    def shown(self) -> Iterator["PretrainTable"]:
        """Draws while the block runs."""
        if not self._console.is_terminal:
            yield self
            return
        columns = (TextColumn("pre-training"), BarColumn(), TextColumn("{task.fields[line]}"))
        with Progress(*columns, console=self._console, transient=True) as self._bar:
            self._bar.add_task("", total=self._steps, line="starting")
            yield self
        self._bar = None

    def update(self, event: Event) -> None:
        """Takes what the worker tells."""
        if isinstance(event, Retried):
            self._say(event.what)
            self._began = None
        elif isinstance(event, Started) and event.goes_on:
            self._say("goes on from its checkpoint")
        elif isinstance(event, Stepped):
            self._begin(event.step)
            self._step, self._loss, self._rate = event.step, event.loss, event.rate / self._batch_size
        elif isinstance(event, EpochEnded):
            self._step = int(event.metrics["step"])
            told = [f"step {self._step:,}/{self._steps:,}"]
            told += [f"loss {event.metrics['loss']:.4f}"] if _is_known(event.metrics["loss"]) else []
            self._say("  ".join([*told, _describe(event.metrics)]))
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._step, line=self.line())

    def _begin(self, step: int) -> None:
        if self._began is None:
            self._began = time.monotonic(), step

    def tell(self) -> None:
        """Says how far it is, where there is no terminal and nothing was said for a while."""
        if self._bar is None and time.monotonic() - self._told >= LINE_EVERY:
            self._say(self.line())

    def line(self) -> str:
        """How far it is, at which pace, and how long it will take."""
        if self._began is None and not self._step:
            return "starting"
        parts = [f"step {self._step:,}/{self._steps:,}"]
        if _is_known(self._loss):
            parts.append(f"loss {self._loss:.4f}")
        if self._rate:
            parts.append(f"{self._rate:.2f} steps/s")
        if self._began is not None and self._step > self._began[1]:
            pace = (time.monotonic() - self._began[0]) / (self._step - self._began[1])
            parts.append(f"{clock(pace * (self._steps - self._step))} left")
        return ", ".join(parts)

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
        self._told = time.monotonic()


def _is_known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _describe(metrics: Any) -> str:
    if not _is_known(metrics["perplexity"]):
        return "nothing is held back"
    return f"held back: perplexity {metrics['perplexity']:.2f}, accuracy {metrics['accuracy']:.4f}"


def announce(spec: PretrainSpec, stages: Stages) -> None:
    """Says what is about to be learned."""
    index, settings = spec.facts["encoded"], spec.settings
    filled = index["tokens"] / (index["sequences"] * index["length"])
    head = "the head of its language model" if spec.facts["head"] else "a new head"
    start = (
        f"{spec.facts['layout']}, with {head}" if spec.facts["layout"] else f"untrained {spec.kind.upper()}"
    )
    stages.say(
        f"{counted(index['texts'], 'text')}, {counted(index['tokens'], 'token')}: "
        f"{counted(index['sequences'], 'sequence')} of {index['length']}, {filled:.0%} of them text; "
        f"{counted(index['held_back_texts'], 'text')} held back"
    )
    stages.say(f"encoder: {start}, {counted(spec.config['num_hidden_layers'], 'layer')}")
    stages.say(
        f"{settings.steps:,} steps of {settings.batch_size} sequences, learning rate "
        f"{settings.learning_rate:g}, {settings.mask.rate:.0%} of the tokens masked"
    )


def result_table(record: dict[str, Any]) -> Table:
    """How well the held-back tokens were told before and after, of a record."""
    first, last = record["history"][0], record["history"][-1]
    table = Table(box=None, pad_edge=False)
    for title in ("held back", "before", "after"):
        table.add_column(title, justify="left" if title == "held back" else "right")
    for name, spec in (("perplexity", ",.2f"), ("accuracy", ".4f")):
        cells = [format(e[name], spec) if _is_known(e[name]) else "–" for e in (first, last)]
        table.add_row(name, *cells)
    return table


def summarize(record: dict[str, Any]) -> str:
    """How much better held-back tokens are told, in a line."""
    first, last = record["history"][0], record["history"][-1]
    if not _is_known(last["perplexity"]):
        return f"adapted in {record['steps']:,} steps; too few texts to hold some back"
    return (
        f"held back: perplexity {first['perplexity']:.2f} → {last['perplexity']:.2f}, accuracy "
        f"{first['accuracy']:.4f} → {last['accuracy']:.4f} in {record['steps']:,} steps, "
        f"{record['seconds']:,.0f} s"
    )


def result_lines(record: dict[str, Any]) -> list[str]:
    """What was learned, in words."""
    steps = f"{record['steps']:,} steps of {record['settings']['batch_size']} sequences"
    if record["stopped_early"]:
        left = record["settings"]["steps"] - record["steps"]
        steps += f"; the time budget left {left:,} out, the same command goes on"
    seconds = f"{record['seconds']:,.0f} s"
    return [f"{steps}; {record['tokens_told']:,} tokens told, {seconds}"]
