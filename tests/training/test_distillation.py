"""Distillation: what a student's loss is, held against NumPy, and that it learns the teacher's word."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, rel_entr, softmax

from plain_settings import plain_settings

from raytrain.devices import set_precision
from raytrain.network.build import build_model
from raytrain.network.inference import predict_logits
from raytrain.network.weights import assign_variables, encoder_variables, read_variables
from raytrain.scores.classes import proba_from_logits
from raytrain.text.batches import FeatureRows
from raytrain.text.rows import TextRows
from raytrain.training.distillation import Distillation, soften
from raytrain.training.loop import FoldTraining
from raytrain.training.objectives import Classification

NUM_TEXTS, NO_ROWS = 24, np.zeros(0, np.int64)
SIGNAL = 9  # texts of the first kind hold this token, those of the second the next
KIND = np.arange(NUM_TEXTS) % 2
NAN = [np.nan, np.nan, np.nan]


def losses_of(labels, teacher, logits, **settings):
    """Of each text, whose logits are these."""
    objective = Distillation(np.array(labels), np.array(teacher, np.float64), plain_settings(**settings))
    targets = objective.targets(None, np.arange(len(labels)))
    assert targets.dtype == np.float32
    return objective.losses(None, {}, tf.constant(logits, tf.float32), tf.constant(targets)).numpy()


@given(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), st.floats(1, 20))
def test_softened_probabilities_are_those_of_divided_logits(masses, temperature):
    proba = np.array([masses]) / sum(masses)
    np.testing.assert_allclose(soften(proba, temperature), softmax(np.log(proba) / temperature, axis=1))


def test_a_class_of_no_probability_is_softened_to_a_finite_one():
    assert np.isfinite(np.log(soften(np.array([[1.0, 0.0]]), 3.0))).all()


def test_a_text_of_both_mixes_label_and_divergence_by_the_share():
    proba, logits, temperature = np.array([0.7, 0.2, 0.1]), np.array([0.3, -1.0, 2.0]), 2.5
    [loss] = losses_of([2], [proba], [logits], temperature=temperature, hard=0.3)
    divided = softmax(logits / temperature)
    apart = rel_entr(softmax(np.log(proba) / temperature), divided).sum()
    expected = -0.3 * log_softmax(logits)[2] + 0.7 * temperature**2 * apart
    assert loss == pytest.approx(expected, rel=1e-5)


def test_without_a_teachers_word_the_label_counts_alone_and_without_a_label_that_word():
    logits = np.array([[0.3, -1.0, 2.0]] * 2)
    word = np.array([0.7, 0.2, 0.1])
    by_label, by_teacher = losses_of([1, -1], [NAN, word], logits, hard=0.3)
    assert by_label == pytest.approx(-log_softmax(logits[0])[1], rel=1e-5)
    assert by_teacher == pytest.approx(rel_entr(word, softmax(logits[1])).sum(), rel=1e-5)


@pytest.mark.parametrize("settings", [{}, {"label_smoothing": 0.2}, {"class_weight": (1.0, 3.0, 0.5)}])
def test_labels_alone_are_learned_as_a_classifier_learns_them(settings):
    labels, logits = (
        np.array([0, 2, 1]),
        tf.constant(np.random.default_rng(0).normal(size=(3, 3)), tf.float32),
    )
    plain = Classification(labels, plain_settings(**settings))
    rows = np.arange(3)
    expected = plain.losses(None, {}, logits, tf.constant(plain.targets(None, rows)))
    weights = plain.weights(None, rows, rows) * 3
    found = losses_of(labels, [NAN] * 3, logits, hard=0.5, **settings)
    np.testing.assert_allclose(found, expected.numpy() * weights, rtol=1e-5)


def test_one_logit_stands_for_two():
    proba, logit = np.array([[0.8, 0.2]]), 0.7
    one = losses_of([0], proba, [[logit]], temperature=3.0, hard=0.4)
    two = losses_of([0], proba, [[0.0, logit]], temperature=3.0, hard=0.4)
    np.testing.assert_allclose(one, two, rtol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_a_student_that_says_what_the_teacher_says_has_no_loss(temperature):
    proba = np.array([[0.7, 0.2, 0.1], [0.05, 0.05, 0.9]])
    found = losses_of([-1, -1], proba, np.log(proba), temperature=temperature)
    np.testing.assert_allclose(found, 0, atol=1e-5)
    assert (losses_of([-1, -1], proba[::-1], np.log(proba), temperature=temperature) > 0.1).all()


def test_rows_weigh_1_on_average_with_texts_without_a_label_among_them():
    """They are learned from the first step on; those that get a label in a second round are not."""
    rows = TextRows(np.repeat(np.arange(4), [8, 8, 1, 1]))
    objective = Distillation(np.array([0, 1, -1, -1]), np.full((4, 2), 0.5), plain_settings(), rows)
    assert objective._shares.mean() == pytest.approx(1)


def constant_loss(temperature, hard, proba, labels, **settings):
    objective = Distillation(labels, proba, plain_settings(temperature=temperature, hard=hard, **settings))
    return objective.constant_loss(None, None, np.arange(len(labels)))


@pytest.mark.parametrize("hard", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_no_constant_guess_is_below_the_one_that_is_told(temperature, hard):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 40)
    proba = softmax(rng.normal(0, 2, (40, 2)), axis=1)

    def loss(logit):
        logits = np.tile([0.0, logit], (40, 1))
        return float(losses_of(labels, proba, logits, temperature=temperature, hard=hard).mean())

    told, best = constant_loss(temperature, hard, proba, labels), minimize_scalar(loss).fun
    assert told <= best + 1e-4
    if hard == 1 or (hard == 0 and temperature == 1):
        assert told == pytest.approx(best, abs=1e-4)


def test_where_the_teacher_says_the_same_of_all_nothing_is_judged():
    assert constant_loss(1.0, 0.0, np.full((6, 2), 0.5), np.zeros(6, int)) is None


def test_a_text_of_several_windows_weighs_as_much_as_one_of_one():
    rows = TextRows(np.array([0, 0, 0, 1]))
    objective = Distillation(np.array([0, 1]), np.full((2, 2), 0.5), plain_settings(hard=0.5), rows)
    weights = objective.weights(None, np.arange(4), np.arange(4))
    assert weights[:3].sum() == pytest.approx(weights[3])
    np.testing.assert_array_equal(*objective.targets(None, np.array([0, 2])))


@pytest.fixture(scope="module")
def features(ragged, vocab):
    rng = np.random.default_rng(0)
    rows = []
    for kind in KIND:
        tokens = rng.integers(SIGNAL + 2, len(vocab), 6)
        tokens[0], tokens[1:4] = 2, SIGNAL + kind
        rows.append((tokens, np.zeros(6, int), rng.integers(1, 20, 6)))
    return FeatureRows(ragged(rows))


@pytest.mark.usefixtures("float32_again")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("start", ["untrained", "pretrained"])
def test_a_student_learns_the_teachers_word_and_not_the_labels_without_valid_rows(
    encoder_config, features, precision, start
):
    """The teacher says the opposite of the labels, and of the last texts, which have none, the same."""
    set_precision(precision)
    shape = "textcnn", "albert", encoder_config("albert", 0.0, num_layers=1), 2, (20, 4), True, 0.0
    model = build_model(*shape, seed=7, multi_sample_dropout=2)
    if start == "pretrained":
        other = build_model(*shape, seed=8)
        assign_variables(encoder_variables(model), read_variables(encoder_variables(other)), "the encoder")
    labels = np.where(np.arange(NUM_TEXTS) < 16, KIND, -1)
    teacher = np.stack([KIND * 0.8 + 0.1, 0.9 - KIND * 0.8], axis=1)
    settings = plain_settings(
        epochs=14,
        batch_size=8,
        learning_rate=2e-2,
        encoder_learning_rate=1e-2,
        monitor="loss",
        temperature=2.0,
        multi_sample_dropout=2,
        mixup=0.01,  # shares of nearly 0 or 1: what is learned stays the same
    )
    objective = Distillation(labels, teacher, settings)
    training = FoldTraining(model, features, objective, np.arange(NUM_TEXTS), NO_ROWS, settings, 7)
    while not training.finished:
        assert set(training.run_epoch()) == {"epoch", "loss"}
    proba = proba_from_logits(predict_logits(model, features, np.arange(NUM_TEXTS)))
    np.testing.assert_array_equal(proba.argmax(axis=1), 1 - KIND)
    assert np.abs(proba - teacher).mean() < 0.15
    assert not training.guess.dead
