"""Trials run by Ray Tune: which comes next, which is pruned, and what ends them all."""

import contextlib
import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

from ray import tune
from ray.tune import Stopper, TuneError
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from raytrain.config.schema import Config
from raytrain.errors import StorageError
from raytrain.folds.resources import FoldResources
from raytrain.folds.tracking import Tracker
from raytrain.storage.directory import Directory
from raytrain.sweep.hooks import TrialRecorder
from raytrain.sweep.points import PointSearcher, PointSource
from raytrain.sweep.records import TrialRecord
from raytrain.sweep.table import TrialTable
from raytrain.sweep.trial import TrialBasis, run_trial
from raytrain.tasks import LOWER_IS_BETTER


def run_trials(
    sweep: Directory,
    config: Config,
    source: PointSource,
    bases: dict[str, TrialBasis],
    resources: FoldResources,
    table: TrialTable,
    tracker: Tracker,
) -> None:
    """Runs the trials that are left; what they leave is written by their recorder.

    Args:
        sweep: The sweep's directory.
        config: The config that every trial starts from.
        source: Says which point comes next.
        bases: What trials learn from, by `sweep.trial.input_key`.
        resources: What each trial takes of the cluster.
        table: The trials there are, drawn while they run.
        tracker: Where their scores are logged.

    Raises:
        StorageError: It is gone.
        KeyboardInterrupt: After Ctrl-C, once the trials' processes have ended.
    """
    # Tune's own loggers, tables and way to handle Ctrl-C would stand beside ours.
    os.environ |= {
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "RAY_AIR_NEW_OUTPUT": "0",
    }
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # a trial's failure stands in its record
    ending = _Ending(config.sweep.time_budget)
    earlier = dict(table.records)
    searcher = PointSearcher(source, {n: record.point for n, record in earlier.items()}, config.sweep.metric)
    recorder = TrialRecorder(sweep, table, tracker, config, ending.stop_all)
    # What Tune needs to go on by itself is not kept: our records are enough, and wait for their storage.
    with tempfile.TemporaryDirectory() as scratch, table.shown():
        tuner = tune.Tuner(
            _trainable(config, bases, earlier, resources),
            tune_config=_tune_config(config, searcher, resources),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=scratch,
                callbacks=[recorder],
                stop=ending,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=0),
            ),
        )
        try:
            with ending.heeded():
                tuner.fit()
        except TuneError as error:
            _raise_storage_error(error)
            raise
        finally:
            recorder.stop_running()
    if ending.interrupted:
        raise KeyboardInterrupt


class _Median(MedianStoppingRule):
    """Lets a trial go on while there are too few others to judge it by.

    Ray's pauses it for others to catch up, and a trial that is paused begins anew.
    """

    def _on_insufficient_samples(self, *given: Any) -> str:
        return str(TrialScheduler.CONTINUE)


def _scheduler(config: Config) -> TrialScheduler:
    """Prunes by the mean over the folds so far, after each fold."""
    options = config.sweep
    order: dict[str, Any] = {
        "metric": options.metric,
        "mode": "min" if options.metric in LOWER_IS_BETTER else "max",
    }
    if options.scheduler == "asha" and options.num_folds > 1:
        return ASHAScheduler("folds", max_t=options.num_folds, grace_period=1, reduction_factor=2, **order)
    if options.scheduler == "median":
        return _Median("folds", grace_period=1, min_samples_required=3, **order)
    return FIFOScheduler()


def _trainable(
    config: Config,
    bases: dict[str, TrialBasis],
    earlier: dict[int, TrialRecord],
    resources: FoldResources,
) -> Any:
    """`run_trial` with what all trials share, and what each of them takes of the cluster."""
    trainable = tune.with_parameters(
        run_trial,
        bases=bases,
        earlier=earlier,
        num_folds=config.sweep.num_folds,
        threads=resources.cpus,
        gpu_share=resources.gpus or None,
    )
    gpus = {"gpu": resources.gpus} if resources.gpus else {}
    return tune.with_resources(trainable, {"cpu": resources.cpus, **gpus})


def _tune_config(config: Config, searcher: PointSearcher, resources: FoldResources) -> tune.TuneConfig:
    options = config.sweep
    return tune.TuneConfig(
        search_alg=searcher,
        scheduler=_scheduler(config),
        num_samples=-1 if options.search == "grid" else options.num_trials,  # a grid ends by itself
        max_concurrent_trials=resources.slots,
        reuse_actors=True,  # a trial's process would else begin with seconds of imports
    )


def _raise_storage_error(error: BaseException | None) -> None:
    """Raises what a record's storage said, of which Tune tells the traceback alone."""
    while error is not None:
        if isinstance(error, StorageError):
            raise error
        error = error.__cause__ or error.__context__


class _Ending(Stopper):
    """What ends a sweep before its last trial: Ctrl-C, or its time budget.

    As a reason for Tune to stop, Ctrl-C lets it end its trials' processes before it returns.
    """

    def __init__(self, time_budget: float | None):
        self.interrupted = False
        self._end = None if time_budget is None else time.monotonic() + time_budget

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.interrupted or (self._end is not None and time.monotonic() >= self._end)

    @contextlib.contextmanager
    def heeded(self) -> Iterator[None]:
        """Listens to SIGINT while the block runs; the second one is a KeyboardInterrupt as ever."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def note(signum: int, frame: Any) -> None:
            self.interrupted = True
            signal.signal(signal.SIGINT, before)

        signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
