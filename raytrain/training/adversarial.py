"""Adversarial training: what a model reads is moved to where its loss rises most, and it learns that, too."""

import tensorflow as tf

from raytrain.tasks import Adversarial

STEPS: dict[Adversarial, int] = {"fgm": 1, "pgd": 3}
REACH = 2.5  # all steps of PGD together, in radii: Madry et al. 2018


class Attack:
    """The disturbance of one batch, found step by step; a `network.taps.Tap` lets it in.

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
            self._radius = self._size * _norms(tf.stop_gradient(vectors) * self._real)
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
