import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import contextlib
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from plain_settings import plain_settings

from raytrain.training.updates import PREFETCHED, Updates

PLAN = [np.array([2, 5]), np.array([1]), np.array([0, 3, 4]), np.array([6]), np.array([7])]


class Step:
    """Stands for the traced update: keeps what it is asked, and says how many rows there were."""

    compiles = False

    def __init__(self, *_):
        self.asked = []

    def __call__(self, pieces, seeds, factor, number):
        self.asked.append((pieces, [tuple(seed) for seed in seeds], float(factor), int(number)))
        return float(len(pieces[0]))


@pytest.fixture
def updates(monkeypatch):
    """Makes updates whose batches are their rows; `laid` has those of which it was asked, in order."""
    monkeypatch.setattr("raytrain.training.updates.TrainStep", Step)

    def make(**settings):
        features = SimpleNamespace(lengths=np.full(8, 4))
        own = Updates(None, features, None, plain_settings(**{"epochs": 2, "schedule": "linear"} | settings))
        own.laid = []
        own.lay = lambda rows: own.laid.append(rows) or [rows]
        return own

    return make


def test_each_batch_of_the_plan_is_an_update_in_its_turn(updates):
    own = updates()
    assert list(own.run(PLAN, 0, 0, 7, 1.0)) == [2.0, 1.0, 3.0, 1.0, 1.0]
    assert [pieces[0].tolist() for pieces, *_ in own.step.asked] == [rows.tolist() for rows in PLAN]


@pytest.mark.parametrize("first", range(len(PLAN) + 1))
def test_an_epoch_that_was_interrupted_goes_on_as_if_it_had_not_been(updates, first):
    """With the same seeds, numbers and rates."""
    whole, rest = updates(), updates()
    list(whole.run(PLAN, 1, 0, 7, 0.5))
    list(rest.run(PLAN, 1, first, 7, 0.5))
    assert [own[1:] for own in rest.step.asked] == [own[1:] for own in whole.step.asked[first:]]


def test_rates_follow_the_schedule_over_all_epochs_and_the_given_factor(updates):
    own = updates(warmup=0.0)
    for epoch in (0, 1):
        list(own.run(PLAN, epoch, 0, 7, 0.5))
    assert [number for *_, number in own.step.asked] == list(range(10))
    np.testing.assert_allclose([factor for *_, factor, _ in own.step.asked], 0.5 * np.linspace(1, 0.1, 10))


def test_no_two_steps_of_an_epoch_draw_the_same(updates):
    own = updates()
    list(own.run(PLAN, 0, 0, 7, 1.0))
    assert len({seed for _, [seed], *_ in own.step.asked}) == len(PLAN)


def test_batches_are_laid_ahead_but_no_more_than_wanted_and_the_thread_ends(updates):
    own, threads = updates(), threading.active_count()
    with contextlib.closing(own.run(PLAN, 0, 0, 7, 1.0)) as losses:
        assert own.laid == []
        next(losses)
        next(losses)
    assert len(own.laid) == 2 + PREFETCHED
    assert threading.active_count() == threads
