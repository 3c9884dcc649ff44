"""The loss of a constant guess, and how a training is held against it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.scores.guess import LEARNS_NOTHING, ConstantGuess, constant_loss, entropy

HALF = math.log(2)


class Sum:
    """What a device holds: reading it is counted."""

    reads = 0

    def __init__(self, value):
        self.value = value

    def __float__(self):
        Sum.reads += 1
        return float(self.value)


def judged(losses, epochs=3, loss=HALF, may_restart=True, agree=float):
    """A guess that was told of an epoch's steps, and what it answered to each."""
    guess = ConstantGuess(loss, epochs, len(losses), may_restart)
    totals = np.cumsum(losses)
    return guess, [guess.ends(step, total, agree) for step, total in enumerate(totals, start=1)]


@given(st.lists(st.floats(0, 9), min_size=1, max_size=5).filter(lambda masses: sum(masses) > 1e-3))
def test_no_guess_loses_less_than_the_entropy(masses):
    masses = np.array(masses)
    rng = np.random.default_rng(0)
    for guess in rng.dirichlet(np.ones(len(masses)), 20):
        assert -(masses * np.log(np.maximum(guess, 1e-300))).sum() >= entropy(masses) - 1e-9


def test_the_entropy_of_halves_is_log_2_and_of_a_single_label_none():
    assert entropy(np.array([0.5, 0.5])) == pytest.approx(HALF)
    assert entropy(np.array([0.0, 1.0])) == entropy(np.zeros(2)) == 0


def test_where_nothing_is_to_be_learned_there_is_no_loss_to_leave():
    assert constant_loss(np.array([0.0, 1.0])) is None
    assert constant_loss(np.zeros(3)) is None
    assert constant_loss(np.array([0.45, 0.55]), floor=0.69) is None  # smoothed almost to an even spread
    assert constant_loss(np.array([0.5, 0.5]), floor=0.2) == pytest.approx(HALF)


@pytest.mark.parametrize(
    ("epochs", "steps", "check"), [(1, 30, 10), (1, 31, 11), (2, 30, 20), (3, 30, 30), (9, 30, 30), (1, 1, 1)]
)
def test_the_check_is_after_the_first_epoch_or_a_third_of_all_steps(epochs, steps, check):
    guess, answers = judged([HALF] * steps, epochs)
    assert guess.check == check and answers.index(True) == check - 1 and sum(answers) == 1


def test_only_the_last_half_of_the_steps_counts():
    guess, _ = judged([9, 9, 9, 9, 9, 0.5, 0.5, 0.5, 0.5, 0.5])
    assert (guess.reached, guess.dead) == (pytest.approx(0.5), False)
    guess, _ = judged([0.1, 0.1, 0.1, 0.1, 0.1, 0.7, 0.7, 0.7, 0.7, 0.7])
    assert guess.dead and guess.begins_again


@pytest.mark.parametrize(("share", "dead"), [(0.98, False), (LEARNS_NOTHING + 1e-6, True), (1.5, True)])
def test_dead_is_what_stays_within_a_hundredth_of_the_guess(share, dead):
    assert judged([HALF * share] * 8)[0].dead is dead


def test_without_leave_a_dead_training_goes_on():
    guess, answers = judged([HALF] * 4, may_restart=False)
    assert guess.dead and not guess.begins_again and not any(answers)


def test_without_a_constant_loss_nothing_is_judged():
    guess, answers = judged([5.0] * 4, loss=None)
    assert not guess.dead and not any(answers) and guess.reached is None and guess.state() is None


def test_a_loss_that_is_not_finite_is_left_to_others():
    assert not judged([math.nan] * 4)[0].dead


def test_all_workers_judge_by_one_number():
    guess, answers = judged([0.1] * 4, agree=lambda loss: 0.75)
    assert guess.dead and guess.reached == 0.75 and answers[-1]


def test_the_device_is_asked_at_the_check_alone():
    guess, Sum.reads = ConstantGuess(HALF, 3, 10), 0
    for step in range(1, 10):
        guess.ends(step, Sum(step * HALF))
    assert Sum.reads == 0
    guess.ends(10, Sum(10 * HALF))
    assert Sum.reads == 2 and guess.dead


def test_what_learns_later_is_not_dead():
    guess, _ = judged([HALF] * 6, may_restart=False)
    guess.end_epoch(6, 6 * HALF)
    assert guess.dead  # the check was the epoch's end
    guess.end_epoch(6, 6 * HALF)
    assert guess.dead
    guess.end_epoch(6, 6 * 0.4)
    assert not guess.dead
    guess.end_epoch(6, 6 * 0.9)
    assert not guess.dead


def test_what_seemed_alive_by_chance_is_dead_after_a_whole_epoch():
    guess, answers = judged([0.9, 0.9, 0.9, 0.48, 0.48, 0.48])  # rare labels came first
    guess.end_epoch(6, 6 * 0.69)
    assert not guess.dead and not any(answers)
    guess.end_epoch(6, 6 * 0.69)
    assert guess.dead and not guess.begins_again  # too late for that
    guess.end_epoch(3, 3 * 0.4)  # stopped early: it may be chance, but then it may not
    assert not guess.dead


def test_a_part_of_an_epoch_kills_nobody():
    guess, _ = judged([0.4] * 6)
    guess.end_epoch(6, 6 * 0.4)
    guess.end_epoch(3, 3 * 0.9)
    assert not guess.dead


def test_what_has_lived_is_not_dead_whatever_becomes_of_it():
    guess, _ = judged([0.4] * 6)
    for loss in (0.4, 0.3, 0.9):
        guess.end_epoch(6, 6 * loss)
        assert not guess.dead


def test_what_learns_behind_the_check_of_its_only_epoch_is_not_dead():
    losses = [2.0] * 3 + [0.5] * 6
    guess, _ = judged(losses, epochs=1, may_restart=False)
    assert guess.dead
    guess.end_epoch(len(losses), sum(losses))
    assert not guess.dead


@pytest.mark.parametrize("done", range(1, 10))
def test_a_guess_that_was_stored_goes_on(done):
    losses = np.random.default_rng(1).uniform(0.6, 0.8, 10).astype(np.float32)
    totals = np.cumsum(losses, dtype=np.float32)
    whole, answers = judged(losses)
    begun = ConstantGuess(HALF, 3, 10, may_restart=True)
    for step in range(1, done + 1):
        begun.ends(step, totals[step - 1])
    again = ConstantGuess(HALF, 3, 10)
    again.load(begun.state(), may_restart=True)
    found = [again.ends(step, totals[step - 1]) for step in range(done + 1, 11)]
    assert found == answers[done:] and again.state() == whole.state()


def test_a_training_that_was_begun_without_a_guess_is_not_judged():
    guess = ConstantGuess(HALF, 3, 4, may_restart=True)
    guess.load(None, may_restart=True)
    assert not any(guess.ends(step, step * HALF) for step in range(1, 5)) and not guess.dead
