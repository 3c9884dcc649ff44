"""In which type each layer computes, under the policy of cards and without it."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import numpy as np
import pytest
import tensorflow as tf

from raytrain.network import crf
from raytrain.network import layers
from raytrain.network import recurrent
from raytrain.network import blocks
from raytrain.network.crf import CRF
from raytrain.devices import set_precision
from raytrain.network.layers import (
    Dense,
    Dropout,
    DropoutSeed,
    Float32Layer,
    LayerMixture,
    MaskedConv1D,
    MaskedMaxPooling,
    MaskedMeanPooling,
    OpenEmbedding,
    PaddingMask,
    Repeat,
)
from raytrain.network.recurrent import BiLSTM
from raytrain.network.blocks import Denses, LayerNorm, RmsNorm, TaskEmbedding, TransformerLayer
from raytrain.network.transformer import LayerSettings

keras = tf.keras
BY_POLICY = "bfloat16"


pytestmark = pytest.mark.usefixtures("float32_again")


def sequence_of(kind, shape=(2, 5, 8)):
    return tf.cast(np.random.default_rng(0).normal(0, 2, shape), kind)


IDS, MASK = tf.constant([[1, 2, 0], [1, 0, 0]]), tf.sequence_mask([5, 3])


def transformer_layer(seed):
    seed.reserve(3)
    policy = keras.mixed_precision.global_policy()
    settings = LayerSettings(2, 4, "gelu", 1e-6, 0.1, 0.1, policy.compute_dtype)
    return TransformerLayer(settings, 8, 16, seed, "glorot_uniform")


BILSTM = (3, *[[keras.initializers.GlorotUniform(1), keras.initializers.GlorotUniform(2)]] * 2)
# How each layer is built and called on a sequence; its output's shape.
LAYERS = {
    Dropout: (
        lambda seed: Dropout(0.1, seed),
        lambda layer, x, training: layer(x, training=training),
        (2, 5, 8),
    ),
    Dense: (lambda _: Dense(4, "relu"), lambda layer, x, _: layer(x), (2, 5, 4)),
    PaddingMask: (lambda _: PaddingMask(), lambda layer, *_: layer(IDS), (2, 3)),
    MaskedConv1D: (lambda _: MaskedConv1D(4, 3), lambda layer, x, _: layer([x, x], mask=MASK), (2, 5, 4)),
    MaskedMaxPooling: (lambda _: MaskedMaxPooling(), lambda layer, x, _: layer(x, mask=MASK), (2, 8)),
    MaskedMeanPooling: (lambda _: MaskedMeanPooling(), lambda layer, x, _: layer(x, mask=MASK), (2, 8)),
    Repeat: (lambda _: Repeat(3), lambda layer, x, _: layer(x[:, 0], training=False), (2, 8)),
    LayerMixture: (lambda _: LayerMixture(), lambda layer, x, _: layer(x[:, :3]), (2, 8)),
    OpenEmbedding: (lambda _: OpenEmbedding(4), lambda layer, *_: layer(IDS * 0), (2, 3, 4)),
    BiLSTM: (lambda _: BiLSTM(*BILSTM), lambda layer, x, _: layer([x, x], mask=MASK), (2, 5, 6)),
    CRF: (lambda _: CRF(), lambda layer, x, _: layer(x), (2, 5, 8)),
    LayerNorm: (lambda _: LayerNorm(epsilon=1e-6), lambda layer, x, _: layer(x), (2, 5, 8)),
    RmsNorm: (lambda _: RmsNorm(epsilon=1e-6), lambda layer, x, _: layer(x), (2, 5, 8)),
    TaskEmbedding: (lambda _: TaskEmbedding(3, "zeros"), lambda layer, x, _: layer(x), (2, 5, 8)),
    TransformerLayer: (
        lambda seed: transformer_layer(seed),
        lambda layer, x, training: layer(tf.cast(x, tf.float32), mask=MASK, training=training),
        (2, 5, 8),
    ),
}


def test_every_layer_of_ours_is_called_below():
    modules = (layers, crf, recurrent, blocks)
    own = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, keras.layers.Layer)
        and value.__module__ == module.__name__
    }
    assert own - {Float32Layer, Denses} == LAYERS.keys()  # the one is abstract, the other only holds


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", [tf.float32, tf.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("layer_class", LAYERS, ids=lambda layer_class: layer_class.__name__)
def test_a_layer_returns_what_it_says_whatever_the_policy(layer_class, kind, training):
    build, call, shape = LAYERS[layer_class]
    outputs, inputs = [], sequence_of(kind)
    for precision in (BY_POLICY, "float32"):
        set_precision(precision)
        seed = DropoutSeed()
        layer = build(seed)
        seed.begin_step(tf.constant([7, 0]))
        call(layer, inputs, training)
        rng = np.random.default_rng(1)
        layer.set_weights([rng.normal(0, 0.3, weight.numpy().shape) for weight in layer.weights])
        seed.begin_step(tf.constant([7, 0]))
        with tf.GradientTape() as tape:
            outputs.append(call(layer, inputs, training))
            loss = tf.reduce_sum(tf.cast(outputs[-1], tf.float32))
        gradients = [g for g in tape.gradient(loss, layer.trainable_weights) if g is not None]
        assert {weight.dtype for weight in layer.weights} <= {tf.float32}
        assert {gradient.dtype for gradient in gradients} <= {tf.float32}
    wanted = tf.bool if layer_class is PaddingMask else tf.float32
    assert [(output.dtype, tuple(output.shape)) for output in outputs] == [(wanted, shape)] * 2
    low, plain = (tf.cast(output, tf.float32).numpy() for output in outputs)
    real = MASK.numpy() if shape[:2] == (2, 5) else np.ones(shape[:1], bool)
    np.testing.assert_allclose(low[real], plain[real], atol=0.03 * np.abs(plain).max())


def test_dropout_by_policy_keeps_its_rate_and_the_expectation():
    """In bfloat16 a rate of 0.1 would be 13/128, and the others' factor 1.109."""
    set_precision(BY_POLICY)
    seed = DropoutSeed()
    layer = Dropout(0.1, seed)
    seed.begin_step(tf.constant([7, 0]))
    kept = layer(tf.ones((1000, 1000), tf.bfloat16), training=True).numpy()
    assert (kept == 0).mean() == pytest.approx(0.1, abs=1e-3)
    assert kept.mean() == pytest.approx(1, abs=1e-3)


def test_a_bias_by_policy_learns_from_every_token():
    """A sum in bfloat16 stops growing at 256 times its terms."""
    set_precision(BY_POLICY)
    layer = Dense(2)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(tf.ones((5000, 3), tf.bfloat16)))
    assert tape.gradient(total, layer.bias).numpy().tolist() == [5000, 5000]
