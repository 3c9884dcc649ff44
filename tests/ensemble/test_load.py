"""An artifact opened in this process: which class predicts, and what of the process stays as it was."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from committed_run import LABELS, SHARED, TAGS, CommittedRun

from raytrain.text.vocab import Vocab
from raytrain.ensemble.load import build_predictor, check_keras, load
from raytrain.ensemble.models import Predictor, Tagger
from raytrain.errors import ArtifactError, RaytrainError
from raytrain.network.build import build_model
from raytrain.network.weights import encoder_variables, head_variables, read_variables
from raytrain.pretrained.directory import EncoderFiles


def shared_of(config, vocab, **changes):
    return replace(SHARED, encoder=EncoderFiles("albert", config, Vocab(vocab), None), **changes)


@pytest.fixture(scope="module")
def new_run(encoder_config, vocab, tmp_path_factory):
    """Makes the run of a classifier that was trained in a precision; its weights are always the same."""
    config = encoder_config("albert")
    model = build_model("finetune", "albert", config, 2, (1, 1), train_encoder=True, dropout=0.0, seed=1)
    weights = read_variables(head_variables(model) | encoder_variables(model))
    rng = np.random.default_rng(0)
    weights = {name: value + rng.normal(0, 0.3, value.shape).astype("f") for name, value in weights.items()}

    def make(precision="float32"):
        run = CommittedRun(tmp_path_factory.mktemp("run"))
        run.commit("finetune", 0, weights=weights, embedding=(1, 1), dropout=0.0)
        shared = shared_of(config, vocab, vocabulary=None, user_dict=None)
        run.write(shared, train__precision=precision, encoder__maxlen=32)
        return run

    return make


@pytest.fixture(scope="module")
def predictor(new_run):
    return load(new_run().ensemble)


def test_an_ensemble_of_a_classifier_predicts_its_labels(predictor, sentences):
    assert isinstance(predictor, Predictor) and predictor.labels == LABELS
    proba = predictor.predict_proba(sentences)
    assert proba.shape == (len(sentences), 2)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)
    assert predictor.predict(sentences) == [LABELS[index] for index in proba.argmax(axis=1)]


def test_texts_are_predicted_alike_whatever_the_size_of_a_batch(new_run, predictor, sentences):
    one_by_one = build_predictor(new_run().open(), batch_size=1)
    np.testing.assert_allclose(
        one_by_one.predict_proba(sentences), predictor.predict_proba(sentences), atol=1e-5
    )


def test_an_ensemble_of_a_tagger_is_one_that_finds_spans(encoder_config, vocab, tmp_path):
    run = CommittedRun(tmp_path / "run")
    run.commit("crf", 0, num_labels=3)
    run.write(shared_of(encoder_config("albert"), vocab), task="tag", data__path="a.bio", encoder__maxlen=32)
    tagger = load(run.ensemble)
    assert isinstance(tagger, Tagger) and tagger.labels == TAGS


def test_models_compute_as_they_were_trained_and_the_callers_own_go_on_as_they_were(
    new_run, predictor, sentences, float32_again
):
    low = load(new_run("bfloat16").ensemble).predict_proba(sentences)
    assert tf.keras.mixed_precision.global_policy().name == "float32"
    expected = predictor.predict_proba(sentences)
    np.testing.assert_allclose(low, expected, atol=0.05)
    assert np.abs(low - expected).max() > 1e-6


def test_the_callers_policy_stays_where_the_ensemble_cannot_be_used(
    encoder_config, vocab, tmp_path, float32_again
):
    run = CommittedRun(tmp_path / "run")
    run.commit("finetune", 0)
    config = encoder_config("albert") | {"hidden_size": 7}
    run.write(shared_of(config, vocab), train__precision="bfloat16")
    tf.keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        with pytest.raises(ArtifactError, match="cannot be used"):
            load(run.ensemble)
        assert tf.keras.mixed_precision.global_policy().name == "mixed_float16"
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")


def test_what_is_no_ensemble_is_told_whatever_keras_is_in_use(new_run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", keras_3())
    with pytest.raises(ArtifactError, match="no ensemble here"):
        load(str(tmp_path))
    with pytest.raises(RaytrainError, match="need Keras 2"):
        load(new_run().ensemble)


# ── which Keras ────────────────────────────────────────────────────────────────────────────────────


def keras_3():
    """TensorFlow as far as it is looked at, in a process that has settled on Keras 3."""
    model = type("Model", (), {"__module__": "keras.src.models.model"})
    return SimpleNamespace(keras=SimpleNamespace(Model=model))


def test_keras_2_is_what_is_wanted():
    check_keras()
    assert tf.keras.Model.__module__.startswith("tf_keras")


def test_keras_3_is_refused_with_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", keras_3())
    with pytest.raises(RaytrainError, match="TF_USE_LEGACY_KERAS=1"):
        check_keras()


def test_a_process_that_has_not_imported_tensorflow_does_not_do_so_to_find_out(monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow")
    check_keras()
    assert "tensorflow" not in sys.modules
