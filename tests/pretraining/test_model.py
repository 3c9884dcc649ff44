"""The masked language model: its logits by the formulas, its head at the masked positions alone."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import numpy as np
import pytest
import tensorflow as tf
from encoder_checkpoints import KINDS, draw
from reference_encoder import ACTIVATIONS, hidden_states
from tiny_pretraining import encoder_config

from raytrain.devices import set_precision
from raytrain.network.weights import learned_variables
from raytrain.pretraining.model import EMBEDDING, MaskedLanguageModel, TokenTelling

IDS = np.array([[2, 7, 4, 8, 3, 6, 3], [2, 5, 4, 3, 0, 0, 0]], np.int32)
PLACES = np.array([[2, 5], [2, 0]], np.int32)
TARGETS = np.array([[9, 6], [10, 0]], np.int32)


def model_of(kind, seed=0, dropout=0.1):
    """A model with weights that all count."""
    model = MaskedLanguageModel(kind, encoder_config(kind, dropout), seed)
    variables = model.variables_by_name()
    arrays = draw({name: tuple(variable.shape) for name, variable in variables.items()})
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return model, arrays


def run(model, training=False):
    return model({"token_ids": tf.constant(IDS), "positions": tf.constant(PLACES)}, training=training).numpy()


def reference_logits(kind, arrays):
    states = hidden_states(kind, encoder_config(kind), arrays, IDS, np.zeros_like(IDS))
    told = np.take_along_axis(states, PLACES[:, :, None], axis=1)
    head = "cls/predictions"
    inner = told @ arrays[f"{head}/transform/dense/kernel"] + arrays[f"{head}/transform/dense/bias"]
    inner = ACTIVATIONS[encoder_config(kind)["hidden_act"]](inner)
    centred = inner - inner.mean(-1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
    normed = normed * arrays[f"{head}/transform/LayerNorm/gamma"] + arrays[f"{head}/transform/LayerNorm/beta"]
    return normed @ arrays[EMBEDDING].T + arrays[f"{head}/output_bias"]


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_the_published_formulas(kind):
    model, arrays = model_of(kind)
    np.testing.assert_allclose(run(model), reference_logits(kind, arrays), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_in_bfloat16_they_are_nearly_the_same(kind, float32_again):
    expected = run(model_of(kind)[0])
    set_precision("bfloat16")
    found = run(model_of(kind)[0])
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 0.1 * np.abs(expected).max()


@pytest.mark.parametrize("kind", KINDS)
def test_padding_does_not_change_what_is_told(kind):
    model, _ = model_of(kind)
    longer = np.pad(IDS, ((0, 0), (0, 5)))
    inputs = {"token_ids": tf.constant(longer), "positions": tf.constant(PLACES)}
    np.testing.assert_allclose(model(inputs).numpy(), run(model), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_learns_and_the_embedding_from_both_of_its_ends(kind):
    model, _ = model_of(kind, dropout=0.0)
    assert len(learned_variables(model)) == len(model.variables_by_name()) == len(model.trainable_variables)

    def loss():
        inputs = {"token_ids": tf.constant(IDS), "positions": tf.constant(PLACES)}
        outputs = model(inputs, training=True)
        return tf.reduce_sum(TokenTelling().losses(model, inputs, outputs, tf.constant(TARGETS)))

    variables = model.variables_by_name()
    with tf.GradientTape() as tape:
        value = loss()
    gradients = dict(zip(variables, tape.gradient(value, list(variables.values())), strict=True))
    assert all(gradient is not None for gradient in gradients.values())
    embedding, step = variables[EMBEDDING], 1e-2
    of_embedding = tf.convert_to_tensor(gradients[EMBEDDING]).numpy()
    # 7 is read and never a target; 9 is a target and never read.
    for token in (7, 9):
        before = embedding.numpy()
        changed = before.copy()
        changed[token, 0] += step
        embedding.assign(changed)
        higher = float(loss())
        changed[token, 0] -= 2 * step
        embedding.assign(changed)
        slope = (higher - float(loss())) / (2 * step)
        embedding.assign(before)
        assert of_embedding[token, 0] == pytest.approx(slope, rel=0.05, abs=1e-3)


def test_a_places_loss_counts_only_where_there_is_a_target():
    logits = np.random.default_rng(0).normal(size=(2, 2, 12)).astype(np.float32)
    losses = TokenTelling().losses(None, None, tf.constant(logits), tf.constant(TARGETS)).numpy()
    of_place = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, TARGETS[:, :, None], -1)[..., 0]
    np.testing.assert_allclose(losses, [of_place[0].sum(), of_place[1, 0]], rtol=1e-5)


def test_initial_weights_follow_from_the_seed_and_the_head_has_its_own():
    first, again, other = (
        {
            name: v.numpy()
            for name, v in MaskedLanguageModel("bert", encoder_config("bert"), seed)
            .variables_by_name()
            .items()
        }
        for seed in (1, 1, 2)
    )
    assert all(np.array_equal(first[name], again[name]) for name in first)
    kernel = "cls/predictions/transform/dense/kernel"
    assert not np.array_equal(first[kernel], other[kernel])
    assert not np.array_equal(first[kernel], first["bert/encoder/layer_0/attention/self/query/kernel"])
