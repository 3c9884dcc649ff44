"""One training by Ray Train to its end: its attempts, and what a failure means for the next one."""

import contextlib
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, Protocol, TypeVar

from raytrain.errors import RaytrainError, StorageError, WorkerMemoryError
from raytrain.folds.events import Retried
from raytrain.folds.log import FoldLog
from raytrain.folds.result import FoldResult, clear_checkpoint, read_fold
from raytrain.folds.spec import FoldSpec
from raytrain.folds.trainer import causes_of, found_no_room
from raytrain.storage.directory import Directory

Fit = Callable[[FoldSpec], str]
Kind = Literal["permanent", "memory", "chance"]
Result = TypeVar("Result")


class Attempted(Protocol):
    """What is asked of a training: where it lies, in how many pieces it takes a batch, until when it may run.

    A dataclass.
    """

    @property
    def location(self) -> str: ...

    @property
    def accumulation(self) -> int: ...

    @property
    def deadline(self) -> float | None: ...

    @property
    def settings(self) -> Any: ...


Spec = TypeVar("Spec", bound=Attempted)


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """How a training ended.

    Attributes:
        result: What it committed; None where it failed, or stopped before it had learned anything.
        failure: The text of its failure, or "".
        storage: Where the failure was that the storage is gone: what is wrong with it.
    """

    result: Result | None
    failure: str = ""
    storage: str = ""


FoldOutcome = Outcome[FoldResult]


def run_fold(spec: FoldSpec, max_failures: int, fit: Fit, tell: Callable[[Retried], None]) -> FoldOutcome:
    """`run_attempts` of a fold; `fit` returns what `folds.worker.train_fold` does."""
    return run_attempts(spec, max_failures, lambda spec: _read_outcome(spec, fit(spec)), tell)


def run_attempts(
    spec: Spec,
    max_failures: int,
    fit: Callable[[Spec], Outcome[Result]],
    tell: Callable[[Retried], None],
) -> Outcome[Result]:
    """Attempts a training until it is committed or given up; each goes on from the last checkpoint.

    - No machine had room yet: again, until the deadline.
    - Memory that was short: again with each batch in twice as many pieces; of n-grams, chance.
    - An error that would recur, as a loss that is not finite: given up at once.
    - Anything else, as a worker that was killed: again, up to `max_failures` times. While the storage
      cannot be written the next attempt waits, and the failure is not counted.

    Args:
        spec: What is trained.
        max_failures: Failures by chance that are forgiven.
        fit: Trains it once.
        tell: Called with an event for the driver.
    """
    num_failures = 0
    while True:
        try:
            return _fit_once_there_is_room(spec, fit, tell)
        except Exception as error:
            failure, kind = traceback.format_exc(), judge(error)
        try:
            waited = _wait_for_storage(spec)
        except StorageError as gone:
            return Outcome(None, failure, str(gone))
        if kind == "memory" and not getattr(spec, "is_network", True):
            kind = "chance"  # of what has no batches; other folds may have taken the room
        if kind == "memory" and spec.accumulation < spec.settings.batch_size:
            spec = replace(spec, accumulation=2 * spec.accumulation)  # type: ignore[type-var]
            size = -(-spec.settings.batch_size // spec.accumulation)
            what = f"out of memory: again with batches in {spec.accumulation} pieces of {size}"
        elif kind == "chance" and waited:
            what = "the storage could not be written: again"
        else:
            num_failures += 1
            if kind != "chance" or num_failures > max_failures:
                _note(spec, "given up", failure)
                return Outcome(None, failure)
            what = f"failure {num_failures} of {max_failures} that are forgiven: again"
        _note(spec, what, failure)
        tell(Retried(what))


def _fit_once_there_is_room(
    spec: Spec, fit: Callable[[Spec], Outcome[Result]], tell: Callable[[Retried], None]
) -> Outcome[Result]:
    """Trains; where no machine has room, tries again until the deadline."""
    has_told = False
    while True:
        try:
            return fit(spec)
        except Exception as error:
            if not any(found_no_room(cause) for cause in causes_of(error)):
                raise
        if spec.deadline is not None and time.time() >= spec.deadline:
            return Outcome(None)
        if not has_told:
            tell(Retried("no machine has room yet: waiting"))
        has_told = True


def _read_outcome(spec: FoldSpec, outcome: str) -> FoldOutcome:
    if outcome == "stopped":
        return FoldOutcome(None)
    result = read_fold(spec.location, spec.identity)
    if result is None:
        missing = f"expected {spec.location}/result/result.json, found none; do all nodes reach this storage?"
        return FoldOutcome(None, missing)
    if not result.stopped_early:
        with contextlib.suppress(OSError):
            clear_checkpoint(spec.location)
    return FoldOutcome(result)


def judge(error: BaseException) -> Kind:
    """Whether an error of `fit` would recur, was for lack of memory, or may have been chance."""
    causes = causes_of(error)
    # Ray's memory monitor ends a worker before the kernel would; its word is all that is left of it.
    if any(isinstance(cause, WorkerMemoryError) or "running low on memory" in str(cause) for cause in causes):
        return "memory"
    ours = any(isinstance(cause, RaytrainError) and not isinstance(cause, OSError) for cause in causes)
    return "permanent" if ours else "chance"


def _wait_for_storage(spec: Attempted) -> bool:
    """Returns whether the storage had to be waited for. Raises StorageError where it is gone for good."""
    directory = Directory(spec.location)
    if directory.is_writable():
        return False
    directory.write_bytes(".probe", b"")  # which is patient
    directory.remove(".probe")
    return True


def _note(spec: Attempted, what: str, failure: str) -> None:
    """Writes to the fold's log; that it cannot be written is no failure of the fold."""
    with contextlib.suppress(Exception):
        FoldLog(spec.location).add("failure", next=what, error=failure)
