"""The layers of an encoder, which hold its weights: `network.transformer` says what is computed of them."""

from typing import Any

import bert4keras.layers
import tensorflow as tf

from raytrain.network.formulas import normalize
from raytrain.network.layers import DropoutSeed, Float32Layer, add_float32
from raytrain.network.transformer import PLACES, LayerSettings, run_layer

keras = tf.keras


class LayerNorm(bert4keras.layers.LayerNormalization):
    """bert4keras's unconditional LayerNormalization by `normalize`; float32 whatever the policy."""

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, inputs):
        @tf.custom_gradient
        def norm(inputs, gamma, beta):
            return normalize(inputs, gamma, beta, self.epsilon)

        return norm(inputs, tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta))


class Denses(Float32Layer):
    """Holds kernels and biases of several products, for its layer to multiply by.

    Args:
        shapes: (channels, units) of each.
        kernel_initializer: Of the kernels, called for one after another.
    """

    def __init__(self, shapes: list[tuple[int, int]], kernel_initializer: Any, **kwargs):
        super().__init__(**kwargs)
        self.shapes, self.kernel_initializer = shapes, kernel_initializer

    def build(self, input_shape=None):
        for shape in self.shapes:
            add_float32(self, "kernel", shape, self.kernel_initializer)
            add_float32(self, "bias", shape[1:], "zeros")
        super().build(input_shape)


class TransformerLayer(Float32Layer):
    """A layer of `network.transformer`, (batch, length, channels) float32 to the same shape.

    Args:
        settings: Of the layer, but for `first_only`.
        channels: Of its inputs.
        units: Of the inner product of its feed-forward half.
        dropout_seed: Where it finds the keys of its masks.
        kernel_initializer: Called for one kernel after another.

    Attributes:
        parts: The layers that hold its weights, named as bert4keras's.
    """

    def __init__(
        self,
        settings: LayerSettings,
        channels: int,
        units: int,
        dropout_seed: DropoutSeed,
        kernel_initializer: Any,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.settings, self.dropout_seed, self.supports_masking = settings, dropout_seed, True
        width = settings.heads * settings.head_size
        attention, feed_forward = f"{self.name}-MultiHeadSelfAttention", f"{self.name}-FeedForward"
        inner = [(channels, units), (units, channels)]
        self.parts = [
            Denses([(channels, width)] * 3 + [(width, channels)], kernel_initializer, name=attention),
            LayerNorm(epsilon=settings.epsilon, name=f"{attention}-Norm"),
            Denses(inner, kernel_initializer, name=feed_forward),
            LayerNorm(epsilon=settings.epsilon, name=f"{feed_forward}-Norm"),
        ]

    def build(self, input_shape):
        for part in self.parts:
            part.build(input_shape)
            part.built = True
        super().build(input_shape)

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, inputs, mask=None, training=None, place=0, first_only=False):
        """Runs the layer.

        Args:
            inputs: (batch, length, channels) float32.
            mask: (batch, length); None where all tokens are real.
            training: Whether it drops.
            place: Of its first mask, as `DropoutSeed.reserve` gives it: a layer may be applied several times.
            first_only: Returns the first position alone, (batch, 1, channels).
        """
        if mask is None:
            mask = tf.ones(tf.shape(inputs)[:2], tf.bool)
        settings = self.settings if not first_only else self.settings.of_first()
        keys = self.dropout_seed.keys(place, PLACES) if training and settings.drops else None
        weights = [tf.convert_to_tensor(weight) for part in self.parts for weight in part.weights]
        return run_layer(settings, inputs, mask, keys, weights)
