"""A whole layer against bert4keras's and against automatic differentiation, as it is and compiled."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

from collections import Counter

import bert4keras.layers
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context
from tensorflow.python.util._pywrap_util_port import IsMklEnabled

from raytrain.devices import cpu_has_bfloat16
from raytrain.network.blocks import LayerNorm, TransformerLayer
from raytrain.network.layers import DropoutSeed
from raytrain.network.formulas import LayerSettings, fuses
from raytrain.network.transformer import PLACES, compiled_layers, run_layer

HEADS, SIZE, CHANNELS, UNITS, EPSILON = 2, 4, 6, 10, 1e-3
SHAPES = [*[(CHANNELS, 8), (8,)] * 3, (8, CHANNELS), (CHANNELS,), (CHANNELS,), (CHANNELS,)]
SHAPES += [(CHANNELS, UNITS), (UNITS,), (UNITS, CHANNELS), (CHANNELS,), (CHANNELS,), (CHANNELS,)]
MASK = np.arange(7) < np.array([7, 3, 1])[:, None]


def settings(**changes):
    plain = {"heads": HEADS, "head_size": SIZE, "activation": "gelu", "epsilon": EPSILON, "dropout": 0.0}
    return LayerSettings(**plain | {"attention_dropout": 0.0, "product_type": "float32"} | changes)


def draw(seed=0, is_bare=False):
    rng = np.random.default_rng(seed)
    weights = [tf.constant(rng.normal(0, 0.7, shape), tf.float32) for shape in SHAPES]
    if is_bare:
        weights = [weight for weight in weights if len(weight.shape) == 2]
    return tf.constant(rng.normal(size=(*MASK.shape, CHANNELS)), tf.float32), weights


VARIANTS = {
    "plain": {},
    "rotary": {"positions": "rotary"},
    "rotary values": {"positions": "rotary", "turns_values": True},
    "relative": {"positions": "relative", "most_distance": 2},
    "bare": {"positions": "rotary", "is_bare": True},
}


def turned(x):
    """Su et al. 2021, (batch, length, heads, channels): pairs of channels are complex numbers."""
    angles = np.arange(x.shape[1])[:, None] * 10_000.0 ** (-np.arange(0, SIZE, 2) / SIZE)
    pairs = tf.complex(x[..., ::2], x[..., 1::2]) * tf.constant(np.exp(1j * angles)[:, None], tf.complex64)
    return tf.reshape(tf.stack([tf.math.real(pairs), tf.math.imag(pairs)], axis=-1), x.shape)


def distances(most):
    """Wei et al. 2019: (queries, keys, channels) sines and cosines of distances."""
    length = MASK.shape[1]
    vectors = np.zeros((length, length, SIZE), np.float32)
    for query, key, channel in np.ndindex(vectors.shape):
        angle = (np.clip(key - query, -most, most) + most) / 10_000 ** (channel // 2 * 2 / SIZE)
        vectors[query, key, channel] = np.cos(angle) if channel % 2 else np.sin(angle)
    return vectors


def plain_layer(inputs, weights, positions="learned", turns_values=False, most_distance=2, is_bare=False):
    """Vaswani et al. 2017, as it is written there, and what later ones do otherwise."""
    if is_bare:
        own = iter(weights)
        weights = [next(own) if place in (0, 2, 4, 6, 10, 12) else 0.0 for place in range(16)]

    def norm(x, beta, gamma):
        if is_bare:
            return x / tf.sqrt(tf.reduce_mean(x * x, -1, keepdims=True) + EPSILON)
        mean, variance = tf.nn.moments(x, [-1], keepdims=True)
        return (x - mean) / tf.sqrt(variance + EPSILON) * gamma + beta

    def heads(kernel, bias):
        shape = [inputs.shape[0], inputs.shape[1], HEADS, SIZE]
        return tf.reshape(tf.einsum("blc,cd->bld", inputs, kernel) + bias, shape)

    query, key, value = (heads(*weights[place : place + 2]) for place in (0, 2, 4))
    if positions == "rotary":
        query, key, value = turned(query), turned(key), turned(value) if turns_values else value
    apart = distances(most_distance) if positions == "relative" else np.zeros((7, 7, SIZE), np.float32)
    scores = tf.einsum("bqhd,bkhd->bhqk", query, key) + tf.einsum("bqhd,qkd->bhqk", query, apart)
    scores = scores / SIZE**0.5
    scores = tf.where(MASK[:, None, None, :], scores, -1e9)
    read = tf.einsum("bhqk,bkhd->bqhd", tf.nn.softmax(scores), value)
    read += tf.einsum("bhqk,qkd->bqhd", tf.nn.softmax(scores), apart)
    read = tf.reshape(read, [*inputs.shape[:2], HEADS * SIZE])
    middle = norm(inputs + tf.einsum("bld,dc->blc", read, weights[6]) + weights[7], *weights[8:10])
    inner = tf.nn.gelu(tf.einsum("blc,cd->bld", middle, weights[10]) + weights[11], approximate=False)
    return norm(middle + tf.einsum("bld,dc->blc", inner, weights[12]) + weights[13], *weights[14:])


def value_and_gradients(function, is_bare=False):
    inputs, weights = draw(is_bare=is_bare)
    with tf.GradientTape() as tape:
        tape.watch([inputs, *weights])
        output = function(inputs, weights)
        at = np.random.default_rng(9).normal(size=(*MASK.shape, CHANNELS))[:, : output.shape[1]]
        total = tf.reduce_sum(output * at)
    return [output, *tape.gradient(total, [inputs, *weights])]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("first_only", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_layer_and_its_gradients_are_those_of_the_papers(variant, first_only, compiled):
    changes, is_bare = VARIANTS[variant], variant == "bare"
    of = settings(first_only=first_only, **changes)
    with compiled_layers(compiled):
        found = value_and_gradients(
            lambda inputs, weights: run_layer(of, inputs, MASK, None, weights, True), is_bare
        )
    expected = value_and_gradients(
        lambda inputs, weights: plain_layer(inputs, weights, **changes)[:, : 1 if first_only else None],
        is_bare,
    )
    assert found[0].shape == (3, 1 if first_only else 7, CHANNELS)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("first_only", [False, True])
@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_a_compiled_layer_drops_what_the_plain_one_drops(first_only, kind):
    of, found = settings(first_only=first_only, dropout=0.2, attention_dropout=0.4, product_type=kind), []
    keys = tf.constant([3, 2**60, 9], tf.uint64)
    for compiled in (True, False):
        with compiled_layers(compiled):
            found.append(
                value_and_gradients(lambda inputs, weights: run_layer(of, inputs, MASK, keys, weights, True))
            )
    whole = np.sqrt(sum(np.sum(np.square(value)) for value in found[1]))
    for one, other in zip(*found, strict=True):
        assert one.dtype == tf.float32
        # bfloat16 alone is off by up to 4 %; another mask changes a third of all.
        error = {"float32": 1e-5, "bfloat16": 1e-1}[kind]
        assert np.linalg.norm(one - other) <= error * max(np.linalg.norm(other), whole / 10)


def graph_of(of):
    """The layer without a gradient, as a graph for texts of any length: its function, inputs and weights."""
    inputs, weights = draw()
    signature = [tf.TensorSpec((None, None, CHANNELS)), tf.TensorSpec((None, None), tf.bool)]
    run = tf.function(
        lambda x, mask: run_layer(of, x, mask, None, weights, False), signature, autograph=False
    )
    return lambda x: run(x, MASK), inputs, weights


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "plain"])
@pytest.mark.parametrize("first_only", [False, True])
@pytest.mark.parametrize("kind", ["float32", "bfloat16", "float16"])
def test_positions_and_norms_of_others_say_the_same_without_a_gradient(variant, first_only, kind):
    changes = VARIANTS[variant] | {"first_only": first_only}
    inputs, weights = draw(is_bare=variant == "bare")
    exact = run_layer(settings(**changes), inputs, MASK, None, weights, True)
    low = settings(**changes, product_type=kind)
    error = {"float32": 1e-5, "float16": 2e-2, "bfloat16": 0.1}[kind]
    for training in (False, True):
        found = run_layer(low, inputs, MASK, None, weights, training)
        assert (found.dtype, found.shape) == (tf.float32, exact.shape)
        np.testing.assert_allclose(found, exact, atol=error, rtol=error)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "plain"])
def test_dropped_weights_have_the_gradient_of_what_they_drop(variant):
    """Held against differences of the values themselves, by the same masks."""
    is_bare, of = variant == "bare", settings(dropout=0.2, attention_dropout=0.4, **VARIANTS[variant])
    keys = tf.constant([3, 2**60, 9], tf.uint64)

    def total(inputs, weights):
        at = np.random.default_rng(9).normal(size=inputs.shape)
        return tf.reduce_sum(run_layer(of, inputs, MASK, keys, weights, True) * at)

    inputs, weights = draw(is_bare=is_bare)
    with tf.GradientTape() as tape:
        tape.watch([inputs, *weights])
        loss = total(inputs, weights)
    gradients = tape.gradient(loss, [inputs, *weights])
    rng, step = np.random.default_rng(4), 1e-3
    for place in range(len(gradients)):
        values = [inputs, *weights]
        way = tf.constant(rng.normal(size=values[place].shape), tf.float32)
        way /= tf.norm(way)
        ends = []
        for sign in (1, -1):
            moved = list(values)
            moved[place] = values[place] + sign * step * way
            ends.append(float(total(moved[0], moved[1:])))
        slope = float(tf.reduce_sum(gradients[place] * way))
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(slope, rel=0.03, abs=0.1), place


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
@pytest.mark.parametrize("first_only", [False, True])
@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_without_a_gradient_a_layer_says_the_same(first_only, kind, activation):
    of = settings(first_only=first_only, product_type=kind, activation=activation)
    run, inputs, weights = graph_of(of)
    exact = run_layer(
        settings(first_only=first_only, activation=activation), inputs, MASK, None, weights, True
    )
    found = run(inputs)
    assert (found.dtype, found.shape) == (tf.float32, exact.shape)
    error = {"float32": 1e-5, "bfloat16": 1e-1}[kind]
    np.testing.assert_allclose(found, exact, atol=error, rtol=error)


def fused_in(run, inputs):
    """What TensorFlow made of a function: the operations that it fused, and the plain ones."""
    context.context().enable_graph_collection()
    context.enable_run_metadata()
    run(inputs)
    graphs = [each.post_optimization_graph for each in context.export_run_metadata().function_graphs]
    context.disable_run_metadata()
    context.context().disable_graph_collection()
    nodes = [node for node in graphs[-1].node]
    fused = [tuple(name.decode() for name in node.attr["fused_ops"].list.s) for node in nodes]
    return Counter(ops for ops in fused if ops), Counter(node.op for node in nodes)


@pytest.mark.skipif(
    not IsMklEnabled() or not fuses(), reason="TensorFlow leaves oneDNN out on this processor"
)
@pytest.mark.parametrize(("activation", "known"), [("gelu", "GeluExact"), ("gelu_new", "GeluApproximate")])
@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_onednn_knows_how_a_layer_without_a_gradient_is_spelled(activation, known, kind):
    if kind == "bfloat16" and not cpu_has_bfloat16():
        pytest.skip("oneDNN multiplies no bfloat16 on this processor")
    run, inputs, _ = graph_of(settings(activation=activation, product_type=kind))
    fused, plain = fused_in(run, inputs)
    assert fused["BiasAdd", known] == 1
    # Query, key, value, output and outer product; in float32 what is added to the last two is fused, too.
    assert fused["BiasAdd",] + fused["BiasAdd", "Add"] == 5
    assert plain["_MklLayerNorm"] == 2
    assert not {"Erf", "Tanh", "BiasAdd", "Rsqrt", "Mean", "MatMul", "FusedBatchNormV3"} & plain.keys()


def test_on_a_card_nothing_is_spelled_for_onednn(monkeypatch):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["GPU:0"])
    assert not fuses()
    run, inputs, weights = graph_of(settings())
    assert "FusedBatchNormV3" not in fused_in(run, inputs)[1]
    np.testing.assert_allclose(run(inputs), plain_layer(inputs, weights), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("place", range(PLACES))
def test_every_place_of_a_layer_has_a_mask_of_its_own_key(place):
    rates = settings(dropout=0.5, attention_dropout=0.5)
    inputs, weights = draw()
    keys = [np.arange(1, PLACES + 1, dtype=np.uint64) for _ in range(2)]
    keys[1][place] = 99
    one, other, again = (
        run_layer(rates, inputs, MASK, tf.constant(k), weights, True) for k in (*keys, keys[0])
    )
    assert np.abs(one - other).max() > 1e-3
    np.testing.assert_array_equal(one, again)


def layer_of(rate):
    seed = DropoutSeed()
    rates = settings(dropout=rate, attention_dropout=rate)
    return TransformerLayer(rates, CHANNELS, UNITS, seed, "glorot_uniform", name="Layer"), seed


def test_a_layer_drops_in_training_alone_and_as_the_step_and_the_place_say():
    layer, seed = layer_of(0.5)
    places = [seed.reserve(PLACES) for _ in range(2)]
    inputs, _ = draw()

    def run(step, training=True, place=places[0]):
        seed.begin_step(tf.constant(step, tf.int32))
        return layer(inputs, training=training, place=place).numpy()

    np.testing.assert_array_equal(run([5, 1]), run([5, 1]))
    np.testing.assert_array_equal(run([5, 1], False), run([5, 2], False))
    assert np.abs(run([5, 1]) - run([5, 2])).max() > 1e-3
    assert np.abs(run([5, 1]) - run([5, 1], place=places[1])).max() > 1e-3


def test_parts_of_a_layer_hold_its_weights_in_bert4kerass_order():
    layer, _ = layer_of(0.0)
    layer.build((None, None, CHANNELS))
    assert [tuple(weight.shape) for weight in layer.weights] == SHAPES
    names = [part.name for part in layer.parts]
    half = ["Layer-MultiHeadSelfAttention", "Layer-FeedForward"]
    assert names == [half[0], f"{half[0]}-Norm", half[1], f"{half[1]}-Norm"]
    leaves = [[w.name.split("/")[-1].split(":")[0] for w in part.weights] for part in layer.parts]
    assert leaves == [["kernel", "bias"] * 4, ["beta", "gamma"], ["kernel", "bias"] * 2, ["beta", "gamma"]]


def test_norm_is_that_of_bert4keras():
    values = np.random.default_rng(0).normal(0, 2, (2, 5, 8))
    weights = [np.linspace(-1, 1, 8), np.linspace(1, 2, 8)]  # beta, gamma
    theirs = bert4keras.layers.LayerNormalization(epsilon=1e-3)
    ours = LayerNorm(epsilon=1e-3)
    for layer in (ours, theirs):
        layer(values)
        layer.set_weights(weights)
    for training in (False, True):
        np.testing.assert_allclose(ours(values, training=training), theirs(values), atol=1e-5)
