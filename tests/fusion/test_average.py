import numpy as np
import pytest

from raytrain.fusion.average import LEAST, average_proba, log_of

VOICES = np.array([[[0.9, 0.1], [0.5, 0.5]], [[0.5, 0.5], [0.2, 0.8]]])


def test_probabilities_are_averaged_by_weight():
    found = average_proba(VOICES, np.array([0.25, 0.75]), "proba")
    np.testing.assert_allclose(found, [[0.6, 0.4], [0.275, 0.725]])


def test_of_logarithms_the_mean_is_the_geometric_one_made_to_sum_to_1():
    found = average_proba(VOICES, np.array([0.5, 0.5]), "logits")
    np.testing.assert_allclose(found, [[0.75, 0.25], [1 / 3, 2 / 3]])  # odds of √9 and √(1/4)


@pytest.mark.parametrize("average", ["proba", "logits"])
def test_a_single_member_stays_as_it_is(average):
    np.testing.assert_allclose(average_proba(VOICES[:1], np.ones(1), average), VOICES[0])


@pytest.mark.parametrize("average", ["proba", "logits"])
def test_a_row_is_fused_alike_alone(average):
    rng = np.random.default_rng(0)
    voices, weights = rng.dirichlet(np.ones(3), (4, 50)), rng.dirichlet(np.ones(4))
    whole = average_proba(voices, weights, average)
    for row in range(50):
        alone = average_proba(voices[:, row : row + 1], weights, average)
        np.testing.assert_array_equal(alone[0], whole[row])


def test_what_a_member_thinks_impossible_is_only_very_improbable():
    assert log_of(np.array([0.0]))[0] == np.log(LEAST)
    found = average_proba(np.array([[[1.0, 0.0]], [[0.1, 0.9]]]), np.array([0.5, 0.5]), "logits")
    assert np.isfinite(found).all() and found[0, 1] > 0
