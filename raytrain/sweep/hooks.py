"""Keeps trials' records up to date: on disk, in the table, and where they are tracked."""

import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from raytrain.config.schema import Config
from raytrain.errors import RaytrainError
from raytrain.folds.tracking import Tracker
from raytrain.storage.directory import Directory
from raytrain.sweep.records import ENDED, TrialRecord, write_trial
from raytrain.sweep.table import TrialTable

# The line that ends a traceback: a name with its module or of an error, and its message, if it has one.
_ERROR = re.compile(r"((?:\w+\.)+[A-Z]\w*|\w*(?:Error|Exception|Exit|Interrupt))(?:: (.+))?")
# Of Ray, where a trial's process is gone: killed, its machine taken away, memory short on the machine.
_LOST = ("RayActorError", "ActorDiedError", "ActorUnavailableError", "NodeDiedError", "OutOfMemoryError")
_LISTED = ("  - ", "  … and ")  # as an InputError begins the lines of its problems


class TrialRecorder(Callback):
    """Hears from Tune, in the driver.

    Args:
        sweep: The sweep's directory.
        table: Has the records, those of earlier sessions too.
        tracker: Where folds' scores are logged.
        config: The sweep's config.
        is_ending: Whether the sweep as a whole is stopping, so that a trial that ends was not pruned.
    """

    def __init__(
        self,
        sweep: Directory,
        table: TrialTable,
        tracker: Tracker,
        config: Config,
        is_ending: Callable[[], bool],
    ):
        self._sweep, self._table, self._tracker, self._config = sweep, table, tracker, config
        self._is_ending = is_ending
        # Reported anew only so that the scheduler and the search know them.
        self._replayed = {number for number, r in table.records.items() if r.state in ENDED}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles itself to resume, but a sweep goes on from its records."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        record = self._record(trial)
        if record.number not in self._replayed:
            record.state, record.error = "running", None
            self._table.tell(record)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        record = self._record(trial)
        if len(result["seconds"]) <= record.num_folds:
            return
        record.scores, record.seconds = result["scores"], result["seconds"]
        record.ended = self._table.elapsed
        if record.num_folds >= self._config.sweep.num_folds:
            record.state = "finished"
        write_trial(self._sweep, record)
        metrics = {name: record.mean(name) for name in record.scores}
        self._tracker.log(f"trial-{record.number:04d}", record.num_folds, metrics, record.point)
        if record.num_folds < self._config.sweep.num_folds:
            self._table.tell(record)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        record = self._record(trial)
        if record.number not in self._replayed:
            self._end(record, "stopped" if self._is_ending() else "pruned")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        record = self._record(trial)
        if record.number not in self._replayed:
            record.error, record.ended = _reason(trial), self._table.elapsed
            # By chance, as far as anyone knows: the same command goes on with its next fold.
            self._end(record, "stopped" if record.error.startswith(_LOST) else "failed")

    def stop_running(self) -> None:
        """Says of trials that were running when the sweep ended that they may go on: Tune does not."""
        for record in self._table.records.values():
            if record.state in ("waiting", "running"):
                self._end(record, "stopped")

    def _end(self, record: TrialRecord, state: str) -> None:
        whole = record.num_folds >= self._config.sweep.num_folds
        record.state = "finished" if whole and state != "failed" else state
        write_trial(self._sweep, record)
        self._table.tell(record)

    def _record(self, trial: Trial) -> TrialRecord:
        number = trial.config["number"]
        return self._table.records.setdefault(number, TrialRecord(number, trial.config["point"]))


def _reason(trial: Trial) -> str:
    """Why a trial failed, in a line: the error that ends the traceback that Tune writes, and its problems."""
    try:
        lines = Path(trial.error_file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "it failed, and Ray Tune left no error"
    for number in reversed(range(len(lines))):
        found = _ERROR.fullmatch(lines[number])
        if found:
            name, message = found[1].rpartition(".")[2], found[2]
            told = [] if message is None else [message]
            told += _problems_behind(lines[number + 1 :])
            return ": ".join(told if told and name == RaytrainError.__name__ else [name, *told])
    told = [line.strip() for line in lines if line.strip() and not line.startswith("Failure #")]
    return told[0] if told else "it failed, and Ray Tune left no error"


def _problems_behind(lines: Sequence[str]) -> list[str]:
    """In one text, if any, what an error lists in the lines behind its first one."""
    listed = list(itertools.takewhile(lambda line: line.startswith(_LISTED), lines))
    problems = [line.removeprefix(_LISTED[0]).strip() for line in listed]
    return ["; ".join(problems)] if problems else []
