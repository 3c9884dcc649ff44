"""The formulas of a Transformer's layers, each with its gradient written out.

Automatic differentiation of attention, GELU and LayerNorm makes many passes over large tensors that a
formula on paper does not need, and asks for the shapes of all it adds: on a CPU that is a third of a
training step, on a card half of its launches. A formula returns its value and a function from that value's
gradient to its arguments', as `tf.custom_gradient` takes them; one named `…_fused` its value alone.

Shapes: rows are (tokens of all texts, channels).

Types: products are in the type of their inputs; all else is float32.
"""

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from raytrain.kinds import LEARNED

Gradient = Callable[..., Any]
Formula = Callable[[tf.Tensor], tuple[tf.Tensor, Gradient]]
_spells_plainly = contextvars.ContextVar("_spells_plainly", default=False)


@dataclass(frozen=True)
class LayerSettings:
    """What is fixed of a layer.

    Attributes:
        heads: Of attention.
        head_size: Channels of each.
        activation: As in `formulas.activation`.
        epsilon: Of both norms.
        dropout: Rate of what each half adds.
        attention_dropout: Rate of attention's weights.
        product_type: In which matrices are multiplied, `float32` or `bfloat16`.
        first_only: Computes the first position alone, which reads all of them.
        positions: As in `kinds.Kind`; `learned` ones are in the inputs already.
        turns_values: Whether rotary positions turn values, too.
        most_distance: Beyond it relative positions are told apart no more.
        is_bare: As in `kinds.Kind`.
    """

    heads: int
    head_size: int
    activation: str
    epsilon: float
    dropout: float
    attention_dropout: float
    product_type: str
    first_only: bool = False
    positions: str = LEARNED
    turns_values: bool = False
    most_distance: int = 64
    is_bare: bool = False

    @property
    def drops(self) -> bool:
        return bool(self.dropout or self.attention_dropout)

    def of_first(self) -> "LayerSettings":
        """The same at the first position alone."""
        return replace(self, first_only=True)


def gelu(inputs: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
    """x Φ(x), with Φ the normal distribution function (Hendrycks & Gimpel 2016); not the tanh formula."""
    scaled = inputs * math.sqrt(0.5)
    below = 0.5 * tf.math.erf(scaled) + 0.5

    def gradient(upstream):
        return upstream * (below + scaled * tf.exp(-0.5 * math.log(math.pi) - scaled * scaled))

    return inputs * below, gradient


def gelu_tanh(inputs: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
    """The formula with tanh for x Φ(x) (Hendrycks & Gimpel 2016), with which ALBERT was trained."""
    root = math.sqrt(2 / math.pi)
    square = tf.square(inputs)
    tanh = tf.tanh(root * inputs * (1 + 0.044715 * square))

    def gradient(upstream):
        slope = root * (1 + 3 * 0.044715 * square)
        return upstream * 0.5 * (1 + tanh + inputs * (1 - tf.square(tanh)) * slope)

    return 0.5 * inputs * (1 + tanh), gradient


def activation(name: str) -> Formula:
    """The formula that a config calls so: of Google's names, else of Keras's."""
    if name in ("gelu", "gelu_new"):
        return gelu if name == "gelu" else gelu_tanh
    function = tf.keras.activations.get(name)

    def formula(inputs: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        def gradient(upstream):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                value = function(inputs)
            return tape.gradient(value, inputs, upstream)

        return function(inputs), gradient

    return formula


def normalize(
    inputs: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, Gradient]:
    """Layer normalization over the last axis (Ba et al. 2016); `gamma` scales, `beta` shifts."""
    centred = inputs - tf.reduce_mean(inputs, -1, keepdims=True)
    inverse = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), -1, keepdims=True) + epsilon)
    normal = centred * inverse

    def gradient(upstream):
        product, others = upstream * normal, list(range(len(inputs.shape) - 1))
        scaled = upstream * gamma
        along = tf.reduce_mean(product * gamma, -1, keepdims=True)
        to_inputs = (scaled - tf.reduce_mean(scaled, -1, keepdims=True) - normal * along) * inverse
        return to_inputs, tf.reduce_sum(product, others), tf.reduce_sum(upstream, others)

    return normal * gamma + beta, gradient


def normalize_rms(inputs: tf.Tensor, epsilon: float) -> tuple[tf.Tensor, Gradient]:
    """Division by the root mean square over the last axis (Zhang & Sennrich 2019), without a scale."""
    inverse = tf.math.rsqrt(tf.reduce_mean(tf.square(inputs), -1, keepdims=True) + epsilon)
    normal = inputs * inverse

    def gradient(upstream):
        along = tf.reduce_mean(upstream * normal, -1, keepdims=True)
        return (upstream - normal * along) * inverse

    return normal, gradient


def fuses() -> bool:
    """Whether operations without a gradient are fused where they are spelled right: by oneDNN, on CPUs."""
    return _spells_plainly.get() or not tf.config.get_visible_devices("GPU")


@contextlib.contextmanager
def plain_spelling() -> Iterator[None]:
    """Has norms without a gradient, traced in this block, be spelled as ONNX's converters know them.

    They find LayerNorm, and fuse it, in these operations alone; the batch norm of oneDNN means none to them.
    """
    token = _spells_plainly.set(True)
    try:
        yield
    finally:
        _spells_plainly.reset(token)


def normalize_fused(inputs: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float) -> tf.Tensor:
    """`normalize` without a gradient, as a batch norm of a row a channel: to oneDNN one operation."""
    if _spells_plainly.get():
        centred = inputs - tf.reduce_mean(inputs, -1, keepdims=True)
        variance = tf.reduce_mean(tf.pow(centred, 2.0), -1, keepdims=True)
        return centred / tf.sqrt(variance + epsilon) * gamma + beta
    shape = tf.shape(inputs)
    num_rows = tf.reduce_prod(shape[:-1])
    normal = tf.raw_ops.FusedBatchNormV3(
        x=tf.reshape(inputs, tf.stack([1, num_rows, inputs.shape[-1], 1])),
        scale=tf.ones([num_rows]),
        offset=tf.zeros([num_rows]),
        mean=tf.constant([]),
        variance=tf.constant([]),
        epsilon=epsilon,
        data_format="NCHW",
        is_training=True,
    )
    return tf.reshape(normal.y, shape) * gamma + beta


def linear_fused(rows: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None) -> tf.Tensor:
    """`linear` without a gradient, in the rows' type; the bias becomes part of the product."""
    product = tf.matmul(rows, tf.cast(kernel, rows.dtype))
    return product if bias is None else tf.nn.bias_add(product, tf.cast(bias, rows.dtype))


def activate_fused(name: str, inputs: tf.Tensor) -> tf.Tensor:
    """`activation` without a gradient, in the inputs' type; a GELU becomes part of the product before."""
    if name == "gelu":
        return inputs * ((tf.math.erf(inputs * math.sqrt(0.5)) + 1.0) * 0.5)
    if name == "gelu_new":
        return tf.nn.gelu(inputs, approximate=True)
    return tf.keras.activations.get(name)(inputs)


def linear(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None) -> tuple[tf.Tensor, Gradient]:
    """A product of two matrices, to which TensorFlow fuses the bias where both are float32.

    The bias joins in float32, so that its gradient, a sum over all tokens of a batch, is one in float32:
    in bfloat16 such a sum stops growing at 256 times its terms.

    Args:
        inputs: Rows; the product is in its type, and so is the gradient to it.
        kernel: (channels, units) float32.
        bias: (units,) float32; None adds none, and is its own gradient.

    Returns:
        Rows of `units`, float32. The gradient takes either type.
    """
    low = tf.cast(kernel, inputs.dtype)
    output = tf.cast(tf.matmul(inputs, low), tf.float32)
    if bias is not None:
        output = tf.nn.bias_add(output, bias)

    def gradient(upstream):
        product = tf.cast(upstream, inputs.dtype)
        to_kernel = tf.cast(tf.matmul(inputs, product, transpose_a=True), tf.float32)
        to_bias = None
        if bias is not None:
            to_bias = tf.raw_ops.BiasAddGrad(out_backprop=tf.cast(upstream, tf.float32))
        return tf.matmul(product, low, transpose_b=True), to_kernel, to_bias

    return output, gradient


def drop(inputs: tf.Tensor, rate: float, key: tf.Tensor | None) -> tuple[tf.Tensor, Gradient]:
    """Sets a share of the values to 0 and scales the others, so that the expectation stays.

    The bits are Philox's (Salmon et al. 2011), which XLA draws as TensorFlow does; of the floats that each
    makes of them the same cannot be said. A value takes sixteen: on a CPU to draw them is most of the work.

    Args:
        inputs: float32. In bfloat16 a rate of 0.1 would drop 13 of 128 values and scale by 1.109.
        rate: Share of the values, to the nearest 65,536th.
        key: (1,) uint64 of `DropoutSeed.keys`; None keeps everything, as a rate of 0 does.
    """
    if key is None or rate == 0:
        return inputs, lambda upstream: upstream
    shape, count = tf.shape(inputs), tf.size(inputs)
    bits = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[(count + 1) // 2],
        key=key,
        counter=tf.zeros((2,), tf.uint64),
        alg=1,
        dtype=tf.uint32,
    )
    halves = tf.reshape(tf.bitcast(bits, tf.uint16), [-1])[:count]
    dropped = min(round(rate * 2**16), 2**16 - 1)
    keep = tf.reshape(halves, shape) >= tf.constant(dropped, tf.uint16)
    scale = 2**16 / (2**16 - dropped)

    def thin(values):
        return tf.where(keep, values * scale, 0.0)

    return thin(inputs), thin
