"""How Tune is set up; whole sweeps lie in runs/test_sweep."""

import itertools
import os
import signal
import threading
import time
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from sweep.test_records import config_of

from raytrain.errors import StorageError
from raytrain.folds.resources import FoldResources
from raytrain.sweep.points import ListedPoints, PointSearcher
from raytrain.sweep.tune import _Ending, _raise_storage_error, _scheduler, _tune_config

GOES_ON, STOPS = TrialScheduler.CONTINUE, TrialScheduler.STOP


@pytest.fixture
def interruptible():
    """A shell's background jobs ignore SIGINT, and so would these tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class StubTrial:
    """As much of a trial as schedulers look at."""

    trial_id: str


def decisions(scores, **options):
    """What becomes of trials that report these scores of their first fold, one trial after another."""
    config = config_of(*(f"sweep.{key}={value}" for key, value in options.items()))
    scheduler, metric = _scheduler(config), config.sweep.metric
    found = []
    for number, score in enumerate(scores):
        trial = StubTrial(str(number))
        scheduler.on_trial_add(None, trial)
        result = {"folds": 1, metric: score, "training_iteration": 1, "time_total_s": 1.0}
        found.append(scheduler.on_trial_result(SimpleNamespace(get_live_trials=list), trial, result))
    return found


@pytest.mark.parametrize(
    ("metric", "scores"), [("accuracy", [0.5, 0.9, 0.1, 0.95]), ("log_loss", [0.5, 0.1, 0.9, 0.05])]
)
def test_asha_lets_the_better_half_go_on_whichever_way_is_better(metric, scores):
    assert decisions(scores, scheduler="asha", metric=metric) == [GOES_ON, GOES_ON, STOPS, GOES_ON]


@pytest.mark.parametrize("options", [{"scheduler": "none"}, {"scheduler": "asha", "num_folds": 1}])
def test_nothing_is_pruned_where_that_is_not_wanted_or_there_is_one_fold(options):
    assert decisions([0.9, 0.8, 0.1], **options) == [GOES_ON] * 3


@pytest.mark.parametrize(
    ("metric", "scores"),
    [("accuracy", [0.5, 0.6, 0.1, 0.1, 0.9]), ("log_loss", [0.5, 0.4, 0.9, 0.9, 0.1])],
)
def test_the_median_prunes_what_is_worse_once_there_are_three_others(metric, scores):
    found = decisions(scores, scheduler="median", metric=metric)
    assert found == [GOES_ON, GOES_ON, GOES_ON, STOPS, GOES_ON]


def test_the_median_pauses_no_trial_for_others_to_catch_up():
    scheduler, waiting = _scheduler(config_of("sweep.scheduler=median")), SimpleNamespace(status="PENDING")
    trial = StubTrial("0")
    scheduler.on_trial_add(None, trial)
    result = {"folds": 1, "accuracy": 0.5, "training_iteration": 1, "time_total_s": 1.0}
    controller = SimpleNamespace(get_live_trials=lambda: [waiting])
    assert scheduler.on_trial_result(controller, trial, result) == GOES_ON


@pytest.mark.parametrize(
    ("options", "num_samples"),
    [
        ({"search": "random", "num_trials": 7}, 7),
        ({"search": "optuna", "num_trials": 7}, 7),
        ({"search": "grid", "num_trials": 7}, -1),
    ],
)
def test_a_grid_has_as_many_trials_as_points_and_the_others_as_many_as_are_asked_for(options, num_samples):
    config = config_of("sweep.scheduler=none", *(f"sweep.{key}={value}" for key, value in options.items()))
    searcher = PointSearcher(ListedPoints([]), {}, "accuracy")
    found = _tune_config(config, searcher, FoldResources(workers=1, cpus=2, gpus=0.0, slots=3))
    assert (found.num_samples, found.max_concurrent_trials) == (num_samples, 3)
    assert found.search_alg is searcher and type(found.scheduler) is FIFOScheduler


def chain(*errors):
    """The first error, raised from the second, and so on."""
    for error, cause in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[0]


def test_what_the_storage_said_is_raised_from_within_tunes_error():
    gone = StorageError("gone")
    with pytest.raises(StorageError) as caught:
        _raise_storage_error(chain(RuntimeError("tune"), ValueError("callback"), gone))
    assert caught.value is gone


def test_an_error_while_another_was_handled_is_looked_through_too():
    outer = RuntimeError("tune")
    outer.__context__ = StorageError("gone")
    with pytest.raises(StorageError, match="gone"):
        _raise_storage_error(outer)


@pytest.mark.parametrize("error", [None, chain(RuntimeError("tune"), ValueError("callback"))])
def test_other_errors_are_left_to_who_asked(error):
    assert _raise_storage_error(error) is None


def test_a_sweep_ends_at_its_time_or_at_ctrl_c(interruptible):
    assert not _Ending(None).stop_all()
    assert not _Ending(1000.0).stop_all()
    assert _Ending(1e-9).stop_all()
    ending = _Ending(None)
    with ending.heeded():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        assert ending.stop_all() and ending.interrupted
        with pytest.raises(KeyboardInterrupt):  # the second one
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)


def test_no_single_trial_is_ended_by_it():
    assert _Ending(1e-9)("trial", {}) is False


def test_ctrl_c_is_as_before_once_the_trials_have_ended(interruptible):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), _Ending(None).heeded():
        assert signal.getsignal(signal.SIGINT) is not before
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_signals_are_left_alone():
    """Python hands them to the main thread alone."""
    seen = []

    def run():
        with _Ending(None).heeded():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
