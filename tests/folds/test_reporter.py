import logging
import math
from types import SimpleNamespace

import pytest
from plain_settings import plain_settings, plain_spec

from raytrain.folds import reporter as module
from raytrain.folds.events import EpochEnded, MemoryTaken, Restarted, Retried, Started, Stepped
from raytrain.folds.log import read_log
from raytrain.folds.reporter import FoldReporter, SilentReporter
from raytrain.folds.spec import FoldSpec


class Clock:
    """Seconds that pass only when they are told to."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def time(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def root_handlers():
    """Gives the root logger its handlers back."""
    before = list(logging.getLogger().handlers)
    yield
    logging.getLogger().handlers[:] = before


@pytest.fixture
def told():
    """What an actor would be told."""
    return []


@pytest.fixture
def spec(tmp_path, told):
    push = SimpleNamespace(remote=lambda name, event, sent: told.append((name, event, sent)))
    return plain_spec(
        tmp_path / "run" / "folds" / "finetune" / "r0-fold-00",
        settings=plain_settings(batch_size=8, epochs=2),
        progress=SimpleNamespace(push=push),
    )


@pytest.fixture
def reporter(spec, clock):
    return FoldReporter(spec)


def steps_of(told):
    return [event for _, event, _ in told if isinstance(event, Stepped)]


def test_steps_are_told_twice_a_second_and_the_last_always(reporter, told, clock):
    for step in range(1, 11):
        clock.now += 0.2
        reporter.on_step(step, 10, loss=1 / step, passes=step / 10)
    assert [event.step for event in steps_of(told)] == [3, 6, 9, 10]
    assert [event.loss for event in steps_of(told)] == [1 / 3, 1 / 6, 1 / 9, 1 / 10]
    assert {event.num_steps for event in steps_of(told)} == {10}


def test_the_rate_is_that_since_the_last_word(reporter, told, clock):
    clock.now += 2.0
    reporter.on_step(5, 20, loss=1.0, passes=5 / 20)
    clock.now += 0.5
    reporter.on_step(10, 20, loss=1.0, passes=10 / 20)
    assert [event.rate for event in steps_of(told)] == pytest.approx([5 * 8 / 2.0, 5 * 8 / 0.5])


def test_every_epoch_counts_its_own_steps_alone(reporter, told, clock):
    for epoch in range(3):
        for step in range(10, 51, 10):
            clock.now += 1.0
            reporter.on_step(step, 50, loss=1.0, passes=step / 50)
        clock.now += 3.0  # the valid rows are predicted
        reporter.on_epoch({"epoch": epoch + 1, "loss": 1.0})
    assert {event.rate for event in steps_of(told)} == {80.0}


def test_a_run_with_a_chinese_name_has_tags_that_metrics_take(tmp_path):
    place = SimpleNamespace(run="/tmp/runs/运行 一", name="r0-fold-00", location=str(tmp_path))
    reporter = FoldReporter(place)
    for gauge in reporter._gauges.values():
        assert all(value.isascii() for value in gauge._default_tags.values())
        assert gauge._default_tags["run"] == "%E8%BF%90%E8%A1%8C %E4%B8%80"


def test_an_epoch_of_one_word_has_its_rate_too(reporter, told, clock):
    for epoch in range(3):
        clock.now += 0.25
        reporter.on_step(8, 8, loss=1.0, passes=8 / 8)
        reporter.on_epoch({"epoch": epoch + 1, "loss": 1.0})
    assert [event.rate for event in steps_of(told)] == [8 * 8 / 0.25] * 3


def test_steps_that_are_counted_on_behind_an_evaluation_have_their_rate(reporter, told, clock):
    """Of a pre-training, whose evaluations know their step."""
    for step in range(10, 51, 10):
        clock.now += 1.0
        reporter.on_step(step, 50, loss=1.0, passes=step / 20)
        reporter.on_epoch({"epoch": step / 20, "step": step, "loss": 1.0})
    assert {event.rate for event in steps_of(told)} == {80.0}


def test_the_gauge_of_epochs_has_what_was_passed_over_and_no_more(reporter, clock, monkeypatch):
    told = []
    monkeypatch.setitem(reporter._gauges, "epoch", SimpleNamespace(set=told.append))
    for step in (10, 20):
        clock.now += 1.0
        reporter.on_step(step, 20, loss=1.0, passes=step / 8)
        reporter.on_epoch({"epoch": step / 8, "step": step, "loss": 1.0})
    assert told == [1.25, 1.25, 2.5, 2.5]


def test_steps_of_an_earlier_attempt_do_not_count(reporter, told, clock, root_handlers):
    reporter.on_start(0, 90, {"node": {"address": "10.0.0.1"}})
    clock.now += 1.0
    reporter.on_step(100, 100, loss=1.0, passes=100 / 100)
    assert [event.rate for event in steps_of(told)] == [80.0]


def test_a_word_carries_the_fold_and_the_time_at_which_it_was_sent(reporter, told, clock):
    clock.now += 7
    reporter.on_memory(3 << 30, 16 << 30)
    assert told == [("finetune/r0-fold-00", MemoryTaken(3 << 30, 16 << 30), 1007.0)]


def test_that_xla_cannot_compile_is_told_and_logged(reporter, spec, told):
    reporter.on_refusal("InternalError: no ptxas")
    [(_, event, _)], [entry] = told, read_log(spec.location)
    assert isinstance(event, Retried) and "InternalError: no ptxas" in event.what
    assert (entry["event"], entry["reason"]) == ("uncompiled", "InternalError: no ptxas")


def test_that_a_fold_begins_again_is_told_and_logged(reporter, spec, told):
    event = Restarted(0.69312, 0.68811, seed=77, restarts=1, allowed=2)
    reporter.on_restart(event)
    assert [event for _, event, _ in told] == [event]
    assert event.what == (
        "learns nothing (loss 0.693, a constant guess has 0.688): begun again with another seed, 1 of 2"
    )
    [entry] = read_log(spec.location)
    assert entry.pop("time") and entry == {
        "event": "restarted",
        "loss": 0.69312,
        "constant_loss": 0.68811,
        "seed": 77,
        "restarts": 1,
        "allowed": 2,
    }


def test_steps_before_a_fold_was_begun_again_do_not_count(reporter, told, clock):
    clock.now += 1.0
    reporter.on_step(90, 100, loss=1.0, passes=90 / 100)
    reporter.on_restart(Restarted(0.7, 0.7, 77, 1, 2))
    clock.now += 1.0
    reporter.on_step(10, 100, loss=1.0, passes=10 / 100)
    assert [event.rate for event in steps_of(told)] == [720.0, 80.0]


def test_the_first_step_is_logged_once(reporter, spec, clock):
    for step in (4, 5, 1):
        clock.now += 1
        reporter.on_step(step, 5, loss=1.0, passes=step / 5)
    assert [(entry["event"], entry["step"]) for entry in read_log(spec.location)] == [("training", 4)]


def test_an_epoch_is_told_and_logged_with_its_scores(reporter, spec, told):
    metrics = {"epoch": 1, "loss": 0.5, "accuracy": 0.75, "auc": math.nan}
    reporter.on_epoch(metrics)
    assert [event for _, event, _ in told] == [EpochEnded(metrics)]
    [entry] = read_log(spec.location)
    assert (entry["event"], entry["accuracy"], entry["auc"]) == ("epoch", 0.75, None)


def test_a_whole_fold_in_its_log(reporter, spec, told, root_handlers):
    reporter.on_start(0, 0, {"node": {"address": "10.0.0.1"}, "precision": "float32"})
    reporter.on_pause("preempted", 1, 3)
    reporter.on_commit(2, 0, 12.5)
    entries = read_log(spec.location)
    assert [entry["event"] for entry in entries] == ["start", "preempted", "committed"]
    assert (entries[0]["accumulation"], entries[0]["precision"]) == (1, "float32")
    assert (entries[1]["epoch"], entries[1]["step"], entries[2]["seconds"]) == (1, 3, 12.5)
    assert told[0][1] == Started("10.0.0.1")


def test_warnings_of_libraries_are_logged_once_the_fold_has_begun(reporter, spec, root_handlers):
    library = logging.getLogger("some.library")
    library.warning("too early")
    reporter.on_start(0, 0, {"node": {"address": "here"}})
    library.warning("%d 个警告", 3)
    library.info("not worth it")
    library.error("bad")
    found = [(e["event"], e.get("source"), e.get("message")) for e in read_log(spec.location)[1:]]
    assert found == [("warning", "some.library", "3 个警告"), ("error", "some.library", "bad")]


def test_what_is_said_of_the_storage_itself_is_not_written_to_it(reporter, spec, root_handlers):
    reporter.on_start(0, 0, {"node": {"address": "here"}})
    logging.getLogger("raytrain.storage.directory").warning("away")
    assert len(read_log(spec.location)) == 1


def test_a_warning_that_cannot_be_logged_harms_nothing(reporter, root_handlers, monkeypatch, capsys):
    reporter.on_start(0, 0, {"node": {"address": "here"}})

    def refuse(*_, **__):
        raise OSError("the disk is full")

    monkeypatch.setattr(reporter.log, "add", refuse)
    logging.getLogger("some.library").warning("x")
    assert "the disk is full" in capsys.readouterr().err


def test_a_fold_that_nobody_listens_to_is_logged_all_the_same(spec, clock):
    reporter = FoldReporter(FoldSpec(**{**vars(spec), "progress": None}))
    reporter.on_epoch({"epoch": 1, "loss": 0.5})
    assert [entry["event"] for entry in read_log(spec.location)] == ["epoch"]


def test_the_other_workers_say_nothing(spec, told, root_handlers):
    before = list(logging.getLogger().handlers)
    silent = SilentReporter()
    silent.on_start(0, 0, {"node": {"address": "here"}})
    silent.on_step(1, 1, 0.5, 1.0)
    silent.on_memory(1, 2)
    silent.on_refusal("an error")
    silent.on_restart(Restarted(0.7, 0.7, 77, 1, 2))
    silent.on_epoch({"epoch": 1})
    silent.on_pause("preempted", 0, 1)
    silent.on_commit(1, 0, 1.0)
    assert told == [] and read_log(spec.location) == []
    assert logging.getLogger().handlers == before
