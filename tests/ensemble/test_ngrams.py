"""Ensembles that have n-gram classifiers, alone and beside networks, written by hand and predicted."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from committed_run import LABELS, SHARED, CommittedRun

from raytrain.text.vocab import Vocab
from raytrain.ensemble.load import load
from raytrain.ensemble.ngrams import NgramPredictor
from raytrain.errors import ArtifactError, InputError
from raytrain.fusion.rule import FusionRule
from raytrain.fusion.stack import Stack
from raytrain.network.build import build_model
from raytrain.network.weights import encoder_variables, head_variables, read_variables
from raytrain.ngrams.tfidf import NgramClassifier, read_classifier
from raytrain.pretrained.directory import EncoderFiles

CLASSIFIERS = [
    NgramClassifier(["好", "天气", "\n"], np.array([1, 2, 3.0]), np.array([[1, -2, 0.5]]), np.array([0.25])),
    NgramClassifier(
        ["天气", "\x00", "坏"], np.array([1.5, 1, 2]), np.array([[3, 1, -2.0]]), np.array([-1.0])
    ),
    NgramClassifier([], np.zeros(0), np.zeros((1, 0)), np.array([0.5])),
]
TEXTS = ["天气很好", "", "坏天气\n", "甲", "\x00坏", "好\n好"]


def committed(directory, *classifiers):
    run = CommittedRun(directory)
    for fold, classifier in enumerate(classifiers):
        weights = classifier if isinstance(classifier, dict) else classifier.arrays()
        run.commit("tfidf", fold, weights=weights)
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = committed(tmp_path_factory.mktemp("run"), *CLASSIFIERS[:2])
    run.write()
    return run


def said_by(*classifiers, texts=TEXTS):
    rounded = [read_classifier(classifier.arrays(), 2, "") for classifier in classifiers]
    return np.mean([classifier.predict_proba(texts) for classifier in rounded], axis=0)


def test_folds_are_averaged(run):
    predictor = load(run.ensemble)
    assert isinstance(predictor, NgramPredictor) and predictor.labels == LABELS
    found = predictor.predict_proba(TEXTS)
    np.testing.assert_allclose(found, said_by(*CLASSIFIERS[:2]), rtol=0, atol=1e-12)
    assert predictor.predict(TEXTS) == [LABELS[index] for index in found.argmax(axis=1)]


def test_a_text_is_predicted_alike_alone(run):
    predictor = load(run.ensemble)
    alone = np.concatenate([predictor.predict_proba([text]) for text in TEXTS])
    np.testing.assert_array_equal(alone, predictor.predict_proba(TEXTS))


def test_one_text_takes_no_memory_for_all_ngrams(tmp_path):
    ngrams = [chr(0x4E00 + number // 300) + chr(0x4E00 + number % 300) for number in range(60_000)]
    classifier = NgramClassifier(ngrams, np.ones(60_000), np.ones((1, 60_000)), np.zeros(1))
    run = committed(tmp_path, classifier, CLASSIFIERS[0])
    run.write()
    predictor = load(run.ensemble)
    predictor.predict(["天气"])
    tracemalloc.start()
    try:
        predictor.predict(["天气"])
        assert tracemalloc.get_traced_memory()[1] < 60_000
    finally:
        tracemalloc.stop()


def test_pairs_are_joined_and_no_texts_have_no_rows(run):
    single, predictor = load(run.ensemble), load(run.ensemble)
    predictor.reads_pairs = True
    np.testing.assert_array_equal(predictor.predict_proba(["天"], ["气"]), single.predict_proba(["天 气"]))
    assert single.predict_proba([]).shape == predictor.predict_proba([], []).shape == (0, 2)
    with pytest.raises(InputError, match="pairs it was trained on, found none"):
        predictor.predict(["天"])


def test_a_fold_that_knows_no_ngram_is_one_of_the_voices(tmp_path):
    run = committed(tmp_path, CLASSIFIERS[2], CLASSIFIERS[0])
    run.write()
    found = load(run.ensemble).predict_proba(TEXTS)
    np.testing.assert_allclose(found, said_by(CLASSIFIERS[2], CLASSIFIERS[0]), atol=1e-12)


def test_folds_that_know_none_at_all(tmp_path):
    run = committed(tmp_path, CLASSIFIERS[2])
    run.write()
    np.testing.assert_array_equal(load(run.ensemble).predict_proba(TEXTS), said_by(CLASSIFIERS[2]))


def test_without_a_network_there_is_no_encoder(run):
    manifest = run.write()
    assert manifest["schema_version"] == 4 and manifest["encoder"] is None
    assert not [entry for entry in manifest["files"] if entry["name"].startswith("encoder/")]
    ensemble = run.open()
    assert not ensemble.has_networks
    with pytest.raises(ArtifactError, match="has no encoder"):
        _ = ensemble.encoder


def test_beside_a_network_the_encoder_is_kept_and_needed(tmp_path):
    run = committed(tmp_path, CLASSIFIERS[0])
    run.commit("finetune", 0)
    manifest = run.write(SHARED)
    assert manifest["schema_version"] == 4 and manifest["encoder"]["kind"] == "albert"
    assert run.open().has_networks


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"idf": np.ones(7, np.float32)}, "coef: expected (1, 7) float32"),
        ({"idf": np.full(3, np.nan, np.float32)}, "expected finite numbers, found others in idf"),
        ({"coef": np.full((1, 3), np.inf, np.float32)}, "expected finite numbers, found others in coef"),
        ({"ngrams": np.zeros(0, np.uint8)}, "expected 3, each closed"),
    ],
)
def test_a_damaged_classifier_is_one_error_that_names_its_file(tmp_path, change, said):
    run = committed(tmp_path, CLASSIFIERS[1], CLASSIFIERS[0].arrays() | change)
    run.write()
    with pytest.raises(ArtifactError) as caught:
        load(run.ensemble)
    assert said in str(caught.value) and "tfidf/r0-fold-01.safetensors" in str(caught.value)


RULES = [
    FusionRule({"tfidf/r0": 0.3, "tfidf/r1": 0.7}, "proba", None, 1.0, np.array([[0, 1.0], [3, 0]])),
    FusionRule({"tfidf/r0": 0.3, "tfidf/r1": 0.7}, "logits", None, 1.7),
    FusionRule(
        {"tfidf/r1": 0.5, "tfidf/r0": 0.5}, stack=Stack(np.arange(8.0).reshape(2, 4) / 8, np.array([0, 0.1]))
    ),
]


@pytest.mark.parametrize("rule", RULES, ids=["costs", "temperature", "stack"])
def test_repeats_are_members_that_a_rule_fuses(tmp_path, rule):
    run = committed(tmp_path, *CLASSIFIERS[:2])
    run.commit("tfidf", 0, weights=CLASSIFIERS[2].arrays(), repeat=1)
    assert run.write(rule=rule)["schema_version"] == 6
    predictor = load(run.ensemble)
    said = {"tfidf/r0": said_by(*CLASSIFIERS[:2]), "tfidf/r1": said_by(CLASSIFIERS[2])}
    found = predictor.predict_proba(TEXTS)
    np.testing.assert_allclose(found, rule.proba(said), atol=1e-12)
    assert predictor.predict(TEXTS) == [LABELS[index] for index in rule.decide(rule.proba(said))]
    plain = np.mean([said_by(classifier) for classifier in CLASSIFIERS], axis=0)
    assert np.abs(found - plain).max() > 1e-3
    assert predictor.predict_proba([]).shape == (0, 2)


def test_a_network_beside_ngrams_has_its_say(encoder_config, vocab, sentences, tmp_path):
    """The mean of both architectures, each the mean of its own folds."""
    config = encoder_config("albert")
    model = build_model("finetune", "albert", config, 2, (1, 1), train_encoder=True, dropout=0.0, seed=1)
    weights = read_variables(head_variables(model) | encoder_variables(model))
    shared = replace(
        SHARED, encoder=EncoderFiles("albert", config, Vocab(vocab), None), vocabulary=None, user_dict=None
    )
    said, rule = {}, FusionRule({"finetune/r0": 0.2, "tfidf/r0": 0.8}, "logits", None, 0.5)
    for name, parts in {"network": 1, "both": 3, "ruled": 3}.items():
        run = CommittedRun(tmp_path / name)
        run.commit("finetune", 0, weights=weights, embedding=(1, 1), dropout=0.0)
        for fold in range(parts - 1):
            run.commit("tfidf", fold, weights=CLASSIFIERS[fold].arrays(), embedding=(1, 1))
        own = rule if name == "ruled" else None
        run.write(shared, rule=own, train__precision="float32", encoder__maxlen=32)
        said[name] = load(run.ensemble).predict_proba(sentences)
    ngrams = said_by(*CLASSIFIERS[:2], texts=sentences)
    np.testing.assert_allclose(said["both"], (said["network"] + ngrams) / 2, atol=1e-6)
    fused = rule.proba({"finetune/r0": said["network"], "tfidf/r0": ngrams})
    np.testing.assert_allclose(said["ruled"], fused, atol=1e-6)
