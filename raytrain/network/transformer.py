"""A Transformer's layer as a function of its inputs and weights, with its gradient; XLA may compile it.

Compiled, it is one function for all layers that are alike, so that XLA does its work once for each length
of a batch, and a layer costs two launches, forward and back. Weights, their order and their names are
those of bert4keras.

Shapes: sequences are (batch, length, channels), masks (batch, length) boolean, True on real tokens.

Types: products are in the type that the settings name; inputs, outputs, weights and all gradients float32.
"""

import contextlib
import contextvars
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from raytrain.network.attention import attend, attention, padding_bias, placing
from raytrain.network.formulas import (
    Formula,
    Gradient,
    LayerSettings,
    activate_fused,
    activation,
    drop,
    fuses,
    linear,
    linear_fused,
    normalize,
    normalize_fused,
    normalize_rms,
)

PLACES = 3  # of dropout in a layer: attention's weights, and what each half adds
# Of a layer's sixteen weights, those that a bare one has: the kernels.
_KERNELS = (0, 2, 4, 6, 10, 12)
_compiles = contextvars.ContextVar("_compiles", default=False)


@contextlib.contextmanager
def compiled_layers(wanted: bool) -> Iterator[None]:
    """Has XLA compile the layers that are called in this block, while a step is traced."""
    token = _compiles.set(wanted)
    try:
        yield
    finally:
        _compiles.reset(token)


def layers_are_compiled() -> bool:
    """Whether `compiled_layers` says so."""
    return _compiles.get()


def run_layer(
    settings: LayerSettings,
    inputs: tf.Tensor,
    mask: tf.Tensor,
    keys: tf.Tensor | None,
    weights: Sequence[tf.Tensor],
    training: bool,
) -> tf.Tensor:
    """Self-attention, then feed-forward, each with a residual and a norm around it.

    Args:
        settings: What is fixed.
        inputs: A sequence.
        mask: Its mask.
        keys: (PLACES,) uint64 of `DropoutSeed.keys`; None drops nothing.
        weights: Kernels and biases of query, key, value and output, the norm's beta and gamma; kernels and
            biases of the inner and the outer product, the second norm's beta and gamma. A bare layer has
            the kernels alone.
        training: Whether a gradient may be asked for.

    Returns:
        As the inputs; of the first position alone (batch, 1, channels).
    """
    if _compiles.get():
        return _compiled(settings)(inputs, mask, keys, *weights)
    if training or not fuses():
        return _differentiable(settings)(inputs, mask, keys, *weights)
    return _fused_layer(settings, inputs, mask, weights)


@functools.cache
def _compiled(settings: LayerSettings) -> Any:
    """One function for all layers of these settings, in whatever model and however often."""

    def transformer_layer(inputs, mask, keys, *weights):
        return _differentiable(settings)(inputs, mask, keys, *weights)

    return tf.function(transformer_layer, autograph=False, jit_compile=True)


def _differentiable(settings: LayerSettings) -> Any:
    def layer(inputs, mask, keys, *weights):
        @tf.custom_gradient
        def of_floats(inputs, *weights):
            return _layer(settings, inputs, mask, keys, weights)

        return of_floats(inputs, *weights)

    return layer


def _layer(settings: LayerSettings, inputs, mask, keys, weights) -> tuple[tf.Tensor, Gradient]:
    """`run_layer`, and its gradient to the inputs and each weight; within, tokens are rows of a matrix."""
    channels, length = inputs.shape[-1], tf.shape(mask)[1]
    rows, weights = tf.reshape(inputs, [-1, channels]), _all_weights(settings, weights)
    source = inputs[:, 0] if settings.first_only else rows
    drops = _dropouts(settings, keys)
    attended, attention_gradient = attention(settings, rows, source, mask, length, drops[0], weights[:8])
    middle, middle_gradient = _around(settings, source, attended, drops[1], *weights[8:10])
    added, feed_gradient = _feed_forward(settings, middle, weights[10:14])
    output, output_gradient = _around(settings, middle, added, drops[2], *weights[14:])

    def gradient(upstream):
        to_middle, to_added, *to_last = output_gradient(tf.reshape(upstream, [-1, channels]))
        beside, *to_feed = feed_gradient(to_added)
        to_source, to_attended, *to_norm = middle_gradient(to_middle + beside)
        to_rows, to_query, *to_attention = attention_gradient(to_attended)
        to_weights = [*to_attention, *to_norm, *to_feed, *to_last]
        if settings.is_bare:
            to_weights = [to_weights[place] for place in _KERNELS]
        if not settings.first_only:
            return tf.reshape(to_source + to_rows, [-1, length, channels]), *to_weights
        first = tf.pad((to_source + to_query)[:, None], [[0, 0], [0, length - 1], [0, 0]])
        return tf.reshape(to_rows, [-1, length, channels]) + first, *to_weights

    return tf.reshape(output, [-1, 1 if settings.first_only else length, channels]), gradient


def _all_weights(settings: LayerSettings, weights: Sequence[tf.Tensor]) -> Sequence[tf.Tensor | None]:
    """All sixteen, None in the place of those that a bare layer lacks."""
    if not settings.is_bare:
        return weights
    own = dict(zip(_KERNELS, weights, strict=True))
    return [own.get(place) for place in range(16)]


def _dropouts(settings: LayerSettings, keys: tf.Tensor | None) -> list[Formula]:
    rates = [settings.attention_dropout, settings.dropout, settings.dropout]
    if keys is None:
        return [functools.partial(drop, rate=0.0, key=None)] * PLACES
    return [
        functools.partial(drop, rate=rate, key=keys[place : place + 1] if rate else None)
        for place, rate in enumerate(rates)
    ]


def _around(
    settings: LayerSettings, residual: tf.Tensor, added: tf.Tensor, thin: Formula, beta, gamma
) -> tuple[tf.Tensor, Gradient]:
    """The norm of a residual and what is added to it. Its gradient is to both, to beta and gamma."""
    dropped, drop_gradient = thin(added)
    if settings.is_bare:
        output, rms_gradient = normalize_rms(residual + dropped, settings.epsilon)

        def bare_gradient(upstream):
            to_sum = rms_gradient(upstream)
            return to_sum, drop_gradient(to_sum), None, None

        return output, bare_gradient
    output, norm_gradient = normalize(residual + dropped, gamma, beta, settings.epsilon)

    def gradient(upstream):
        to_sum, to_gamma, to_beta = norm_gradient(upstream)
        return to_sum, drop_gradient(to_sum), to_beta, to_gamma

    return output, gradient


def _feed_forward(settings: LayerSettings, rows: tf.Tensor, weights) -> tuple[tf.Tensor, Gradient]:
    low = tf.cast(rows, settings.product_type)
    inner, inner_gradient = linear(low, *weights[:2])
    active, activation_gradient = activation(settings.activation)(inner)
    output, outer_gradient = linear(tf.cast(active, low.dtype), *weights[2:])

    def gradient(upstream):
        to_active, *to_outer = outer_gradient(upstream)
        to_low, *to_inner = inner_gradient(activation_gradient(tf.cast(to_active, tf.float32)))
        return tf.cast(to_low, tf.float32), *to_inner, *to_outer

    return output, gradient


def _fused_layer(settings: LayerSettings, inputs: tf.Tensor, mask: tf.Tensor, weights) -> tf.Tensor:
    """The layer without a gradient, spelled so that oneDNN makes one operation of several."""
    kind = settings.product_type
    channels, length, heads = inputs.shape[-1], tf.shape(mask)[1], settings.heads
    rows = tf.reshape(inputs, [-1, channels])
    source = inputs[:, 0] if settings.first_only else rows
    low, weights = tf.cast(rows, kind), _all_weights(settings, weights)
    low_source, queries = (tf.cast(source, kind), 1) if settings.first_only else (low, length)

    def project(rows, size, kernel, bias, scale=1.0):
        kernel, bias = (part if part is None or scale == 1 else part * scale for part in (kernel, bias))
        laid = tf.reshape(linear_fused(rows, kernel, bias), [-1, size, heads, settings.head_size])
        return tf.transpose(laid, [0, 2, 1, 3])

    def norm(rows, beta, gamma):
        if settings.is_bare:
            return normalize_rms(rows, settings.epsilon)[0]
        return normalize_fused(rows, gamma, beta, settings.epsilon)

    query = project(low_source, queries, *weights[:2], scale=settings.head_size**-0.5)
    key, value = project(low, length, *weights[2:4]), project(low, length, *weights[4:6])
    turn, relative = placing(settings, length)
    attended, _ = attend(*turn([query, key, value], 1.0), padding_bias(mask), relative=relative)
    joined = tf.reshape(tf.transpose(attended, [0, 2, 1, 3]), [-1, heads * settings.head_size])
    added = tf.cast(linear_fused(joined, *weights[6:8]), tf.float32)
    middle = norm(source + added, *weights[8:10])
    inner = activate_fused(settings.activation, linear_fused(tf.cast(middle, kind), *weights[10:12]))
    added = tf.cast(linear_fused(inner, *weights[12:14]), tf.float32)
    output = norm(middle + added, *weights[14:])
    return tf.reshape(output, [-1, 1 if settings.first_only else length, channels])
