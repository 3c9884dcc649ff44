import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import functools
import json
import math
import re

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file, save_file

from plain_settings import plain_settings

from raytrain.text.batches import FeatureRows
from raytrain.crossval.preflight import state_copies
from raytrain.errors import ArtifactError, RaytrainError
from raytrain.scores.classes import METRICS
from raytrain.network.build import build_model
from raytrain.network.weights import encoder_variables, head_variables, read_variables
from raytrain.network.inference import predict_logits
from raytrain.training.objectives import Classification
from raytrain.training.loop import FoldTraining
from raytrain.training.selection import PLATEAU_FACTOR

NUM_ROWS, NUM_WORDS = 24, 20
TRAIN, VALID = np.arange(16), np.arange(16, 24)
SIGNAL = 9  # rows of label 1 hold this token, the others do not
LABELS = np.arange(NUM_ROWS) % 2


@pytest.fixture(scope="module")
def features(ragged, vocab):
    """Random texts of 3 to 29 tokens; which label each has can be read off it."""
    rng = np.random.default_rng(0)
    rows = []
    for label, length in zip(LABELS, rng.integers(3, 30, NUM_ROWS), strict=True):
        tokens = rng.integers(SIGNAL + 1, len(vocab), length)
        tokens[0] = 2
        tokens[1] = SIGNAL if label else SIGNAL + 1
        rows.append((tokens, np.zeros(length, int), rng.integers(1, NUM_WORDS, length)))
    return FeatureRows(ragged(rows))


@pytest.fixture(scope="module")
def fold(encoder_config, features):
    """Makes a FoldTraining at its model's initial weights; keywords that TrainSettings has go there.

    Each model is built once and used again, unless `fresh`: building is most of a short test's time.
    """

    @functools.cache
    def built(architecture, kind, num_labels, train_encoder, dropout):
        config, embedding = encoder_config(kind, dropout, num_layers=1), (NUM_WORDS, 4)
        model = build_model(architecture, kind, config, num_labels, embedding, train_encoder, dropout, seed=7)
        return model, model.get_weights()

    def make(
        architecture="finetune",
        kind="albert",
        train_encoder=True,
        dropout=0.1,
        num_labels=2,
        fresh=False,
        labels=LABELS,
        train_rows=TRAIN,
        valid_rows=VALID,
        seed=7,
        rank=0,
        num_workers=1,
        accumulation=1,
        **settings,
    ):
        build = built.__wrapped__ if fresh else built
        model, initial = build(architecture, kind, num_labels, train_encoder, dropout)
        model.set_weights(initial)
        settings = plain_settings(**{"batch_size": 8, "encoder_learning_rate": 1e-3} | settings)
        workers = {"rank": rank, "num_workers": num_workers, "accumulation": accumulation}
        objective = Classification(labels, settings)
        return FoldTraining(model, features, objective, train_rows, valid_rows, settings, seed, **workers)

    return make


@pytest.mark.parametrize(
    ("changes", "copies"),
    [({}, 3), ({"ema": 0.9}, 4), ({"select": "best"}, 4), ({"ema": 0.9, "select": "best"}, 5)],
)
def test_a_checkpoint_is_as_large_as_a_disk_is_asked_for(fold, tmp_path, changes, copies):
    training = fold("textcnn", epochs=1, **changes)
    training.run_epoch()
    training.save(tmp_path)
    weights = sum(value.nbytes for value in all_weights(training).values())
    written = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert state_copies(training.settings) == copies
    assert abs(written - copies * weights) < 0.4 * weights


def all_weights(fold):
    return read_variables(head_variables(fold.model) | encoder_variables(fold.model))


def distance(one, two):
    assert one.keys() == two.keys()
    return max(np.abs(one[name] - two[name]).max() for name in one)


def randomize(fold, scale=0.1):
    rng = np.random.default_rng(0)
    for variable in (head_variables(fold.model) | encoder_variables(fold.model)).values():
        variable.assign_add(rng.normal(0, scale, variable.shape))


# ── schedule ───────────────────────────────────────────────────────────────────────────────────────


def rates_of(fold, epochs):
    """The head's rate at every step."""
    rates, update = [], fold.updates.step
    base = update.optimizer.rates["logits.0.kernel"]

    def watched(*batch):
        rates.append(base * float(batch[-2]))
        return update(*batch)

    watched.compiles = False
    fold.updates.step = watched
    for _ in range(epochs):
        fold.run_epoch()
    return rates


def test_the_optimizer_follows_the_schedule_over_all_epochs(fold, eagerly):
    rates = rates_of(
        fold(train_encoder=False, epochs=2, schedule="linear", warmup=0.25, learning_rate=0.1), 2
    )
    np.testing.assert_allclose(rates, [0.05, 0.1, 0.2 / 3, 0.1 / 3], rtol=1e-6)


# ── loss ───────────────────────────────────────────────────────────────────────────────────────────


def reference_loss(logits, labels, smoothing=0.0, class_weight=None):
    """Mean over rows of weight × cross-entropy against smoothed targets, in float64."""
    logits = logits.astype(np.float64)
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    num_labels = logits.shape[1]
    log_proba = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    targets = np.eye(num_labels)[labels] * (1 - smoothing) + smoothing / num_labels
    weights = np.ones(num_labels) if class_weight is None else np.array(class_weight)
    return float((weights[labels] * -(targets * log_proba).sum(axis=1)).mean())


@pytest.mark.parametrize(
    ("num_labels", "smoothing", "class_weight"),
    [
        (2, 0.0, None),
        (2, 0.2, (0.5, 3.0)),
        (4, 0.0, None),
        (4, 0.2, (0.5, 1.0, 2.0, 4.0)),
    ],
)
def test_loss_of_a_step_equals_plain_numpy(fold, features, eagerly, num_labels, smoothing, class_weight):
    labels = np.arange(NUM_ROWS) % num_labels
    training = fold(
        train_encoder=False,
        dropout=0.0,
        num_labels=num_labels,
        labels=labels,
        batch_size=16,
        label_smoothing=smoothing,
        class_weight=class_weight,
    )
    randomize(training, 0.5)
    logits = predict_logits(training.model, features, TRAIN)
    expected = reference_loss(logits, labels[TRAIN], smoothing, class_weight)
    assert training.run_epoch()["loss"] == pytest.approx(expected, rel=1e-5)


def test_loss_of_an_epoch_is_the_mean_over_its_steps(fold, eagerly, monkeypatch):
    monkeypatch.setattr("raytrain.training.loop.SYNC_SECONDS", 0.0)
    seen = []
    metrics = fold(train_encoder=False, batch_size=5).run_epoch(lambda *step: seen.append(step))
    assert [(step, num_steps) for step, num_steps, _ in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert seen[-1][2] == metrics["loss"]


def test_metrics_of_an_epoch_are_plain_numbers(fold, eagerly):
    """Ray Train cannot report numpy's."""
    metrics = fold(train_encoder=False).run_epoch()
    assert metrics.keys() == {"epoch", "loss", *METRICS}
    assert {type(value) for value in metrics.values()} <= {int, float}


def test_valid_metrics_are_those_of_the_weights_after_the_epoch(fold, features, eagerly):
    training = fold(train_encoder=False, learning_rate=0.1)
    metrics = training.run_epoch()
    logits = predict_logits(training.model, features, VALID)
    assert metrics["log_loss"] == pytest.approx(reference_loss(logits, LABELS[VALID]), rel=1e-5)


@pytest.mark.parametrize(("architecture", "train_encoder"), [("finetune", True), ("textcnn", False)])
def test_a_small_corpus_is_learned(fold, architecture, train_encoder):
    training = fold(
        architecture,
        train_encoder=train_encoder,
        dropout=0.0,
        valid_rows=TRAIN,
        epochs=25,
        learning_rate=1e-2,
        encoder_learning_rate=1e-2,
        clip_norm=1.0,
        schedule="constant",
    )
    while not training.finished:
        training.run_epoch()
    assert training.history[0]["loss"] > 0.4
    assert training.history[-1]["loss"] < 0.05
    assert training.history[-1]["accuracy"] == 1


# ── repeatable, resumable ──────────────────────────────────────────────────────────────────────────

# Valid rows whose labels contradict the train rows': the better it learns, the worse they score.
CONTRARY = np.where(np.arange(NUM_ROWS) < 16, LABELS, 1 - LABELS)

# Model, settings, and the epoch to resume at; None: the first one that scored worse than another before.
RESUMED = {
    "schedule": (
        {"architecture": "finetune"},
        {"epochs": 3, "schedule": "linear", "warmup": 0.2, "weight_decay": 0.1, "clip_norm": 1.0},
        1,
    ),
    "plateau": (
        {"architecture": "textcnn", "labels": CONTRARY},
        {"epochs": 20, "schedule": "plateau", "select": "best", "early_stopping": 2, "learning_rate": 1e-2},
        None,
    ),
    "tricks": (
        {"architecture": "textcnn"},
        {"epochs": 3, "ema": 0.9, "adversarial": "fgm", "r_drop": 1.0, "mixup": 0.3, "select": "best"},
        1,
    ),
    "frozen": (
        {"architecture": "textcnn", "train_encoder": False},
        {"epochs": 3, "schedule": "cosine", "select": "best", "monitor": "accuracy"},
        2,
    ),
}


@pytest.fixture(scope="module", params=RESUMED)
def resumed(request, fold, tmp_path_factory):
    """(uninterrupted, resumed, state of the epoch it was resumed at), both trained to the end."""
    model, settings, at = RESUMED[request.param]
    make = {"dropout": 0.3, "encoder_learning_rate": 1e-2} | model | settings
    directory = tmp_path_factory.mktemp("states")
    straight = fold(**make, fresh=True)
    while not straight.finished:
        straight.run_epoch()
        (directory / str(straight.epoch)).mkdir()
        straight.save(directory / str(straight.epoch))
    at = at or next(
        number for number, _ in enumerate(straight.history, 1) if _state(directory, number)["stale_epochs"]
    )
    again = fold(**make, fresh=True)
    for name, variable in (head_variables(again.model) | encoder_variables(again.model)).items():
        if name in again.weights():
            variable.assign_add(tf.ones_like(variable))
    again.load(directory / str(at))
    assert (again.epoch, again.finished) == (at, False)
    while not again.finished:
        again.run_epoch()
    return straight, again, directory


def _state(directory, epoch):
    return json.loads((directory / str(epoch) / "state.json").read_text())


def test_resumed_weights_equal_uninterrupted(resumed):
    straight, again, _ = resumed
    assert distance(all_weights(straight), all_weights(again)) <= 1e-6


def test_resumed_predicted_equals_uninterrupted(resumed):
    straight, again, _ = resumed
    np.testing.assert_allclose(again.predicted, straight.predicted, atol=1e-6)


def test_resumed_history_equals_uninterrupted(resumed):
    straight, again, _ = resumed
    assert len(again.history) == len(straight.history)
    for found, expected in zip(again.history, straight.history, strict=True):
        assert found == pytest.approx(expected, abs=1e-5, nan_ok=True)


def test_resumed_selection_equals_uninterrupted(resumed):
    straight, again, _ = resumed
    (weights, proba, metrics), (expected_weights, expected_proba, expected_metrics) = (
        again.selected(),
        straight.selected(),
    )
    assert distance(weights, expected_weights) <= 1e-6
    np.testing.assert_allclose(proba, expected_proba, atol=1e-6)
    assert metrics["epoch"] == expected_metrics["epoch"]


def test_the_last_state_is_finished_and_selects_the_same(resumed):
    """A worker that dies between its last checkpoint and the commit starts here."""
    straight, again, directory = resumed
    again.predicted = None
    again.load(directory / str(straight.epoch))
    assert again.finished
    weights, proba, metrics = again.selected()
    expected_weights, expected_proba, expected_metrics = straight.selected()
    assert distance(weights, expected_weights) == 0
    np.testing.assert_allclose(proba, expected_proba, atol=1e-6)
    assert metrics == pytest.approx(expected_metrics, nan_ok=True)


@pytest.mark.parametrize("resumed", ["plateau"], indirect=True)
def test_the_state_resumed_from_held_a_plateau_and_a_best_epoch(resumed):
    """Or the tests above would say nothing about them."""
    straight, _, directory = resumed
    states = [_state(directory, number) for number in range(1, straight.epoch + 1)]
    at = next(state for state in states if state["stale_epochs"])
    assert at["plateau"] < 1
    assert straight.selected()[2]["epoch"] < at["epoch"] < straight.epoch < 20


def pause_after(num_steps):
    """Says yes once so many steps were begun, and from then on no more."""
    asked = iter(range(10**6))
    return lambda: next(asked) == num_steps


@pytest.mark.parametrize("num_steps", [1, 3])
def test_a_fold_paused_within_an_epoch_and_resumed_elsewhere_equals_a_calm_one(
    fold, tmp_path, eagerly, num_steps
):
    calm = fold(batch_size=4, fresh=True)
    expected = [calm.run_epoch(), calm.run_epoch()]
    paused = fold(batch_size=4, fresh=True)
    assert paused.run_epoch(pause=pause_after(num_steps)) is None
    assert (paused.epoch, paused.step, paused.history) == (0, num_steps, [])
    paused.save(tmp_path)
    resumed = fold(batch_size=4, fresh=True)
    resumed.load(tmp_path)
    found = [resumed.run_epoch(), resumed.run_epoch()]
    for metrics, other in zip(found, expected, strict=True):
        assert metrics == pytest.approx(other, abs=1e-6, nan_ok=True)
    assert distance(all_weights(resumed), all_weights(calm)) <= 1e-6


def test_a_fold_stopped_within_an_epoch_has_scores_of_what_it_learned(fold, eagerly):
    training = fold(batch_size=4, select="best")
    training.run_epoch()
    training.run_epoch(pause=pause_after(1))
    training.stop_early()
    assert [metrics["epoch"] for metrics in training.history] == [1, 1.25]
    _, proba, metrics = training.selected()
    assert metrics in training.history and proba.shape == (len(VALID), 2)


def test_a_fold_stopped_between_epochs_is_not_evaluated_again(fold, eagerly):
    training = fold()
    training.run_epoch()
    training.run_epoch(pause=pause_after(0))
    training.stop_early()
    assert len(training.history) == 1


@pytest.mark.parametrize("accumulation", [3, 8])
def test_a_batch_in_pieces_gives_the_update_of_the_whole(fold, eagerly, accumulation):
    """Without dropout, whose masks differ: the last batch of 6 has fewer rows than 8 pieces."""
    options = {"dropout": 0.0, "batch_size": 10, "class_weight": (1.0, 2.0)}
    whole, pieces = fold(**options, fresh=True), fold(**options, fresh=True, accumulation=accumulation)
    for _ in range(2):
        expected, found = whole.run_epoch(), pieces.run_epoch()
        assert found == pytest.approx(expected, abs=1e-5, nan_ok=True)
    assert distance(all_weights(pieces), all_weights(whole)) <= 1e-5


def test_pieces_of_a_batch_have_dropout_of_their_own(fold):
    training, seeds = fold(accumulation=2), []
    training.updates.step = lambda pieces, own, *_: seeds.extend(map(tuple, own))
    for number in range(3):
        training.updates.update([None, None], number, 3, training.seed)
    assert len(set(seeds)) == 6


def test_compiled_pieces_equal_the_compiled_whole(fold):
    whole, pieces = (fold(dropout=0.0, fresh=True, accumulation=count) for count in (1, 2))
    initial = all_weights(whole)
    for training in (whole, pieces):
        training.run_epoch()
    assert distance(all_weights(whole), initial) > 1e-4
    assert distance(all_weights(pieces), all_weights(whole)) <= 1e-6


def test_a_state_of_another_model_is_refused(fold, tmp_path, eagerly):
    fold("textcnn", train_encoder=False).save(tmp_path)
    with pytest.raises(ArtifactError, match=re.escape(str(tmp_path))):
        fold("finetune", train_encoder=False).load(tmp_path)


def trained(fold, epochs=1, **kwargs):
    training = fold(**kwargs)
    for _ in range(epochs):
        training.run_epoch()
    return all_weights(training)


def test_the_same_seed_gives_the_same_weights(fold, eagerly):
    one, two = (trained(fold, epochs=2, dropout=0.3, fresh=True) for _ in range(2))
    assert distance(one, two) <= 1e-6


def test_another_seed_gives_another_order_of_rows(fold, eagerly):
    one, two = (trained(fold, train_encoder=False, dropout=0.0, seed=seed, batch_size=4) for seed in (7, 8))
    assert distance(one, two) > 1e-4


def test_another_seed_gives_other_dropout(fold, eagerly):
    """A single row leaves nothing to shuffle."""
    one, two = (
        trained(fold, train_encoder=False, dropout=0.5, seed=seed, train_rows=np.array([2]))
        for seed in (7, 8)
    )
    assert distance(one, two) > 1e-4


def test_two_epochs_draw_different_dropout(fold, eagerly):
    """With rates of 0 nothing but dropout (and the order of rows) can move the loss."""
    training = fold(dropout=0.5, batch_size=16, learning_rate=0.0, encoder_learning_rate=0.0)
    randomize(training)
    assert abs(training.run_epoch()["loss"] - training.run_epoch()["loss"]) > 1e-3


# ── choice of the epoch ────────────────────────────────────────────────────────────────────────────


def scripted(fold, losses, **settings):
    """A training whose valid log loss goes by a script; returns it and its weights after each epoch."""
    training = fold(train_encoder=False, batch_size=16, epochs=len(losses), learning_rate=0.1, **settings)

    def evaluate():
        loss = losses[training.epoch - 1]
        training.predicted = np.full((len(VALID), 2), loss)
        return {"log_loss": loss, "accuracy": -loss}

    training.evaluate = evaluate
    weights = []
    while not training.finished:
        training.run_epoch()
        weights.append(training.weights())
    return training, weights


@pytest.mark.parametrize("monitor", ["log_loss", "accuracy"])
def test_select_best_takes_the_best_epoch(fold, eagerly, monitor):
    training, epochs = scripted(fold, [3.0, 1.0, 2.0, 1.0], select="best", monitor=monitor)
    weights, proba, metrics = training.selected()
    assert metrics["epoch"] == 2  # the earlier of two equals
    assert distance(weights, epochs[1]) == 0
    assert distance(weights, epochs[2]) > 0
    assert proba[0, 0] == 1.0


def test_select_last_takes_the_last_epoch(fold, eagerly):
    training, epochs = scripted(fold, [1.0, 2.0, 3.0], select="last")
    weights, proba, metrics = training.selected()
    assert metrics["epoch"] == 3
    assert distance(weights, epochs[2]) == 0
    assert proba[0, 0] == 3.0


def test_select_best_of_an_undefined_metric_is_consistent(fold, eagerly):
    """AUC is not defined where the valid rows lack a class."""
    training, epochs = scripted(fold, [math.nan] * 3, select="best")
    weights, _, metrics = training.selected()
    assert distance(weights, epochs[metrics["epoch"] - 1]) == 0


@pytest.mark.parametrize(
    ("losses", "patience", "ran"),
    [
        ([1.0, 2.0, 2.0, 0.5, 0.4], 2, 3),
        ([1.0, 2.0, 0.5, 2.0, 2.0, 0.1], 2, 5),
        ([1.0, 1.0, 0.5], 1, 2),
        ([3.0, 2.0, 1.0], 1, 3),
        ([1.0, 2.0, 2.0, 2.0], None, 4),
    ],
)
def test_early_stopping_ends_after_epochs_without_a_better_score(fold, eagerly, losses, patience, ran):
    training, _ = scripted(fold, losses, early_stopping=patience)
    assert training.epoch == ran


def test_workers_end_by_the_score_of_one_of_them(fold, eagerly):
    """Unlike machines differ in the last bits of theirs: one that ended alone left the others waiting."""
    theirs = iter([1.0, 2.0, 2.0])
    training = fold(train_encoder=False, batch_size=16, epochs=5, early_stopping=2)
    training.predicted = np.full((len(VALID), 2), 0.5)
    training.evaluate = lambda: {"log_loss": 1.0 - training.epoch, "accuracy": 0.5}
    while not training.finished:
        training.run_epoch(agree=lambda own: next(theirs) if own <= 0 else own)
    assert [epoch["log_loss"] for epoch in training.history] == [1.0, 2.0, 2.0]


@pytest.mark.parametrize(("schedule", "factor"), [("plateau", PLATEAU_FACTOR), ("constant", 1.0)])
def test_plateau_halves_the_rates_after_every_epoch_without_a_better_score(fold, eagerly, schedule, factor):
    losses = iter([2.0, 3.0, 1.0, 1.0, 0.5])
    training = fold(train_encoder=False, batch_size=16, epochs=5, learning_rate=0.1, schedule=schedule)
    training.evaluate = lambda: {"log_loss": next(losses)}
    training.predicted = np.full((len(VALID), 2), 0.5)
    np.testing.assert_allclose(
        rates_of(training, 5), 0.1 * np.array([1, 1, factor, factor, factor**2]), rtol=1e-6
    )


# ── the step ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("batch_size", [4, 16])
def test_a_loss_that_is_not_finite_is_an_error_with_advice(fold, eagerly, batch_size):
    """In the middle of an epoch, and by the last update of one (seen only in evaluation)."""
    training = fold(batch_size=batch_size, learning_rate=1e30, encoder_learning_rate=1e30)
    with pytest.raises(RaytrainError, match=r"not finite in epoch 1.*train\.learning_rate.*train\.clip_norm"):
        training.run_epoch()


def test_a_loss_of_hidden_states_that_are_not_finite_tells_of_these(fold, eagerly, monkeypatch):
    training = fold(learning_rate=1e30, encoder_learning_rate=1e30)
    monkeypatch.setattr(training.features, "has_finite_states", lambda: False)
    with pytest.raises(RaytrainError, match=r"not finite in epoch 1.*hidden states in the cache"):
        training.run_epoch()


def test_what_is_not_finite_within_an_epoch_is_told_of_that_epoch(fold, monkeypatch):
    training = fold(train_encoder=False)
    monkeypatch.setattr(training.objective, "predict", lambda *_: np.full((len(VALID), 2), np.nan))
    training.epoch, training.step = 2, 1
    with pytest.raises(RaytrainError, match="not finite in epoch 3"):
        training.evaluate()
    training.step = 0
    with pytest.raises(RaytrainError, match="not finite in epoch 2"):
        training.evaluate()


@pytest.mark.parametrize("architecture", ["finetune", "textcnn"])
def test_a_frozen_encoder_keeps_its_weights_while_the_head_learns(fold, eagerly, architecture):
    training = fold(architecture, train_encoder=False, encoder_learning_rate=0.1, weight_decay=0.1)
    encoder, head = encoder_variables(training.model), head_variables(training.model)
    before = read_variables(encoder), read_variables(head)
    training.run_epoch()
    assert distance(read_variables(encoder), before[0]) == 0
    assert distance(read_variables(head), before[1]) > 1e-4


def test_weights_of_a_frozen_encoder_are_not_among_what_was_learned(fold):
    training = fold("textcnn", train_encoder=False)
    assert training.weights().keys() == head_variables(training.model).keys()


@pytest.mark.parametrize(("head_rate", "encoder_rate"), [(0.01, 1e-12), (1e-12, 0.01)])
def test_head_and_encoder_have_rates_of_their_own(fold, eagerly, head_rate, encoder_rate):
    training = fold("textcnn", learning_rate=head_rate, encoder_learning_rate=encoder_rate)
    encoder, head = encoder_variables(training.model), head_variables(training.model)
    before = read_variables(encoder), read_variables(head)
    training.run_epoch()
    moved = distance(read_variables(head), before[1]), distance(read_variables(encoder), before[0])
    for distance_moved, rate in zip(moved, (head_rate, encoder_rate), strict=True):
        # Adam's steps are about as long as its rate; there are two.
        assert 0.5 * rate < distance_moved < 2.5 * rate or distance_moved < 1e-9 > rate


def test_weight_decay_shrinks_kernels_and_embeddings_but_no_bias_or_norm(fold, eagerly):
    """Decoupled (Loshchilov & Hutter 2019): rate × decay × weight is taken off beside Adam's step."""
    rate, decay = 0.01, 0.5
    after = []
    for weight_decay in (0.0, decay):
        training = fold(
            "textcnn",
            "bert",
            dropout=0.0,
            batch_size=16,
            learning_rate=rate,
            encoder_learning_rate=rate,
            weight_decay=weight_decay,
        )
        randomize(training)
        start = all_weights(training)
        training.run_epoch()
        after.append(all_weights(training))
    plain, decayed = after
    for name, value in start.items():
        decays = re.search(r"\.(kernel|embeddings)$", name)
        expected = plain[name] - (rate * decay * value if decays else 0)
        np.testing.assert_allclose(decayed[name], expected, atol=2e-6, err_msg=name)


def test_a_partial_batch_counts_as_its_own_rows(fold, features, eagerly):
    """Rates of 0: the epoch's loss is then the mean over batches of each batch's mean."""
    training = fold(dropout=0.0, batch_size=15, train_encoder=False, learning_rate=0.0)
    randomize(training)
    steps = []
    share = training.updates.lay
    training.updates.lay = lambda rows: steps.append(rows) or share(rows)
    loss = training.run_epoch()["loss"]
    assert sorted(map(len, steps)) == [1, 15]
    logits = predict_logits(training.model, features, np.arange(NUM_ROWS))
    assert loss == pytest.approx(
        np.mean([reference_loss(logits[rows], LABELS[rows]) for rows in steps]), rel=1e-5
    )


def test_a_corpus_smaller_than_a_batch_is_one_step(fold, eagerly):
    steps = []
    training = fold(train_rows=np.array([3, 4]), batch_size=32, train_encoder=False)
    before = all_weights(training)
    training.run_epoch(lambda *step: steps.append(step[:2]))
    assert steps == [(1, 1)]
    assert distance(before, all_weights(training)) > 0


def test_a_state_of_before_there_were_taggers_keeps_its_best_epoch(fold, tmp_path):
    training = fold(epochs=2, select="best", train_encoder=False)
    training.run_epoch()
    training.save(tmp_path)
    arrays = load_file(tmp_path / "state.safetensors")
    arrays["best_proba"] = arrays.pop("best_predicted")
    save_file(arrays, tmp_path / "state.safetensors")
    again = fold(epochs=2, select="best", train_encoder=False)
    again.load(tmp_path)
    np.testing.assert_array_equal(again.selected()[1], training.selected()[1])


# ── several workers ────────────────────────────────────────────────────────────────────────────────

CLASS_WEIGHT = (0.5, 2.0)


def test_losses_of_the_workers_add_up_to_that_of_one(fold, eagerly):
    training = fold(
        train_encoder=False, dropout=0.0, batch_size=16, class_weight=CLASS_WEIGHT, learning_rate=0.0
    )
    randomize(training)

    def loss(rank, num_workers):
        training.updates._batches.rank, training.updates._batches.num_workers, training.epoch = (
            rank,
            num_workers,
            0,
        )
        return training.run_epoch()["loss"]

    assert loss(0, 3) + loss(1, 3) + loss(2, 3) == pytest.approx(loss(0, 1), rel=1e-5)


def test_workers_draw_different_dropout(fold, eagerly):
    """Each of the two has the same row of a batch of that row twice: only the masks differ."""
    rows = np.array([2, 2])
    training = fold(
        dropout=0.5, batch_size=2, train_rows=rows, num_workers=2, train_encoder=False, learning_rate=0.0
    )
    randomize(training)
    losses = []
    for training.updates._batches.rank in (0, 1):
        training.epoch = 0
        losses.append(training.run_epoch()["loss"])
    assert abs(losses[0] - losses[1]) > 1e-4


# ── from fold to fold ──────────────────────────────────────────────────────────────────────────────


PLATEAU = {"epochs": 3, "select": "best", "schedule": "plateau"}


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("textcnn", {"epochs": 2}),
        ("finetune", PLATEAU),
        pytest.param("finetune", {"epochs": 2}, marks=pytest.mark.long),
        pytest.param("textcnn", PLATEAU, marks=pytest.mark.long),
    ],
)
def test_a_restarted_training_equals_a_new_one(fold, eagerly, architecture, settings):
    """Whatever the fold before has left: moments, plateaus, best weights, history."""
    initial = fold(architecture, "albert", fresh=True, **settings)
    used = fold(architecture, "albert", fresh=True, train_rows=VALID, valid_rows=TRAIN, seed=1, **settings)
    while not used.finished:
        used.run_epoch()
    used.restart(TRAIN, VALID, 7, initial.model)
    new = fold(architecture, "albert", fresh=True, **settings)
    for training in (used, new):
        while not training.finished:
            training.run_epoch()
    assert used.history == new.history
    assert distance(used.selected()[0], new.selected()[0]) < 1e-7
    np.testing.assert_allclose(used.selected()[1], new.selected()[1], atol=1e-7)


# ── a fold that learns nothing ─────────────────────────────────────────────────────────────────────

STILL = {"train_encoder": False, "learning_rate": 0.0}  # it stays as it was drawn


@pytest.fixture
def hopeless(monkeypatch):
    """Whatever a training learns counts as nothing."""
    monkeypatch.setattr("raytrain.scores.guess.LEARNS_NOTHING", 1e-9)


def begin_again(training, fold, seed, number):
    training.restart(TRAIN, VALID, seed, fold(train_encoder=False, fresh=True).model, number)


def test_a_fold_that_learns_nothing_asks_to_begin_again_as_often_as_it_may(fold, eagerly, hopeless):
    training = fold(**STILL, restarts=2)
    for number in (1, 2):
        assert training.run_epoch() is None
        assert training.guess.begins_again and training.guess.loss == pytest.approx(math.log(2))
        assert (training.epoch, training.step, training.history) == (0, 2, [])
        begin_again(training, fold, 7 + number, number)
        assert (training.seed, training.restarts, training.guess.dead) == (7 + number, number, False)
    while not training.finished:
        assert training.run_epoch() is not None
    assert training.guess.dead and not training.guess.begins_again and len(training.history) == 3


def test_a_slow_fold_is_spared_by_what_it_says_of_the_valid_rows(fold, eagerly, hopeless):
    """Of its first epoch's losses the early ones are those of a model that knew nothing."""
    training = fold(**STILL, restarts=2)
    training.objective.has_learned = lambda rows, predicted, metrics: set(rows) == set(VALID)
    assert training.run_epoch() is not None
    assert not training.guess.begins_again and not training.guess.dead and training.guess.reached is not None


def test_without_restarts_a_dead_fold_is_trained_to_its_end(fold, eagerly, hopeless):
    training = fold(**STILL)
    while not training.finished:
        assert training.run_epoch() is not None
    assert training.guess.dead and len(training.history) == 3


@pytest.mark.parametrize("epochs", [1, 2])
def test_of_a_few_epochs_the_loss_is_judged_after_a_third_of_all_steps(fold, eagerly, hopeless, epochs):
    training = fold(**STILL, restarts=1, epochs=epochs, batch_size=2)
    assert training.run_epoch() is None
    assert (training.epoch, training.step) == (0, -(-8 * epochs // 3))


def test_a_fold_that_learns_is_left_alone(fold, eagerly):
    """Bit for bit what it is where nothing is begun again."""
    options = {"train_rows": np.tile(TRAIN, 20), "learning_rate": 1e-2, "encoder_learning_rate": 3e-3}
    metrics, weights = [], []
    for restarts in (2, 0):
        training = fold("textcnn", fresh=True, restarts=restarts, **options)
        metrics.append(training.run_epoch())
        weights.append(training.weights())
        assert not training.guess.dead and training.restarts == 0
        assert training.guess.reached < 0.9 * training.guess.loss
    assert metrics[0] == metrics[1] is not None
    assert distance(*weights) == 0


@pytest.mark.parametrize("at", [*(pytest.param(at, marks=pytest.mark.long) for at in (0, 3)), 1, 4])
def test_a_fold_begun_again_goes_on_elsewhere_to_the_last_bit(fold, eagerly, tmp_path, hopeless, at):
    """Stopped so many steps after it was begun again; 4 is where it is judged."""
    options = {"train_encoder": False, "learning_rate": 1e-2, "batch_size": 4, "restarts": 1, "epochs": 3}
    calm, hurt = fold(fresh=True, **options), fold(fresh=True, **options)
    for training in (calm, hurt):
        assert training.run_epoch() is None
        begin_again(training, fold, 99, 1)
    if at:
        assert hurt.run_epoch(pause=pause_after(at)) is None or at == 4
    hurt.save(tmp_path)
    again = fold(fresh=True, **options)
    again.load(tmp_path)
    assert (again.seed, again.restarts) == (99, 1)
    for training in (calm, again):
        while not training.finished:
            training.run_epoch()
    assert again.history == calm.history
    assert distance(all_weights(again), all_weights(calm)) == 0
    assert again.guess.dead and again.guess.reached == calm.guess.reached


def test_a_fold_stopped_before_the_check_is_judged_elsewhere_by_the_same_loss(
    fold, eagerly, tmp_path, hopeless
):
    options = {**STILL, "restarts": 1, "batch_size": 4}
    calm, hurt, again = (fold(fresh=True, **options) for _ in range(3))
    assert calm.run_epoch() is None
    assert hurt.run_epoch(pause=pause_after(3)) is None and not hurt.guess.begins_again
    hurt.save(tmp_path)
    again.load(tmp_path)
    assert again.run_epoch() is None
    assert again.guess.begins_again and again.guess.reached == calm.guess.reached


def test_a_state_of_before_there_were_restarts_goes_on_without(fold, eagerly, tmp_path):
    training = fold(**STILL, restarts=2, batch_size=4)
    training.run_epoch(pause=pause_after(1))
    training.save(tmp_path)
    state = json.loads((tmp_path / "state.json").read_text())
    for key in ("seed", "restarts", "guess"):
        state.pop(key)
    (tmp_path / "state.json").write_text(json.dumps(state))
    again = fold(**STILL, restarts=2, batch_size=4)
    again.load(tmp_path)
    assert (again.seed, again.restarts) == (7, 0)
    assert again.run_epoch() is not None and not again.guess.dead


def test_workers_judge_by_the_number_they_agree_on(fold, eagerly):
    training = fold(**STILL, restarts=1)
    assert training.run_epoch(agree=lambda loss: 0.1) is not None
    assert not training.guess.dead and training.guess.reached == 0.1


def test_another_fold_begins_without_restarts(fold, eagerly):
    training = fold(**STILL, restarts=1)
    training.run_epoch()
    begin_again(training, fold, 8, 1)
    training.restart(VALID, TRAIN, 3, fold(train_encoder=False, fresh=True).model)
    assert (training.restarts, training.seed, training.guess.dead, training.guess.reached) == (
        0,
        3,
        False,
        None,
    )


# ── no valid rows ──────────────────────────────────────────────────────────────────────────────────

NO_ROWS, ALL = np.zeros(0, np.int64), np.arange(NUM_ROWS)


def train_on_all(fold):
    while not fold.finished:
        fold.run_epoch()
        if fold.guess.begins_again:
            return


def test_without_valid_rows_epochs_have_a_loss_and_the_last_one_is_kept(fold):
    training = fold(train_rows=ALL, valid_rows=NO_ROWS, monitor="loss", epochs=2)
    train_on_all(training)
    weights, predicted, metrics = training.selected()
    assert [set(epoch) for epoch in training.history] == [{"epoch", "loss"}] * 2
    assert metrics == training.history[-1] and predicted.shape == (0, 2)
    assert distance(weights, training.weights()) == 0


def test_without_valid_rows_the_rows_that_are_learned_are_learned_as_ever(fold):
    own, other = (fold(valid_rows=rows, monitor="loss", epochs=2, fresh=True) for rows in (NO_ROWS, VALID))
    for training in (own, other):
        train_on_all(training)
    assert distance(all_weights(own), all_weights(other)) == 0


def test_without_valid_rows_a_checkpoint_goes_on_as_if_nothing_had_happened(fold, tmp_path):
    options = {"train_rows": ALL, "valid_rows": NO_ROWS, "monitor": "loss", "epochs": 3, "fresh": True}
    whole, first, second = (fold(**options) for _ in range(3))
    train_on_all(whole)
    first.run_epoch()
    first.save(tmp_path)
    second.load(tmp_path)
    train_on_all(second)
    assert distance(whole.weights(), second.weights()) == 0


def test_without_valid_rows_the_loss_alone_says_that_nothing_is_learned(fold):
    noise = np.random.default_rng(3).permutation(LABELS)
    options = {"train_rows": ALL, "valid_rows": NO_ROWS, "monitor": "loss", "learning_rate": 1e-9}
    training = fold(labels=noise, encoder_learning_rate=1e-9, restarts=1, epochs=2, **options)
    train_on_all(training)
    assert training.guess.begins_again


def test_without_valid_rows_weights_that_are_not_finite_are_an_error(fold):
    training = fold(train_rows=ALL, valid_rows=NO_ROWS, monitor="loss", fresh=True)
    next(iter(head_variables(training.model).values())).assign_add(
        np.full(next(iter(head_variables(training.model).values())).shape, np.nan)
    )
    with pytest.raises(RaytrainError, match="not finite"):
        training.evaluate()
