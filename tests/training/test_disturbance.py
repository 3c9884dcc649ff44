import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from raytrain.training.disturbance import Mixture


@hypothesis_settings(max_examples=30)
@given(real=st.integers(1, 9), filled=st.integers(0, 3), alpha=st.floats(0.05, 5), seed=st.integers(0, 99))
def test_rows_that_fill_a_batch_up_are_no_partners_of_real_ones(real, filled, alpha, seed):
    weights = np.array([0.5] * real + [0.0] * filled, np.float32)
    mixture = Mixture(alpha, tf.constant(weights), tf.constant([seed, 0]))
    partners, shares = mixture.partners.numpy(), mixture.shares.numpy()
    assert sorted(partners) == list(range(real + filled))
    assert (partners[:real] < real).all()
    assert ((shares >= 0) & (shares <= 1)).all()


def test_vectors_are_mixed_by_the_shares_each_copy_alike():
    mixture = Mixture(1.0, tf.ones(4), tf.constant([3, 1]))
    vectors = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)
    own, partners = mixture.shares.numpy()[:, None], mixture.partners.numpy()
    expected = [own * half + (1 - own) * half[partners] for half in (vectors[:4], vectors[4:])]
    np.testing.assert_allclose(mixture(tf.constant(vectors)), np.concatenate(expected), rtol=1e-5)


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_shares_follow_the_beta(alpha):
    shares = Mixture(alpha, tf.ones(20_000), tf.constant([3, 1])).shares.numpy()
    assert shares.mean() == pytest.approx(0.5, abs=0.02)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)


def test_another_seed_mixes_otherwise():
    one, other = (Mixture(1.0, tf.ones(9), tf.constant([3, seed])) for seed in (1, 2))
    assert not np.allclose(one.shares, other.shares)
