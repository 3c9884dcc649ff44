"""Crews without Ray: a trainer that is a plain function stands for the workers."""

import threading
from types import SimpleNamespace

import pytest

from raytrain.folds.crews import Crew, FoldLauncher, Needs
from raytrain.folds.resources import FoldResources
from raytrain.folds.worker import Outcome

NEEDS = Needs(cpus=1, gpus=0.0, workers=1, precision="float32")
ONE_SLOT = FoldResources(1, 0.0, 1, 1)
SOON = 0.05


def spec_of(number, architecture="finetune", precision="float32"):
    return SimpleNamespace(
        name=f"{architecture}/{number}", architecture=architecture, precision=precision, number=number
    )


class Workers:
    """What a trainer's fit does: asks for folds and trains them, so far as `train` lets it."""

    def __init__(self, crew, train=lambda spec: "committed", patience=5.0):
        self.crew, self.train, self.patience = crew, train, patience
        self.trained = []

    def fit(self):
        last = 0
        while (given := self.crew.next_fold(last, self.patience)) is not None:
            last, spec = given
            outcome: Outcome = self.train(spec)
            self.trained.append(spec.number)
            self.crew.tell(outcome)


def started(most=None, **options):
    crew = Crew(NEEDS, most)
    workers = Workers(crew, **options)
    crew.start(workers)
    return crew, workers


def test_one_crew_trains_one_fold_after_another():
    crew, workers = started()
    for number in range(5):
        assert crew.wait(crew.take(spec_of(number))) == "committed"
    assert workers.trained == [0, 1, 2, 3, 4]


def test_a_fold_that_was_taken_before_the_workers_came_is_trained():
    crew = Crew(NEEDS, None)
    assert crew.take(spec_of(7))
    workers = Workers(crew)
    crew.start(workers)
    assert crew.wait(1) == "committed" and workers.trained == [7]


def test_a_busy_crew_takes_nothing_and_is_not_dismissed():
    go_on = threading.Event()
    crew, _ = started(train=lambda spec: go_on.wait(5) and "committed")
    assert crew.take(spec_of(0))
    assert not crew.take(spec_of(1)) and not crew.dismiss()
    go_on.set()
    assert crew.wait(1) == "committed" and crew.take(spec_of(1)) == 2 and crew.wait(2) == "committed"


def test_a_crew_trains_no_more_folds_than_it_may():
    crew, workers = started(most=2)
    for number in range(2):
        assert crew.wait(crew.take(spec_of(number))) == "committed"
    assert not crew.take(spec_of(2))
    assert crew.dismiss() and workers.trained == [0, 1]


def test_a_crew_without_work_ends_by_itself():
    crew, _ = started(patience=SOON)
    crew._thread.join(5)
    assert not crew._thread.is_alive() and not crew.take(spec_of(0))


def test_what_ends_the_workers_is_raised_for_their_fold():
    def fail(spec):
        raise OSError("killed")

    crew, _ = started(train=fail)
    assert crew.take(spec_of(0))
    with pytest.raises(OSError, match="killed"):
        crew.wait(1)
    assert not crew.take(spec_of(1))


def test_workers_that_end_without_a_word_are_an_error_too():
    crew = Crew(NEEDS, None)
    crew.take(spec_of(0))
    crew.start(SimpleNamespace(fit=lambda: None))
    with pytest.raises(RuntimeError, match="before they had trained"):
        crew.wait(1)


def test_new_workers_get_the_fold_of_those_before():
    crew = Crew(NEEDS, None)
    crew.take(spec_of(3))
    assert crew.next_fold(0, SOON)[1].number == 3  # the workers are gone before its end
    number, spec = crew.next_fold(0, SOON)
    assert (number, spec.number) == (1, 3)
    crew.tell("committed")
    assert crew.wait(1) == "committed"


def test_how_a_fold_ended_is_known_also_once_the_next_is_taken():
    """Whoever waits for it may be awake later than whoever takes the crew."""
    crew = Crew(NEEDS, None)
    first = crew.take(spec_of(0))
    crew.tell("committed")
    second = crew.take(spec_of(1))
    crew.tell("stopped")
    assert [crew.wait(first), crew.wait(second)] == ["committed", "stopped"]


def test_all_workers_of_a_fold_get_it_and_the_slower_waits_for_the_next():
    crew = Crew(NEEDS, None)
    crew.take(spec_of(0))
    asked = [crew.next_fold(0, SOON) for _ in range(2)]
    assert asked[0] == asked[1]
    crew.tell("committed")
    crew.take(spec_of(1))
    assert crew.next_fold(1, SOON)[1].number == 1 and crew.next_fold(1, SOON)[1].number == 1


def test_all_crews_end_and_a_busy_one_loses_its_workers(monkeypatch):
    go_on, killed = threading.Event(), []
    monkeypatch.setattr("ray.kill", lambda worker: (killed.append(worker), go_on.set()))
    launcher = PlainLauncher(train=lambda spec: go_on.wait(5) and "committed")
    idle, busy = Crew(NEEDS, None), Crew(NEEDS, None)
    launcher._crews = {0: idle, 1: busy}
    for number, crew in launcher._crews.items():
        launcher.enter(number, f"worker {number}")
        crew.start(Workers(crew, launcher.train))
    busy.take(spec_of(0))
    launcher.end()
    assert not idle._thread.is_alive() and not busy._thread.is_alive()
    assert "worker 1" in killed


def test_a_fold_whose_workers_were_ended_is_not_tried_again(monkeypatch):
    started, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr("ray.kill", lambda worker: None)

    def die(spec):
        started.set()
        go_on.wait(5)
        raise OSError("killed")

    launcher, outcomes = PlainLauncher(train=die), []
    running = threading.Thread(target=lambda: outcomes.append(launcher.run_fold(spec_of(0), ONE_SLOT, 2)))
    running.start()
    assert started.wait(5)
    ending = threading.Thread(target=launcher.end)
    ending.start()
    running.join(5)
    go_on.set()
    ending.join(5)
    assert [(outcome.result, outcome.failure) for outcome in outcomes] == [(None, "")]
    assert len(launcher._crews) == 1 and launcher.drain() == []
    assert launcher.run_fold(spec_of(1), ONE_SLOT, 2).failure == "" and len(launcher._crews) == 1


def test_a_worker_that_is_done_waits_for_the_one_that_still_ends_the_fold():
    crew, answers = Crew(NEEDS, None), []
    crew.take(spec_of(0))
    crew.next_fold(0, SOON)
    asking = threading.Thread(target=lambda: answers.append(crew.next_fold(1, SOON)))
    asking.start()
    asking.join(4 * SOON)  # longer than it would be without work
    assert asking.is_alive() and answers == []
    crew.tell("committed")
    asking.join(5)
    assert crew.wait(1) == "committed" and answers == [None]


class PlainLauncher(FoldLauncher):
    """Its crews' workers are threads of this process."""

    def __init__(self, folds_per_worker=None, train=lambda spec: "committed"):
        super().__init__(True, folds_per_worker)
        self.train = train

    def _trainer(self, number, resources):
        return Workers(self._crews[number], self.train)

    def trained(self):
        return [crew._thread is not None and crew.architecture for crew in self._crews.values()]


def train(launcher, *specs, resources=ONE_SLOT):
    taken = (launcher._crew_for(spec, resources) for spec in specs)
    return [crew.wait(number) for crew, number in taken]


def test_folds_after_the_first_go_to_the_crew_that_is_there():
    launcher = PlainLauncher()
    assert train(launcher, *map(spec_of, range(4))) == ["committed"] * 4
    assert len(launcher._crews) == 1


def test_one_fold_a_worker_is_a_crew_a_fold():
    launcher = PlainLauncher(folds_per_worker=1)
    train(launcher, *map(spec_of, range(3)))
    assert len(launcher._crews) == 3


def test_folds_at_once_have_a_crew_each():
    both = threading.Barrier(2, timeout=5)
    launcher = PlainLauncher(train=lambda spec: both.wait() is None or "committed")
    threads = [threading.Thread(target=train, args=(launcher, spec_of(number))) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(launcher._crews) == 2


def test_a_fold_goes_where_its_architecture_was_trained():
    launcher = PlainLauncher()
    crews = []
    for name in ("finetune", "textcnn"):
        crew = Crew(NEEDS, None)
        crew.architecture = name
        crew.start(Workers(crew))
        crews.append(crew)
    launcher._crews = dict(enumerate(crews))
    assert launcher._crew_for(spec_of(0, "textcnn"), ONE_SLOT)[0] is crews[1]


def test_crews_of_other_resources_give_them_back_first():
    launcher = PlainLauncher()
    train(launcher, spec_of(0))
    train(launcher, spec_of(1), resources=FoldResources(1, 0.25, 1, 4))
    first, second = launcher._crews.values()
    assert not first._thread.is_alive() and second.needs.gpus == 0.25


def test_another_precision_is_another_crew():
    launcher = PlainLauncher()
    train(launcher, spec_of(0), spec_of(1, precision="bfloat16"))
    assert [crew.needs.precision for crew in launcher._crews.values()] == ["float32", "bfloat16"]


def test_workers_that_share_a_fold_train_no_second_one():
    launcher = PlainLauncher()
    train(launcher, spec_of(0), spec_of(1), resources=FoldResources(1, 0.0, 2, 1))
    assert len(launcher._crews) == 2


def test_after_a_failure_the_next_fold_has_a_new_crew():
    def fail_first(spec):
        if spec.number == 0:
            raise OSError("killed")
        return "committed"

    launcher = PlainLauncher(train=fail_first)
    with pytest.raises(OSError, match="killed"):
        train(launcher, spec_of(0))
    assert train(launcher, spec_of(1)) == ["committed"]
