import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.vectors.whitening import Moments, Whitening


def moments_of(vectors, pieces=3):
    moments = Moments(vectors.shape[1])
    for part in np.array_split(vectors, pieces):
        moments.add(part)
    return moments


def drawn(seed, rows=200, dim=6, offset=0.0):
    rng = np.random.default_rng(seed)
    return offset + rng.normal(size=(rows, dim)) @ rng.normal(size=(dim, dim))


@settings(max_examples=25)
@given(st.integers(0, 999), st.integers(1, 9), st.sampled_from([0.0, 3.0, 1e5]))
def test_moments_are_numpys_however_the_vectors_come(seed, pieces, offset):
    vectors = drawn(seed, offset=offset)
    moments = moments_of(vectors, pieces)
    np.testing.assert_allclose(moments.mean, vectors.mean(axis=0), rtol=1e-9)
    expected = np.cov(vectors.T, bias=True)
    np.testing.assert_allclose(moments.covariance, expected, atol=1e-9 * np.abs(expected).max())


@settings(max_examples=25)
@given(st.integers(0, 999), st.integers(1, 6))
def test_whitened_directions_are_uncorrelated_and_equally_wide(seed, size):
    vectors = drawn(seed)
    whitening = Whitening.of(moments_of(vectors), size)
    white = (vectors - whitening.mean) @ whitening.kernel
    np.testing.assert_allclose(np.cov(white.T, bias=True).reshape(size, size), np.eye(size), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(whitening(vectors), axis=1), 1, atol=1e-6)


def test_the_widest_directions_are_kept():
    vectors = drawn(0) * [100, 1e-3, 1e-3, 10, 1e-3, 1e-3]
    short, whole = (Whitening.of(moments_of(vectors), size).kernel for size in (2, None))
    np.testing.assert_allclose(np.abs(short), np.abs(whole[:, :2]))


def test_directions_in_which_nothing_differs_are_left_out():
    vectors = np.concatenate([drawn(0), np.ones((200, 3))], axis=1)
    whitening = Whitening.of(moments_of(vectors))
    assert whitening.kernel.shape == (9, 6) and np.isfinite(whitening(vectors)).all()


@pytest.mark.parametrize(("rows", "size"), [(1, None), (3, 3), (1, 1)])
def test_too_few_vectors_are_told(rows, size):
    with pytest.raises(ValueError, match=r"expected vectors that differ in .*, found [0-2]"):
        Whitening.of(moments_of(drawn(0, rows), 1), size)


def test_a_vector_that_is_the_mean_stays_zero():
    whitening = Whitening.of(moments_of(drawn(0)))
    assert whitening(whitening.mean[None]).tolist() == [[0] * 6]


def test_held_directions_are_less_stretched_than_others():
    moments = moments_of(drawn(0))
    plain, held = Whitening.of(moments), Whitening.of(moments, held=1.0)
    stretched = np.linalg.norm(plain.kernel, axis=0), np.linalg.norm(held.kernel, axis=0)
    mean = np.trace(moments.covariance) / 6
    np.testing.assert_allclose(stretched[1] ** -2, stretched[0] ** -2 + mean)
