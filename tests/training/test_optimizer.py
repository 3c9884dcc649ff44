import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import numpy as np
import pytest
import tensorflow as tf

from raytrain.training.optimizer import Adam

keras = tf.keras
SHAPES = {"dense.0.kernel": (3, 4), "dense.1.bias": (4,), "encoder.norm.0.gamma": (3,)}
RATES = {"dense.0.kernel": 0.1, "dense.1.bias": 0.1, "encoder.norm.0.gamma": 0.01}


def variables():
    rng = np.random.default_rng(0)
    return {name: tf.Variable(rng.normal(size=shape), dtype=tf.float32) for name, shape in SHAPES.items()}


def gradients(step):
    rng = np.random.default_rng([1, step])
    return {name: tf.constant(rng.normal(size=shape), tf.float32) for name, shape in SHAPES.items()}


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
def test_updates_are_kerass(weight_decay):
    ours, theirs = variables(), variables()
    optimizer = Adam(ours, RATES, weight_decay)
    references = {}
    for name, rate in RATES.items():
        decay = weight_decay if name == "dense.0.kernel" else 0.0
        references[name] = keras.optimizers.AdamW(rate, weight_decay=decay, jit_compile=False)
    for step in range(5):
        optimizer.apply(gradients(step), tf.constant(1.0), tf.constant(float(step)))
        for name, gradient in gradients(step).items():
            references[name].apply_gradients([(gradient, theirs[name])])
    for name, variable in ours.items():
        np.testing.assert_allclose(variable.numpy(), theirs[name].numpy(), atol=1e-5)


def test_a_factor_of_0_changes_nothing():
    ours, before = variables(), variables()
    Adam(ours, RATES, 0.1).apply(gradients(0), tf.constant(0.0), tf.constant(0.0))
    for name, variable in ours.items():
        np.testing.assert_array_equal(variable.numpy(), before[name].numpy())
