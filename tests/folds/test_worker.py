"""What workers do around the training itself, without Ray and TensorFlow."""

import json
import logging
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import ray
import ray.train
import ray.train.collective
from plain_settings import plain_spec

from raytrain.errors import ClusterError, RaytrainError, WorkerMemoryError
from raytrain.folds import worker
from raytrain.folds.log import read_log
from raytrain.folds.result import read_fold
from raytrain.folds.spec import FoldData
from raytrain.folds.worker import (
    IDLE_SECONDS,
    TIME_BUDGET,
    WATCH_SECONDS,
    WATCH_STEPS,
    Watch,
    train_fold,
    train_folds,
)
from raytrain.provenance import processor_name
from raytrain.splits.folds import Folds
from raytrain.storage.directory import Directory


@pytest.fixture
def node(monkeypatch):
    """This worker's node: `node.warning` is what Ray says of its end, `node.asked` counts who asked."""
    node = SimpleNamespace(warning=None, asked=0)

    def get_preemption_info():
        node.asked += 1
        return node.warning

    monkeypatch.setattr(ray.train, "get_preemption_info", get_preemption_info)
    return node


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when they are told to."""
    clock = SimpleNamespace(now=1000.0, monotonic=lambda: clock.now, time=lambda: clock.now)
    monkeypatch.setattr(worker, "time", clock)
    return clock


# ── when to pause ──────────────────────────────────────────────────────────────────────────────────


def test_without_a_deadline_and_a_warning_training_goes_on(node, clock):
    watch = Watch(None, 1)
    for _ in range(3):
        assert not watch() and watch.reason == ""
        clock.now += 1e6


def test_from_the_deadline_on_every_step_is_to_pause(node, clock):
    watch = Watch(1010.0, 1)
    assert not watch()
    clock.now = 1009.99
    assert not watch()
    clock.now = 1010.0
    assert watch() and watch() and watch.reason == TIME_BUDGET


def test_the_deadline_is_not_waited_for_between_two_looks(node, clock):
    watch = Watch(1000.25, 1)
    assert not watch()
    clock.now += WATCH_SECONDS / 2
    assert watch() and watch.reason == TIME_BUDGET


def test_a_warning_is_told_once(node, clock):
    node.warning = "soon"
    watch = Watch(None, 1)
    assert watch() and watch.reason == "preemption"
    for _ in range(3):
        clock.now += 2 * WATCH_SECONDS
        assert not watch() and watch.reason == ""


def test_the_deadline_counts_after_a_warning_too(node, clock):
    node.warning = "soon"
    watch = Watch(1010.0, 1)
    assert watch()
    clock.now = 1011.0
    assert watch() and watch.reason == TIME_BUDGET


def test_one_worker_asks_for_a_warning_once_in_a_while(node, clock):
    watch = Watch(None, 1)
    for _ in range(100):
        watch()
    assert node.asked == 1
    clock.now += WATCH_SECONDS
    watch()
    assert node.asked == 2


@pytest.fixture
def agreement(monkeypatch):
    """What the worker of rank 0 says: None passes on what this one says; and all that this one said."""
    agreement = SimpleNamespace(said_by_rank_zero=None, own=[])

    def broadcast(value):
        agreement.own.append(value)
        return value if agreement.said_by_rank_zero is None else agreement.said_by_rank_zero

    monkeypatch.setattr(ray.train.collective, "broadcast_from_rank_zero", broadcast)
    return agreement


def test_several_workers_agree_every_few_steps(node, clock, agreement):
    watch = Watch(1.0, 2)
    asked = [watch() for _ in range(2 * WATCH_STEPS)]
    assert asked == 2 * [*[False] * (WATCH_STEPS - 1), True]
    assert agreement.own == [True, True]


@pytest.mark.parametrize("over", [False, True])
def test_several_workers_pause_by_the_clock_of_rank_zero(node, clock, agreement, over):
    agreement.said_by_rank_zero = over
    watch = Watch(None if over else 1.0, 2)
    assert [watch() for _ in range(WATCH_STEPS)][-1] is over
    assert watch.reason == (TIME_BUDGET if over else "")


def test_several_workers_tell_a_warning_once(node, clock, agreement):
    node.warning = "soon"
    watch = Watch(None, 2)
    asked = [watch() for _ in range(3 * WATCH_STEPS)]
    assert asked.index(True) == WATCH_STEPS - 1 and sum(asked) == 1


# ── a crew's folds ─────────────────────────────────────────────────────────────────────────────────


class Launcher:
    """Hands out folds, each method as an actor's; a call's answer is there at once."""

    def __init__(self, *folds):
        self.given = list(enumerate(folds, start=1))
        self.asked, self.told, self.entered = [], [], []
        self.next_fold = SimpleNamespace(remote=self._next_fold)
        self.tell = SimpleNamespace(remote=lambda crew, outcome: self.told.append((crew, outcome)))
        self.enter = SimpleNamespace(remote=lambda crew, own: self.entered.append((crew, own)))

    def _next_fold(self, crew, last, patience):
        self.asked.append((crew, last, patience))
        return self.given.pop(0) if self.given else None


@pytest.fixture
def crew(monkeypatch, node):
    """Runs a crew's worker; returns the folds it trained."""
    monkeypatch.setattr(ray, "get", lambda answer: answer)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(current_actor="this worker"))

    def run(launcher, rank=0, size=1, train=lambda spec, builder: "committed"):
        trained = []

        def train_and_note(spec, builder):
            trained.append((spec, builder))
            return train(spec, builder)

        context = SimpleNamespace(get_world_rank=lambda: rank, get_world_size=lambda: size)
        monkeypatch.setattr(ray.train, "get_context", lambda: context)
        monkeypatch.setattr(worker, "train_fold", train_and_note)
        train_folds({"launcher": launcher, "crew": 7})
        return trained

    return run


def test_a_worker_trains_each_fold_once_and_tells_how_it_ended(crew):
    launcher, outcomes = Launcher("a", "b", "c"), iter(["committed", "stopped", "committed"])
    trained = crew(launcher, train=lambda spec, builder: next(outcomes))
    assert [spec for spec, _ in trained] == ["a", "b", "c"]
    assert launcher.told == [(7, "committed"), (7, "stopped"), (7, "committed")]
    assert launcher.asked == [(7, last, IDLE_SECONDS) for last in range(4)]
    assert launcher.entered == [(7, "this worker")]


def test_a_worker_without_a_fold_ends(crew):
    launcher = Launcher()
    assert crew(launcher) == [] and launcher.told == []


def test_all_folds_have_one_builder_which_knows_its_rank(crew):
    trained = crew(Launcher("a", "b"), rank=1, size=3)
    [builder] = {builder for _, builder in trained}
    assert (builder.rank, builder.num_workers) == (1, 3)


def test_only_rank_zero_tells(crew):
    launcher = Launcher("a", "b")
    assert len(crew(launcher, rank=1, size=2)) == 2
    assert launcher.told == []


def test_a_node_that_will_go_waits_for_its_first_fold_and_for_no_other(crew, node):
    node.warning = "soon"
    launcher = Launcher("a")
    crew(launcher)
    assert [patience for _, _, patience in launcher.asked] == [IDLE_SECONDS, 0.0]


def test_a_fold_that_fails_ends_the_worker_and_is_not_told(crew):
    launcher = Launcher("a", "b")

    def fail(spec, builder):
        raise RaytrainError("the loss is not finite")

    with pytest.raises(RaytrainError, match="not finite"):
        crew(launcher, train=fail)
    assert launcher.told == [] and len(launcher.given) == 1


# ── one fold ───────────────────────────────────────────────────────────────────────────────────────


class Steps:
    """A training of two epochs of three steps, whose only weight is the number of steps done."""

    NUM_STEPS = 3
    train_rows, valid_rows, refusal, seed = np.array([1]), np.array([0, 2]), None, 42

    def __init__(self, before_step=lambda number: None, epochs=2, dead=0, unlabelled=0):
        self.epoch, self.step, self.history, self.total = 0, 0, [], 0
        self.restarts, self.dead, self.agreed = 0, dead, []  # dead: how often from the beginning
        self.before_step, self.epochs = before_step, epochs
        self.unlabelled, self.num_pseudo_labels = unlabelled, 0
        self.objective = SimpleNamespace(oof_table=self._oof_table)

    @property
    def passes(self):
        return self.epoch + self.step / self.NUM_STEPS

    @property
    def finished(self):
        return self.epoch >= self.epochs and not self.has_another_round

    @property
    def has_another_round(self):
        return self.epoch >= self.epochs and self.num_pseudo_labels < self.unlabelled

    def begin_round(self, initial):
        self.epoch, self.history, self.num_pseudo_labels = 0, [], self.unlabelled
        return self.unlabelled

    @property
    def guess(self):
        again = self.epoch == 0 and self.step == 2 and self.restarts < self.dead
        return SimpleNamespace(reached=0.7, loss=0.69, dead=self.restarts < self.dead, begins_again=again)

    def run_epoch(self, on_step, pause, agree):
        while self.step < self.NUM_STEPS:
            self.before_step(self.total)
            if pause():
                return None
            self.step, self.total = self.step + 1, self.total + 1
            on_step(self.step, self.NUM_STEPS, 0.5)
            if self.guess.begins_again:
                self.agreed.append(agree(0.7))
                return None
        self.epoch, self.step = self.epoch + 1, 0
        return self._end_epoch(self.epoch)

    def _end_epoch(self, epoch):
        self.history.append({"epoch": epoch, "accuracy": self.total / 10})
        return self.history[-1]

    def stop_early(self):
        if self.step:
            self._end_epoch(self.epoch + 0.5)

    def selected(self):
        return {"steps": np.array([self.total], np.float32)}, np.full((2, 2), 0.5), self.history[-1]

    def _oof_table(self, rows, predicted, ids, weights):
        return pa.table({"row": rows, "id": ids.take(pa.array(rows)), "proba_0": predicted[:, 0]})

    def save(self, directory):
        state = [self.epoch, self.step, self.history, self.total, self.restarts, self.seed]
        Path(directory, "state.json").write_text(json.dumps(state))

    def load(self, directory):
        state = json.loads(Path(directory, "state.json").read_text())
        self.epoch, self.step, self.history, self.total, self.restarts, self.seed = state


@pytest.fixture
def spec(tmp_path, monkeypatch):
    """A fold of a run that was begun, as a worker sees it that has trained before."""
    monkeypatch.setattr(ray, "get", lambda value: value)
    monkeypatch.setattr(worker, "describe_worker", lambda: {"node": {"address": "10.0.0.1"}})
    Directory(tmp_path / "run").write_bytes("config.yaml", b"")
    name = "finetune/r0-fold-00"
    targets = np.array([0, 1, 0])
    handlers = list(logging.getLogger().handlers)
    yield plain_spec(
        tmp_path / "run" / "folds" / name,
        name=name,
        data=FoldData(pa.table({}), targets, pa.array(["a", "b", "c"]), None, Folds(targets[None])),
    )
    assert logging.getLogger().handlers == handlers


def builds(training, rank=0, num_workers=1):
    return SimpleNamespace(
        is_new=False, rank=rank, num_workers=num_workers, build=lambda spec, data: training
    )


def events_of(spec):
    return [entry["event"] for entry in read_log(spec.location)]


def test_a_fold_is_trained_to_its_end_and_committed(spec, node):
    assert train_fold(spec, builds(Steps())) == "committed"
    result = read_fold(spec.location, spec.identity)
    assert (result.metrics, result.stopped_early) == ({"epoch": 2, "accuracy": 0.6}, False)
    assert [epoch["epoch"] for epoch in result.record["history"]] == [1, 2]
    assert result.record["node"] == {"address": "10.0.0.1"}
    assert events_of(spec) == ["start", "training", "epoch", "epoch", "committed"]


def test_a_fold_of_ngrams_is_trained_without_tensorflow_and_told_so(spec, node, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("it needs no TensorFlow")

    devices = []
    monkeypatch.setattr(worker, "set_up_tensorflow", refuse)
    monkeypatch.setattr(
        worker, "describe_worker", lambda device: devices.append(device) or {"node": {"address": "a"}}
    )
    builder = builds(Steps())
    builder.is_new = True
    ngrams = replace(spec, architecture="tfidf")
    assert train_fold(ngrams, builder) == "committed" and devices == [processor_name()]


def test_a_fold_whose_worker_died_goes_on_from_its_last_epoch(spec, node):
    def die(number):
        if number == 4:
            raise OSError("killed")

    with pytest.raises(OSError, match="killed"):
        train_fold(spec, builds(Steps(die)))
    assert read_fold(spec.location, spec.identity) is None
    begun = []
    assert train_fold(spec, builds(Steps(begun.append))) == "committed"
    assert begun == [3, 4, 5]
    assert read_fold(spec.location, spec.identity).metrics == {"epoch": 2, "accuracy": 0.6}


def test_after_a_warning_within_an_epoch_training_goes_on(spec, node, clock):
    def warn(number):
        clock.now += 2 * WATCH_SECONDS
        node.warning = "soon" if number >= 2 else None

    assert train_fold(spec, builds(Steps(warn))) == "committed"
    [entry] = [entry for entry in read_log(spec.location) if entry["event"] == "preemption"]
    assert (entry["epoch"], entry["step"]) == (0, 2)
    assert read_fold(spec.location, spec.identity).metrics == {"epoch": 2, "accuracy": 0.6}


def test_a_node_that_goes_after_its_warning_costs_no_step(spec, node, clock):
    def warn_then_die(number):
        clock.now += 2 * WATCH_SECONDS
        if node.warning is not None:
            raise OSError("the node is gone")
        node.warning = "soon" if number == 2 else None

    with pytest.raises(OSError, match="gone"):
        train_fold(spec, builds(Steps(warn_then_die)))
    node.warning, begun = None, []
    train_fold(spec, builds(Steps(begun.append)))
    assert begun == [2, 3, 4, 5]


def test_at_its_deadline_a_fold_commits_what_it_has_learned_and_can_go_on(spec, node, clock):
    def pass_time(number):
        clock.now += 1

    early = replace(spec, deadline=1004.5)
    assert train_fold(early, builds(Steps(pass_time))) == "committed"
    result = read_fold(spec.location, spec.identity)
    assert result.stopped_early and result.metrics == {"epoch": 1.5, "accuracy": 0.4}
    assert events_of(spec)[-3:] == [TIME_BUDGET, "epoch", "committed"]
    begun = []
    assert train_fold(spec, builds(Steps(begun.append))) == "committed"
    result = read_fold(spec.location, spec.identity)
    assert begun == [4, 5] and not result.stopped_early
    assert [epoch["epoch"] for epoch in result.record["history"]] == [1, 2]


def test_a_fold_that_is_cut_has_not_come_to_its_end_by_early_stopping(spec, node, clock):
    """What it has learned of an epoch may be no better than the one before; the whole epoch might be."""

    class Patient(Steps):
        def stop_early(self):
            super().stop_early()
            self.epochs = 0

    def pass_time(number):
        clock.now += 1

    assert train_fold(replace(spec, deadline=1004.5), builds(Patient(pass_time))) == "committed"
    assert read_fold(spec.location, spec.identity).stopped_early
    assert train_fold(spec, builds(Patient())) == "committed"
    result = read_fold(spec.location, spec.identity)
    assert not result.stopped_early and [epoch["epoch"] for epoch in result.record["history"]] == [1, 2]


def test_a_deadline_between_epochs_adds_no_epoch(spec, node, clock):
    def pass_time(number):
        clock.now += 1

    assert train_fold(replace(spec, deadline=1003.5), builds(Steps(pass_time))) == "committed"
    result = read_fold(spec.location, spec.identity)
    assert result.stopped_early and [epoch["epoch"] for epoch in result.record["history"]] == [1]


def test_a_deadline_before_the_first_step_leaves_nothing(spec, node):
    assert train_fold(replace(spec, deadline=time.time() - 1), builds(Steps())) == "stopped"
    assert Directory(spec.location).names() == ["log.jsonl"]


@pytest.fixture
def restarts(monkeypatch):
    """How folds are begun again."""

    def begin_again(training, spec, data):
        training.epoch, training.step, training.total, training.history = 0, 0, 0, []
        training.restarts += 1
        training.seed = spec.again(training.restarts).seed

    monkeypatch.setattr(worker, "begin_again", begin_again)


def test_a_fold_that_learns_nothing_is_begun_again_and_says_so(spec, node, restarts):
    assert train_fold(spec, builds(Steps(dead=2))) == "committed"
    log = read_log(spec.location)
    assert [entry["event"] for entry in log] == [
        *("start", "training", "restarted", "restarted", "epoch", "epoch", "committed")
    ]
    told = [(entry["restarts"], entry["seed"]) for entry in log if entry["event"] == "restarted"]
    assert told == [(number, spec.again(number).seed) for number in (1, 2)]
    assert {(entry["loss"], entry["constant_loss"]) for entry in log[2:4]} == {(0.7, 0.69)}
    record = read_fold(spec.location, spec.identity).record
    assert (record["restarts"], record["seed"], record["dead"]) == (2, spec.again(2).seed, False)
    assert record["metrics"] == {"epoch": 2, "accuracy": 0.6}


def test_a_fold_that_labels_texts_begins_again_with_them_and_says_so(spec, node, monkeypatch):
    monkeypatch.setattr(worker, "begin_round", lambda training, spec, data: training.begin_round(None))
    assert train_fold(spec, builds(Steps(unlabelled=7))) == "committed"
    log = read_log(spec.location)
    assert [entry["event"] for entry in log] == [
        *("start", "training", "epoch", "epoch", "labelled", "epoch", "epoch", "committed")
    ]
    assert log[4]["texts"] == 7
    assert read_fold(spec.location, spec.identity).record["pseudo_labels"] == 7


def test_a_second_round_that_learns_nothing_leaves_what_the_first_learned(spec, node, monkeypatch):
    monkeypatch.setattr(worker, "begin_round", lambda training, spec, data: training.begin_round(None))

    class Doomed(Steps):
        @property
        def guess(self):
            return SimpleNamespace(dead=bool(self.num_pseudo_labels), begins_again=False)

    assert train_fold(spec, builds(Doomed(unlabelled=7))) == "committed"
    result = read_fold(spec.location, spec.identity)
    assert (result.dead, result.stopped_early) == (False, False)
    assert result.record["metrics"] == {"epoch": 2, "accuracy": 0.6}
    assert "pseudo_labels" not in result.record


def test_a_refusal_of_a_fold_before_is_not_told_as_this_ones(spec, node):
    training = Steps()
    training.refusal = "no ptxas"
    train_fold(spec, builds(training))
    assert "uncompiled" not in events_of(spec)
    fresh = Steps()
    fresh.before_step = lambda number: setattr(fresh, "refusal", "no ptxas" if number else None)
    Directory(spec.location).delete()
    train_fold(spec, builds(fresh))
    assert events_of(spec).count("uncompiled") == 1


PAUSE = "time budget"


@pytest.mark.parametrize(("steps_left", "events"), [(0, [PAUSE]), (2, ["labelled", PAUSE])])
def test_a_second_round_that_comes_to_no_end_leaves_what_the_first_learned(
    spec, node, monkeypatch, steps_left, events
):
    monkeypatch.setattr(worker, "begin_round", lambda training, spec, data: training.begin_round(None))
    training = Steps(unlabelled=7)
    clock = SimpleNamespace(over=False)

    def look(number):
        clock.over = number >= 2 * Steps.NUM_STEPS + steps_left

    if not steps_left:
        monkeypatch.setattr(training, "_end_epoch", lambda epoch: ending(training, clock, epoch))
    training.before_step = look
    monkeypatch.setattr(worker.Watch, "_is_over", lambda self: clock.over)
    assert train_fold(spec, builds(training)) == "committed"
    result = read_fold(spec.location, spec.identity)
    assert result.stopped_early and result.record["metrics"] == {"epoch": 2, "accuracy": 0.6}
    told = [entry["event"] for entry in read_log(spec.location)]
    assert [event for event in told if event in ("labelled", PAUSE)] == events


def ending(training, clock, epoch):
    clock.over = epoch == 2
    training.history.append({"epoch": epoch, "accuracy": training.total / 10})
    return training.history[-1]


def test_a_fold_that_lives_says_so_in_its_record(spec, node):
    train_fold(spec, builds(Steps()))
    record = read_fold(spec.location, spec.identity).record
    assert (record["restarts"], record["seed"], record["dead"]) == (0, 42, False)


@pytest.mark.parametrize("died_at", [0, 1])
def test_a_fold_whose_worker_died_after_it_was_begun_again_goes_on_with_that_seed(
    spec, node, restarts, died_at
):
    first = Steps(dead=1)

    def die(number):
        if first.restarts and number == died_at:
            raise OSError("killed")

    first.before_step = die
    with pytest.raises(OSError, match="killed"):
        train_fold(spec, builds(first))
    second = Steps(dead=1)
    assert train_fold(spec, builds(second)) == "committed"
    assert [entry["event"] for entry in read_log(spec.location)].count("restarted") == 1
    record = read_fold(spec.location, spec.identity).record
    assert (record["restarts"], record["seed"]) == (1, spec.again(1).seed)


@pytest.mark.parametrize("rank", [0, 1])
def test_several_workers_begin_again_by_the_loss_of_rank_zero(spec, node, agreement, restarts, rank):
    agreement.said_by_rank_zero = False
    training = Steps(dead=1)
    agreed = []
    training.agreed = agreed
    train_fold(spec, builds(training, rank=rank, num_workers=2))
    assert agreement.own.count(0.7) == 1 and agreed == [False]  # what rank zero said
    assert Directory(spec.location).exists() is (rank == 0)


def test_only_rank_zero_writes(spec, node, agreement):
    assert train_fold(spec, builds(Steps(), rank=1, num_workers=2)) == "committed"
    assert not Directory(spec.location).exists()


def test_a_node_that_does_not_see_the_run_is_told_and_what_to_do(spec):
    Directory(spec.run).remove("config.yaml")
    with pytest.raises(ClusterError, match="does not see") as caught:
        train_fold(spec, builds(Steps()))
    assert spec.run in caught.value.summary and "s3://" in caught.value.problems[0]
    assert Directory(spec.run).files() == []


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's."""


def fail_with(error):
    def fail(number):
        raise error

    return Steps(fail)


def test_short_memory_is_told_in_a_line_without_tensorflows_own_error(spec, node):
    error = ResourceExhaustedError("OOM when allocating tensor\nwith shape [8, 512]")
    with pytest.raises(WorkerMemoryError) as caught:
        train_fold(spec, builds(fail_with(error)))
    assert str(caught.value) == "OOM when allocating tensor"
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


@pytest.mark.parametrize("error", [RaytrainError("the loss is not finite"), OSError("disk")])
def test_other_errors_stay_what_they_are(spec, node, error):
    with pytest.raises(type(error)) as caught:
        train_fold(spec, builds(fail_with(error)))
    assert caught.value is error
