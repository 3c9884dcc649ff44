import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.network.layers import (
    Dropout,
    DropoutSeed,
    MaskedConv1D,
    MaskedMaxPooling,
    MaskedMeanPooling,
    PaddingMask,
    TruncatedNormal,
)


@st.composite
def sequences(draw):
    """(batch, length, channels) values and a mask with at least one real token a row, holes allowed."""
    batch, length, channels = (draw(st.integers(1, high)) for high in (3, 9, 4))
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    values = rng.normal(0, 3, (batch, length, channels)).astype(np.float32)
    mask = rng.random((batch, length)) < draw(st.floats(0, 1))
    mask[np.arange(batch), rng.integers(0, length, batch)] = True
    return values, mask


def padded(values, mask, extra, fill):
    """The same sequences with `extra` masked positions behind, holding `fill`."""
    batch, _, channels = values.shape
    behind = np.full((batch, extra, channels), fill, np.float32)
    return np.concatenate([values, behind], 1), np.concatenate([mask, np.zeros((batch, extra), bool)], 1)


def plain_convolution(values, mask, kernel, bias):
    """'Same' convolution, a position at a time: the kernel's middle (left of it, if even) lies on it."""
    size, _, filters = kernel.shape
    batch, length, _ = values.shape
    out = np.zeros((batch, length, filters))
    for row, position in zip(*np.nonzero(mask), strict=True):
        total = bias.astype(np.float64)
        for offset in range(size):
            source = position + offset - (size - 1) // 2
            if 0 <= source < length and mask[row, source]:
                total = total + values[row, source].astype(np.float64) @ kernel[offset]
        out[row, position] = np.maximum(total, 0)
    return out


def convolution(kernel_size):
    return MaskedConv1D(
        5,
        kernel_size,
        activation="relu",
        kernel_initializer=tf.keras.initializers.GlorotUniform(1),
        bias_initializer=tf.keras.initializers.RandomUniform(seed=2),
    )


@settings(max_examples=30)
@given(sequences(), st.integers(1, 4))
def test_masked_convolution_equals_plain_numpy(sequence, kernel_size):
    values, mask = sequence
    layer = convolution(kernel_size)
    found = layer(values, mask=mask).numpy()
    np.testing.assert_allclose(found, plain_convolution(values, mask, *layer.get_weights()), atol=1e-5)


@settings(max_examples=30)
@given(sequences(), st.integers(1, 6), st.sampled_from([0.0, 9.0, -1e4]))
def test_masked_convolution_does_not_see_padding(sequence, extra, fill):
    values, mask = sequence
    layer = convolution(3)
    short = layer(values, mask=mask).numpy()
    more_values, more_mask = padded(values, mask, extra, fill)
    long = layer(more_values, mask=more_mask).numpy()
    np.testing.assert_allclose(long[:, : values.shape[1]], short, atol=1e-5)
    assert not long[:, values.shape[1] :].any()


@settings(max_examples=50)
@given(sequences())
def test_masked_max_pooling_equals_plain_numpy(sequence):
    values, mask = sequence
    expected = np.stack([row[real].max(axis=0) for row, real in zip(values, mask, strict=True)])
    np.testing.assert_array_equal(MaskedMaxPooling()(values, mask=mask).numpy(), expected)


@settings(max_examples=50)
@given(sequences())
def test_masked_mean_pooling_equals_plain_numpy(sequence):
    values, mask = sequence
    expected = np.stack([row[real].mean(axis=0) for row, real in zip(values, mask, strict=True)])
    np.testing.assert_allclose(MaskedMeanPooling()(values, mask=mask).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("pooling", [MaskedMaxPooling, MaskedMeanPooling])
@settings(max_examples=30)
@given(sequence=sequences(), extra=st.integers(1, 6), fill=st.sampled_from([0.0, 9.0, 1e4]))
def test_poolings_do_not_see_padding(pooling, sequence, extra, fill):
    values, mask = sequence
    more_values, more_mask = padded(values, mask, extra, fill)
    np.testing.assert_allclose(
        pooling()(more_values, mask=more_mask).numpy(), pooling()(values, mask=mask).numpy(), atol=1e-5
    )


def test_mean_of_no_token_is_zero():
    assert MaskedMeanPooling()(
        np.ones((1, 3, 2), np.float32), mask=np.zeros((1, 3), bool)
    ).numpy().tolist() == [[0, 0]]


def test_mean_pooling_of_bfloat16_sums_in_float32():
    """bfloat16 has 8 bits: there 256 + 1 is 256."""
    ones = tf.ones((1, 600, 1), tf.bfloat16)
    mean = MaskedMeanPooling()(ones, mask=tf.ones((1, 600), tf.bool))
    assert mean.dtype == tf.float32
    assert float(mean[0, 0]) == 1.0


def test_padding_mask_is_true_on_real_tokens():
    assert PaddingMask()(tf.constant([[2, 5, 3, 0, 0]])).numpy().tolist() == [
        [True, True, True, False, False]
    ]


ONES = np.ones((200, 200), np.float32)


def dropped(rate, step, places=1, training=True):
    """Outputs of layers at `places` places in one step of the given seed."""
    seed = DropoutSeed()
    layers = [Dropout(rate, seed) for _ in range(places)]
    seed.begin_step(tf.constant(step, tf.int32))
    return [layer(ONES, training=training).numpy() for layer in layers]


def test_dropout_of_one_seed_draws_one_mask():
    np.testing.assert_array_equal(dropped(0.3, [7, 1]), dropped(0.3, [7, 1]))


@pytest.mark.parametrize("other", [[8, 1], [7, 2]])
def test_dropout_of_another_seed_draws_another_mask(other):
    assert (dropped(0.3, [7, 1])[0] != dropped(0.3, other)[0]).mean() > 0.3


def test_dropout_draws_another_mask_at_every_place():
    first, second = dropped(0.3, [7, 1], places=2)
    assert (first != second).mean() > 0.3


def test_a_mask_is_of_seed_and_place_alone():
    """Not of how often it was drawn, nor of how many places the model has besides."""
    few, many = DropoutSeed(), DropoutSeed()
    one, two = Dropout(0.3, few), Dropout(0.3, many)
    assert many.reserve(7) == 1
    masks = []
    for seed, layer in ((few, one), (few, one), (many, two)):
        seed.begin_step(tf.constant([7, 1], tf.int32))
        masks.append(layer(ONES, training=True).numpy())
    np.testing.assert_array_equal(masks[0], masks[1])
    np.testing.assert_array_equal(masks[0], masks[2])


@pytest.mark.parametrize(("rate", "training"), [(0.0, True), (0.5, False), (0.5, None)])
def test_dropout_at_rate_0_or_outside_training_is_the_identity(rate, training):
    np.testing.assert_array_equal(dropped(rate, [7, 1], training=training)[0], ONES)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_keeps_the_expectation_and_drops_its_rate(rate):
    (output,) = dropped(rate, [7, 1])
    assert set(np.unique(output)) == {np.float32(0), np.float32(2**16 / (2**16 - round(rate * 2**16)))}
    assert output.mean() == pytest.approx(1, abs=0.02)
    assert (output == 0).mean() == pytest.approx(rate, abs=0.02)


def draw(initializer, shape=(40, 50)):
    return initializer(shape).numpy()


def test_initializer_of_one_seed_draws_one_sequence_of_values():
    one, two = TruncatedNormal(3), TruncatedNormal(3)
    for _ in range(2):
        np.testing.assert_array_equal(draw(one), draw(two))


def test_initializer_of_another_seed_draws_other_values():
    assert (draw(TruncatedNormal(3)) != draw(TruncatedNormal(4))).mean() > 0.9


def test_initializer_draws_other_values_at_every_call():
    initializer = TruncatedNormal(3)
    assert (draw(initializer) != draw(initializer)).mean() > 0.9


def test_initializer_stays_within_two_standard_deviations():
    values = draw(TruncatedNormal(3, stddev=0.5), (300, 300))
    assert np.abs(values).max() <= 1.0
    assert values.mean() == pytest.approx(0, abs=0.01)
    # A normal cut off at two standard deviations keeps 0.8796 of its own.
    assert values.std() == pytest.approx(0.5 * 0.8796, rel=0.01)
