"""Launching fold runs as the cluster has room, and watching them."""

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray
from rich.console import Console

from raytrain.cluster import on_this_node
from raytrain.errors import FoldError, StorageError
from raytrain.folds.attempts import FoldOutcome
from raytrain.folds.crews import END_SECONDS, FoldLauncher
from raytrain.folds.events import EpochEnded, Event, MemoryTaken, Retried
from raytrain.folds.resources import FoldResources
from raytrain.folds.result import FoldResult
from raytrain.folds.spec import FoldSpec
from raytrain.folds.table import FoldTable
from raytrain.folds.tracking import Tracker
from raytrain.tasks import SHOWN_METRIC, reads_encoder

_POLL_SECONDS = 0.5
_PATIENCE_SECONDS = 5.0  # with a launcher that is to hand its events over
_REPLAN_SECONDS = 10.0
LAUNCHED_TOGETHER = 32  # folds of one launcher: their controllers share a process


@dataclass
class Capacity:
    """How many folds may run at once, as the cluster changes.

    Args:
        resources: What a fold takes, and how many run at once to begin with.
        recount: How many folds the cluster holds now, of so many that are left; given what a fold takes.
        deadline: Unix time after which no fold is started, or None.
        one_machine: Whether no other machine is there or may come.
        folds_per_worker: Folds that a worker trains before it gives way to a new one; None is no bound.
    """

    resources: FoldResources
    recount: Callable[[FoldResources, int], int]
    deadline: float | None = None
    one_machine: bool = False
    folds_per_worker: int | None = None

    def __post_init__(self) -> None:
        self._counted = time.monotonic()

    @property
    def is_over(self) -> bool:
        return self.deadline is not None and time.time() >= self.deadline

    def slots(self, num_left: int) -> int:
        """Folds that may run at once. While one probes a card, it runs alone."""
        if self.resources.probe:
            return 1
        if time.monotonic() - self._counted >= _REPLAN_SECONDS:
            self._counted = time.monotonic()
            slots = max(1, self.recount(self.resources, num_left))
            self.resources = replace(self.resources, slots=slots)
        return self.resources.slots

    def learn_memory(self, peak_bytes: int, card_bytes: int, num_left: int) -> None:
        """Packs the folds to come by what the first one took of its card."""
        if self.resources.probe:
            self.pack(self.resources.packed(peak_bytes, card_bytes), num_left)

    def pack(self, resources: FoldResources, num_left: int) -> None:
        slots = max(1, self.recount(resources, num_left))
        self.resources = replace(resources, slots=slots, probe=False)


def run_folds(
    specs: Sequence[FoldSpec],
    kept: dict[str, FoldResult],
    capacity: Capacity | None,
    max_failures: int,
    console: Console,
    tracker: Tracker,
) -> dict[str, FoldResult]:
    """Trains the folds that are not committed yet, never more at once than fit.

    Args:
        specs: All fold runs, in order.
        kept: Those committed earlier, by name.
        capacity: What a fold takes and how many fit; None where all are kept.
        max_failures: Failures of a fold run that are forgiven.
        console: Where progress is drawn.
        tracker: Where epochs are logged.

    Returns:
        Results by name, in the order of `specs`; without folds that the deadline kept from learning.

    Raises:
        FoldError: Some failed for good; the rest were committed first.
        StorageError: It is gone; what was committed before is kept.
    """
    epochs = {spec.name: spec.settings.epochs for spec in specs}
    table = FoldTable(epochs, console, SHOWN_METRIC[specs[0].task], {spec.name: spec.work for spec in specs})
    for name in kept:
        table.set_state(name, "kept")
    waiting = deque(spec for spec in specs if spec.name not in kept)
    outcomes: dict[str, FoldOutcome] = {}
    if waiting and capacity is not None:
        with table.shown():
            outcomes = _Launch(capacity, max_failures, table, tracker).run(waiting)
    gone = [outcome.storage for outcome in outcomes.values() if outcome.storage]
    if gone:
        raise StorageError(gone[0])
    failures = {name: outcome.failure for name, outcome in outcomes.items() if outcome.failure}
    if failures:
        raise FoldError(failures, "Run the same command again to train only what is missing.")
    trained = {name: outcome.result for name, outcome in outcomes.items() if outcome.result is not None}
    results = kept | trained
    return {spec.name: results[spec.name] for spec in specs if spec.name in results}


class _Launch:
    """Keeps as many folds running as fit, in their order."""

    def __init__(self, capacity: Capacity, max_failures: int, table: FoldTable, tracker: Tracker):
        self._capacity, self._max_failures = capacity, max_failures
        self._table, self._tracker = table, tracker
        self._launchers: dict[Any, int] = {}  # to the folds that each runs
        self._asked: dict[Any, ray.ObjectRef] = {}  # launchers to events that they have not handed over yet
        self._running: dict[ray.ObjectRef, tuple[FoldSpec, Any]] = {}
        self._lost: Counter[str] = Counter()  # how often a fold's launcher was

    def run(self, waiting: deque[FoldSpec]) -> dict[str, FoldOutcome]:
        try:
            outcomes = self._run(waiting)
            self._take_events(0, END_SECONDS)
            return outcomes
        finally:
            self._end_launchers()

    def _run(self, waiting: deque[FoldSpec]) -> dict[str, FoldOutcome]:
        outcomes: dict[str, FoldOutcome] = {}
        while waiting or self._running:
            if self._capacity.is_over:
                waiting.clear()
            left = len(waiting) + len(self._running)
            while waiting and len(self._running) < self._capacity.slots(left):
                self._start(self._next(waiting))
            if not self._running:
                break
            done, _ = ray.wait(list(self._running), timeout=_POLL_SECONDS)
            self._take_events(left, _PATIENCE_SECONDS)
            self._table.tell()
            for reference in done:
                spec, outcome = self._end(reference)
                if outcome is None:
                    waiting.appendleft(spec)
                    continue
                outcomes[spec.name] = outcome
                if outcome.storage:
                    waiting.clear()
        return outcomes

    def _next(self, waiting: deque[FoldSpec]) -> FoldSpec:
        """The first; while a card is probed, the first that tells of its memory."""
        if self._capacity.resources.probe:
            for spec in waiting:
                if _is_network(spec.name):
                    waiting.remove(spec)
                    return spec
        return waiting.popleft()

    def _end_launchers(self) -> None:
        """Gives back what the crews own, whatever has happened."""
        with contextlib.suppress(ray.exceptions.RayError):
            ray.get([launcher.end.remote() for launcher in self._launchers], timeout=END_SECONDS)
        for launcher in self._launchers:
            ray.kill(launcher)

    def _start(self, spec: FoldSpec) -> None:
        resources = self._capacity.resources
        launcher = self._launcher_with_room()
        spec = replace(
            spec,
            progress=launcher,
            threads=resources.cpus,
            gpu_share=(resources.gpus or None) if _is_network(spec.name) else None,
            deadline=self._capacity.deadline,
        )
        reference = launcher.run_fold.remote(spec, resources, self._max_failures)
        self._running[reference] = spec, launcher
        self._launchers[launcher] += 1
        self._table.set_state(spec.name, "starting")

    def _launcher_with_room(self) -> Any:
        for launcher, num_folds in self._launchers.items():
            if num_folds < LAUNCHED_TOGETHER:
                return launcher
        actor: Any = ray.remote(FoldLauncher)
        launcher = actor.options(
            num_cpus=0,
            # Of each fold one call waits for its end, and one of each of its workers for the next fold.
            max_concurrency=(2 + self._capacity.resources.workers) * LAUNCHED_TOGETHER,
            scheduling_strategy=on_this_node(),
        ).remote(self._capacity.one_machine, self._capacity.folds_per_worker)
        self._launchers[launcher] = 0
        return launcher

    def _end(self, reference: ray.ObjectRef) -> tuple[FoldSpec, FoldOutcome | None]:
        """What became of a fold; None where it is to be launched again, because its launcher was lost."""
        spec, launcher = self._running.pop(reference)
        try:
            outcome = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            outcome = FoldOutcome(None, str(error))
        except ray.exceptions.RayError as error:  # it was killed, for memory or otherwise
            if self._launchers.pop(launcher, None) is not None:  # the next fold gets another one
                ray.kill(launcher)
            self._lost[spec.name] += 1
            if self._lost[spec.name] <= self._max_failures:
                what = f"failure {self._lost[spec.name]} of {self._max_failures} that are forgiven: again"
                self._table.update(spec.name, Retried(what))
                return spec, None
            outcome = FoldOutcome(None, str(error))
        if launcher in self._launchers:  # another of its folds may have told first that it is lost
            self._launchers[launcher] -= 1
        self._table.set_state(spec.name, _end_state(outcome))
        if self._capacity.resources.probe and _is_network(spec.name):  # it told nothing of its memory
            self._capacity.pack(self._capacity.resources, len(self._running) + 1)
        return spec, outcome

    def _take_events(self, num_left: int, patience: float) -> None:
        for launcher in self._launchers:
            with contextlib.suppress(ray.exceptions.RayError):  # progress is worth no run's failure
                reference = self._asked.pop(launcher, None) or launcher.drain.remote()
                if not ray.wait([reference], timeout=patience)[0]:  # what it hands over is not lost
                    self._asked[launcher] = reference
                    continue
                for name, event in ray.get(reference):
                    self._take(name, event, num_left)

    def _take(self, name: str, event: Event, num_left: int) -> None:
        if isinstance(event, MemoryTaken):
            self._capacity.learn_memory(event.peak_bytes, event.card_bytes, num_left)
        else:
            self._table.update(name, event)
        if isinstance(event, EpochEnded):
            self._tracker.log(name, int(event.metrics["epoch"]), event.metrics)


def _is_network(name: str) -> bool:
    """Whether a fold of this name computes on a card, where there are any."""
    return reads_encoder(name.partition("/")[0])


def _end_state(outcome: FoldOutcome) -> str:
    if outcome.failure:
        return "failed"
    if outcome.result is None:
        return "stopped"
    return "stopped early" if outcome.result.stopped_early else "committed"
