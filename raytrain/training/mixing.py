"""Mixup: a model also learns from what lies between two texts of a batch (Zhang et al. 2018).

Between texts themselves lies nothing; mixed is the vector that stands for each before the last layers
(Verma et al. 2019, of text Guo et al. 2019).
"""

import tensorflow as tf


class Mixture:
    """With which other row, and by how much, each row of one batch is mixed; a `network.taps.Tap` does it.

    Args:
        alpha: Of the Beta(alpha, alpha) that a row's own share is drawn from.
        weights: (rows,) of the rows' losses. Rows of weight 0, which only fill a batch up and stand
            behind all others, are mixed among themselves.
        seed: (2,) int32 of the draws.
    """

    def __init__(self, alpha: float, weights: tf.Tensor, seed: tf.Tensor):
        rows = tf.shape(weights)[0]
        seeds = tf.random.experimental.stateless_split(seed, 3)
        order = tf.random.stateless_uniform([rows], seeds[0]) + 2 * tf.cast(tf.equal(weights, 0), tf.float32)
        one, other = (tf.random.stateless_gamma([rows], seed, alpha) for seed in tf.unstack(seeds[1:], 2))
        self.partners = tf.argsort(order)
        # Gammas of a small alpha may both be too small for a float.
        self.shares = tf.where(one + other > 0, tf.math.divide_no_nan(one, one + other), 1.0)

    def __call__(self, vectors: tf.Tensor) -> tf.Tensor:
        """Mixes (copies × rows, channels) float32, each copy of the batch alike."""
        copies = tf.reshape(vectors, [-1, tf.shape(self.shares)[0], vectors.shape[-1]])
        own = self.shares[:, None]
        mixed = own * copies + (1 - own) * tf.gather(copies, self.partners, axis=1)
        return tf.reshape(mixed, tf.shape(vectors))
