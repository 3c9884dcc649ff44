"""Self-attention of a Transformer's layer, with its gradient written out, and how positions enter it.

Shapes: rows are (tokens of all texts, channels), heads (batch, heads, length, channels of each).

Types: products are in the type of their inputs; all else is float32.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from raytrain.kinds import RELATIVE, ROTARY
from raytrain.network.formulas import Formula, Gradient, LayerSettings, drop, linear
from raytrain.network.positions import relative_vectors, rotary_angles, rotate

Dense = tuple[tf.Tensor, tf.Tensor | None]  # kernel, bias
Turn = Callable[[Sequence[tf.Tensor], float], Sequence[tf.Tensor]]


def attend(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    bias: tf.Tensor,
    drop_weights: Formula = lambda weights: drop(weights, 0.0, None),
    relative: tf.Tensor | None = None,
) -> tuple[tf.Tensor, Gradient]:
    """Attention (Vaswani et al. 2017), its scores unscaled.

    The softmax's gradient needs each row's Σ upstream · weight over the keys. That is the row's
    Σ upstream · output over the much fewer channels (Dao et al. 2022, equation 4).

    Args:
        query: (batch, heads, queries, channels).
        key: (batch, heads, keys, channels).
        value: (batch, heads, keys, channels).
        bias: What is added to the scores, (batch, 1, 1, keys) float32.
        drop_weights: The dropout of the weights, (batch, heads, queries, keys) float32.
        relative: What is added to the key and to the value that a query reads (Shaw et al. 2018),
            (queries, keys, channels) in their type, not learned; None adds nothing.

    Returns:
        (batch, heads, queries, channels).
    """
    products = _add(tf.matmul(query, key, transpose_b=True), "bhqc,qkc->bhqk", query, relative)
    weights = tf.nn.softmax(tf.cast(products, tf.float32) + bias)
    dropped, drop_gradient = drop_weights(weights)
    kept = tf.cast(dropped, value.dtype)
    output = _add(tf.matmul(kept, value), "bhqk,qkc->bhqc", kept, relative)

    def gradient(upstream):
        to_kept = tf.matmul(upstream, value, transpose_b=True)
        to_kept = _add(to_kept, "bhqc,qkc->bhqk", upstream, relative)
        to_weights = drop_gradient(tf.cast(to_kept, tf.float32))
        product = tf.cast(upstream, tf.float32) * tf.cast(output, tf.float32)
        along = tf.reduce_sum(product, -1, keepdims=True)
        to_scores = tf.cast(weights * (to_weights - along), query.dtype)
        return (
            _add(tf.matmul(to_scores, key), "bhqk,qkc->bhqc", to_scores, relative),
            tf.matmul(to_scores, query, transpose_a=True),
            tf.matmul(kept, upstream, transpose_a=True),
        )

    return output, gradient


def _add(product: tf.Tensor, equation: str, other: tf.Tensor, relative: tf.Tensor | None) -> tf.Tensor:
    return product if relative is None else product + tf.einsum(equation, other, relative)


def placing(settings: LayerSettings, length: tf.Tensor) -> tuple[Turn, tf.Tensor | None]:
    """How positions enter attention over texts of a length.

    Returns:
        What turns query, key and value as their positions ask, with a sign of −1 back again, which is its
        gradient; and `relative` of `attend`.
    """
    if settings.positions == RELATIVE:
        queries = 1 if settings.first_only else length
        vectors = relative_vectors(queries, length, settings.most_distance, settings.head_size)
        return lambda heads, sign: heads, tf.cast(vectors, settings.product_type)
    if settings.positions != ROTARY:
        return lambda heads, sign: heads, None
    sine, cosine = rotary_angles(length, settings.head_size)
    # The first position's angles are 0, so that where it alone asks nothing turns.
    turned = [not settings.first_only, True, settings.turns_values]

    def turn(heads, sign):
        return [
            rotate(part, sign * sine, cosine) if turns else part
            for part, turns in zip(heads, turned, strict=True)
        ]

    return turn, None


def attention(
    settings: LayerSettings, rows, source, mask, length, thin: Formula, weights
) -> tuple[tf.Tensor, Gradient]:
    """What `source`, the rows or the first of each text, takes from all rows of its text.

    Its gradient is to the rows, to the source where that is apart (else None), and to the weights.
    """
    heads, project_gradient = _project_all(settings, rows, source, length, weights)
    turn, relative = placing(settings, length)
    attended, attend_gradient = attend(*turn(heads, 1.0), padding_bias(mask), thin, relative)
    width = settings.heads * settings.head_size
    joined = tf.reshape(tf.transpose(attended, [0, 2, 1, 3]), [-1, width])
    output, output_gradient = linear(joined, *weights[6:])

    def gradient(upstream):
        to_joined, *to_output = output_gradient(upstream)
        queries = 1 if settings.first_only else length
        apart = tf.reshape(to_joined, [-1, queries, settings.heads, settings.head_size])
        to_heads = attend_gradient(tf.transpose(apart, [0, 2, 1, 3]))
        return *project_gradient(turn(to_heads, -1.0)), *to_output

    return output, gradient


def _project_all(
    settings: LayerSettings, rows, source, length, weights
) -> tuple[Sequence[tf.Tensor], Gradient]:
    """Query, key and value. The gradient takes theirs as one, and is `attention`'s without the output's."""
    # The scores' scale is taken into the query's kernel, which is smaller than the scores.
    scale, low = settings.head_size**-0.5, tf.cast(rows, settings.product_type)
    query_dense = weights[0] * scale, _scaled(weights[1], scale)
    others = [weights[2:4], weights[4:6]]
    if not settings.first_only:
        heads, heads_gradient = _project(settings, low, [query_dense, *others], length)

        def gradient(upstream):
            to_rows, kernel, bias, *to_others = heads_gradient(*upstream)
            return tf.cast(to_rows, tf.float32), None, kernel * scale, _scaled(bias, scale), *to_others

        return heads, gradient
    first = tf.cast(source, settings.product_type)
    [query], query_gradient = _project(settings, first, [query_dense], 1)
    keyed, keyed_gradient = _project(settings, low, others, length)

    def gradient_apart(upstream):
        to_source, kernel, bias = query_gradient(upstream[0])
        to_rows, *to_others = keyed_gradient(*upstream[1:])
        to_rows, to_source = tf.cast(to_rows, tf.float32), tf.cast(to_source, tf.float32)
        return to_rows, to_source, kernel * scale, _scaled(bias, scale), *to_others

    return [query, *keyed], gradient_apart


def _scaled(bias: tf.Tensor | None, scale: float) -> tf.Tensor | None:
    return None if bias is None else bias * scale


def padding_bias(mask: tf.Tensor) -> tf.Tensor:
    """What keeps attention off padding, for `attend`."""
    return tf.where(mask, 0.0, -1e9)[:, None, None, :]


def _project(
    settings: LayerSettings, rows: tf.Tensor, denses: Sequence[Dense], length: tf.Tensor | int
) -> tuple[list[tf.Tensor], Gradient]:
    """One product for several projections.

    Returns:
        Each (batch, heads, length, head_size) of the result, in the rows' type; the gradient of all of them
        to the rows and to each kernel and bias.
    """
    count, width = len(denses), settings.heads * settings.head_size
    kernel = tf.concat([kernel for kernel, _ in denses], axis=1)
    biases = [bias for _, bias in denses if bias is not None]
    product, linear_gradient = linear(rows, kernel, tf.concat(biases, axis=0) if biases else None)
    laid = tf.reshape(tf.cast(product, rows.dtype), [-1, length, count, settings.heads, settings.head_size])

    def gradient(*upstream):
        joined = tf.reshape(tf.transpose(tf.stack(upstream), [1, 3, 0, 2, 4]), [-1, count * width])
        to_rows, to_kernel, to_bias = linear_gradient(joined)
        to_biases = [None] * count if to_bias is None else tf.split(to_bias, count)
        parts = zip(tf.split(to_kernel, count, axis=1), to_biases, strict=True)
        return to_rows, *(part for dense in parts for part in dense)

    return tf.unstack(tf.transpose(laid, [2, 0, 3, 1, 4]), count), gradient
