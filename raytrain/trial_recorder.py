"""Keeps trials' records up to date: on disk, in the table, and where they are tracked."""

import time
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from raytrain.config import Config
from raytrain.errors import RaytrainError
from raytrain.metrics import METRICS
from raytrain.storage import Directory
from raytrain.tracking import Tracker
from raytrain.trial_table import TrialTable
from raytrain.trials import ENDED, TrialRecord, write_trial


class TrialRecorder(Callback):
    """Hears from Tune, in the driver.

    Args:
        sweep: The sweep's directory.
        table: Has the records, those of earlier sessions too.
        tracker: Where folds' scores are logged.
        config: The sweep's config.
    """

    def __init__(self, sweep: Directory, table: TrialTable, tracker: Tracker, config: Config):
        self._sweep, self._table, self._tracker, self._config = sweep, table, tracker, config
        self._started = time.monotonic()
        # Reported anew only so that the scheduler and the search know them.
        self._replayed = {number for number, r in table.records.items() if r.state in ENDED}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles itself to resume, but a sweep goes on from its records."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        record = self._record(trial)
        if record.number not in self._replayed:
            record.state = "running"
            self._table.tell(record)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        record = self._record(trial)
        if len(result["seconds"]) <= record.num_folds:
            return
        record.scores, record.seconds = result["scores"], result["seconds"]
        record.ended = self._table.elapsed
        write_trial(self._sweep, record)
        metrics = {name: record.mean(name) for name in METRICS}
        self._tracker.log(f"trial-{record.number:04d}", record.num_folds, metrics, record.point)
        if record.num_folds < self._config.sweep.num_folds:
            self._table.tell(record)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        record = self._record(trial)
        if record.number in self._replayed:
            return
        budget = self._config.sweep.time_budget
        if record.num_folds >= self._config.sweep.num_folds:
            record.state = "finished"
        elif budget is not None and time.monotonic() - self._started >= budget:
            record.state = "stopped"
        else:
            record.state = "pruned"
        self._end(record)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        record = self._record(trial)
        if record.number not in self._replayed:
            record.state, record.error = "failed", _reason(trial)
            record.ended = self._table.elapsed
            self._end(record)

    def _end(self, record: TrialRecord) -> None:
        write_trial(self._sweep, record)
        self._table.tell(record)

    def _record(self, trial: Trial) -> TrialRecord:
        number = trial.config["number"]
        return self._table.records.setdefault(number, TrialRecord(number, trial.config["point"]))


def _reason(trial: Trial) -> str:
    """Why a trial failed, in few words: our own errors' messages, else the last line of what Ray tells."""
    error: Any = trial.get_error()
    cause = getattr(error, "cause", error)
    if isinstance(cause, RaytrainError):
        return str(cause)
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
