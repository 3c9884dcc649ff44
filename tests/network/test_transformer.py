import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import bert4keras.layers
import numpy as np
import pytest
import tensorflow as tf
from bert4keras.backend import gelu_erf
from bert4keras.backend import gelu_tanh as their_gelu_tanh
from bert4keras.layers import MultiHeadAttention
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.network.layers import DropoutSeed
from raytrain.network.transformer import (
    FeedForward,
    LayerNorm,
    SelfAttention,
    attend,
    gelu,
    gelu_tanh,
    normalize,
)


def value_and_gradients(function, *inputs):
    """The output, and the gradients of a sum of it in which every element counts otherwise."""
    inputs = [tf.constant(array, tf.float32) for array in inputs]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        output = function(*inputs)
        weights = np.random.default_rng(9).normal(size=output.shape)
        total = tf.reduce_sum(output * weights)
    return [output, *tape.gradient(total, inputs)]


def assert_alike(ours, theirs, *inputs):
    found, expected = value_and_gradients(ours, *inputs), value_and_gradients(theirs, *inputs)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4, rtol=1e-4)


def draw(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 2, shape) for shape in shapes]


# ── formulas against automatic differentiation ─────────────────────────────────────────────────────


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999))
def test_gelu_and_its_gradient(seed):
    assert_alike(gelu, gelu_erf, *draw(seed, (3, 5, 4)))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999))
def test_gelu_by_tanh_and_its_gradient(seed):
    assert_alike(gelu_tanh, their_gelu_tanh, *draw(seed, (3, 5, 4)))


@pytest.mark.parametrize("function", [gelu, gelu_tanh])
def test_gelu_far_from_0_is_the_positive_part(function):
    values = [-1e4, -20.0, 0.0, 20.0, 1e4]
    output, gradient = value_and_gradients(function, values)
    np.testing.assert_allclose(output, np.maximum(values, 0))
    assert np.isfinite(gradient).all()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999), st.integers(2, 9))
def test_normalization_and_its_gradients(seed, channels):
    def plain(inputs, gamma, beta):
        mean, variance = tf.nn.moments(inputs, [-1], keepdims=True)
        return (inputs - mean) / tf.sqrt(variance + 1e-3) * gamma + beta

    inputs = draw(seed, (3, 5, channels), (channels,), (channels,))
    assert_alike(lambda *inputs: normalize(*inputs, tf.constant(1e-3)), plain, *inputs)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999), st.integers(1, 7), st.integers(1, 7), st.booleans())
def test_attention_and_its_gradients(seed, queries, keys, with_noise):
    rng = np.random.default_rng(seed)
    hidden = np.arange(keys) >= rng.integers(1, keys + 1, (2, 1, 1, 1))
    bias = tf.constant(hidden * -1e9, tf.float32)
    noise = tf.constant(rng.integers(0, 2, (2, 3, queries, keys)) * 2, tf.float32) if with_noise else None

    def plain(query, key, value):
        weights = tf.nn.softmax(tf.einsum("bhjd,bhkd->bhjk", query, key) + bias)
        return tf.einsum("bhjk,bhkd->bhjd", weights if noise is None else weights * noise, value)

    inputs = draw(seed, (2, 3, queries, 4), (2, 3, keys, 4), (2, 3, keys, 5))
    assert_alike(lambda *inputs: attend(*inputs, bias, noise), plain, *inputs)


# ── layers against bert4keras's ────────────────────────────────────────────────────────────────────


def test_norm_is_that_of_bert4keras():
    (values,) = draw(0, (2, 5, 8))
    weights = [np.linspace(-1, 1, 8), np.linspace(1, 2, 8)]  # beta, gamma
    outputs = []
    for layer in (LayerNorm(epsilon=1e-3), bert4keras.layers.LayerNormalization(epsilon=1e-3)):
        layer(values)
        layer.set_weights(weights)
        outputs.append(layer(values).numpy())
    np.testing.assert_allclose(*outputs, atol=1e-5)


@pytest.mark.parametrize("activation", [gelu, "relu"])
def test_feed_forward_is_that_of_bert4keras(activation):
    values, *weights = draw(1, (2, 5, 8), (8, 16), (16,), (16, 8), (8,))
    outputs = []
    for kind in (FeedForward, bert4keras.layers.FeedForward):
        layer = kind(16, "gelu" if kind is not FeedForward and activation is gelu else activation)
        layer(values)
        layer.set_weights(weights)
        outputs.append(layer(values).numpy())
    np.testing.assert_allclose(*outputs, atol=1e-4)


SIZES = {"heads": 2, "head_size": 4, "out_dim": 8, "kernel_initializer": "zeros"}


def attended(layer, values, mask, weights, inputs=1, **kwargs):
    """Output of attention of a sequence to itself, by a layer of so many inputs."""
    values, mask = tf.constant(values), tf.constant(mask)
    layer([values] * inputs, mask=[mask] * inputs)
    layer.set_weights(weights)
    return layer([values] * inputs, mask=[mask] * inputs, **kwargs).numpy()


def attention_weights(rng):
    return [rng.normal(size=shape).astype(np.float32) for shape in [(8, 8), (8,)] * 4]


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 4), st.integers(1, 12), st.integers(0, 999))
def test_attention_without_dropout_is_that_of_bert4keras(batch, length, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(batch, length, 8)).astype(np.float32)
    mask = np.arange(length) < rng.integers(1, length + 1, batch)[:, None]
    weights = attention_weights(rng)
    ours = SelfAttention(**SIZES, dropout_seed=DropoutSeed(), attention_dropout=None)
    theirs = MultiHeadAttention(**SIZES)
    np.testing.assert_allclose(
        attended(ours, values, mask, weights), attended(theirs, values, mask, weights, 3), atol=1e-5
    )


@pytest.fixture(scope="module")
def noisy_attention():
    """Output of attention with dropped scores, by the step's seed and whether it trains."""
    rng = np.random.default_rng(0)
    values, mask = rng.normal(size=(2, 9, 8)).astype(np.float32), np.ones((2, 9), bool)
    weights = attention_weights(rng)

    def run(step, training=True):
        seed = DropoutSeed()
        seed.begin_step(tf.constant(step, tf.int32))
        layer = SelfAttention(**SIZES, dropout_seed=seed, attention_dropout=0.5)
        return attended(layer, values, mask, weights, training=training)

    return run


def test_attention_scores_of_one_seed_are_dropped_alike(noisy_attention):
    np.testing.assert_array_equal(noisy_attention([5, 1]), noisy_attention([5, 1]))


def test_attention_scores_of_another_seed_are_dropped_otherwise(noisy_attention):
    assert np.abs(noisy_attention([5, 1]) - noisy_attention([5, 2])).max() > 1e-3


def test_attention_scores_are_not_dropped_outside_training(noisy_attention):
    np.testing.assert_array_equal(noisy_attention([5, 1], False), noisy_attention([5, 2], False))


def test_a_query_elsewhere_attends_as_one_within():
    """The query projected for itself is the query projected together with key and value."""
    rng = np.random.default_rng(3)
    values = tf.constant(rng.normal(size=(2, 6, 8)), tf.float32)
    mask = tf.constant([[True] * 6, [True] * 4 + [False] * 2])
    layer = SelfAttention(**SIZES, dropout_seed=DropoutSeed())
    layer([values], mask=[mask])
    layer.set_weights(attention_weights(rng))
    whole = layer([values], mask=[mask])
    part = layer([values[:, :2], values], mask=[mask[:, :2], mask])
    np.testing.assert_allclose(part, whole[:, :2], atol=1e-5)
