"""How fold runs are scheduled: order, room, deadline, cards; the folds themselves are stubs."""

import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import ray
from plain_settings import plain_settings
from ray.exceptions import OutOfMemoryError, RayActorError
from tiny_run import silent_console

from raytrain.errors import FoldError
from raytrain.folds import launch
from raytrain.folds.attempts import FoldOutcome
from raytrain.folds.events import EpochEnded, MemoryTaken, Started
from raytrain.folds.launch import Capacity, run_folds
from raytrain.folds.resources import FoldResources
from raytrain.folds.result import FoldResult
from raytrain.folds.table import FoldTable
from raytrain.training.settings import TrainSettings

pytestmark = pytest.mark.slow
SETTINGS = plain_settings(epochs=1)


@dataclass(frozen=True)
class Stub:
    """As much of a FoldSpec as launching looks at."""

    name: str
    settings: TrainSettings = SETTINGS
    progress: object = None
    threads: int = 1
    gpu_share: float | None = None
    deadline: float | None = None
    task: str = "classify"
    work: float = 1.0


class StubLauncher(launch.FoldLauncher):
    """Ends each fold once as many run as `resources.slots`, or at once where it is the last."""

    def __init__(self, one_machine, folds_per_worker):
        super().__init__(one_machine, folds_per_worker)
        self._lock, self._running, self.seen = threading.Lock(), 0, []

    def drain(self):
        if any(name.startswith("slow") for name, *_ in self.seen):
            time.sleep(0.3)
        return super().drain()

    def run_fold(self, spec, resources, max_failures):
        with self._lock:
            self._running += 1
            self.seen.append((spec.name, self._running, resources.gpus))
        self.push(spec.name, Started("here"), 0.0)
        if spec.name.startswith("slow"):
            self.push(spec.name, EpochEnded({"epoch": 1, "loss": 0.5}), 0.0)
        if spec.name.startswith("probing"):
            self.push(spec.name, MemoryTaken(3 << 30, 16 << 30), 1.0)
        while spec.deadline is not None and time.time() < spec.deadline:
            time.sleep(0.01)
        with self._lock:
            self._running -= 1
        if spec.name.startswith("deadly"):
            _, _, once = spec.name.partition(":")
            if not once or not Path(once).exists():
                Path(once or os.devnull).touch()
                os._exit(1)
        if spec.name.startswith("bad"):
            return FoldOutcome(None, f"{spec.name} is broken")
        if spec.deadline is not None:
            return FoldOutcome(None)
        return FoldOutcome(FoldResult(spec.name, {}, {"seen": self.seen[-1], "share": spec.gpu_share}))


class Quiet:
    def log(self, *arguments):
        pass


class Noted:
    """Remembers what is tracked."""

    def __init__(self):
        self.told = []

    def log(self, name, epoch, metrics):
        self.told.append((name, epoch))


@pytest.fixture
def stubs(local_ray, monkeypatch):
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(launch, "FoldLauncher", StubLauncher)
    monkeypatch.setattr(launch, "_POLL_SECONDS", 0.05)
    yield
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def run(names, slots=2, kept=(), **options):
    probe = options.pop("probe", False)
    resources = FoldResources(1, 1.0 if probe else 0.0, 1, slots, probe)
    earlier = {name: FoldResult(name, {}, {}) for name in kept}
    tracker, max_failures = options.pop("tracker", Quiet()), options.pop("max_failures", 0)
    capacity = Capacity(resources, options.pop("recount", lambda needs, left: slots), **options)
    return run_folds(
        [Stub(name) for name in names], earlier, capacity, max_failures, silent_console(), tracker
    )


def test_results_come_in_the_order_of_the_folds(stubs):
    names = [f"fold-{number:02d}" for number in range(12)]
    assert list(run(names, slots=5, kept=names[3:5])) == names


def test_a_broken_fold_is_named_and_the_others_are_trained(stubs):
    with pytest.raises(FoldError) as raised:
        run(["good-0", "bad-1", "good-2"])
    assert list(raised.value.failures) == ["bad-1"] and "bad-1 is broken" in str(raised.value)


def test_a_launcher_that_dies_takes_only_its_own_folds_along(stubs):
    with pytest.raises(FoldError) as raised:
        run(["deadly-0", "fold-1", "fold-2"], slots=1)
    assert list(raised.value.failures) == ["deadly-0"]


def test_folds_whose_launcher_was_lost_are_launched_again(stubs, tmp_path):
    """It trains many: one loss would else be the end of all of them."""
    names = [f"deadly once:{tmp_path / 'died'}", "fold-1", "fold-2", "fold-3"]
    assert list(run(names, slots=4, max_failures=1)) == names


@pytest.mark.parametrize("lost", [RayActorError(), OutOfMemoryError("killed")])
def test_a_fold_that_ended_just_before_its_launcher_was_lost_has_ended(monkeypatch, lost):
    """`ray.wait` gives one of two: the other's reference is read once the launcher is forgotten."""
    answers = {"a": lost, "b": FoldOutcome(FoldResult("b", {}, {}))}

    def get(reference):
        if isinstance(answers[reference], Exception):
            raise answers[reference]
        return answers[reference]

    monkeypatch.setattr(launch.ray, "get", get)
    monkeypatch.setattr(launch.ray, "kill", lambda launcher: None)
    capacity = Capacity(FoldResources(1, 0.0, 1, 2), lambda needs, left: 2)
    launched = launch._Launch(capacity, 0, FoldTable({"a": 1, "b": 1}, silent_console()), Quiet())
    launched._launchers["launcher"] = 2
    launched._running = {name: (Stub(name), "launcher") for name in answers}
    assert launched._end("a")[1].failure and launched._end("b")[1] == answers["b"]
    assert not launched._launchers  # no later fold is given to it


def test_more_folds_than_one_launcher_takes_are_all_trained(stubs, monkeypatch):
    monkeypatch.setattr(launch, "LAUNCHED_TOGETHER", 2)
    names = [f"fold-{number}" for number in range(7)]
    assert list(run(names, slots=5)) == names


def test_after_the_deadline_no_fold_is_started(stubs):
    assert run([f"fold-{number}" for number in range(4)], deadline=time.time() + 1.5) == {}


def test_the_first_fold_probes_its_card_alone_and_the_others_share(stubs):
    asked = []

    def recount(needs, left):
        asked.append((needs.gpus, left))
        return 3

    results = run(["probing-0", "fold-1", "fold-2", "fold-3"], slots=1, probe=True, recount=recount)
    shares = [results[name].record["seen"][2] for name in results]
    assert shares == [1.0, 0.3333, 0.3333, 0.3333]
    assert asked[0] == (0.3333, 4)


def test_what_a_launcher_tells_late_is_not_lost(stubs, monkeypatch):
    monkeypatch.setattr(launch, "_PATIENCE_SECONDS", 0.2)
    noted, names = Noted(), ["slow-0", "slow-1", "slow-2"]
    assert list(run(names, slots=1, tracker=noted)) == names
    assert noted.told == [(name, 1) for name in names]


def test_a_probe_that_tells_nothing_leaves_whole_cards(stubs):
    results = run(["fold-0", "fold-1"], slots=1, probe=True)
    assert [results[name].record["seen"][2] for name in results] == [1.0, 1.0]


def test_ngrams_own_no_share_of_a_card_and_leave_the_probing_to_a_network(stubs):
    names = ["tfidf/r0-fold-00", "probing/r0-fold-00", "textcnn/r0-fold-00", "tfidf/r0-fold-01"]
    results = run(names, slots=1, probe=True, recount=lambda needs, left: 1)
    # The first network is launched before them: nobody waits for a card that n-grams hold alone.
    assert [results[name].record["seen"][2] for name in names] == [0.3333, 1.0, 0.3333, 0.3333]
    shares = [results[name].record["share"] for name in names]
    assert shares == [None, 1.0, 0.3333, None]


def test_events_are_taken_in_the_order_they_were_sent():
    launcher = launch.FoldLauncher(one_machine=True)
    for sent in (3.0, 1.0, 2.0):
        launcher.push("fold", Started(f"at {sent}"), sent)
    assert [event.node for _, event in launcher.drain()] == ["at 1.0", "at 2.0", "at 3.0"]
    assert launcher.drain() == []


def test_slots_follow_the_cluster(monkeypatch):
    monkeypatch.setattr(launch, "_REPLAN_SECONDS", 0.0)
    counts = iter([4, 0])
    capacity = Capacity(FoldResources(1, 0.0, 1, 2), lambda needs, left: next(counts))
    assert capacity.slots(10) == 4  # machines were added
    assert capacity.slots(10) == 1  # and all were lost: one fold waits for a machine
