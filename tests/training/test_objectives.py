import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from scipy.optimize import minimize

from plain_settings import plain_settings

from raytrain.text.vocab import Vocab
from raytrain.text.batches import FeatureRows
from raytrain.scores.classes import score_proba
from raytrain.scores.decoding import no_transitions, weigh
from raytrain.text.encode import build_features
from raytrain.network.inference import predict_emissions
from raytrain.network.build import build_model
from raytrain.network.heads import crf_layer
from raytrain.network.weights import head_variables, read_variables
from raytrain.training.objectives import Classification, Tagging
from raytrain.scores.tagging import find_and_count, transitions_of
from raytrain.scores.spans import score_tags
from raytrain.training.loop import FoldTraining
from raytrain.text.rows import TextRows
from raytrain.text.windows import encode_windows, tag_windows

NAMES = ["O", "B-LOC", "I-LOC"]
TRAIN_TEXTS = 12


@pytest.fixture(scope="module")
def corpus(vocab, sentences):
    """Texts of one to three windows in which 停水 is a place, as features and tagged windows."""
    texts = [*sentences, "停水", "网传停水，停水了", *sentences[::-1], "停水的消息", "明天停水"]
    encoded, windows = encode_windows(texts, Vocab(vocab), 12, with_words=True)
    tags = np.concatenate([np.zeros(len(text), np.int32) for text in texts])
    joined = "\n".join(texts)
    for place in (i for i in range(len(joined)) if joined.startswith("停水", i)):
        place -= joined[:place].count("\n")
        tags[place : place + 2] = [1, 2]
    return FeatureRows(build_features(encoded, [])), tag_windows(windows, tags, NAMES)


@pytest.fixture(scope="module")
def build(encoder_config):
    def make(architecture, seed=7, dropout=0.1, train_encoder=True):
        config = encoder_config("albert", dropout, num_layers=1)
        return build_model(architecture, "albert", config, 3, (2, 4), train_encoder, dropout, seed)

    return make


@pytest.fixture
def fold(corpus, build):
    def make(architecture="bilstm_crf", model=None, dropout=0.1, accumulation=1, **settings):
        features, tagged = corpus
        rates = {"learning_rate": 1e-2, "encoder_learning_rate": 1e-3, "crf_learning_rate": 5e-2}
        settings = plain_settings(**{"batch_size": 6, "epochs": 30, "monitor": "f1"} | rates | settings)
        rows = tagged.windows.rows
        return FoldTraining(
            model or build(architecture, dropout=dropout),
            features,
            Tagging(tagged, settings),
            np.flatnonzero(rows < TRAIN_TEXTS),
            np.flatnonzero(rows >= TRAIN_TEXTS),
            settings,
            seed=7,
            accumulation=accumulation,
        )

    return make


@pytest.mark.parametrize("class_weight", [None, (1.0, 5.0)])
def test_a_classifier_has_learned_once_it_beats_its_own_shares(class_weight):
    labels = np.array([0] * 6 + [1] * 2)
    objective, rows = Classification(labels, plain_settings(class_weight=class_weight)), np.arange(8)
    weights = np.array(class_weight or (1, 1))[labels]
    shares = np.bincount(labels, weights) / weights.sum()
    constant = np.tile(shares, (8, 1))
    assert not objective.has_learned(rows, constant, {})
    assert not objective.has_learned(rows, constant[:, ::-1], {})
    better = constant + 0.05 * np.where(labels[:, None] == [0, 1], 1, -1)
    assert objective.has_learned(rows, better, {})


WINDOWS = TextRows(np.array([0, 1, 1, 1, 2, 3, 3]))
OF_FOUR = np.array([0, 1, 0, 1])


@pytest.fixture
def windowed(monkeypatch):
    """Makes a classifier of four texts in seven windows; of each it says a logit that is given."""

    def make(logits=None, **settings):
        said = np.linspace(-2, 3, len(WINDOWS))[:, None] if logits is None else np.asarray(logits)
        monkeypatch.setattr(
            "raytrain.training.objectives.predict_logits", lambda model, features, rows, size: said[rows]
        )
        return Classification(OF_FOUR, plain_settings(**settings), WINDOWS)

    return make


def test_a_text_weighs_the_same_in_an_epoch_however_many_windows_it_has(windowed):
    """And all weigh as much as as many texts of a window each, so that rates and clipping mean the same."""
    objective, batches = windowed(), [np.array([1, 3, 6]), np.array([0, 2, 5]), np.array([4])]
    total = np.zeros(4)
    for batch in batches:
        weights = objective.weights(None, batch[:2], batch) * len(batch)
        np.add.at(total, WINDOWS.rows[batch[:2]], weights)
        np.add.at(total, WINDOWS.rows[batch[2:]], objective.weights(None, batch[2:], batch) * len(batch))
    np.testing.assert_allclose(total, np.full(4, 7 / 4), rtol=1e-6)
    weighed = windowed(class_weight=(1.0, 3.0)).weights(None, np.arange(7), np.arange(7))
    np.testing.assert_allclose(np.bincount(WINDOWS.rows, weighed), np.array([1, 3, 1, 3]) / 4, rtol=1e-6)


def test_every_window_learns_its_texts_label(windowed):
    assert windowed().targets(None, np.array([0, 2, 3, 4, 6])).tolist() == [0, 1, 1, 0, 1]


def test_a_texts_probability_is_the_mean_of_its_windows(windowed):
    objective, rows = windowed(), np.array([1, 2, 3, 5, 6])
    proba = 1 / (1 + np.exp(-np.linspace(-2, 3, 7)))
    predicted = objective.predict(None, None, rows, 4)
    np.testing.assert_allclose(predicted[:, 1], [proba[1:4].mean(), proba[5:].mean()], rtol=1e-6)
    assert objective.score(None, rows, predicted) == pytest.approx(
        score_proba(np.array([1, 1]), predicted), nan_ok=True
    )
    table = objective.oof_table(rows, predicted, pa.array([*"abcd"]), {})
    assert (table["row"].to_pylist(), table["id"].to_pylist()) == ([1, 3], ["b", "d"])
    assert table["proba_1"].to_pylist() == predicted[:, 1].tolist()


def test_a_window_that_is_not_finite_is_seen(windowed):
    logits = np.zeros((7, 1))
    logits[2] = np.inf
    assert np.isnan(windowed(logits).predict(None, None, np.arange(7), 4)).all()


def test_windows_have_learned_once_their_texts_beat_a_constant_guess(windowed):
    """A text of many windows counts once."""
    objective, rows = windowed(), np.arange(7)
    assert not objective.has_learned(rows, np.full((4, 2), 0.5), {})
    assert objective.has_learned(rows, np.eye(2)[OF_FOUR] * 0.2 + 0.4, {})
    model = SimpleNamespace(output_shape=(None, 1))
    assert objective.constant_loss(model, None, rows) == pytest.approx(np.log(2), rel=1e-6)


def test_a_row_a_text_is_a_classifier_without_windows():
    rows, settings = np.array([3, 0, 2]), plain_settings(class_weight=(0.3, 0.7))
    plain, each = Classification(OF_FOUR, settings), Classification(OF_FOUR, settings, TextRows(np.arange(4)))
    expected = np.full(3, 1 / 3, np.float32) * np.array([0.3, 0.7], np.float32)[OF_FOUR[rows]]
    for objective in (plain, each):
        found = objective.weights(None, rows, rows)
        assert found.dtype == np.float32 and found.tolist() == expected.tolist()


def test_some_texts_need_several_windows(corpus):
    _, tagged = corpus
    assert len(tagged.windows) > len(tagged.windows.lengths)


@pytest.mark.parametrize("architecture", ["bilstm_crf", "bilstm", "crf"])
def test_taggers_learn(fold, architecture):
    training = fold(architecture, schedule="constant")
    while not training.finished and (not training.history or training.history[-1]["f1"] < 1):
        training.run_epoch()
    assert training.history[-1]["f1"] == 1
    assert training.history[-1].keys() == {
        *("epoch", "loss", "precision", "recall", "f1", "accuracy", "log_loss")
    }


def test_only_a_crf_has_transitions(build):
    layers = {name: crf_layer(build(name)) for name in ("bilstm_crf", "bilstm", "crf")}
    assert layers["bilstm"] is None
    assert layers["crf"].pairs.shape == layers["bilstm_crf"].pairs.shape == (3, 3)
    assert [layer.name for layer in build("crf").get_layer("head").layers if "bilstm" in layer.name] == []


def test_loss_of_a_softmax_is_the_mean_cross_entropy_of_tokens(corpus, fold):
    """Weighted by token, [CLS], [SEP] and padding left out."""
    features, tagged = corpus
    training = fold("bilstm", dropout=0.0)
    rows = training.train_rows[:5]
    [(inputs, targets, weights)] = training.updates.lay(rows)
    outputs = training.model(inputs, training=False)
    found = float(
        tf.reduce_sum(training.objective.losses(training.model, inputs, outputs, targets) * weights)
    )
    logits = predict_emissions(training.model, features, rows)
    at = np.cumsum([0, *features.lengths[rows]])
    expected, num_tokens = 0.0, 0
    for row, start, stop in zip(rows, at[:-1], at[1:], strict=True):
        own, first = logits[start + 1 : stop - 1], tagged.windows.firsts[row]
        base = tagged.windows.bounds[tagged.windows.rows[row]] + first
        lattice = weigh(own, np.array([0, len(own)]), no_transitions(3))
        expected -= lattice.log_likelihoods(tagged.tags[base : base + len(own)])[0]
        num_tokens += len(own)
    assert found == pytest.approx(expected / num_tokens, rel=1e-4)


def test_resumed_tagger_equals_uninterrupted(fold, tmp_path):
    straight = fold(epochs=2)
    while not straight.finished:
        straight.run_epoch()
    begun = fold(epochs=2)
    begun.run_epoch()
    begun.save(tmp_path)
    again = fold(epochs=2)
    again.load(tmp_path)
    while not again.finished:
        again.run_epoch()
    assert again.history == straight.history
    np.testing.assert_allclose(again.predicted, straight.predicted, atol=1e-6)


def test_a_batch_in_pieces_gives_the_same_update(fold, eagerly):
    whole, pieces = fold(dropout=0.0, epochs=1), fold(dropout=0.0, epochs=1, accumulation=3)
    for training in (whole, pieces):
        rows = training.train_rows[:6]
        share = training.updates.lay(rows)
        training.updates.update(share, 3, 2, training.seed)
    for name, value in read_variables(head_variables(whole.model)).items():
        np.testing.assert_allclose(value, head_variables(pieces.model)[name], atol=2e-5, err_msg=name)


def test_best_epoch_is_kept_with_its_emissions_and_its_transitions(fold, corpus):
    """What the fold leaves for its out-of-fold tags is of one epoch."""
    _, tagged = corpus
    training = fold(epochs=6, select="best", schedule="constant")
    while not training.finished:
        training.run_epoch()
    weights, predicted, metrics = training.selected()
    assert metrics["f1"] == max(epoch["f1"] for epoch in training.history)
    texts = tagged.windows.of_texts(training.valid_rows)
    _, counts = find_and_count(tagged, texts, predicted, transitions_of(weights, 3))
    assert score_tags(counts) == pytest.approx({name: metrics[name] for name in score_tags(counts)}, abs=1e-5)


def test_oof_holds_emissions_of_whole_texts_and_the_transitions(fold, corpus):
    _, tagged = corpus
    training = fold(epochs=1)
    training.run_epoch()
    weights, predicted, _ = training.selected()
    ids = pa.array([f"text-{i}" for i in range(len(tagged.windows.lengths))])
    table = training.objective.oof_table(training.valid_rows, predicted, ids, weights)
    assert table["id"].to_pylist() == [f"text-{i}" for i in table["row"].to_pylist()]
    sizes = np.diff(tagged.windows.bounds)[table["row"].to_numpy()]
    assert [len(row) for row in table["emissions"].to_pylist()] == (3 * sizes).tolist()
    start, _, pairs = json.loads(table.schema.metadata[b"transitions"])
    np.testing.assert_allclose(start, weights["crf.0.start"])
    np.testing.assert_allclose(pairs, weights["crf.2.pairs"])
    assert np.any(pairs)


def test_a_frozen_encoder_of_a_tagger_stays_as_it_was(build, fold):
    model = build("crf", train_encoder=False)
    training = fold(model=model, epochs=1)
    assert not [name for name in training.weights() if name.startswith("encoder.")]


# ── the loss of a constant guess ───────────────────────────────────────────────────────────────────

TWO, THREE = np.array([0, 1, 0, 0, 1, 0, 0, 0]), np.array([0, 2, 1, 0, 0, 2, 0, 0, 1, 0])


@pytest.mark.parametrize(
    ("labels", "smoothing", "class_weight"),
    [
        (TWO, 0.0, None),
        (TWO, 0.2, None),
        (TWO, 0.0, (0.5, 3.0)),
        (TWO, 0.2, (0.5, 3.0)),
        (THREE, 0.0, None),
        (THREE, 0.1, (0.5, 2.0, 1.0)),
        (np.minimum(THREE, 1), 0.1, None),
    ],
)
def test_no_constant_of_a_classifier_loses_less(labels, smoothing, class_weight):
    """Of the step's own losses, summed up as a step does."""
    objective = Classification(labels, plain_settings(label_smoothing=smoothing, class_weight=class_weight))
    rows = np.arange(1, len(labels))
    weights, targets = objective.weights(None, rows, rows), objective.targets(None, rows)
    num_logits = 1 if labels.max() == 1 else 3

    def loss(logits):
        outputs = tf.tile(tf.constant(logits[None], tf.float32), [len(rows), 1])
        return float(tf.reduce_sum(objective.losses(None, {}, outputs, targets) * weights))

    options = {"xatol": 1e-3, "fatol": 1e-6}
    least = minimize(loss, np.ones(num_logits), method="Nelder-Mead", options=options).fun
    found = objective.constant_loss(SimpleNamespace(output_shape=(None, num_logits)), None, rows)
    assert found == pytest.approx(least, rel=1e-4)


def test_a_label_without_rows_takes_its_share_of_what_is_smoothed():
    objective = Classification(TWO, plain_settings(label_smoothing=0.3))
    rows = np.arange(len(TWO))
    shares = np.array([0.75, 0.25, 0.0]) * 0.7 + 0.1
    found = objective.constant_loss(SimpleNamespace(output_shape=(None, 3)), None, rows)
    assert found == pytest.approx(-(shares * np.log(shares)).sum())


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_rows_of_one_label_have_nothing_to_learn(smoothing):
    objective = Classification(TWO, plain_settings(label_smoothing=smoothing, class_weight=(2.0, 3.0)))
    model = SimpleNamespace(output_shape=(None, 1))
    assert objective.constant_loss(model, None, np.flatnonzero(TWO == 0)) is None


@pytest.mark.parametrize("architecture", ["bilstm", "crf"])
def test_no_constant_of_a_tagger_loses_less(corpus, fold, architecture):
    """A CRF has no transitions yet."""
    features, _ = corpus
    training = fold(architecture)
    rows, objective = training.train_rows, training.objective
    [(inputs, targets, weights)] = training.updates.lay(rows)

    def loss(scores):
        outputs = tf.tile(tf.constant(scores, tf.float32)[None, None], [*targets.shape, 1])
        losses = objective.losses(training.model, inputs, outputs, targets)
        return float(tf.reduce_sum(losses * weights))

    sizes = features.lengths[rows]
    tags = np.concatenate([row[1 : size - 1] for row, size in zip(targets, sizes, strict=True)])
    best = np.log(np.bincount(tags, minlength=3) / len(tags))
    found = objective.constant_loss(training.model, features, rows)
    assert found == pytest.approx(loss(best), rel=1e-5)
    rng = np.random.default_rng(0)
    assert all(loss(best + rng.normal(0, 0.3, 3)) > found for _ in range(20))


def test_texts_without_a_span_have_nothing_to_learn(corpus, fold):
    features, tagged = corpus
    without = [
        row for row in range(len(tagged.windows)) if not features.pad(tagged.targets(), [row])[0, 1:-1].any()
    ]
    training = fold("bilstm")
    assert training.objective.constant_loss(training.model, features, np.array(without[:1])) is None
