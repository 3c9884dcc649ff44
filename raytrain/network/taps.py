"""Places of a model where a training step may change what passes."""

import contextlib
from collections.abc import Callable, Iterator

import tensorflow as tf

from raytrain.network.layers import Float32Layer
from raytrain.network.weights import find_part, has_trainable_encoder

keras = tf.keras

# Their names: an encoder's token embeddings, what a head reads of it, a text's vector.
TOKENS, STATES, VECTOR = "Embedding-Tap", "states", "vector"


class Tap(Float32Layer):
    """A place of a model where a training step may change what passes; else it passes as it is."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self._change: Callable[[tf.Tensor], tf.Tensor] | None = None

    def call(self, inputs):
        return inputs if self._change is None else self._change(inputs)

    @contextlib.contextmanager
    def changing(self, change: Callable[[tf.Tensor], tf.Tensor]) -> Iterator[None]:
        """Has what passes changed while the block is traced."""
        self._change = change
        try:
            yield
        finally:
            self._change = None


def disturbed_tap(model: keras.Model) -> Tap:
    """Where adversarial training disturbs: an encoder's token embeddings; a frozen one's output."""
    if has_trainable_encoder(model):
        return find_part(model, "encoder").get_layer(TOKENS)
    return find_part(model, "head").get_layer(STATES)


def mixing_tap(model: keras.Model) -> Tap:
    """Where mixup mixes: the vector of a text before the last layers."""
    return find_part(model, "head").get_layer(VECTOR)
