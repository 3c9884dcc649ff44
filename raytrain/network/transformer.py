"""The layers of a Transformer, with gradients written out.

Automatic differentiation of attention, GELU and LayerNorm makes many passes over large tensors that a
formula on paper does not need; on a CPU they are a third of a training step. Weights, their order and
their names are those of bert4keras, whose layers these extend.

Shapes: sequences are (batch, length, channels), masks (batch, length) boolean, True on real tokens.

Types: as in `raytrain.network.layers`; softmax, GELU, norm and dropout are float32.
"""

import math

import bert4keras.layers
import tensorflow as tf

from raytrain.network.layers import Dense, DropoutSeed, drop, linear

keras = tf.keras


@tf.custom_gradient
def gelu(inputs: tf.Tensor):
    """x Φ(x), with Φ the normal distribution function (Hendrycks & Gimpel 2016); not the tanh formula."""
    scaled = inputs * math.sqrt(0.5)
    below = 0.5 * tf.math.erf(scaled) + 0.5

    def gradient(upstream):
        return upstream * (below + scaled * tf.exp(-0.5 * math.log(math.pi) - scaled * scaled))

    return inputs * below, gradient


@tf.custom_gradient
def gelu_tanh(inputs: tf.Tensor):
    """The formula with tanh for x Φ(x) (Hendrycks & Gimpel 2016), with which ALBERT was trained."""
    root = math.sqrt(2 / math.pi)
    square = tf.square(inputs)
    tanh = tf.tanh(root * inputs * (1 + 0.044715 * square))

    def gradient(upstream):
        slope = root * (1 + 3 * 0.044715 * square)
        return upstream * 0.5 * (1 + tanh + inputs * (1 - tf.square(tanh)) * slope)

    return 0.5 * inputs * (1 + tanh), gradient


@tf.custom_gradient
def normalize(inputs: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: tf.Tensor):
    """Layer normalization over the last axis (Ba et al. 2016); `gamma` scales, `beta` shifts."""
    centred = inputs - tf.reduce_mean(inputs, -1, keepdims=True)
    inverse = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), -1, keepdims=True) + epsilon)
    normal = centred * inverse

    def gradient(upstream):
        product, others = upstream * normal, tf.range(tf.rank(upstream) - 1)
        scaled = upstream * gamma
        along = tf.reduce_mean(product * gamma, -1, keepdims=True)
        to_inputs = (scaled - tf.reduce_mean(scaled, -1, keepdims=True) - normal * along) * inverse
        return to_inputs, tf.reduce_sum(product, others), tf.reduce_sum(upstream, others), None

    return normal * gamma + beta, gradient


def attend(
    query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, bias: tf.Tensor, noise: tf.Tensor | None = None
) -> tf.Tensor:
    """Attention (Vaswani et al. 2017), its scores unscaled.

    The softmax's gradient needs each row's Σ upstream · weight over the keys. That is the row's
    Σ upstream · output over the much fewer channels (Dao et al. 2022, equation 4).

    Args:
        query: (batch, heads, queries, channels).
        key: (batch, heads, keys, channels).
        value: (batch, heads, keys, channels).
        bias: What is added to the scores, (batch, 1, 1, keys) float32.
        noise: Factors of the weights, for dropout: (batch, heads, queries, keys) float32, or None.

    Returns:
        (batch, heads, queries, channels).
    """

    @tf.custom_gradient
    def attention(query, key, value):
        scores = tf.cast(tf.matmul(query, key, transpose_b=True), tf.float32) + bias
        weights = tf.nn.softmax(scores)
        kept = tf.cast(weights if noise is None else weights * noise, value.dtype)
        output = tf.matmul(kept, value)

        def gradient(upstream):
            to_kept = tf.cast(tf.matmul(upstream, value, transpose_b=True), tf.float32)
            to_weights = to_kept if noise is None else to_kept * noise
            product = tf.cast(upstream, tf.float32) * tf.cast(output, tf.float32)
            along = tf.reduce_sum(product, -1, keepdims=True)
            to_scores = tf.cast(weights * (to_weights - along), query.dtype)
            return (
                tf.matmul(to_scores, key),
                tf.matmul(to_scores, query, transpose_a=True),
                tf.matmul(kept, upstream, transpose_a=True),
            )

        return output, gradient

    return attention(query, key, value)


class LayerNorm(bert4keras.layers.LayerNormalization):
    """bert4keras's unconditional LayerNormalization by `normalize`; float32 whatever the policy."""

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, inputs):
        epsilon = tf.constant(self.epsilon, inputs.dtype)
        return normalize(inputs, tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta), epsilon)


class SelfAttention(bert4keras.layers.MultiHeadAttention):
    """bert4keras's MultiHeadAttention by `attend`, with the repeatable Dropout on its weights.

    It takes [sequence], whose three projections are one product, or [query, key and value], in the policy's
    type, and returns (batch, queries, out_dim) float32.
    """

    def __init__(self, *args, dropout_seed: DropoutSeed, attention_dropout: float | None = None, **kwargs):
        super().__init__(*args, attention_dropout=None, **kwargs)
        self.noise_rate, self.dropout_seed = attention_dropout or 0.0, dropout_seed

    def build(self, input_shape):
        query, key = input_shape[0][-1], input_shape[-1][-1]
        self.q_dense = _built_dense(query, self.key_size * self.heads, self.kernel_initializer)
        self.k_dense = _built_dense(key, self.key_size * self.heads, self.kernel_initializer)
        self.v_dense = _built_dense(key, self.head_size * self.heads, self.kernel_initializer)
        self.o_dense = _built_dense(self.head_size * self.heads, self.out_dim, self.kernel_initializer)
        self.built = True

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:2], self.out_dim)

    def compute_mask(self, inputs, mask=None):
        return None if mask is None else mask[0]

    def call(self, inputs, mask=None, training=None):
        if len(inputs) == 1:
            query, key, value = self._project(inputs[0], self.q_dense, self.k_dense, self.v_dense)
        else:
            [query] = self._project(inputs[0], self.q_dense)
            key, value = self._project(inputs[1], self.k_dense, self.v_dense)
        real = tf.cast(mask[-1], tf.float32) if mask is not None else tf.ones(tf.shape(inputs[-1])[:2])
        bias = (real[:, None, None, :] - 1) * 1e9
        noise = None
        if training and self.noise_rate:
            shape = tf.concat([tf.shape(query)[:3], tf.shape(key)[2:3]], axis=0)
            noise = drop(tf.ones(shape), self.noise_rate, self.dropout_seed.next())
        output = tf.transpose(attend(query, key, value, bias, noise), [0, 2, 1, 3])
        shape = tf.shape(output)
        output = tf.reshape(output, [shape[0], shape[1], self.heads * self.head_size])
        return linear(output, self.o_dense.kernel, self.o_dense.bias)

    def _project(self, inputs, *layers):
        """One product for all these projections; each (batch, heads, length, channels) of the result."""
        # The scores' scale is taken into the query's kernel, which is smaller than the scores.
        scales = [self.key_size**-0.5 if dense is self.q_dense else 1.0 for dense in layers]
        kernel = tf.concat(
            [dense.kernel * scale for dense, scale in zip(layers, scales, strict=True)], axis=1
        )
        bias = tf.concat([dense.bias * scale for dense, scale in zip(layers, scales, strict=True)], axis=0)
        shape = tf.shape(inputs)
        laid = tf.reshape(
            linear(inputs, kernel, bias), [shape[0], shape[1], len(layers), self.heads, self.head_size]
        )
        return tf.unstack(tf.transpose(tf.cast(laid, inputs.dtype), [2, 0, 3, 1, 4]))


class FeedForward(bert4keras.layers.FeedForward):
    """bert4keras's FeedForward of one activation, as two plain products.

    (batch, length, channels) in the policy's type to the same shape, float32.
    """

    def build(self, input_shape):
        channels = input_shape[-1]
        self.i0_dense = _built_dense(channels, self.units, self.kernel_initializer)
        self.o_dense = _built_dense(self.units, channels, self.kernel_initializer)
        self.built = True

    def call(self, inputs):
        inner = self.activation[0](linear(inputs, self.i0_dense.kernel, self.i0_dense.bias))
        return linear(tf.cast(inner, inputs.dtype), self.o_dense.kernel, self.o_dense.bias)


def _built_dense(channels: int, units: int, initializer) -> Dense:
    """Holds kernel and bias of a projection, for its layer to multiply by."""
    dense = Dense(units, kernel_initializer=initializer)
    dense.build((None, None, channels))
    return dense
