"""Pseudo-labels: a second round that learns texts without a label of which the first was sure."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import numpy as np
import pytest

from plain_settings import plain_settings

from raytrain.network.build import build_model
from raytrain.network.weights import head_variables, read_variables
from raytrain.text.batches import FeatureRows
from raytrain.text.rows import TextRows
from raytrain.training.loop import FoldTraining
from raytrain.training.objectives import Classification
from raytrain.training.rounds import Rounds

NUM_TEXTS, UNLABELLED = 30, np.arange(20, 30)
TRUTH = np.arange(NUM_TEXTS) % 2
LABELS = np.where(np.arange(NUM_TEXTS) < 20, TRUTH, -1)
SIGNAL = 9  # texts of label 1 hold this token, the others the next


@pytest.fixture(scope="module")
def features(ragged, vocab):
    rng = np.random.default_rng(0)
    rows = []
    for label in TRUTH:
        tokens = rng.integers(SIGNAL + 2, len(vocab), 6)
        tokens[0], tokens[1:4] = 2, SIGNAL + 1 - label
        rows.append((tokens, np.zeros(6, int), rng.integers(1, 20, 6)))
    return FeatureRows(ragged(rows))


@pytest.fixture
def fold(encoder_config, features):
    """Makes a training, and the model that it begins with, of texts that are quickly told apart."""

    def make(unlabelled=UNLABELLED, pseudo_labels=0.7, **settings):
        shape = "textcnn", "albert", encoder_config("albert", 0.0, num_layers=1), 2, (20, 4), True, 0.0
        plain = {"epochs": 8, "batch_size": 5, "learning_rate": 2e-2, "encoder_learning_rate": 1e-2}
        settings = plain_settings(**plain | settings, pseudo_labels=pseudo_labels)
        model, initial = build_model(*shape, seed=7), build_model(*shape, seed=7)
        training = FoldTraining(
            *(model, features, Classification(LABELS, settings), np.arange(5, 20), np.arange(5), settings, 7),
            unlabelled_rows=unlabelled,
        )
        return training, initial

    return make


def train(training, initial):
    """Trains to the end. Returns how many texts each round began with, and rows of each."""
    begun = []
    while not training.finished:
        if training.has_another_round:
            begun.append(training.begin_round(initial))
            continue
        training.run_epoch()
    return begun


def test_the_second_round_learns_what_the_first_was_sure_of(fold):
    training, initial = fold()
    [count] = train(training, initial)
    texts, labels = training.rounds.pseudo
    assert count == len(texts) > 5 and set(texts) <= set(UNLABELLED)
    assert (labels == TRUTH[texts]).all()
    assert training.train_rows.tolist() == [*range(5, 20), *sorted(texts)]
    assert training.objective.targets(None, texts).tolist() == labels.tolist()
    assert [epoch["epoch"] for epoch in training.history] == list(range(1, 9))


def test_a_second_round_is_the_training_of_one_that_was_given_the_labels(fold, features):
    training, initial = fold(ema=0.9)
    train(training, initial)
    texts, labels = training.rounds.pseudo
    other, _ = fold(ema=0.9, pseudo_labels=None)
    other.objective.labels = other.objective.labels.copy()
    other.objective.labels[texts] = labels
    other.train_rows = np.concatenate([other.train_rows, texts])
    train(other, None)
    for name, value in training.weights().items():
        np.testing.assert_array_equal(value, other.weights()[name])


@pytest.mark.parametrize("settings", [{"pseudo_labels": None}, {"unlabelled": np.zeros(0, np.int64)}])
def test_without_a_threshold_or_texts_there_is_one_round(fold, settings):
    training, initial = fold(epochs=1, **settings)
    assert train(training, initial) == [] and training.rounds.number == 0


def test_where_it_is_sure_of_nothing_the_first_round_is_the_fold(fold):
    training, initial = fold(pseudo_labels=1.0)
    kept = None
    while not training.finished:
        if training.has_another_round:
            kept = training.weights()
            assert training.begin_round(initial) == 0
            continue
        training.run_epoch()
    assert training.finished and len(training.history) == 8
    for name, value in training.weights().items():
        np.testing.assert_array_equal(value, kept[name])


def test_labels_are_those_of_the_epoch_that_is_kept(fold, monkeypatch):
    """With select: best a later and worse epoch labels nothing."""
    training, _ = fold(select="best")
    while not training.has_another_round:
        training.run_epoch()
    best = {name: np.full_like(value, 0.25) for name, value in training.weights().items()}
    training._selection.weights, seen = best, []
    monkeypatch.setattr(
        Rounds,
        "label",
        lambda self, model, *_: seen.append(read_variables(head_variables(model))) or self.pseudo,
    )
    training.begin_round(None)
    assert all((value == 0.25).all() for value in seen[0].values())


@pytest.mark.parametrize("at", ["before", "within"])
def test_a_second_round_goes_on_elsewhere_to_the_last_bit(fold, tmp_path, at):
    straight, initial = fold()
    while not straight.has_another_round:
        straight.run_epoch()
    if at == "within":
        straight.begin_round(initial)
        straight.run_epoch()
    straight.save(tmp_path)
    again, _ = fold()
    again.load(tmp_path)
    assert again.rounds.number == straight.rounds.number
    train(straight, initial)
    train(again, initial)
    assert again.history == straight.history
    assert again.train_rows.tolist() == straight.train_rows.tolist()
    for name, value in straight.weights().items():
        np.testing.assert_array_equal(again.weights()[name], value)


def test_a_new_fold_forgets_the_labels(fold):
    training, initial = fold(epochs=2)
    train(training, initial)
    training.restart(np.arange(4, 20), np.arange(4), 8, initial)
    assert training.rounds.number == 0 and training.train_rows.tolist() == list(range(4, 20))
    assert training.objective.labels.tolist() == LABELS.tolist()


def test_all_rows_of_a_text_are_learned_with_its_label():
    rows = TextRows(np.array([0, 1, 1, 2, 2, 2]))
    objective = Classification(np.array([1, -1, -1]), plain_settings(), rows)
    predicted = np.array([[0.1, 0.9], [0.6, 0.4]])
    texts, labels = objective.confident(np.arange(1, 6), predicted, 0.7)
    assert (texts.tolist(), labels.tolist()) == ([1], [1])
    assert objective.learn_from(texts, labels).tolist() == [1, 2]
    assert objective.targets(None, np.array([0, 1, 2])).tolist() == [1, 1, 1]
