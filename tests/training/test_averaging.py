import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import numpy as np
import pytest
import tensorflow as tf

from raytrain.training.averaging import WeightAverage

VALUES = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("traced", [False, True])
def test_the_average_is_that_of_the_formula(decay, traced):
    variable = tf.Variable(VALUES[0])
    average, expected = WeightAverage({"one": variable}, decay), VALUES[0]
    update = tf.function(average.update) if traced else average.update
    for number, value in enumerate(VALUES[1:]):
        variable.assign(value)
        update(tf.constant(float(number)))
        kept = min(decay, (1 + number) / (10 + number))
        expected = kept * expected + (1 - kept) * value
    np.testing.assert_allclose(average.state["one"], expected, rtol=1e-5)


def test_it_is_used_in_a_block_and_the_variables_come_back_to_the_last_bit():
    variable = tf.Variable(VALUES[0])
    average = WeightAverage({"one": variable}, 0.5)
    variable.assign(VALUES[1])
    with pytest.raises(ValueError, match="within"), average.used():
        np.testing.assert_array_equal(variable, VALUES[0])
        raise ValueError("within")
    np.testing.assert_array_equal(variable, VALUES[1])
    average.begin()
    np.testing.assert_array_equal(average.state["one"], VALUES[1])
