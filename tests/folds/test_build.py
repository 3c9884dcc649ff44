import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import ray
import ray.train

from plain_settings import plain_settings, plain_spec

from raytrain.folds import build as build_module
from raytrain.folds import worker
from raytrain.folds.build import Builder, begin_again, build_initial_model, fold_features
from raytrain.folds.log import read_log
from raytrain.folds.reporter import FoldReporter
from raytrain.folds.result import read_fold
from raytrain.folds.spec import FoldData, ModelSettings
from raytrain.keywords.held import HeldWords
from raytrain.network.build import build_model
from raytrain.network.heads import WORD_EMBEDDING
from raytrain.network.weights import encoder_variables, head_variables, read_variables
from raytrain.scores.guess import LEARNS_NOTHING
from raytrain.splits.folds import Folds
from raytrain.storage.directory import Directory
from raytrain.ngrams.training import NgramTraining
from raytrain.text.rows import TextRows
from raytrain.training.rounds import Rounds

NUM_ROWS, NUM_WORDS, WIDTH = 12, 10, 3
LABELS = np.arange(NUM_ROWS) % 2
EMBEDDING = np.random.default_rng(5).normal(size=(NUM_WORDS, WIDTH)).astype(np.float32)
# The first text holds three, the second none, each other one.
HELD = HeldWords(["停水", "记者"], np.array([0, 1, 1] + [0] * 10), np.array([0, 3, *range(3, 14)]))


class States:
    """A frozen encoder's output for tokens, as `hidden_states.cache.HiddenStates`."""

    def __init__(self, values):
        self.values = values

    def open(self):
        return self.values


@pytest.fixture(scope="module", autouse=True)
def plain_references():
    """A reference to an object is the object itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray, "get", lambda reference: reference)
        yield


@pytest.fixture(scope="module")
def data(ragged, vocab):
    rng = np.random.default_rng(0)
    rows = [
        (rng.integers(5, len(vocab), size), np.zeros(size, int), rng.integers(1, NUM_WORDS, size))
        for size in rng.integers(3, 12, NUM_ROWS)
    ]
    folds = np.arange(NUM_ROWS)[None] % 3
    ids = pa.array([str(row) for row in range(NUM_ROWS)])
    return FoldData(ragged(rows), LABELS, ids, EMBEDDING, Folds(folds))


@pytest.fixture(scope="module")
def spec(encoder_config, data):
    states = np.random.default_rng(1).normal(
        size=(len(data.features["token_ids"].combine_chunks().values), 8)
    )
    return plain_spec(
        "/nowhere",
        name="textcnn/r0-fold-00",
        architecture="textcnn",
        seed=3,
        settings=plain_settings(epochs=1, batch_size=4),
        model=ModelSettings(
            "textcnn", "bert", encoder_config("bert"), 2, EMBEDDING.shape, train_encoder=False, dropout=0.1
        ),
        data="data",
        hidden_states=States(states.astype(np.float16)),
    )


def trained(training):
    metrics = training.run_epoch()
    return training.weights(), training.predicted, metrics


@pytest.fixture(scope="module")
def other_fold(spec):
    return replace(spec, name="textcnn/r0-fold-01", fold=1, seed=4)


def test_a_fold_after_another_is_what_it_would_be_in_a_process_of_its_own(spec, other_fold, data, eagerly):
    weights, predicted, metrics = trained(Builder().build(other_fold, data))
    builder = Builder()
    first = builder.build(spec, data)
    first_weights, *_ = trained(first)
    second = builder.build(other_fold, data)
    assert second is first  # what is compiled for the one serves the other
    assert second.valid_rows.tolist() == [1, 4, 7, 10]
    again, predicted_again, metrics_again = trained(second)
    assert weights.keys() == again.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(again[name], value)
    np.testing.assert_array_equal(predicted_again, predicted)
    assert metrics_again == metrics
    assert any(not np.array_equal(first_weights[name], value) for name, value in weights.items())


def test_a_fold_begun_again_is_what_it_would_be_in_a_process_of_its_own_with_that_seed(spec, data, eagerly):
    again = spec.again(1)
    weights, predicted, metrics = trained(Builder().build(again, data))
    builder = Builder()
    training = builder.build(spec, data)
    trained(training)
    begin_again(training, spec, data)
    assert (training.seed, training.restarts, training.epoch) == (again.seed, 1, 0)
    found, predicted_again, metrics_again = trained(training)
    for name, value in weights.items():
        np.testing.assert_array_equal(found[name], value)
    np.testing.assert_array_equal(predicted_again, predicted)
    assert metrics_again == metrics
    assert builder.build(spec, data).restarts == 0  # the next fold


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: {"model": replace(spec.model, num_labels=3)},
        lambda spec: {"model": replace(spec.model, architecture="finetune"), "architecture": "finetune"},
        lambda spec: {"settings": replace(spec.settings, learning_rate=0.5)},
        lambda spec: {"accumulation": 2},
        lambda spec: {"data": "other data"},
        lambda spec: {"hidden_states": States(spec.hidden_states.values)},
    ],
    ids=["labels", "architecture", "settings", "accumulation", "data", "hidden states"],
)
def test_what_differs_in_more_than_fold_and_seed_is_built_anew(spec, data, change):
    builder = Builder()
    first = builder.build(spec, data)
    changed = replace(spec, **change(spec))
    second = builder.build(changed, data)
    assert second is not first
    accumulation = second.updates._batches.accumulation
    assert (second.settings, accumulation) == (changed.settings, changed.accumulation)
    assert builder.build(changed, data) is second


def test_the_encoders_output_is_opened_once_for_all_folds_that_read_it(spec, other_fold, data):
    """Where a node has no room for it in the cache, each time is a copy."""
    opened = []

    class Counted(States):
        def open(self):
            opened.append(self)
            return self.values

    builder, counted = Builder(), Counted(spec.hidden_states.values)
    builder.build(replace(spec, hidden_states=counted), data)
    builder.build(replace(other_fold, hidden_states=counted), data)
    assert opened == [counted]
    builder.build(spec, data)
    assert builder._states is spec.hidden_states.values


def test_a_second_round_that_learns_nothing_is_begun_again_with_the_same_labels(spec, data, eagerly):
    training = Builder().build(spec, data)
    training.rounds = Rounds(training.objective, np.array([0, 3]), 0.9)
    given = np.array([0, 3]), np.array([1, 1])
    training.restart(*spec.rows(data), spec.seed, build_initial_model(spec, data), 0, given)
    rows = training.train_rows.tolist()
    begin_again(training, spec, data)
    assert (training.restarts, training.rounds.number, training.num_pseudo_labels) == (1, 1, 2)
    assert training.train_rows.tolist() == rows and training.seed == spec.again(1).seed


def test_a_build_that_failed_leaves_nothing_to_go_on_with(spec, data):
    builder = Builder()
    first = builder.build(spec, data)
    with pytest.raises(KeyError):
        builder.build(replace(spec, task="nothing"), data)
    assert builder.build(spec, data) is not first


def test_ngrams_are_built_without_a_network_and_leave_what_is_compiled_alone(spec, other_fold, data):
    builder = Builder(rank=1)
    ngrams = replace(
        spec, architecture="tfidf", model=replace(spec.model, architecture="tfidf"), encoder_weights=None
    )
    with_texts = replace(data, texts=pa.array([f"第{row}条" for row in range(NUM_ROWS)]))
    training = builder.build(ngrams, with_texts)
    assert isinstance(training, NgramTraining) and builder.is_new and training.rank == 1
    assert training.valid_rows.tolist() == [0, 3, 6, 9]
    network = builder.build(spec, data)
    builder.build(ngrams, with_texts)
    assert builder.build(other_fold, data) is network


def test_a_builder_is_new_until_it_has_built(spec, data):
    builder = Builder(rank=1)
    assert builder.is_new
    assert builder.build(spec, data).updates._batches.rank == 1 and not builder.is_new


def test_each_fold_counts_its_own_keywords(spec, data, eagerly):
    counting = replace(
        spec, model=replace(spec.model, num_keyword_classes=2), keywords=np.array([0, 1], np.int16)
    )
    held = replace(data, held_words=HELD)
    builder = Builder()
    first = builder.build(counting, held)
    assert first.features.collate([0, 1])["keyword_counts"].tolist() == [[1, 2], [0, 0]]
    trained(first)
    other = replace(counting, keywords=np.array([-1, 0], np.int16))
    second = builder.build(other, held)
    assert second is first
    assert second.features.collate([0, 1])["keyword_counts"].tolist() == [[2, 0], [0, 0]]
    weights, predicted, _ = trained(second)  # it learned from these, and is judged by them
    expected_weights, expected, _ = trained(Builder().build(other, held))
    np.testing.assert_array_equal(predicted, expected)
    for name, value in expected_weights.items():
        np.testing.assert_array_equal(weights[name], value)


def test_each_window_of_a_text_has_the_keywords_of_the_whole(spec, data):
    counting = replace(
        spec, model=replace(spec.model, num_keyword_classes=2), keywords=np.array([0, 1], np.int16)
    )
    texts = [0, 0, 0, 1, 1, *range(2, 9)]
    cut = replace(data, held_words=HELD, rows=TextRows(np.array(texts)), ids=data.ids[:9])
    training = Builder().build(
        counting, replace(cut, targets=LABELS[:9], folds=Folds(data.folds.valid[:, :9]))
    )
    counts = training.features.collate([1, 2, 3, 5])["keyword_counts"]
    assert counts.tolist() == [[1, 2], [1, 2], [0, 0], [1, 0]]
    assert training.valid_rows.tolist() == [0, 1, 2, 6, 9]  # of the texts 0, 3 and 6
    training.evaluate()
    assert training.predicted.shape == (3, 2)
    assert training.objective.targets(None, np.array([2, 3, 5])).tolist() == [0, 1, 0]


def test_a_head_that_counts_none_reads_no_counts(spec, data):
    assert "keyword_counts" not in fold_features(spec, replace(data, held_words=HELD), None).collate([0])


def test_where_the_encoders_output_is_at_hand_the_model_reads_it_and_else_tokens(spec, data):
    assert "hidden_states" in Builder().build(spec, data).features.collate([0])
    whole = Builder().build(replace(spec, hidden_states=None), data).features.collate([0])
    assert "segment_ids" in whole and "hidden_states" not in whole


@pytest.mark.parametrize("is_whole", [False, True], ids=["head", "whole"])
def test_words_begin_with_the_vectors_of_the_run(spec, data, is_whole):
    changes = {"hidden_states": None} if is_whole else {}
    model = build_initial_model(replace(spec, **changes), data)
    np.testing.assert_array_equal(read_variables(head_variables(model))[WORD_EMBEDDING], EMBEDDING)


def test_a_head_without_words_leaves_their_vectors_alone(spec, data):
    finetune = replace(spec, architecture="finetune", model=replace(spec.model, architecture="finetune"))
    assert WORD_EMBEDDING not in head_variables(build_initial_model(finetune, data))


def test_encoders_begin_from_shared_weights_where_there_are_any_and_else_by_seed(spec, data):
    own = replace(spec.model, architecture="finetune", config=spec.model.config | {"num_hidden_layers": 1})
    shared = read_variables(encoder_variables(build_model(**vars(own), seed=99)))

    def start(weights):
        fold = replace(spec, model=own, seed=1, hidden_states=None, encoder_weights=weights)
        return read_variables(encoder_variables(build_initial_model(fold, data)))

    given, drawn = start(shared), start(None)
    kernels = [name for name in shared if "kernel" in name]
    assert kernels
    for name in kernels:
        np.testing.assert_array_equal(given[name], shared[name])
        assert not np.array_equal(drawn[name], shared[name])


# ── a whole fold that learns nothing with its first seed ───────────────────────────────────────────

MANY = 96


@pytest.fixture
def mortal(ragged, vocab, encoder_config, tmp_path, monkeypatch):
    """A fold's spec and data: a head that learns with any seed but the first, whose units are all dead."""
    labels, rng = np.arange(MANY) // 3 % 2, np.random.default_rng(2)
    rows = [(rng.integers(5, len(vocab), 6), np.zeros(6, int), np.ones(6, int)) for _ in range(MANY)]
    states = rng.normal(size=(6 * MANY, 8)) + 2 * np.repeat(labels, 6)[:, None]
    ids = pa.array([str(row) for row in range(MANY)])
    data = FoldData(ragged(rows), labels, ids, EMBEDDING, Folds(np.arange(MANY)[None] % 3))
    spec = plain_spec(
        tmp_path / "run" / "folds" / "textcnn" / "r0-fold-00",
        name="textcnn/r0-fold-00",
        architecture="textcnn",
        settings=plain_settings(epochs=2, batch_size=4, learning_rate=1e-2, restarts=2),
        model=ModelSettings(
            "textcnn", "bert", encoder_config("bert"), 2, EMBEDDING.shape, train_encoder=False, dropout=0.1
        ),
        data=data,
        hidden_states=States(states.astype(np.float16)),
    )

    def build(own, data):
        model = build_initial_model(own, data)
        if own.seed == spec.seed:
            head_variables(model)["dense.1.bias"].assign(np.full(32, -1e4))
        return model

    monkeypatch.setattr(build_module, "build_initial_model", build)
    monkeypatch.setattr(ray.train, "get_preemption_info", lambda: None)
    return spec, data


def train_here(spec, builder):
    """As a worker of a crew does; TensorFlow is set up already."""
    builder._built_for = builder._built_for or "nothing"
    Directory(spec.run).write_bytes("config.yaml", b"")
    assert worker.train_fold(spec, builder) == "committed"
    return read_fold(spec.location, spec.identity).record, read_log(spec.location)


def test_a_fold_that_is_dead_with_its_first_seed_lives_with_the_next(mortal, eagerly):
    spec, _ = mortal
    record, log = train_here(spec, Builder())
    again = spec.again(1)
    assert (record["seed"], record["restarts"], record["dead"]) == (again.seed, 1, False)
    assert record["metrics"]["accuracy"] > 0.9
    [told] = [entry for entry in log if entry["event"] == "restarted"]
    assert told["seed"] == again.seed and told["loss"] >= LEARNS_NOTHING * told["constant_loss"]
    assert told["constant_loss"] == pytest.approx(np.log(2), abs=1e-3)
    assert [entry["epoch"] for entry in log if entry["event"] == "epoch"] == [1, 2]


def test_without_restarts_it_stays_dead_and_its_record_says_so(mortal, eagerly):
    spec, _ = mortal
    record, log = train_here(replace(spec, settings=replace(spec.settings, restarts=0)), Builder())
    assert (record["seed"], record["restarts"], record["dead"]) == (spec.seed, 0, True)
    assert record["metrics"]["auc"] == 0.5
    assert "restarted" not in [entry["event"] for entry in log]


def test_killed_after_it_was_begun_again_it_is_what_an_undisturbed_one_is(
    mortal, eagerly, tmp_path, monkeypatch
):
    """To the last byte, and with a process that has trained another fold, too."""
    spec, _ = mortal
    calm, _ = train_here(spec, Builder())
    before, hurt = (f"{tmp_path}/{run}/folds/{spec.name}" for run in ("before", "hurt"))
    used, hurt = Builder(), replace(spec, location=hurt)
    train_here(replace(spec, location=before, fold=1, seed=9), used)

    def die(self, metrics):
        raise OSError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(FoldReporter, "on_epoch", die)
        with pytest.raises(OSError, match="killed"):
            train_here(hurt, used)
    found, log = train_here(hurt, Builder())
    assert [entry["event"] for entry in log].count("restarted") == 1
    for key in ("files", "metrics", "history", "seed", "restarts", "dead"):
        assert found[key] == calm[key], key
