"""Layers of which encoders are built: norms, one of `network.transformer`, ERNIE's embedding of tasks."""

from typing import Any

import bert4keras.layers
import tensorflow as tf

from raytrain.network.formulas import LayerSettings, fuses, normalize, normalize_fused, normalize_rms
from raytrain.network.layers import DropoutSeed, Float32Layer, add_float32
from raytrain.network.transformer import PLACES, run_layer

keras = tf.keras


class LayerNorm(bert4keras.layers.LayerNormalization):
    """bert4keras's unconditional LayerNormalization by `normalize`; float32 whatever the policy."""

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, inputs, training=None):
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        if not training and fuses():
            return normalize_fused(inputs, gamma, beta, self.epsilon)

        @tf.custom_gradient
        def norm(inputs, gamma, beta):
            return normalize(inputs, gamma, beta, self.epsilon)

        return norm(inputs, gamma, beta)


class RmsNorm(Float32Layer):
    """`normalize_rms` as a layer, which has no weights."""

    def __init__(self, epsilon: float, **kwargs):
        super().__init__(**kwargs)
        self.epsilon, self.supports_masking = epsilon, True

    def call(self, inputs):
        return tf.custom_gradient(lambda values: normalize_rms(values, self.epsilon))(inputs)


class TaskEmbedding(Float32Layer):
    """Adds the vector of ERNIE's task 0 to every position, as transformers does where no task is named.

    The other tasks' vectors are kept, so that an encoder is written as it was read.
    """

    def __init__(self, tasks: int, embeddings_initializer: Any, **kwargs):
        super().__init__(**kwargs)
        self.tasks, self.embeddings_initializer = tasks, embeddings_initializer
        self.supports_masking = True

    def build(self, input_shape):
        shape = (self.tasks, input_shape[-1])
        self.embeddings = add_float32(self, "embeddings", shape, self.embeddings_initializer)
        super().build(input_shape)

    def call(self, inputs):
        return inputs + tf.convert_to_tensor(self.embeddings)[0]


class Denses(Float32Layer):
    """Holds kernels and biases of several products, for its layer to multiply by.

    Args:
        shapes: (channels, units) of each.
        kernel_initializer: Of the kernels, called for one after another.
        use_bias: Whether there are biases.
    """

    def __init__(
        self, shapes: list[tuple[int, int]], kernel_initializer: Any, use_bias: bool = True, **kwargs
    ):
        super().__init__(**kwargs)
        self.shapes, self.kernel_initializer, self.use_bias = shapes, kernel_initializer, use_bias

    def build(self, input_shape=None):
        for shape in self.shapes:
            add_float32(self, "kernel", shape, self.kernel_initializer)
            if self.use_bias:
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
        outer, inner = [(channels, width)] * 3 + [(width, channels)], [(channels, units), (units, channels)]
        norm, use_bias = (RmsNorm, False) if settings.is_bare else (LayerNorm, True)
        self.parts = [
            Denses(outer, kernel_initializer, use_bias, name=attention),
            norm(epsilon=settings.epsilon, name=f"{attention}-Norm"),
            Denses(inner, kernel_initializer, use_bias, name=feed_forward),
            norm(epsilon=settings.epsilon, name=f"{feed_forward}-Norm"),
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
        return run_layer(settings, inputs, mask, keys, weights, bool(training))
