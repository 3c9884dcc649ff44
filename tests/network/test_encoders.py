import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import json

import numpy as np
import pytest
import tensorflow as tf
from bert4keras.models import build_transformer_model

from raytrain import kinds
from raytrain.devices import set_precision
from raytrain.network.encoders import build_transformer
from raytrain.network.layers import DropoutSeed

KINDS = tuple(kinds.KINDS)
TOKENS = np.array([[2, 5, 6, 7, 3], [2, 8, 3, 0, 0]], np.int32)
SEGMENTS = np.array([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]], np.int32)
REAL = TOKENS != 0


def model_of(kind, config, seed=7, reads="all"):
    return build_transformer(kind, config, seed, DropoutSeed(), reads).model


def run(model, tokens=TOKENS, segments=SEGMENTS, training=False):
    return model([tf.constant(tokens), tf.constant(segments)], training=training).numpy()


def lay(model, *others):
    """Weights that make every input count, the same in all models."""
    rng = np.random.default_rng(1)
    weights = [rng.normal(0, 0.5, weight.shape) for weight in model.get_weights()]
    for one in (model, *others):  # bert4keras's NEZHA counts its sines among its weights
        for weight, value in zip(one.trainable_weights, weights, strict=True):
            weight.assign(value)


# bert4keras has no ERNIE of its own.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "ernie"])
def test_encoder_equals_bert4keras_own(encoder_config, tmp_path, kind):
    path = tmp_path / "config.json"
    config = encoder_config(kind) | {"max_relative_position": 64}  # which is all that its NEZHA knows
    path.write_text(json.dumps(config))
    theirs = build_transformer_model(str(path), model=kind)
    ours = model_of(kind, config)
    lay(ours, theirs)
    np.testing.assert_allclose(run(ours)[REAL], theirs([TOKENS, SEGMENTS]).numpy()[REAL], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_position_alone_is_that_of_the_whole_layer(encoder_config, kind):
    outputs, gradients = [], []
    for reads in ("all", "first"):
        model = model_of(kind, encoder_config(kind), reads=reads)
        lay(model)
        with tf.GradientTape() as tape:
            states = model([tf.constant(TOKENS), tf.constant(SEGMENTS)], training=False)
            loss = tf.reduce_sum(states[:, 0] * tf.range(8.0))
        outputs.append(states.numpy())
        gradients.append([tf.convert_to_tensor(g) for g in tape.gradient(loss, model.trainable_weights)])
    assert outputs[1].shape == (2, 1, 8)
    np.testing.assert_allclose(outputs[1], outputs[0][:, :1], atol=1e-5)
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_in_bfloat16_an_encoder_says_nearly_the_same(encoder_config, kind, float32_again):
    states = []
    for precision in ("float32", "bfloat16"):
        set_precision(precision)
        model = model_of(kind, encoder_config(kind))
        lay(model)
        states.append(run(model)[REAL])
    error = np.abs(states[1] - states[0]).max() / np.abs(states[0]).max()
    print(f"{kind}: greatest difference in bfloat16, beside the largest value {error:.1e}")
    assert states[1].dtype == np.float32 and 0 < error < 0.1


def test_relative_and_rotary_positions_tell_texts_apart_that_differ_in_order_alone(encoder_config):
    turned = TOKENS[:1, [0, 3, 2, 1, 4]]
    for kind in ("nezha", "roformer", "roformer_v2"):
        model = model_of(kind, encoder_config(kind))
        lay(model)
        one, other = (run(model, ids, SEGMENTS[:1] * 0)[0, 0] for ids in (TOKENS[:1], turned))
        assert np.abs(one - other).max() > 1e-3


def test_only_the_first_task_of_ernie_is_added_and_only_where_it_is_used(encoder_config):
    config = encoder_config("ernie")
    plain = model_of("ernie", config | {"use_task_id": False})
    model = model_of("ernie", config)
    assert count(model) == count(plain) + 3 * 8
    task = model.get_layer("Embedding-Task").embeddings
    before = run(model)
    task[1:].assign(task[1:] + 1.0)
    np.testing.assert_array_equal(run(model), before)
    task[0].assign(task[0] + 1.0 * np.arange(8))
    assert np.abs(run(model) - before).max() > 1e-2


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_dropout_follows_the_config(encoder_config, dropout):
    """ALBERT v1 has it, xxlarge v2 has none."""
    model = model_of("albert", encoder_config("albert", dropout))
    assert np.allclose(run(model, training=True)[REAL], run(model)[REAL]) == (dropout == 0)
    named = [layer.name for layer in model.layers if layer.name.endswith("-Dropout")]
    assert bool(named) == (dropout > 0)


def test_dropout_is_that_of_the_seed_of_the_step(encoder_config):
    seed = DropoutSeed()
    model = build_transformer("albert", encoder_config("albert", 0.5), 7, seed).model
    outputs = []
    for step in (3, 4, 3):
        seed.begin_step(tf.constant([42, step]))
        outputs.append(run(model, training=True))
    assert np.abs(outputs[0] - outputs[1])[REAL].max() > 1e-3
    np.testing.assert_array_equal(outputs[0], outputs[2])


def test_initial_weights_are_those_of_the_seed_and_no_two_kernels_are_alike(encoder_config):
    one, again, other = (model_of("bert", encoder_config("bert"), seed) for seed in (7, 7, 8))
    kernels = [w.name for w in one.weights if "kernel" in w.name or w.name.endswith("embeddings:0")]
    assert len(kernels) >= 8
    drawn = []
    for weight, same, different in zip(one.weights, again.weights, other.weights, strict=True):
        np.testing.assert_array_equal(weight, same)
        if weight.name in kernels:
            assert not np.array_equal(weight, different)
            assert 0 < np.abs(weight).max() <= 2 * 0.02  # cut off at two standard deviations
            drawn.append(weight.numpy().ravel()[:8].tobytes())
    assert len(set(drawn)) == len(drawn)


def count(model):
    return sum(int(np.prod(weight.shape)) for weight in model.weights)


def test_parameters_are_those_of_the_papers_shapes(encoder_config):
    """Devlin et al. 2019 and Lan et al. 2020: ALBERT's layers share one set, its embedding is narrow."""
    config = encoder_config("bert")
    hidden, inner, rows = 8, 16, config["vocab_size"] + 64 + 2
    layer = 4 * (hidden * hidden + hidden) + 2 * hidden * inner + inner + hidden + 2 * 2 * hidden
    assert count(model_of("bert", config)) == rows * hidden + 2 * hidden + 2 * layer
    narrow = rows * 6 + 2 * 6 + (6 + 1) * hidden
    for num_layers in (2, 5):
        deep = encoder_config("albert") | {"num_hidden_layers": num_layers}
        assert count(model_of("albert", deep)) == narrow + layer


def test_a_config_that_leaves_things_open_has_googles_defaults(encoder_config):
    config = encoder_config("bert")
    left_open = {
        "hidden_act",
        "max_position_embeddings",
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "type_vocab_size",
    }
    model = model_of("bert", {key: value for key, value in config.items() if key not in left_open})
    spelled = {"hidden_act": "gelu", "max_position_embeddings": 512, "hidden_dropout_prob": 0.0}
    whole = model_of("bert", config | spelled | {"attention_probs_dropout_prob": 0.0})
    lay(model, whole)
    np.testing.assert_array_equal(run(model), run(whole))


def test_activation_and_norm_follow_the_config(encoder_config):
    states = []
    for changes in ({}, {"hidden_act": "gelu_new"}, {"hidden_act": "relu"}, {"layer_norm_eps": 0.1}):
        model = model_of("bert", encoder_config("bert") | {"num_hidden_layers": 1} | changes)
        lay(model)
        states.append(run(model)[REAL])
    for i, one in enumerate(states):
        assert all(np.abs(one - other).max() > 1e-5 for other in states[:i])


def test_a_vocabulary_without_segments_needs_none(encoder_config):
    model = model_of("bert", encoder_config("bert") | {"type_vocab_size": 0})
    assert len(model.inputs) == 1
    assert model(tf.constant(TOKENS)).shape == (2, 5, 8)
