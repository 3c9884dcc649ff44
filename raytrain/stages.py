"""Stages of a run that may take long: told while they last, ended by the time budget."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from raytrain.cluster import get_result
from raytrain.errors import TimeBudgetError

FIRST_LINE = 10.0  # seconds until a stage is told where there is no terminal; later ones come more rarely
LINE_EVERY = 60.0
POLL_SECONDS = 0.5


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"


class Stages:
    """Where the stages of a run are told.

    Args:
        console: A terminal shows a bar for each, which is gone with its stage. Anything else gets a line
            when a stage has lasted 10 s, and then now and then.
        deadline: Unix time after which no stage goes on, or None.
    """

    def __init__(self, console: Console, deadline: float | None = None):
        self.console, self.deadline = console, deadline

    def say(self, line: str) -> None:
        """Prints a line as it is, however long."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def stage(self, what: str, total: int | None = None, unit: str = "", kept: str = "") -> Iterator["Stage"]:
        """One stage, which lasts as long as the block.

        Args:
            what: What is done, such as "encoding".
            total: How many units there are to do; None where that is not known.
            unit: What is counted, such as "texts".
            kept: What to say of the work that is done where the time budget ends it.
        """
        stage = Stage(what, total, unit, kept, self.deadline)
        with self._bar(stage) if self.console.is_terminal else self._lines(stage):
            yield stage

    @contextlib.contextmanager
    def _bar(self, stage: "Stage") -> Iterator[None]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(stage.what, total=stage.total, count=stage.count)

            def draw() -> None:
                progress.update(task, total=stage.total, completed=stage.done, count=stage.count)

            stage.on_advance = draw
            yield

    @contextlib.contextmanager
    def _lines(self, stage: "Stage") -> Iterator[None]:
        """Lines come from a thread of their own, for what works may be deep in a library."""
        ended = threading.Event()
        teller = threading.Thread(target=self._tell, args=(stage, ended), daemon=True)
        teller.start()
        try:
            yield
        finally:
            ended.set()
            teller.join()

    def _tell(self, stage: "Stage", ended: threading.Event) -> None:
        pause = FIRST_LINE
        while not ended.wait(pause):
            pause = min(2 * pause, LINE_EVERY)
            self.say(stage.line())


class Stage:
    """What `Stages.stage` gives to the one who works.

    Attributes:
        what: What is done.
        total: How many units there are to do, or None; may be set once it is known.
        done: How many are done.
        on_advance: Called whenever more is done.
    """

    def __init__(self, what: str, total: int | None, unit: str, kept: str, deadline: float | None):
        self.what, self.total = what, total
        self._unit, self._kept, self._deadline = unit, kept, deadline
        self.done = self._before = 0
        self._started = time.monotonic()
        self.on_advance: Callable[[], None] = lambda: None

    def skip(self, count: int) -> None:
        """So much was done before the stage began; the pace is not reckoned from it."""
        self._before += count
        self.advance(count)

    def advance(self, count: int) -> None:
        """So much more is done."""
        self.done += count
        self.on_advance()

    def check(self) -> None:
        """Raises TimeBudgetError after the deadline."""
        if self._deadline is not None and time.time() >= self._deadline:
            so_far = f", {self.count}" if self.count else ""
            kept = f"; {self._kept}" if self._kept and self.done else ""
            raise TimeBudgetError(f"cluster.time_budget was used up: {self.what}{so_far}{kept}")

    def each(self, references: Sequence[ray.ObjectRef]) -> Iterator[tuple[int, Any]]:
        """Yields (position, result) of tasks as they end.

        Raises:
            RaytrainError: Of a task, as itself and not wrapped in a remote traceback.
            TimeBudgetError: The deadline has passed, and no task has ended that was not told of.
        """
        waiting = {reference: position for position, reference in enumerate(references)}
        while waiting:
            for reference in self._ready(list(waiting)):
                yield waiting.pop(reference), get_result(reference)

    def wait(self, reference: ray.ObjectRef) -> Any:
        """The result of one task; raises as `each` does."""
        [(_, result)] = self.each([reference])
        return result

    def follow(self, generator: ray.ObjectRefGenerator) -> Iterator[Any]:
        """Yields what a streaming task yields; raises as `each` does."""
        while True:
            if self._ready([generator]):
                try:
                    reference = next(generator)
                except StopIteration:
                    return
                yield get_result(reference)

    def _ready(self, references: list[Any]) -> list[Any]:
        ready, _ = ray.wait(references, num_returns=1, timeout=POLL_SECONDS)
        if not ready:
            self.check()
        return ready

    @property
    def count(self) -> str:
        """How far it is, where that is counted."""
        if self.total is None:
            return f"{self.done:,} {self._unit}" if self.done else ""
        return f"{self.done:,} of {self.total:,} {self._unit}"

    def line(self) -> str:
        """What it is doing, how far it is, and how long that took and will take."""
        elapsed, new = time.monotonic() - self._started, self.done - self._before
        parts = [f"{self.what}: {self.count}" if self.count else self.what, f"{clock(elapsed)} elapsed"]
        if self.total is not None and new:
            parts.append(f"{clock(elapsed * (self.total - self.done) / new)} left")
        return ", ".join(parts)
