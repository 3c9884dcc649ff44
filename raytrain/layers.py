"""Keras layers of our own: masked convolution and poolings, repeatable dropout.

Shapes: sequences are (batch, length, channels), masks (batch, length) boolean, True on real tokens.
"""

import tensorflow as tf

keras = tf.keras


class DropoutSeed:
    """Where the dropout layers of one model find the seed of the current step.

    A stateful generator would make a resumed fold draw other masks than an uninterrupted one. Here a
    mask is a function of (seed, place in the model) alone, and the training step sets the seed.

    Attributes:
        value: (2,) int32 tensor, set while a training step is traced.
    """

    def __init__(self):
        self.value = tf.constant([0, 0], tf.int32)
        self._place = 0

    def begin_step(self, value: tf.Tensor) -> None:
        """Starts a step's trace with its seed; places are counted anew from 0."""
        self.value = value
        self._place = 0

    def next(self) -> tf.Tensor:
        """The seed of the next place. A layer that is applied several times has several places."""
        self._place += 1
        return tf.random.experimental.stateless_fold_in(self.value, self._place)


class TruncatedNormal(keras.initializers.Initializer):
    """BERT's initializer, other values at every call (Keras's own repeats itself within a layer).

    Args:
        seed: The same seed gives the same sequence of values.
        stddev: 0.02 is BERT's `initializer_range`.
    """

    def __init__(self, seed: int, stddev: float = 0.02):
        self.seed = seed
        self.stddev = stddev
        self._calls = 0

    def __call__(self, shape, dtype=None, **kwargs):
        self._calls += 1
        seed = [self.seed, self._calls]
        return tf.random.stateless_truncated_normal(
            shape, seed, stddev=self.stddev, dtype=dtype or tf.float32
        )


class Dropout(keras.layers.Layer):
    """Dropout whose masks come from a DropoutSeed. Same shape in and out; mask passed on."""

    def __init__(self, rate: float, seed: DropoutSeed, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed
        self.supports_masking = True

    def call(self, inputs, training=None):
        if not training or self.rate == 0:
            return inputs
        return tf.nn.experimental.stateless_dropout(
            inputs, self.rate, seed=self.seed.next(), rng_alg="philox"
        )


class PaddingMask(keras.layers.Layer):
    """token_ids (batch, length) to a mask; id 0 is padding."""

    def call(self, token_ids):
        return tf.not_equal(token_ids, 0)


class MaskedConv1D(keras.layers.Conv1D):
    """Conv1D that reads padding as zeros and writes zeros there, so that padding changes nothing.

    It takes one input, or a list of inputs as if they lay side by side. Apart, the gradient of those
    that nothing is learned from, such as a frozen encoder's output, is never computed.
    """

    def __init__(self, filters: int, kernel_size: int, **kwargs):
        super().__init__(filters, kernel_size, padding="same", **kwargs)
        self.input_spec = None  # Keras would refuse a list

    def build(self, input_shape):
        super().build(_side_by_side(input_shape))
        self.input_spec = None

    def call(self, inputs, mask):
        inputs = inputs if isinstance(inputs, list) else [inputs]
        weight = tf.cast(mask, inputs[0].dtype)[:, :, None]
        kernels = tf.split(self.kernel, [part.shape[-1] for part in inputs], axis=1)
        local = [
            tf.nn.conv1d(part * weight, kernel, 1, "SAME")
            for part, kernel in zip(inputs, kernels, strict=True)
        ]
        return self.activation(tf.nn.bias_add(tf.add_n(local), self.bias)) * weight


def _side_by_side(shapes):
    """The shape of one tensor, or of several joined in their channels."""
    if not isinstance(shapes, list):
        return shapes
    return tf.TensorShape([*shapes[0][:-1], sum(shape[-1] for shape in shapes)])


class MaskedMaxPooling(keras.layers.Layer):
    """(batch, length, channels) to (batch, channels): the greatest value over the real tokens."""

    def call(self, inputs, mask):
        return tf.reduce_max(tf.where(mask[:, :, None], inputs, inputs.dtype.min), axis=1)


class MaskedMeanPooling(keras.layers.Layer):
    """(batch, length, channels) to (batch, channels): the mean over real tokens, summed in float32."""

    def call(self, inputs, mask):
        weight = tf.cast(mask, tf.float32)[:, :, None]
        total = tf.reduce_sum(tf.cast(inputs, tf.float32) * weight, axis=1)
        return tf.cast(total / tf.maximum(tf.reduce_sum(weight, axis=1), 1.0), inputs.dtype)


class OpenEmbedding(keras.layers.Embedding):
    """An embedding of as many rows as are assigned to it, for texts with words that training did not see."""

    def __init__(self, columns: int, **kwargs):
        super().__init__(1, columns, **kwargs)

    def build(self, input_shape=None):
        self.embeddings = tf.Variable(
            tf.zeros((1, self.output_dim)), shape=(None, self.output_dim), name="embeddings"
        )
        self.built = True
