"""Stages: what is told while they last, and how the time budget ends them."""

import io
import time

import pytest
import ray
from rich.console import Console
from tiny_run import silent_console, silent_stages

from raytrain import stages
from raytrain.errors import CorpusError, TimeBudgetError
from raytrain.stages import Stage, Stages, clock

PAST = 1.0  # a deadline that has passed


def wait_for(console, text):
    end = time.monotonic() + 10
    while text not in console.file.getvalue() and time.monotonic() < end:
        time.sleep(0.01)
    return console.file.getvalue()


def test_a_quick_stage_says_nothing():
    console = silent_console()
    with Stages(console).stage("encoding", 3, "texts") as stage:
        stage.advance(3)
    assert console.file.getvalue() == ""


def test_a_long_stage_tells_how_far_it_is_ever_more_rarely(monkeypatch):
    monkeypatch.setattr(stages, "FIRST_LINE", 0.01)
    monkeypatch.setattr(stages, "LINE_EVERY", 0.04)
    console, pauses = silent_console(), []
    event = stages.threading.Event

    class Ended(event):
        def wait(self, timeout=None):
            pauses.append(timeout)
            return super().wait(timeout)

    monkeypatch.setattr(stages.threading, "Event", Ended)
    with Stages(console).stage("encoding", 2000, "texts") as stage:
        stage.advance(1500)
        told = wait_for(console, "encoding: 1,500 of 2,000 texts, 0:00 elapsed, 0:00 left")
        time.sleep(0.3)
    assert "encoding: 1,500 of 2,000 texts, 0:00 elapsed, 0:00 left" in told
    pauses = [pause for pause in pauses if pause is not None and pause < 1]
    assert pauses[:4] == [0.01, 0.02, 0.04, 0.04]
    ended = console.file.getvalue()
    time.sleep(0.1)
    assert console.file.getvalue() == ended  # nothing after its end


def test_a_terminal_shows_a_bar_that_is_gone_with_the_stage():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Stages(console).stage("predicting", unit="rows") as stage:
        stage.total = 40
        stage.advance(30)
        drawn = wait_for(console, "30 of 40 rows")
    assert "predicting" in drawn and "30 of 40 rows" in drawn


@pytest.mark.parametrize("force_terminal", [True, False])
def test_what_fails_within_a_stage_comes_out_of_it(force_terminal):
    console = Console(file=io.StringIO(), force_terminal=force_terminal)
    with pytest.raises(CorpusError, match="broken"), Stages(console).stage("reading"):
        raise CorpusError("broken")


def stage_of(total=10, unit="texts", kept="", deadline=None):
    return Stage("encoding", total, unit, kept, deadline)


def test_the_pace_is_not_reckoned_from_what_was_done_before(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(stages.time, "monotonic", lambda: now[0])
    stage = stage_of(total=1000)
    stage.skip(800)
    now[0] += 65
    assert stage.line() == "encoding: 800 of 1,000 texts, 1:05 elapsed"
    stage.advance(100)
    assert stage.line() == "encoding: 900 of 1,000 texts, 1:05 elapsed, 1:05 left"


@pytest.mark.parametrize(
    ("done", "line"), [(0, "encoding, 0:00 elapsed"), (7, "encoding: 7 texts, 0:00 elapsed")]
)
def test_without_a_total_nothing_is_said_of_what_is_left(done, line):
    stage = stage_of(total=None)
    stage.advance(done)
    assert stage.line() == line


@pytest.mark.parametrize("deadline", [None, 1e12])
def test_before_the_deadline_it_goes_on(deadline):
    stage_of(deadline=deadline).check()


@pytest.mark.parametrize(
    ("done", "end"), [(0, "encoding, 0 of 10 texts"), (4, "encoding, 4 of 10 texts; they are kept")]
)
def test_after_the_deadline_it_says_how_far_it_came(done, end):
    stage = stage_of(kept="they are kept", deadline=PAST)
    stage.advance(done)
    with pytest.raises(TimeBudgetError) as caught:
        stage.check()
    assert str(caught.value) == f"cluster.time_budget was used up: {end}"


def test_stages_hand_on_their_deadline():
    with silent_stages(PAST).stage("reading") as stage, pytest.raises(TimeBudgetError, match=r"reading$"):
        stage.check()


@ray.remote(num_cpus=0)
def double(number):
    if number < 0:
        raise CorpusError("below 0")
    return 2 * number


@ray.remote(num_cpus=0)
def pause():
    time.sleep(60)


@ray.remote(num_cpus=0, num_returns="streaming")
def count(number):
    if number < 0:
        raise CorpusError("below 0")
    for each in range(number):  # noqa: UP028 (Ray sends to what it iterates)
        yield each


def test_tasks_are_told_as_they_end(local_ray):
    results = dict(stage_of().each([double.remote(number) for number in range(4)]))
    assert results == {0: 0, 1: 2, 2: 4, 3: 6}
    assert stage_of().wait(double.remote(5)) == 10


def test_a_stream_is_followed(local_ray):
    assert list(stage_of().follow(count.remote(3))) == [0, 1, 2]
    assert list(stage_of().follow(count.remote(0))) == []


def test_a_task_s_error_comes_as_itself(local_ray):
    with pytest.raises(CorpusError, match="below 0"):
        stage_of().wait(double.remote(-1))
    with pytest.raises(CorpusError, match="below 0"):
        list(stage_of().follow(count.remote(-1)))


def test_after_the_deadline_what_has_ended_is_told_and_nothing_is_waited_for(local_ray):
    ended = double.remote(1)
    ray.wait([ended])
    assert stage_of(deadline=PAST).wait(ended) == 2
    running = pause.remote()
    with pytest.raises(TimeBudgetError):
        stage_of(deadline=PAST).wait(running)
    ray.cancel(running, force=True)


@pytest.mark.parametrize(("seconds", "shown"), [(0.9, "0:00"), (61, "1:01"), (3661, "61:01")])
def test_the_clock_shows_minutes_and_seconds(seconds, shown):
    assert clock(seconds) == shown
