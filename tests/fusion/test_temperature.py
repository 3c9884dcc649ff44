import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.fusion.temperature import (
    COLDEST,
    fit_temperature,
    improves,
    scale,
)
from raytrain.scores.classes import log_loss


def drawn(num_rows, factor, seed=0):
    """Labels drawn by probabilities, and these with log-odds times `factor`."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(0, 2, num_rows)
    labels = (rng.random(num_rows) < 1 / (1 + np.exp(-log_odds))).astype(int)
    true = 1 / (1 + np.exp(-factor * log_odds))
    return labels, np.stack([1 - true, true], axis=1)


def test_1_leaves_every_bit_and_2_takes_the_root_of_the_odds():
    proba = np.array([[0.8, 0.2], [0.5, 0.5]])
    assert scale(proba, 1.0) is proba
    np.testing.assert_allclose(scale(proba, 2.0), [[2 / 3, 1 / 3], [0.5, 0.5]])


@given(st.floats(0.1, 10), st.integers(0, 99))
def test_the_most_probable_label_stays(temperature, seed):
    proba = np.random.default_rng(seed).dirichlet(np.ones(3), 20)
    scaled = scale(proba, temperature)
    np.testing.assert_allclose(scaled.sum(axis=1), 1)
    assert scaled[np.arange(20), proba.argmax(axis=1)] == pytest.approx(scaled.max(axis=1))


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_what_made_probabilities_too_sure_or_too_unsure_is_found(factor):
    labels, proba = drawn(20_000, factor)
    assert fit_temperature(proba, labels) == pytest.approx(factor, rel=0.05)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_the_log_loss_is_never_higher_on_the_rows_it_was_fitted_by(seed):
    rng = np.random.default_rng(seed)
    proba, labels = rng.dirichlet(np.ones(3), 30), rng.integers(0, 3, 30)
    scaled = scale(proba, fit_temperature(proba, labels))
    assert log_loss(labels, scaled) <= log_loss(labels, proba) + 1e-6


def test_members_that_are_always_right_are_made_as_sure_as_may_be():
    labels, proba = np.array([0, 1] * 10), np.array([[0.6, 0.4], [0.4, 0.6]] * 10)
    assert fit_temperature(proba, labels) == pytest.approx(COLDEST, rel=1e-2)


def test_whether_it_helps_is_judged_on_other_rows():
    folds = np.arange(2000) % 5
    labels, proba = drawn(2000, 2.0)
    assert improves(proba, labels, folds) and improves(proba, labels, np.zeros(2000, int))
    right = [
        improves(proba, labels, folds) for labels, proba in (drawn(2000, 1.0, seed) for seed in range(30))
    ]
    assert sum(right) < 15  # a temperature of every sample would help it on its own rows, each time
