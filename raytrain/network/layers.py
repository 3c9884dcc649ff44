"""Keras layers of our own: masked convolution and poolings, repeatable dropout.

Shapes: sequences are (batch, length, channels), masks (batch, length) boolean, True on real tokens.

Types: a layer that multiplies matrices takes its inputs in the type of Keras's policy, on cards of today
bfloat16, and multiplies in it. All else is float32 whatever the policy: other layers, what every layer
returns, biases and activations, weights and their gradients.
"""

import tensorflow as tf

from raytrain.network import formulas

keras = tf.keras

MIXED_LAYERS = 4  # the last ones of an encoder: Devlin et al. 2019 found no more than these to help


class DropoutSeed:
    """Where the dropout layers of one model find what their masks of the current step are drawn from.

    A stateful generator would make a resumed fold draw other masks than an uninterrupted one. Here a
    mask is a function of (seed, place in the model) alone, and the training step sets the seed.
    """

    def __init__(self):
        self._seed, self._keys = tf.constant([0, 0], tf.int32), None
        self._num_places = 0

    def reserve(self, count: int = 1) -> int:
        """Takes so many places while the model is built. Returns the first."""
        self._num_places += count
        return self._num_places - count

    def begin_step(self, seed: tf.Tensor) -> None:
        """Starts a step's trace with its seed, (2,) int32."""
        self._seed, self._keys = seed, None
        self._keys = self._derive()

    def keys(self, place: int, count: int = 1) -> tf.Tensor:
        """(count,) uint64, each a place's own key of Philox; on a card they never leave it."""
        keys = self._derive() if self._keys is None else self._keys
        return keys[place : place + count]

    def _derive(self) -> tf.Tensor:
        key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=self._seed)
        return tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=[self._num_places], key=key, counter=counter, alg=1, dtype=tf.uint64
        )


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


class Float32Layer(keras.layers.Layer):
    """A layer that computes in float32 whatever the policy: inputs are cast to it, outputs have it.

    Sums of many terms, exponentials and factors near 1 leave bfloat16's eight bits.
    """

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})


class Dropout(Float32Layer):
    """Dropout whose masks come from a DropoutSeed. Same shape in and out, float32; mask passed on."""

    def __init__(self, rate: float, seed: DropoutSeed, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.seed, self.place = rate, seed, seed.reserve()
        self.supports_masking = True

    def call(self, inputs, training=None):
        if not training or self.rate == 0:
            return inputs
        key = self.seed.keys(self.place)
        return tf.custom_gradient(lambda values: formulas.drop(values, self.rate, key))(inputs)


class Repeat(Float32Layer):
    """In training (batch, channels) to (copies × batch, channels), copy after copy; else as it is."""

    def __init__(self, copies: int, **kwargs):
        super().__init__(**kwargs)
        self.copies = copies

    def call(self, inputs, training=None):
        return tf.tile(inputs, [self.copies, 1]) if training else inputs


def linear(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """`formulas.linear` over the last axis: (…, channels) to (…, units) float32, in the inputs' type."""
    flat = tf.reshape(inputs, [-1, inputs.shape[-1]])
    weights = [tf.convert_to_tensor(weight) for weight in (kernel, bias)]
    output = tf.custom_gradient(formulas.linear)(flat, *weights)
    return tf.reshape(output, tf.concat([tf.shape(inputs)[:-1], [kernel.shape[-1]]], axis=0))


class Dense(keras.layers.Layer):
    """Keras's Dense by `linear`: (…, channels) in the policy's type to (…, units) float32; mask passed on."""

    def __init__(self, units: int, activation=None, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.units, self.activation = units, keras.activations.get(activation)
        self.supports_masking = True
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        shape = (input_shape[-1], self.units)
        self.kernel = add_float32(self, "kernel", shape, self.kernel_initializer)
        self.bias = add_float32(self, "bias", shape[1:], "zeros")
        super().build(input_shape)

    def call(self, inputs):
        return self.activation(linear(inputs, self.kernel, self.bias))


def add_float32(layer: keras.layers.Layer, name: str, shape, initializer) -> tf.Variable:
    """A weight that reads as float32 whatever the policy; whoever multiplies by it casts it."""
    return layer.add_weight(name, shape, tf.float32, initializer=initializer, experimental_autocast=False)


class PaddingMask(keras.layers.Layer):
    """token_ids (batch, length) to a mask; id 0 is padding."""

    def call(self, token_ids):
        return tf.not_equal(token_ids, 0)


class MaskedConv1D(keras.layers.Layer):
    """Keras's Conv1D that reads padding as zeros and writes zeros there, so that padding changes nothing.

    It takes one input, or a list of inputs as if they lay side by side. Apart, the gradient of those
    that nothing is learned from, such as a frozen encoder's output, is never computed.

    (batch, length, channels) in the policy's type to (batch, length, filters) float32.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        activation=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.kernel_size = filters, kernel_size
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)

    def build(self, input_shape):
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        shape = (self.kernel_size, sum(shape[-1] for shape in shapes), self.filters)
        self.kernel = add_float32(self, "kernel", shape, self.kernel_initializer)
        self.bias = add_float32(self, "bias", shape[2:], self.bias_initializer)
        super().build(input_shape)

    def call(self, inputs, mask):
        inputs = inputs if isinstance(inputs, list) else [inputs]
        real = tf.cast(mask, inputs[0].dtype)[:, :, None]
        kernel = tf.cast(self.kernel, inputs[0].dtype)
        kernels = tf.split(kernel, [part.shape[-1] for part in inputs], axis=1)
        local = [
            tf.cast(tf.nn.conv1d(part * real, kernel, 1, "SAME"), tf.float32)
            for part, kernel in zip(inputs, kernels, strict=True)
        ]
        output = self.activation(tf.nn.bias_add(tf.add_n(local), self.bias))
        return output * tf.cast(mask, tf.float32)[:, :, None]


class MaskedMaxPooling(Float32Layer):
    """(batch, length, channels) to (batch, channels): the greatest value over the real tokens, float32."""

    def call(self, inputs, mask):
        return tf.reduce_max(tf.where(mask[:, :, None], inputs, inputs.dtype.min), axis=1)


class MaskedMeanPooling(Float32Layer):
    """(batch, length, channels) to (batch, channels): the mean over the real tokens, float32."""

    def call(self, inputs, mask):
        weight = tf.cast(mask, tf.float32)[:, :, None]
        return tf.reduce_sum(inputs * weight, axis=1) / tf.maximum(tf.reduce_sum(weight, axis=1), 1.0)


class LayerMixture(Float32Layer):
    """(batch, layers, channels) to (batch, channels): the layers' mean, by weights that are learned.

    Before training all weigh the same (Peters et al. 2018).
    """

    def build(self, input_shape):
        self.scores = add_float32(self, "scores", (MIXED_LAYERS,), "zeros")
        super().build(input_shape)

    def call(self, inputs):
        shares = tf.nn.softmax(self.scores[: tf.shape(inputs)[1]])
        return tf.tensordot(shares, inputs, [[0], [1]])


class OpenEmbedding(keras.layers.Embedding):
    """An embedding of as many rows as are assigned to it, for texts with words that training did not see.

    (batch, length) ids to (batch, length, columns) float32.
    """

    def __init__(self, columns: int, **kwargs):
        super().__init__(1, columns, **{**kwargs, "dtype": "float32"})

    def build(self, input_shape=None):
        self.embeddings = tf.Variable(
            tf.zeros((1, self.output_dim)), shape=(None, self.output_dim), name="embeddings"
        )
        self.built = True
