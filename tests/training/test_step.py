"""One update, by a head so small that numpy does the same beside it."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import itertools

import numpy as np
import pytest
import tensorflow as tf

from plain_settings import plain_settings

from raytrain.network.build import build_model
from raytrain.network.heads import build_head, crf_layer
from raytrain.training.objectives import Classification
from raytrain.training.optimizer import BETA_1, BETA_2, EPSILON
from raytrain.training.step import TrainStep
from raytrain.network.weights import encoder_variables, head_variables, read_variables

SIZE, NUM_ROWS = 3, 6
LABELS = np.array([0, 1, 1, 0, 1, 0])
SEED = np.array([7, 0], np.int32)


class Weighed:
    """An objective of any model: the sum of its outputs and transitions, each row's times its target."""

    target_spec = tf.TensorSpec((None,), tf.int32)

    def losses(self, model, inputs, outputs, targets):
        rows = tf.reduce_sum(tf.reshape(outputs, [tf.shape(outputs)[0], -1]), axis=1)
        crf = crf_layer(model)
        return (rows + sum(tf.reduce_sum(part) for part in crf.weights)) * tf.cast(targets, tf.float32)


def inputs_of(rows=NUM_ROWS, length=2, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "hidden_states": rng.normal(size=(rows, length, SIZE)).astype(np.float32),
        "token_ids": np.full((rows, length), 5, np.int32),
        "word_ids": np.full((rows, length), 1, np.int32),
    }


def cut(inputs, weights, places):
    """A batch in pieces at these places, as the loop lays them."""
    bounds = [0, *places, len(weights)]
    spans = [slice(start, stop) for start, stop in itertools.pairwise(bounds)]
    return [
        ({name: value[span] for name, value in inputs.items()}, LABELS[span].astype(np.int32), weights[span])
        for span in spans
    ]


def logistic(dropout=0.0, places=(), **settings):
    """A head that is a logistic regression of the first position, its step, and how to make one."""
    settings = plain_settings(**settings)
    head = build_head("finetune", SIZE, 2, (2, 1), dropout, 7)
    step = TrainStep(head, Classification(LABELS, settings), settings, None, len(places) + 1)
    weights = np.full(NUM_ROWS, 1 / NUM_ROWS, np.float32)
    pieces = cut(inputs_of(), weights, places)

    def update(number, factor=1.0, seed=SEED):
        seeds = [seed + np.array([0, piece], np.int32) for piece in range(len(pieces))]
        return float(step(pieces, seeds, np.float32(factor), np.float32(number)))

    return head, step, update


def plain_gradients(kernel, bias):
    """Loss and gradients of the mean cross-entropy, in float64."""
    x = inputs_of()["hidden_states"][:, 0].astype(np.float64)
    proba = 1 / (1 + np.exp(-(x @ kernel + bias)))
    loss = -np.mean(np.where(LABELS == 1, np.log(proba), np.log(1 - proba)))
    error = (proba - LABELS) / NUM_ROWS
    return loss, {"logits.0.kernel": x.T @ error, "logits.1.bias": error.sum()}


def values_of(head):
    return {
        name: value.astype(np.float64).squeeze()
        for name, value in read_variables(head_variables(head)).items()
    }


@pytest.mark.parametrize("places", [(), (1, 4)])
@pytest.mark.parametrize("clip_norm", [None, 0.05])
def test_updates_are_those_of_plain_numpy(eagerly, places, clip_norm):
    head, _, update = logistic(places=places, clip_norm=clip_norm, learning_rate=0.1)
    expected = values_of(head)
    moments = {name: [0.0, 0.0] for name in expected}
    for number, factor in enumerate((1.0, 0.5, 0.25)):
        loss, gradients = plain_gradients(expected["logits.0.kernel"], expected["logits.1.bias"])
        norm = np.sqrt(sum(np.sum(np.square(gradient)) for gradient in gradients.values()))
        scale = 1 if clip_norm is None else min(1, clip_norm / norm)
        assert update(number, factor) == pytest.approx(loss, rel=1e-5)
        for name, gradient in gradients.items():
            first, second = moments[name]
            first = BETA_1 * first + (1 - BETA_1) * gradient * scale
            second = BETA_2 * second + (1 - BETA_2) * np.square(gradient * scale)
            moments[name] = [first, second]
            unbiased = np.sqrt(1 - BETA_2 ** (number + 1)) / (1 - BETA_1 ** (number + 1))
            expected[name] = expected[name] - 0.1 * factor * unbiased * first / (np.sqrt(second) + EPSILON)
        for name, value in values_of(head).items():
            np.testing.assert_allclose(value, expected[name], atol=1e-5, err_msg=name)


def test_compiled_pieces_equal_the_compiled_whole():
    (whole, _, one), (pieces, _, three) = logistic(clip_norm=0.1), logistic(clip_norm=0.1, places=(2, 3))
    for number in range(2):
        assert one(number) == pytest.approx(three(number), rel=1e-5)
    for name, value in values_of(whole).items():
        np.testing.assert_allclose(value, values_of(pieces)[name], atol=1e-6)


def test_a_piece_of_weight_0_adds_nothing(eagerly):
    head, step, _ = logistic(places=(3,))
    whole, _, update = logistic()
    [batch] = cut(inputs_of(), np.full(NUM_ROWS, 1 / NUM_ROWS, np.float32), ())
    nothing = (batch[0], batch[1], np.zeros_like(batch[2]))
    loss = float(step([batch, nothing], [SEED, SEED], np.float32(1), np.float32(0)))
    assert loss == pytest.approx(update(0), rel=1e-6)
    for name, value in values_of(whole).items():
        np.testing.assert_allclose(values_of(head)[name], value, atol=1e-6)


@pytest.mark.parametrize("places", [(), (3,)])
def test_a_factor_of_0_changes_nothing(eagerly, places):
    head, _, update = logistic(places=places, weight_decay=0.5)
    before = values_of(head)
    update(0, factor=0.0)
    for name, value in values_of(head).items():
        np.testing.assert_array_equal(value, before[name])


def test_dropout_is_that_of_the_seed_of_the_step(eagerly):
    """At a rate of 0 nothing but the seed can move the loss."""
    _, _, update = logistic(dropout=0.5, learning_rate=1e-30)
    losses = [update(number, seed=np.array([7, seed], np.int32)) for number, seed in enumerate((1, 2, 1))]
    assert losses[0] == losses[2] != losses[1]


def tagger(architecture, **settings):
    """A head of two tags that learns its word embedding too, and the step of it."""
    settings = plain_settings(**settings)
    head = build_head(architecture, SIZE, 2, (4, 2), 0.0, 7)
    rng = np.random.default_rng(0)
    for variable in head_variables(head).values():
        variable.assign(rng.normal(0, 0.5, variable.shape))
    return head, TrainStep(head, Weighed(), settings, None, 1)


def first_gradients(**settings):
    """The gradients that reached Adam in the first step: its first moments are a tenth of them.

    Every text holds the same word several times.
    """
    _, step = tagger("crf", **settings)
    inputs = inputs_of()
    step(
        [(inputs, np.arange(1, 7, dtype=np.int32), np.ones(6, np.float32))],
        [SEED],
        np.float32(1),
        np.float32(0),
    )
    moments = {name: value.numpy() for name, value in step.optimizer.state.items() if name.startswith("m/")}
    assert not moments["m/word_embedding.0.embeddings"][[0, 2, 3]].any()
    assert moments["m/word_embedding.0.embeddings"][1].all()
    return np.concatenate([value.ravel() for value in moments.values()]) / (1 - BETA_1)


def test_clip_norm_bounds_the_global_norm_and_keeps_the_direction(eagerly):
    """A word that stands several times counts by the sum of its gradients."""
    free, clipped = (first_gradients(clip_norm=norm) for norm in (None, 0.05))
    assert np.linalg.norm(free) > 1
    assert np.linalg.norm(clipped) == pytest.approx(0.05, rel=1e-4)
    np.testing.assert_allclose(clipped, free * 0.05 / np.linalg.norm(free), atol=1e-6)


def test_clip_norm_leaves_small_gradients_alone(eagerly):
    free, clipped = (first_gradients(clip_norm=norm) for norm in (None, 1e6))
    np.testing.assert_allclose(clipped, free, atol=1e-6)


RATES = {"learning_rate": 1e-3, "encoder_learning_rate": 1e-4, "crf_learning_rate": 0.25}


def test_head_encoder_and_transitions_have_rates_of_their_own(encoder_config):
    model = build_model("bilstm_crf", "albert", encoder_config("albert"), 3, (2, 4), True, 0.1, 7)
    rates = TrainStep(model, Weighed(), plain_settings(**RATES), None, 1).optimizer.rates
    assert rates.keys() == {*head_variables(model), *encoder_variables(model)}
    assert {rate for name, rate in rates.items() if name.startswith("crf.")} == {0.25}
    assert {rate for name, rate in rates.items() if name.startswith("encoder.")} == {1e-4}
    assert {rate for name, rate in rates.items() if not name.startswith(("crf.", "encoder."))} == {1e-3}
    assert sum(name.startswith("crf.") for name in rates) == 3


def test_what_is_frozen_is_not_among_what_is_learned(encoder_config):
    model = build_model("finetune", "albert", encoder_config("albert"), 2, (2, 1), False, 0.1, 7)
    step = TrainStep(model, Weighed(), plain_settings(), None, 1)
    assert step.optimizer.rates.keys() == head_variables(model).keys()
    head_variables(model)["logits.0.kernel"]._trainable = False
    again = TrainStep(model, Weighed(), plain_settings(), None, 1)
    assert again.optimizer.rates.keys() == {"logits.1.bias"}


@pytest.mark.parametrize("kind", ["bert", "albert"])
def test_rates_fall_with_the_depth_of_a_layer(encoder_config, kind):
    settings = plain_settings(layer_decay=0.5, encoder_learning_rate=1e-3, learning_rate=1e-2)
    model = build_model("finetune", kind, encoder_config(kind), 3, (2, 1), True, 0.1, 7)
    rates = TrainStep(model, Classification(LABELS, settings), settings, None, 1).optimizer.rates
    found = {name: rate for name, rate in rates.items() if name.endswith((".0.kernel", ".0.embeddings"))}
    deepest = 2.5e-4 if kind == "bert" else 5e-4  # two layers, or one that is applied twice
    assert found["logits.0.kernel"] == 1e-2
    assert found["encoder.Embedding-Token.0.embeddings"] == pytest.approx(deepest)
    tops = [rate for name, rate in found.items() if "Transformer-1" in name or "Transformer-F" in name]
    assert tops and set(tops) == {1e-3}
