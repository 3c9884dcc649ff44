"""What a failed attempt at a fold means for the next, without Ray."""

import json
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from plain_settings import plain_settings, plain_spec
from ray.train import ControllerError, WorkerGroupError
from ray.train.v2._internal.exceptions import (
    UserExceptionWithTraceback,
    WorkerGroupStartupTimeoutError,
)

from raytrain.errors import RaytrainError, StorageError, WorkerMemoryError
from raytrain.folds.attempts import FoldOutcome, judge, run_fold
from raytrain.folds.log import FoldLog, read_log
from raytrain.folds.result import commit_fold
from raytrain.folds.spec import FoldData
from raytrain.splits.folds import Folds
from raytrain.storage.directory import Directory


@pytest.fixture
def spec(tmp_path):
    return plain_spec(
        tmp_path / "run" / "folds" / "finetune" / "r0-fold-00",
        settings=plain_settings(batch_size=8, epochs=1),
    )


def commit(spec, stopped_early=False):
    weights = {"logits": np.ones(3, np.float32)}
    facts = {"stopped_early": stopped_early}
    ids, targets = pa.array(["a", "b", "c"]), np.array([0, 1, 0])
    data = FoldData(pa.table({}), targets, ids, embedding=None, folds=Folds(targets[None]))
    oof = pa.table({"row": [0, 2], "id": ["a", "c"], "proba_0": [0.5, 0.5], "proba_1": [0.5, 0.5]})
    commit_fold(spec, data, weights, oof, {"accuracy": 1.0}, [{"epoch": 1}], 1.0, facts)
    return "committed"


def failing(errors, then=commit):
    """A fit that raises one error after another, then commits; and the attempts it saw."""
    left, seen = list(errors), []

    def fit(spec):
        seen.append(spec)
        if left:
            raise left.pop(0)
        return then(spec)

    return fit, seen


def run(spec, fit, max_failures=2):
    told = []
    outcome = run_fold(spec, max_failures, fit, lambda event: told.append(event.what))
    return outcome, told


def in_worker(error):
    """As Ray Train raises what a worker raised."""
    return WorkerGroupError(f"[rank 0] {error}", {0: UserExceptionWithTraceback(error, str(error))})


KILLED = WorkerGroupError("[rank 0] SIGKILL", {0: RuntimeError("The worker died: SIGKILL")})


def test_a_fold_that_is_committed_at_once_is_attempted_once(spec):
    fit, seen = failing([])
    outcome, told = run(spec, fit)
    assert outcome.result.name == spec.name and len(seen) == 1 and not told


def test_a_killed_worker_is_forgiven_and_said(spec):
    fit, seen = failing([KILLED, KILLED])
    outcome, told = run(spec, fit)
    assert outcome.result is not None and len(seen) == 3
    assert told == [f"failure {number} of 2 that are forgiven: again" for number in (1, 2)]


def test_one_failure_too_many_ends_the_fold_with_its_text(spec):
    fit, seen = failing([KILLED] * 3)
    outcome, _ = run(spec, fit)
    assert outcome.result is None and len(seen) == 3
    assert "SIGKILL" in outcome.failure and "Traceback" in outcome.failure


def test_a_loss_that_is_not_finite_is_not_tried_again(spec):
    fit, seen = failing([in_worker(RaytrainError("the loss is not finite"))] * 3)
    outcome, _ = run(spec, fit)
    assert len(seen) == 1 and "the loss is not finite" in outcome.failure


def test_short_memory_halves_the_pieces_of_a_batch_without_counting(spec):
    fit, seen = failing([in_worker(WorkerMemoryError("OOM"))] * 3)
    outcome, told = run(spec, fit, max_failures=0)
    assert [attempt.accumulation for attempt in seen] == [1, 2, 4, 8]
    assert told[0] == "out of memory: again with batches in 2 pieces of 4"
    assert outcome.result.record["accumulation"] == 8


def test_n_grams_have_no_batches_to_cut(spec):
    fit, seen = failing([in_worker(WorkerMemoryError("OOM"))] * 3)
    outcome, told = run(replace(spec, architecture="tfidf"), fit, max_failures=2)
    assert [attempt.accumulation for attempt in seen] == [1] * 3 and "OOM" in outcome.failure
    assert told == [f"failure {number} of 2 that are forgiven: again" for number in (1, 2)]


NO_ROOM = ControllerError(WorkerGroupStartupTimeoutError(1))


def test_a_fold_waits_for_room_without_counting(spec):
    fit, seen = failing([NO_ROOM] * 5)
    outcome, told = run(spec, fit, max_failures=0)
    assert outcome.result is not None and len(seen) == 6
    assert told == ["no machine has room yet: waiting"]


def test_after_the_deadline_a_fold_waits_no_more(spec):
    fit, seen = failing([NO_ROOM] * 5)
    outcome, _ = run(replace(spec, deadline=time.time() - 1), fit)
    assert outcome == FoldOutcome(None) and len(seen) == 1


def test_memory_that_is_short_for_a_single_text_ends_the_fold(spec):
    fit, seen = failing([in_worker(WorkerMemoryError("OOM"))] * 9)
    outcome, _ = run(spec, fit)
    assert len(seen) == 4 and "OOM" in outcome.failure


def test_the_memory_monitors_word_is_understood():
    text = "Task was killed due to the node running low on memory."
    assert judge(WorkerGroupError("x", {0: RuntimeError(text)})) == "memory"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (in_worker(RaytrainError("no")), "permanent"),
        (in_worker(StorageError("s3://bucket: gone")), "chance"),
        (in_worker(ValueError("no")), "chance"),
        (KILLED, "chance"),
        (OSError("disk"), "chance"),
    ],
)
def test_kinds_of_failures(error, kind):
    assert judge(error) == kind


def test_a_failure_while_the_storage_is_away_is_not_counted(spec, monkeypatch):
    fit, seen = failing([KILLED, KILLED])
    monkeypatch.setattr(Directory, "is_writable", lambda self: False)
    outcome, told = run(spec, fit, max_failures=0)
    assert outcome.result is not None and len(seen) == 3
    assert told == ["the storage could not be written: again"] * 2


def test_a_storage_that_is_gone_for_good_ends_the_fold(spec, monkeypatch):
    def refuse(self, name, data):
        raise StorageError("gone")

    fit, seen = failing([KILLED])
    monkeypatch.setattr(Directory, "is_writable", lambda self: False)
    monkeypatch.setattr(Directory, "write_bytes", refuse)
    outcome, _ = run(spec, fit, max_failures=5)
    assert outcome.result is None and outcome.storage == "gone" and len(seen) == 1


def test_a_fold_stopped_before_it_learned_is_no_failure(spec):
    outcome, _ = run(spec, lambda attempt: "stopped")
    assert outcome.result is None and outcome.failure == ""


def test_a_commit_that_the_driver_does_not_see_is_a_failure_that_asks_for_the_storage(spec):
    outcome, _ = run(spec, lambda attempt: "committed")
    assert "do all nodes reach this storage?" in outcome.failure


@pytest.mark.parametrize("stopped_early", [False, True])
def test_the_checkpoint_goes_once_a_fold_is_finished(spec, stopped_early):
    directory = Directory(spec.location)
    directory.write_bytes("checkpoint/latest.json", b"{}")
    run(spec, lambda attempt: commit(attempt, stopped_early))
    assert directory.exists("checkpoint") == stopped_early
    assert directory.exists("result/result.json")


def test_the_log_holds_every_attempt_in_one_file(spec):
    FoldLog(spec.location).add("start", step=0)
    fit, _ = failing([KILLED, in_worker(WorkerMemoryError("OOM"))])
    run(spec, fit)
    log = read_log(spec.location)
    assert [entry["event"] for entry in log] == ["start", "failure", "failure"]
    assert "SIGKILL" in log[1]["error"] and "in 2 pieces" in log[2]["next"]


def test_a_newer_commit_is_never_beside_older_weights(spec, monkeypatch):
    """A fold that was stopped early is committed again: between its files there is no result.json."""
    commit(spec, stopped_early=True)
    seen = []
    write = Directory.write_bytes

    def watched(self, name, data):
        seen.append((name, (Directory(spec.location) / "result").exists("result.json")))
        write(self, name, data)

    monkeypatch.setattr(Directory, "write_bytes", watched)
    commit(replace(spec, accumulation=2))
    assert seen == [("model.safetensors", False), ("oof.parquet", False), ("result.json", False)]
    record = json.loads((Directory(spec.location) / "result").read_bytes("result.json"))
    assert record["accumulation"] == 2
