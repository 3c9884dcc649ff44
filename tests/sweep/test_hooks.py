"""What Tune tells of trials becomes their records; Tune itself is not run."""

import io
import json
import pickle
from types import SimpleNamespace

import pytest
from rich.console import Console
from sweep.test_records import config_of, record_of

from raytrain.errors import ConfigError, CorpusError, FoldError, RaytrainError, StorageError
from raytrain.folds.tracking import Tracker
from raytrain.scores.classes import METRICS
from raytrain.storage.directory import Directory
from raytrain.sweep import hooks
from raytrain.sweep.hooks import TrialRecorder
from raytrain.sweep.records import read_trials
from raytrain.sweep.table import TrialTable

POINT = {"train.epochs": 4}


class Listener:
    """A recorder of a sweep of three folds, what it leaves and what it says."""

    def __init__(self, directory, *records):
        self.ending = False
        self.sweep = Directory(directory)
        config, self._console = (
            config_of("tracking.tensorboard=false"),
            Console(file=io.StringIO(), width=200),
        )
        self.table = TrialTable({record.number: record for record in records}, config, self._console)
        tracker = Tracker(self.sweep, config)
        self.logged = []
        tracker.log = lambda *arguments: self.logged.append(arguments)
        self.recorder = TrialRecorder(self.sweep, self.table, tracker, config, lambda: self.ending)

    def report(self, number, values):
        result = {"scores": {name: values for name in METRICS}, "seconds": [1.5] * len(values)}
        self.recorder.on_trial_result(0, [], trial(number), result)

    def start(self, number):
        self.recorder.on_trial_start(0, [], trial(number))

    def complete(self, number):
        self.recorder.on_trial_complete(0, [], trial(number))

    def fail(self, number, error_file="/nowhere"):
        self.recorder.on_trial_error(0, [], trial(number, error_file))

    def state(self, number):
        return self.table.records[number].state

    def on_disk(self):
        return {record.number: (record.state, record.num_folds) for record in read_trials(self.sweep)}

    def lines(self):
        return self._console.file.getvalue().splitlines()


def trial(number, error_file=None):
    return SimpleNamespace(config={"number": number, "point": POINT}, error_file=error_file)


@pytest.fixture
def listener(tmp_path):
    return Listener(tmp_path)


def test_a_trial_runs_is_recorded_fold_by_fold_and_finishes_with_its_last(listener):
    listener.start(0)
    assert (listener.state(0), listener.on_disk()) == ("running", {})
    listener.report(0, [0.5])
    assert listener.on_disk() == {0: ("stopped", 1)}  # as another session would find it
    listener.report(0, [0.5, 0.75])
    listener.report(0, [0.5, 0.75, 1.0])
    assert listener.on_disk() == {0: ("finished", 3)}
    listener.complete(0)
    assert listener.state(0) == "finished"
    assert listener.table.records[0].mean("accuracy") == 0.75


def test_every_fold_is_tracked_with_the_mean_so_far_and_the_point(listener):
    for values in ([0.5], [0.5, 1.0]):
        listener.report(3, values)
    assert [(name, step, scores["auc"], point) for name, step, scores, point in listener.logged] == [
        ("trial-0003", 1, 0.5, POINT),
        ("trial-0003", 2, 0.75, POINT),
    ]


def test_each_change_is_a_line_and_the_last_fold_and_the_end_are_one(listener):
    listener.start(0)
    for values in ([0.5], [0.5, 0.5], [0.5, 0.5, 0.5]):
        listener.report(0, values)
    listener.complete(0)
    assert [line.split()[2] for line in listener.lines()] == ["running", "running", "running", "finished"]


@pytest.mark.parametrize(("ending", "state"), [(False, "pruned"), (True, "stopped")])
def test_a_trial_that_ends_early_was_pruned_unless_the_whole_sweep_ends(listener, ending, state):
    listener.start(0)
    listener.report(0, [0.5])
    listener.ending = ending
    listener.complete(0)
    assert listener.state(0) == state and listener.on_disk() == {0: (state, 1)}


def test_all_folds_are_a_finished_trial_even_while_the_sweep_ends(listener):
    listener.ending = True
    listener.report(0, [0.5, 0.5, 0.5])
    listener.complete(0)
    assert listener.on_disk() == {0: ("finished", 3)}


def test_folds_of_an_earlier_session_are_not_recorded_anew(tmp_path):
    earlier = record_of(1, [0.5, 0.6], "stopped")
    listener = Listener(tmp_path, earlier)
    listener.start(1)
    listener.report(1, [0.5])
    listener.report(1, [0.5, 0.6])
    assert (listener.on_disk(), listener.logged) == ({}, [])
    listener.report(1, [0.5, 0.6, 0.7])
    assert listener.on_disk() == {1: ("finished", 3)}


@pytest.mark.parametrize("state", ["pruned", "finished", "failed"])
def test_a_trial_that_ended_in_an_earlier_session_stays_as_it_was(tmp_path, state):
    listener = Listener(tmp_path, record_of(1, [0.5], state, error="an earlier one"))
    listener.start(1)
    listener.report(1, [0.5])
    listener.complete(1)
    listener.fail(1)
    assert (listener.state(1), listener.table.records[1].error) == (state, "an earlier one")
    assert listener.on_disk() == {} and listener.lines() == []


def test_a_failed_trial_says_why_and_stays_failed_whatever_it_had_trained(listener, tmp_path):
    (tmp_path / "error.txt").write_text("Failure # 1\nValueError: 坏\n", encoding="utf-8")
    listener.report(0, [0.5, 0.5, 0.5])
    listener.fail(0, str(tmp_path / "error.txt"))
    [record] = read_trials(listener.sweep)
    assert (record.state, record.error, record.num_folds) == ("failed", "ValueError: 坏", 3)
    assert listener.lines()[-1].endswith("ValueError: 坏")


@pytest.mark.parametrize(
    "text",
    [
        "ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.\n\tpid: 7\n",
        "ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory.\n",
    ],
)
def test_a_trial_whose_process_is_gone_may_go_on(listener, tmp_path, text):
    (tmp_path / "error.txt").write_text(f"Failure # 1 (occurred at …)\n{text}", encoding="utf-8")
    listener.start(0)
    listener.report(0, [0.5])
    listener.fail(0, str(tmp_path / "error.txt"))
    [record] = read_trials(listener.sweep)
    assert (record.state, record.num_folds) == ("stopped", 1) and "Error" in record.error
    assert "Error" in listener.lines()[-1]
    again = Listener(tmp_path, record)
    again.start(0)
    assert again.table.records[0].error is None


def test_what_runs_or_waits_when_the_sweep_ends_may_go_on(tmp_path):
    records = [record_of(0, [0.5], "pruned"), record_of(1, [0.5, 0.5, 0.5], "waiting")]
    listener = Listener(tmp_path, *records)
    listener.start(2)
    listener.start(3)
    listener.report(3, [0.5])
    listener.recorder.stop_running()
    assert listener.on_disk() == {1: ("finished", 3), 2: ("stopped", 0), 3: ("stopped", 1)}
    assert listener.state(0) == "pruned"


def test_a_storage_that_is_gone_ends_the_sweep(listener, monkeypatch):
    def refuse(*_):
        raise StorageError("gone")

    monkeypatch.setattr(hooks, "write_trial", refuse)
    with pytest.raises(StorageError):
        listener.report(0, [0.5])


def test_tune_keeps_nothing_of_it(listener):
    assert vars(pickle.loads(pickle.dumps(listener.recorder))) == {}


def traceback_of(error):
    """As Tune writes what a trial raised."""
    names = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    return (
        "Failure # 1 (occurred at 2026-01-01_00-00-00)\n"
        f"ray.exceptions.RayTaskError({type(error).__name__}): ray::ImplicitFunc.train() (pid=7)\n"
        '  File "trial.py", line 1, in run_trial\n    raise error  # Error: not this\n'
        f"{names}: {error}\n"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (traceback_of(RaytrainError("the loss is not finite")), "the loss is not finite"),
        (traceback_of(ValueError("no: such thing")), "ValueError: no: such thing"),
        (
            traceback_of(CorpusError("a.csv: 坏", ["row 2: Error: x"])),
            "CorpusError: a.csv: 坏: row 2: Error: x",
        ),
        (
            traceback_of(ConfigError("the config is not valid", ["model.pooling: 坏", "seed: 坏"]))
            + "\nmore\n",
            "ConfigError: the config is not valid: model.pooling: 坏; seed: 坏",
        ),
        (
            traceback_of(ConfigError("坏", ["x"] * 51)),
            f"ConfigError: 坏: {'x; ' * 50}… and 1 more problems",
        ),
        (traceback_of(json.JSONDecodeError("x", "y", 0)), "JSONDecodeError: x: line 1 column 1 (char 0)"),
        ("KeyError: 'first'\n\nDuring handling …\n\nTypeError: second\n", "TypeError: second"),
        ("Traceback:\nMemoryError\n", "MemoryError"),
        ("Traceback:\nzipfile.BadZipFile: cut short\nHint: fetch it again\n", "BadZipFile: cut short"),
        ("Failure # 1\n\n  The worker died.  \nmore\n", "The worker died."),
        ("Failure # 1\n", "it failed, and Ray Tune left no error"),
        ("", "it failed, and Ray Tune left no error"),
    ],
)
def test_the_reason_is_the_error_at_the_end(listener, tmp_path, text, reason):
    (tmp_path / "error.txt").write_text(text, encoding="utf-8")
    listener.fail(0, str(tmp_path / "error.txt"))
    assert listener.table.records[0].error == reason


def test_bytes_that_are_no_text_hide_no_reason(listener, tmp_path):
    (tmp_path / "error.txt").write_bytes(b"\xff\xfe\nOSError: disk \xff\n")
    listener.fail(0, str(tmp_path / "error.txt"))
    assert listener.table.records[0].error == "OSError: disk \ufffd"


def test_without_an_error_file_a_failure_is_a_failure(listener, tmp_path):
    listener.fail(0, str(tmp_path / "absent.txt"))
    assert listener.state(0) == "failed"
    assert "left no error" in listener.table.records[0].error


def test_a_failure_of_folds_is_told_by_its_first_line(listener, tmp_path):
    error = FoldError({"crf/r0-fold-00": "killed"}, "run again")
    (tmp_path / "error.txt").write_text(traceback_of(error), encoding="utf-8")
    listener.fail(0, str(tmp_path / "error.txt"))
    told = listener.table.records[0].error
    assert told == "FoldError: 1 fold run(s) failed; every other one that was trained is committed."
