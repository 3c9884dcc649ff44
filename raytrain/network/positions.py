"""Positions that enter attention itself: rotary ones, and relative ones of sines and cosines.

Neither is learned. Angles are computed in float64: in float32 a sine of the hundredth position has lost two
digits.
"""

import numpy as np
import tensorflow as tf

_BASE = 10_000.0  # Vaswani et al. 2017, section 3.5


def _frequencies(channels: int) -> np.ndarray:
    """(channels / 2,) float64 radians a position."""
    return _BASE ** (-2 * np.arange(channels // 2) / channels)


def rotary_angles(length: tf.Tensor | int, channels: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Sine and cosine of each position's angles, (length, channels / 2) float32 each (Su et al. 2021)."""
    angles = tf.cast(tf.range(length), tf.float64)[:, None] * _frequencies(channels)
    return tf.cast(tf.sin(angles), tf.float32), tf.cast(tf.cos(angles), tf.float32)


def rotate(values: tf.Tensor, sine: tf.Tensor, cosine: tf.Tensor) -> tf.Tensor:
    """Turns each pair of neighbouring channels by its position's angle (Su et al. 2021, equation 34).

    By the negative sine it turns them back, which is the gradient as well.

    Args:
        values: (…, length, channels) of any type; within, it is float32.
        sine: Of `rotary_angles`.
        cosine: Of `rotary_angles`.
    """
    shape = tf.shape(values)
    pairs = tf.reshape(tf.cast(values, tf.float32), tf.concat([shape[:-1], [values.shape[-1] // 2, 2]], 0))
    even, odd = tf.unstack(pairs, axis=-1)
    turned = tf.stack([even * cosine - odd * sine, odd * cosine + even * sine], axis=-1)
    return tf.cast(tf.reshape(turned, shape), values.dtype)


def relative_vectors(queries: tf.Tensor | int, keys: tf.Tensor | int, most: int, channels: int) -> tf.Tensor:
    """The vector of each key's distance from each query (Wei et al. 2019, NEZHA, equation 4).

    Args:
        queries: How many positions ask, from the first on.
        keys: How many are read.
        most: Distances beyond it count as it.
        channels: Of each vector.

    Returns:
        (queries, keys, channels) float32.
    """
    angles = np.arange(2 * most + 1)[:, None] * _frequencies(channels)
    table = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(2 * most + 1, channels)
    distances = tf.range(keys)[None, :] - tf.range(queries)[:, None]
    return tf.gather(tf.constant(table, tf.float32), tf.clip_by_value(distances, -most, most) + most)
