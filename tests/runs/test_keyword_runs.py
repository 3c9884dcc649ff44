"""Whole runs with keywords on one shared local Ray."""

import json

import jieba
import numpy as np
import pyarrow.parquet as pq
import pytest
from folds_here import trained_here
from jieba import finalseg
from one_fold import each_fold_alone
from tiny_run import make_rows, silent_console, tiny_config

from raytrain.corpus.labelled import read_corpus
from raytrain.crossval.driver import train_run
from raytrain.ensemble.artifact import load_ensemble
from raytrain.keywords.held import join_ranked
from raytrain.keywords.textrank import rank_texts
from raytrain.sweep.driver import run_sweep

pytestmark = pytest.mark.slow

TEXTS = [row["text"] for row in make_rows(48)]


@pytest.fixture(scope="module")
def chosen(local_ray, tmp_path_factory):
    """All architectures in one run, each fold with keywords of its own choice."""
    directory = tmp_path_factory.mktemp("chosen")
    options = {"model__architecture": "[finetune,textcnn,rnn_cnn]", "train__epochs": 1}
    config = tiny_config(directory, words__keywords="auto", words__num_keywords=5, **options)
    with trained_here():
        return directory, config, train_run(config, silent_console())


@pytest.fixture(scope="module")
def given(local_ray, tmp_path_factory):
    """One architecture, with words that a person kept."""
    directory = tmp_path_factory.mktemp("given")
    words = sorted({text[:2] for text in TEXTS if len(text) > 4})[:12]
    lines = [f"{word},x,{'ab'[number % 2]}" for number, word in enumerate(words)]
    (directory / "kept.csv").write_text("\n".join(["word,keep,class", *lines, ""]), encoding="utf-8")
    config = tiny_config(directory, words__keywords=directory / "kept.csv", train__epochs=1)
    with trained_here():
        train_run(config, silent_console())
    return directory, words


def ensemble_of(directory):
    return load_ensemble(str(directory / "runs" / "tiny" / "ensemble"))


def assert_folds_repeat_their_oof(directory):
    """Each fold model, asked for its valid rows alone, repeats its OOF probabilities."""
    from raytrain.ensemble.models import Predictor

    ensemble = ensemble_of(directory)
    oof = pq.read_table(directory / "runs" / "tiny" / "ensemble" / "oof.parquet")
    several = len(ensemble.manifest.architectures) > 1
    for architecture, fold, alone in each_fold_alone(ensemble):
        column = f"{architecture}_proba_b" if several else "proba_b"
        proba = Predictor(alone).predict_proba(TEXTS)
        valid = oof["fold"].to_numpy() == fold.fold
        np.testing.assert_allclose(proba[valid, 1], oof[column].to_numpy()[valid], atol=1e-5)


def test_folds_that_chose_keywords_repeat_their_oof_from_the_artifact(chosen):
    assert_folds_repeat_their_oof(chosen[0])


def test_folds_with_given_keywords_repeat_their_oof_from_the_artifact(given):
    assert_folds_repeat_their_oof(given[0])


def test_each_fold_chose_what_its_training_rows_alone_would_choose(chosen):
    directory, config, _ = chosen
    corpus = read_corpus(config.data.path, ["text"], "label", "id")
    folds = pq.read_table(directory / "runs" / "tiny" / "folds.parquet")["fold"].to_numpy()
    ensemble, choices = ensemble_of(directory), []
    for fold in (0, 1):
        rows = np.flatnonzero(folds != fold)
        texts = [corpus.table["text"][int(row)].as_py() for row in rows]
        alone = join_ranked([rank_texts(texts)], 1, config.words.num_keywords)
        labels = corpus.table["label"].to_numpy()[rows]
        choices.append(alone.held.kept(alone.choose(np.arange(len(rows)), labels, 2)))
        for entry in ensemble.manifest.architectures.values():
            assert json.loads(ensemble.read(entry.folds[fold].keywords)) == choices[-1]
    assert all(set(choice.values()) == {0, 1} for choice in choices) and choices[0] != choices[1]


def test_what_others_load_into_jieba_does_not_reach_a_prediction(given, monkeypatch):
    from raytrain.ensemble.models import Predictor

    directory, words = given
    before = Predictor(ensemble_of(directory)).predict_proba(TEXTS)
    monkeypatch.setattr(finalseg, "Force_Split_Words", set(words))
    monkeypatch.setattr(jieba.dt, "FREQ", {**jieba.dt.FREQ})
    for text in TEXTS:
        jieba.add_word(text[1:4], 10**6)
    try:
        np.testing.assert_array_equal(Predictor(ensemble_of(directory)).predict_proba(TEXTS), before)
    finally:
        jieba.dt.initialized = False


def test_given_words_and_their_dictionary_travel_in_the_artifact(given):
    directory, words = given
    ensemble = ensemble_of(directory)
    assert ensemble.manifest.schema_version == 2
    assert set(ensemble.read_text(ensemble.manifest.words.user_dict).split()) == set(words)
    assert set(json.loads(ensemble.read("words/keywords.json"))) == set(words)


@pytest.mark.long
def test_folds_of_a_trial_choose_as_those_of_a_run(chosen):
    directory, config, summary = chosen
    values = {**config.model_dump(mode="json"), "name": "sweep"}
    values["sweep"] |= {"space": {"model.architecture": ["textcnn"]}, "num_trials": 1, "num_folds": 2}
    values["train"]["learning_rate"] = 1e-3
    values["train"]["encoder_learning_rate"] = 5e-4
    values["sweep"] |= {"search": "random", "scheduler": "none"}
    run_sweep(type(config).model_validate(values), silent_console())
    row = pq.read_table(directory / "runs" / "sweep" / "trials.parquet").to_pylist()[0]
    expected = [fold["metrics"]["log_loss"] for fold in summary["architectures"]["textcnn"]["folds"]]
    assert row["log_loss_per_fold"] == pytest.approx(expected, abs=1e-5)
