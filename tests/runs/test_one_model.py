"""One model out of finished runs: refits and students, on one shared local Ray."""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from folds_here import trained_here
from one_fold import each_fold_alone
from runs.test_jobs import ROOT, command, environment
from tiny_run import (
    make_rows,
    make_tagged,
    silent_console,
    tiny_config,
    tiny_tag_config,
    write_csv,
    write_encoder,
)
from waiting import wait_until

from raytrain.crossval.driver import train_run
from raytrain.ensemble.artifact import load_ensemble
from raytrain.ensemble.load import build_predictor
from raytrain.errors import ConfigError
from raytrain.folds.log import read_log
from raytrain.ngrams.tfidf import fit_classifier
from raytrain.refit.distill import distill_run
from raytrain.refit.driver import refit_run

pytestmark = pytest.mark.slow
ROWS, NEW = make_rows(48), make_rows(30, seed=5)
TEXTS = [row["text"] for row in ROWS]
# Enough for a tiny network to tell the classes apart.
LEARNS = {"train__learning_rate": 2e-2, "train__encoder_learning_rate": 5e-3, "train__epochs": 6}


def manifest_of(artifact):
    return json.loads((Path(artifact) / "manifest.json").read_text(encoding="utf-8"))


def predict(artifact, texts=TEXTS):
    return build_predictor(load_ensemble(str(artifact)), None).predict_proba(texts)


def accuracy(artifact, rows=NEW):
    proba = predict(artifact, [row["text"] for row in rows])
    return np.mean(
        ["ab"[index] == row["label"] for index, row in zip(proba.argmax(axis=1), rows, strict=True)]
    )


@pytest.fixture(scope="module")
def run(local_ray, tmp_path_factory):
    """Two folds of a network, which keep their best epoch, and of n-grams."""
    config = tiny_config(
        tmp_path_factory.mktemp("many"),
        model__architecture="[textcnn,tfidf]",
        train__select="best",
        **LEARNS,
    )
    with trained_here():
        train_run(config, silent_console())
    return Path(config.storage) / config.name


@pytest.fixture(scope="module")
def refit(run):
    console = silent_console()
    with trained_here():
        return refit_run(str(run), None, [], console).metrics, console.file.getvalue(), run / "refit"


def test_a_refit_has_one_model_of_each_architecture_which_learned_as_long_as_the_folds(run, refit):
    summary, told, artifact = refit
    manifest = manifest_of(artifact)
    assert {name: len(entry["folds"]) for name, entry in manifest["architectures"].items()} == {
        "textcnn": 1,
        "tfidf": 1,
    }
    folds = manifest_of(run / "ensemble")["metrics"]["architectures"]["textcnn"]["folds"]
    kept = np.median([fold["metrics"]["epoch"] for fold in folds])
    assert summary["training"]["textcnn"]["epochs"] == int(kept + 0.5)
    assert "no row was held out" in told and not (artifact / "oof.parquet").exists()


def test_a_refit_says_that_it_has_no_scores_and_whose_there_are(run, refit):
    metrics = manifest_of(refit[2])["metrics"]
    assert metrics["made_by"] == "refit" and "no out-of-fold scores" in metrics["scores"]
    folds = manifest_of(run / "ensemble")["metrics"]
    assert metrics["folds"]["run"] == str(run)
    assert metrics["folds"]["architectures"]["tfidf"]["oof"] == folds["architectures"]["tfidf"]["oof"]


def test_a_refit_predicts(refit):
    assert accuracy(refit[2]) > 0.8


def test_n_grams_are_those_of_all_rows(refit, tmp_path):
    labels = np.array(["ab".index(row["label"]) for row in ROWS])
    expected = fit_classifier(TEXTS, labels, 2).predict_proba(TEXTS)
    [alone] = [one for name, _, one in each_fold_alone(load_ensemble(str(refit[2]))) if name == "tfidf"]
    np.testing.assert_allclose(build_predictor(alone, None).predict_proba(TEXTS), expected, atol=1e-6)


def test_the_same_command_trains_nothing_again_and_another_one_is_refused(run, refit):
    before = (refit[2] / "manifest.json").stat().st_mtime_ns
    console = silent_console()
    assert refit_run(str(run), None, [], console).metrics == refit[0]
    assert "nothing to train" in console.file.getvalue()
    with pytest.raises(ConfigError, match="another config"):
        refit_run(str(run), None, ["train.epochs=3"], silent_console())
    assert (refit[2] / "manifest.json").stat().st_mtime_ns == before


def test_another_corpus_is_refused(run, tmp_path):
    corpus, kept = run.parents[1] / "corpus.csv", tmp_path / "kept.csv"
    shutil.copy(corpus, kept)
    write_csv(corpus, make_rows(40))
    try:
        with pytest.raises(ConfigError, match="other inputs"):
            refit_run(str(run), str(tmp_path / "refit"), [], silent_console())
    finally:
        shutil.copy(kept, corpus)
    assert not (tmp_path / "refit").exists()


def test_a_student_learns_the_ensembles_word_and_predicts(run, here, tmp_path):
    texts = write_csv(tmp_path / "new.csv", [{"content": row["text"]} for row in make_rows(60, seed=9)])
    encoder = write_encoder(tmp_path / "student")
    own = [f"encoder.checkpoint={encoder}", "encoder.pretrained=false", "train.epochs=8"]
    own += ["train.learning_rate=0.02", "train.encoder_learning_rate=0.005", "distill.temperature=2"]
    artifact = tmp_path / "student-artifact"
    arguments = str(run), str(texts), ["content"], str(artifact), own
    summary = distill_run(*arguments, silent_console()).metrics
    assert summary["taught"] == {
        "labelled_rows": 48,
        "with_out_of_fold": 48,
        "unlabelled_texts": 60,
        "temperature": 2.0,
        "hard": 0.5,
    }
    assert list(manifest_of(artifact)["architectures"]) == ["textcnn"]
    assert accuracy(artifact) > 0.8
    new = [row["text"] for row in NEW]
    apart = np.abs(predict(artifact, new) - predict(run / "ensemble", new)).mean()
    assert apart < 0.2
    assert distill_run(*arguments, silent_console()).metrics == summary
    write_csv(texts, [{"content": "一丁"}])
    with pytest.raises(ConfigError, match="other inputs") as raised:
        distill_run(*arguments, silent_console())
    assert raised.value.problems[0].startswith("--texts:")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_frozen_pretrained_student_reads_its_encoders_output(run, here, tmp_path, precision):
    own = ["train.epochs=2", f"train.precision={precision}"]
    summary = distill_run(str(run), None, None, str(tmp_path / "student"), own, silent_console()).metrics
    assert summary["taught"]["unlabelled_texts"] == 0
    manifest = manifest_of(tmp_path / "student")
    assert (
        manifest["encoder"]["weights"] and not manifest["architectures"]["textcnn"]["model"]["train_encoder"]
    )
    assert np.isfinite(predict(tmp_path / "student")).all()


def test_a_tagger_is_refitted_and_not_distilled(here, tmp_path):
    config = tiny_tag_config(tmp_path, model__architecture="crf")
    train_run(config, silent_console())
    run = Path(config.storage) / config.name
    summary = refit_run(str(run), None, [], silent_console()).metrics
    assert summary["training"]["crf"]["epochs"] == 6
    tagger = build_predictor(load_ensemble(str(run / "refit")), None)
    assert any(tagger.predict([text for text, _ in make_tagged(9, seed=5)]))
    with pytest.raises(ConfigError, match="task=tag"):
        distill_run(str(run), None, None, None, [], silent_console())


@pytest.mark.long
def test_a_driver_that_is_killed_goes_on_and_ends_as_one_that_was_not(local_ray, tmp_path):
    with trained_here():
        train_run(tiny_config(tmp_path, model__architecture="textcnn", train__epochs=4), silent_console())
    run, job = tmp_path / "runs" / "tiny", "refit.py"
    options = [str(run), "train.epochs=40"]
    state = run / "refit-training" / "folds" / "textcnn" / "all"
    driver = subprocess.Popen(command(job, *options), cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL)
    wait_until(lambda: (state / "checkpoint" / "latest.json").exists(), 300)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert not (run / "refit" / "manifest.json").exists()
    done = subprocess.run(command(job, *options), cwd=ROOT, env=environment(), capture_output=True)
    assert done.returncode == 0, done.stderr
    with trained_here():
        refit_run(str(run), str(tmp_path / "whole"), options[1:], silent_console())
    starts = [line["epoch"] for line in read_log(str(state)) if line["event"] == "start"]
    assert len(starts) == 2 and starts[1] > 0
    np.testing.assert_array_equal(predict(run / "refit"), predict(tmp_path / "whole"))
