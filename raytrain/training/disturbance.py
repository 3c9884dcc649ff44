"""What a step does to vectors within a model, where a `network.taps.Tap` lets it: moves them to where the
loss rises, or mixes those of two texts."""

import tensorflow as tf

from raytrain.tasks import Adversarial

STEPS: dict[Adversarial, int] = {"fgm": 1, "pgd": 3}
REACH = 2.5  # all steps of PGD together, in radii: Madry et al. 2018


class Attack:
    """Adversarial training: the disturbance of one batch, found step by step.

    Each text's is bounded by itself: its Euclidean norm over all tokens and channels is at most `size` of
    the norm of what it is added to. A bound in absolute numbers, as it is published for normalized word
    vectors, would mean another thing for every encoder.

    Args:
        kind: `fgm`, one step along the gradient (Miyato et al. 2017); `pgd`, several, each brought back
            into the ball (Madry et al. 2018).
        size: The bound.
        mask: (batch, length), True on real tokens.
    """

    def __init__(self, kind: Adversarial, size: float, mask: tf.Tensor):
        self.num_steps = STEPS[kind]
        self._rate = REACH / self.num_steps if self.num_steps > 1 else 1.0
        self._size, self._real = size, tf.cast(mask, tf.float32)[:, :, None]
        self._radius: tf.Tensor = None
        self.disturbance: tf.Tensor = None
        self.tape: tf.GradientTape = None  # who asks for the slope

    def __call__(self, vectors: tf.Tensor) -> tf.Tensor:
        """(batch, length, channels) float32, disturbed; nothing yet at the first call."""
        if self.disturbance is None:
            # An encoder that gives the first position alone gives no padding.
            real = self._real if vectors.shape[1] != 1 else 1.0
            self._radius = self._size * _norms(tf.stop_gradient(vectors) * real)
            self.disturbance = tf.zeros_like(vectors)
        self.tape.watch(self.disturbance)
        return vectors + self.disturbance

    def climb(self, slope: tf.Tensor) -> None:
        """Moves the disturbance along the loss's gradient to it, and back into the ball."""
        direction = tf.math.divide_no_nan(slope, _norms(slope))
        moved = self.disturbance + self._rate * self._radius * direction
        share = tf.minimum(1.0, tf.math.divide_no_nan(self._radius, _norms(moved)))
        self.disturbance = tf.stop_gradient(moved * share)


def _norms(vectors: tf.Tensor) -> tf.Tensor:
    """(batch, 1, 1) of (batch, length, channels)."""
    return tf.sqrt(tf.reduce_sum(tf.square(vectors), axis=[1, 2], keepdims=True))


class Mixture:
    """Mixup: with which other row, and by how much, each row of one batch is mixed.

    A model also learns from what lies between two texts (Zhang et al. 2018). Between texts themselves lies
    nothing; mixed is the vector that stands for each before the last layers (Verma et al. 2019, of text Guo
    et al. 2019).

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
