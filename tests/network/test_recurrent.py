import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import numpy as np
import pytest
import tensorflow as tf

from raytrain.network.recurrent import BiLSTM
from raytrain.network.transformer import compiled_layers

keras = tf.keras
UNITS, CHANNELS = 5, 7


def both(lengths):
    """Keras's layer and ours with the same weights, inputs and mask."""
    rng = np.random.default_rng(0)
    glorot = [keras.initializers.GlorotUniform(seed=seed) for seed in (1, 2)]
    orthogonal = [keras.initializers.Orthogonal(seed=seed) for seed in (3, 4)]
    ours = BiLSTM(UNITS, glorot, orthogonal)
    theirs = keras.layers.Bidirectional(keras.layers.LSTM(UNITS, return_sequences=True))
    inputs = tf.constant(rng.normal(size=(len(lengths), max(lengths), CHANNELS)), tf.float32)
    mask = tf.sequence_mask(lengths)
    ours(inputs, mask)
    theirs(inputs, mask=mask)
    theirs.set_weights([weight + rng.normal(0, 0.3, weight.shape) for weight in ours.get_weights()])
    ours.set_weights(theirs.get_weights())
    return ours, theirs, inputs, mask


def outputs_and_gradients(layer, inputs, mask):
    shape = [*mask.shape, 2 * UNITS]
    weight = tf.random.stateless_normal(shape, [1, 2]) * tf.cast(mask, tf.float32)[:, :, None]

    @tf.function
    def run():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            output = layer(inputs, mask=mask)
            loss = tf.reduce_sum(tf.sin(output) * weight)
        return output, tape.gradient(loss, [inputs, *layer.trainable_weights])

    return run()


@pytest.mark.parametrize(
    ("lengths", "compiled"), [([4, 4], False), ([6, 1, 3], False), ([6, 1, 3], True), ([1], True)]
)
def test_outputs_and_gradients_equal_keras(lengths, compiled):
    ours, theirs, inputs, mask = both(lengths)
    with compiled_layers(compiled):
        output, gradients = outputs_and_gradients(ours, inputs, mask)
    expected, expected_gradients = outputs_and_gradients(theirs, inputs, mask)
    real = mask.numpy()
    np.testing.assert_allclose(output.numpy()[real], expected.numpy()[real], atol=1e-6)
    np.testing.assert_allclose(gradients[0].numpy()[real], expected_gradients[0].numpy()[real], atol=1e-5)
    for gradient, wanted in zip(gradients[1:], expected_gradients[1:], strict=True):
        np.testing.assert_allclose(gradient.numpy(), wanted.numpy(), atol=1e-5)


def test_initial_weights_are_kerass():
    ours, theirs, _, _ = both([2])
    fresh = keras.layers.LSTM(UNITS)
    fresh.build((None, None, CHANNELS))
    layer = BiLSTM(UNITS, ["zeros", "zeros"], ["zeros", "zeros"])
    layer.build((None, None, CHANNELS))
    np.testing.assert_array_equal(layer.get_weights()[2], fresh.get_weights()[2])
    assert [weight.shape for weight in ours.weights] == [weight.shape for weight in theirs.weights]
