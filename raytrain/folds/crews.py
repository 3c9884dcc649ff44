"""Crews: workers that train one fold after another, and the actor that hands the folds out.

A worker's start costs more than a small fold's training: a process, imports, a graph that is traced and
compiled. So a crew keeps its workers. The outcome of a fold does not depend on who trained what before.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass

import ray
from ray.actor import ActorHandle

from raytrain.cluster import quicken_controllers
from raytrain.folds.attempts import FoldOutcome, run_fold
from raytrain.folds.events import Event
from raytrain.folds.resources import FoldResources
from raytrain.folds.spec import FoldSpec
from raytrain.folds.trainer import LightTrainer
from raytrain.folds.worker import Outcome, train_folds

END_SECONDS = 15.0  # that the end of a crew is waited for


@dataclass(frozen=True)
class Needs:
    """What a crew's workers own, and how they compute: only folds that want the same can be theirs."""

    cpus: int
    gpus: float
    workers: int
    precision: str


class Crew:
    """One Ray Train run, in a thread: its workers ask for a fold, train it, tell its end, and ask again.

    Args:
        needs: What its workers own.
        most: Folds that it may train; None is as many as there are.

    Attributes:
        architecture: Of the last fold; another one is traced anew.
    """

    def __init__(self, needs: Needs, most: int | None):
        self.needs, self.architecture = needs, ""
        self._most, self._number = most, 0
        self._spec: FoldSpec | None = None
        self._outcomes: dict[int, Outcome] = {}
        self._closed = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._workers: list[ActorHandle] = []
        self._thread: threading.Thread | None = None

    def start(self, trainer: LightTrainer) -> None:
        self._thread = threading.Thread(target=self._run, args=(trainer,), daemon=True)
        self._thread.start()

    def _run(self, trainer: LightTrainer) -> None:
        error: BaseException | None = None
        try:
            trainer.fit()
        except BaseException as raised:
            error = raised
        with self._changed:
            self._closed, self._error = True, error
            self._changed.notify_all()

    @property
    def _is_spent(self) -> bool:
        return self._most is not None and self._number >= self._most

    def take(self, spec: FoldSpec) -> int:
        """Takes a fold to train next. Returns its number, from 1; 0 where it is busy, or takes no more."""
        with self._changed:
            if self._closed or self._spec is not None or self._is_spent:
                return 0
            self._spec, self.architecture = spec, spec.architecture
            self._number += 1
            self._changed.notify_all()
            return self._number

    def wait(self, number: int) -> Outcome:
        """Waits for the end of the fold that it took as this number. Raises what ended the crew before.

        By its number: the crew may have taken the next one before this is awake.
        """
        with self._changed:
            self._changed.wait_for(lambda: number in self._outcomes or self._closed)
            if number in self._outcomes:
                return self._outcomes.pop(number)
        raise self._error or RuntimeError("the workers ended before they had trained the fold")

    def next_fold(self, last: int, patience: float) -> tuple[int, FoldSpec] | None:
        """What its workers train next; the same fold again where they are others than before.

        Args:
            last: Number of the fold that the asking worker trained last, 0 where it has trained none.
            patience: Seconds that a fold is waited for.

        Returns:
            The fold and its number, from 1; None where the workers are to end.
        """
        with self._changed:
            # The fold's other workers may need longer to end it; that is no lack of work.
            self._changed.wait_for(lambda: self._closed or self._spec is None or self._number > last)
            if not self._is_spent:
                self._changed.wait_for(lambda: self._closed or self._spec is not None, patience)
            if self._spec is None:
                self._closed = True
            return None if self._closed or self._spec is None else (self._number, self._spec)

    def tell(self, outcome: Outcome) -> None:
        """Told by its workers: how their fold ended."""
        with self._changed:
            self._spec, self._outcomes[self._number] = None, outcome
            self._changed.notify_all()

    def dismiss(self, at_once: bool = False) -> bool:
        """Ends it, and waits until its resources are free; False where it is busy.

        Args:
            at_once: Whether it is ended where it is busy, too.
        """
        with self._changed:
            if self._spec is not None and not at_once:
                return False
            self._closed = True
            self._changed.notify_all()
        for worker in self._workers if at_once else ():
            ray.kill(worker)
        if self._thread is not None:
            self._thread.join(END_SECONDS)
        return True

    def enter(self, worker: ActorHandle) -> None:
        """Told by each of its workers: who it is."""
        self._workers.append(worker)


class FoldLauncher:
    """Runs folds by crews, each fold in a thread of its own that waits, and collects what they report.

    It lives in a Ray actor. In threads of the driver a crew's `fit` would still be inside Ray when Ctrl-C
    wants to shut Ray down, and that ends in a crash.

    Args:
        one_machine: Whether no other machine is there or may come.
        folds_per_worker: Folds that a crew trains before it gives way to a new one; None is no bound.
    """

    def __init__(self, one_machine: bool, folds_per_worker: int | None = None) -> None:
        quicken_controllers(one_machine)
        self._folds_per_worker = folds_per_worker
        self._events: deque[tuple[float, str, Event]] = deque()
        self._crews: dict[int, Crew] = {}
        self._lock = threading.Lock()
        self._ended = False

    def push(self, name: str, event: Event, sent: float) -> None:
        """Takes what a fold tells, and the Unix time at which it was sent."""
        self._events.append((sent, name, event))

    def drain(self) -> list[tuple[str, Event]]:
        """What was pushed since the last time, in the order it was sent: the threads here mix it up."""
        events = [self._events.popleft() for _ in range(len(self._events))]
        events.sort(key=lambda event: event[0])
        return [(name, event) for _, name, event in events]

    def next_fold(self, crew: int, last: int, patience: float) -> tuple[int, FoldSpec] | None:
        """Asked by a crew's workers, as `Crew.next_fold`."""
        return self._crews[crew].next_fold(last, patience)

    def enter(self, crew: int, worker: ActorHandle) -> None:
        self._crews[crew].enter(worker)

    def tell(self, crew: int, outcome: Outcome) -> None:
        self._crews[crew].tell(outcome)

    def end(self) -> None:
        """Ends all crews. A launcher that was killed instead would leave what they own taken."""
        with self._lock:
            self._ended = True
        ends = [threading.Thread(target=crew.dismiss, args=(True,)) for crew in self._crews.values()]
        for end in ends:
            end.start()
        for end in ends:
            end.join()

    def run_fold(self, spec: FoldSpec, resources: FoldResources, max_failures: int) -> FoldOutcome:
        """Runs one fold to its end."""

        def fit(attempt: FoldSpec) -> Outcome:
            try:
                crew, number = self._crew_for(attempt, resources)
                return crew.wait(number)
            except BaseException:
                if self._ended:  # its workers were killed; nobody asks any more
                    return "stopped"
                raise

        return run_fold(spec, max_failures, fit, lambda event: self.push(spec.name, event, time.time()))

    def _crew_for(self, spec: FoldSpec, resources: FoldResources) -> tuple[Crew, int]:
        """A crew that has taken the fold, an idle one or a new one, and the fold's number there."""
        needs = Needs(resources.cpus, resources.gpus, resources.workers, spec.precision)
        with self._lock:
            if self._ended:
                raise RuntimeError("the driver has ended all folds")
            alike = [crew for crew in self._crews.values() if crew.needs == needs]
            for crew in sorted(alike, key=lambda crew: crew.architecture != spec.architecture):
                if taken := crew.take(spec):
                    return crew, taken
            others = [crew for crew in self._crews.values() if crew.needs != needs]
            # Workers that share a fold have met each other once and for all; the next fold's meet anew.
            crew = Crew(needs, 1 if resources.workers > 1 else self._folds_per_worker)
            taken = crew.take(spec)
            number = len(self._crews)
            self._crews[number] = crew
        for other in others:  # what they own may be what the new one waits for
            other.dismiss()
        crew.start(self._trainer(number, resources))
        return crew, taken

    def _trainer(self, number: int, resources: FoldResources) -> LightTrainer:
        arguments = {"launcher": ray.get_runtime_context().current_actor, "crew": number}
        return LightTrainer(train_folds, arguments, f"crew-{number}", resources.scaling())
