"""Formulas and their gradients against automatic differentiation."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import numpy as np
import pytest
import tensorflow as tf
from bert4keras.backend import gelu_erf
from bert4keras.backend import gelu_tanh as their_gelu_tanh
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.network.attention import attend
from raytrain.network.formulas import (
    activation,
    drop,
    gelu,
    gelu_tanh,
    linear,
    normalize,
    normalize_fused,
    plain_spelling,
)


def differentiable(formula):
    return lambda *inputs: tf.custom_gradient(formula)(*inputs)


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


@settings(max_examples=30)
@given(st.integers(0, 999))
def test_gelu_and_its_gradient(seed):
    assert_alike(differentiable(gelu), gelu_erf, *draw(seed, (3, 5, 4)))


@settings(max_examples=30)
@given(st.integers(0, 999))
def test_gelu_by_tanh_and_its_gradient(seed):
    assert_alike(differentiable(gelu_tanh), their_gelu_tanh, *draw(seed, (3, 5, 4)))


@pytest.mark.parametrize("function", [gelu, gelu_tanh])
def test_gelu_far_from_0_is_the_positive_part(function):
    values = [-1e4, -20.0, 0.0, 20.0, 1e4]
    output, gradient = value_and_gradients(differentiable(function), values)
    np.testing.assert_allclose(output, np.maximum(values, 0))
    assert np.isfinite(gradient).all()


@settings(max_examples=30)
@given(st.integers(0, 999), st.integers(2, 9))
def test_normalization_and_its_gradients(seed, channels):
    def plain(inputs, gamma, beta):
        mean, variance = tf.nn.moments(inputs, [-1], keepdims=True)
        return (inputs - mean) / tf.sqrt(variance + 1e-3) * gamma + beta

    inputs = draw(seed, (3, 5, channels), (channels,), (channels,))
    assert_alike(differentiable(lambda *inputs: normalize(*inputs, 1e-3)), plain, *inputs)


@settings(max_examples=30)
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

    def thin(weights):
        return (weights, lambda to: to) if noise is None else (weights * noise, lambda to: to * noise)

    assert_alike(differentiable(lambda *inputs: attend(*inputs, bias, thin)), plain, *inputs)


@settings(max_examples=20)
@given(st.integers(0, 999))
def test_a_product_and_its_gradients(seed):
    def plain(rows, kernel, bias):
        return tf.matmul(rows, kernel) + bias

    assert_alike(differentiable(linear), plain, *draw(seed, (6, 4), (4, 3), (3,)))


@pytest.mark.parametrize("name", ["gelu", "gelu_new", "relu", "tanh", "linear"])
def test_an_activation_is_that_of_its_name(name):
    theirs = {"gelu": gelu_erf, "gelu_new": their_gelu_tanh}.get(name) or tf.keras.activations.get(name)
    assert_alike(differentiable(activation(name)), theirs, *draw(3, (5, 4)))


def test_dropout_sends_the_gradient_where_it_sent_the_values():
    key = tf.constant([5], tf.uint64)
    inputs = tf.ones((30, 40))
    output, gradient = value_and_gradients(differentiable(lambda x: drop(x, 0.3, key)), inputs)
    weights = np.random.default_rng(9).normal(size=(30, 40))
    np.testing.assert_allclose(gradient, weights * output.numpy(), atol=1e-6)
    assert set(np.unique(output)) == {np.float32(0), np.float32(2**16 / (2**16 - 19_661))}


@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 2), (0, 4)])
@pytest.mark.parametrize("rate", [1e-6, 0.5, 1 - 1e-9])
def test_dropout_of_any_rate_and_shape_keeps_a_value_or_drops_it(shape, rate):
    output = drop(tf.ones(shape), rate, tf.constant([7], tf.uint64))[0]
    assert output.shape == shape and np.isfinite(output).all()
    assert rate != 1e-6 or (output.numpy() == 1).all()
    assert rate < 0.9 or (np.isin(output, [0, 2**16])).all()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.999])
def test_xla_draws_the_masks_that_tensorflow_draws(rate):
    key, inputs = tf.constant([2**63 + 5], tf.uint64), tf.ones((3, 7, 11))
    plain = drop(inputs, rate, key)[0]
    compiled = tf.function(lambda x: drop(x, rate, key)[0], jit_compile=True)(inputs)
    np.testing.assert_allclose(compiled, plain, rtol=1e-6)


def test_a_norm_spelled_for_converters_is_the_same_without_a_batch_norm():
    values, gamma, beta = (tf.constant(array, tf.float32) for array in draw(0, (7, 12), (12,), (12,)))
    run = tf.function(lambda: normalize_fused(values, gamma, beta, 1e-12), autograph=False)
    with plain_spelling():
        spelled = run.get_concrete_function()
    np.testing.assert_allclose(spelled(), normalize(values, gamma, beta, 1e-12)[0], atol=1e-5)
    kinds = {node.op for node in spelled.graph.as_graph_def().node}
    assert "FusedBatchNormV3" not in kinds
    np.testing.assert_allclose(normalize_fused(values, gamma, beta, 1e-12), spelled(), atol=1e-5)
