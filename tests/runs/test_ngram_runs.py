"""Whole runs with n-grams among the architectures, or nothing else."""

import csv
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from folds_here import trained_here
from one_fold import each_fold_alone
from runs.test_jobs import ROOT, command, environment
from tiny_run import make_rows, silent_console, tiny_config, tiny_overrides, write_csv

from raytrain.crossval.driver import train_run
from raytrain.ensemble.artifact import load_ensemble
from raytrain.ensemble.files import predict_file
from raytrain.ensemble.load import build_predictor
from raytrain.folds.log import read_log
from raytrain.report.page import write_report

pytestmark = pytest.mark.slow
TEXTS = [row["text"] for row in make_rows(48)]


@pytest.fixture(scope="module")
def mixed(local_ray, tmp_path_factory):
    """A network and n-grams, two folds each."""
    config = tiny_config(
        tmp_path_factory.mktemp("mixed"),
        model__architecture="[textcnn,tfidf]",
        train__epochs=1,
        baseline="true",
    )
    with trained_here():
        return config, train_run(config, silent_console())


def run_of(config):
    return load_ensemble(f"{config.storage}/{config.name}/ensemble")


def oof_of(config):
    return pq.read_table(f"{config.storage}/{config.name}/ensemble/oof.parquet")


def test_ngrams_score_as_the_baseline_of_the_same_folds(mixed):
    _, summary = mixed
    assert list(summary["architectures"]) == ["textcnn", "tfidf"]
    own, baseline = summary["architectures"]["tfidf"], summary["baselines"]["tfidf_logistic"]
    for metric, value in baseline["oof"].items():
        assert own["oof"][metric] == pytest.approx(value, abs=1e-5)
    assert [fold["epochs"] for fold in own["folds"]] == [1, 1]


def test_architectures_are_averaged(mixed):
    table = oof_of(mixed[0])
    parts = [table[f"{name}_proba_b"].to_numpy() for name in ("textcnn", "tfidf")]
    np.testing.assert_allclose(table["proba_b"].to_numpy(), np.mean(parts, axis=0))


def test_each_fold_repeats_what_it_said_of_rows_that_it_had_not_seen(mixed):
    oof, asked = oof_of(mixed[0]), 0
    for architecture, fold, alone in each_fold_alone(run_of(mixed[0])):
        valid = oof["fold"].to_numpy() == fold.fold
        proba = build_predictor(alone, None).predict_proba(TEXTS)[valid, 1]
        expected = oof[f"{architecture}_proba_b"].to_numpy()[valid]
        np.testing.assert_allclose(proba, expected, atol=1e-12 if architecture == "tfidf" else 1e-5)
        asked += 1
    assert asked == 4


def test_the_whole_ensemble_predicts_the_mean_of_both(mixed):
    ensemble = run_of(mixed[0])
    alone = {name: [] for name in ensemble.manifest.architectures}
    for architecture, _, one in each_fold_alone(ensemble):
        alone[architecture].append(build_predictor(one, None).predict_proba(TEXTS[:9]))
    expected = np.mean([np.mean(parts, axis=0) for parts in alone.values()], axis=0)
    found = build_predictor(ensemble, None).predict_proba(TEXTS[:9])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_run_that_goes_on_keeps_the_folds_that_are_committed(mixed, here):
    config, summary = mixed
    run = Path(config.storage) / config.name
    kept = run / "folds" / "tfidf" / "r0-fold-00" / "result" / "result.json"
    before = kept.stat().st_mtime_ns
    shutil.rmtree(run / "ensemble")
    shutil.rmtree(run / "folds" / "tfidf" / "r0-fold-01")
    again = train_run(config, silent_console())
    assert kept.stat().st_mtime_ns == before
    assert again["architectures"]["tfidf"]["oof"] == summary["architectures"]["tfidf"]["oof"]
    log = [entry["event"] for entry in read_log(str(kept.parents[1]))]
    assert log == ["start", "epoch", "committed"]


def test_other_keys_of_the_ensemble_make_it_anew_of_the_same_folds(mixed, here):
    """It then predicts by its rule, in both its parts, and what it decides is written."""
    config, summary = mixed
    run = Path(config.storage) / config.name
    said = {name: [] for name in summary["architectures"]}
    for architecture, _, alone in each_fold_alone(run_of(config)):
        said[architecture].append(build_predictor(alone, None).predict_proba(TEXTS[:9]))
    before = {path: path.stat().st_mtime_ns for path in run.glob("folds/*/*/result/*")}
    keys = {"average": "logits", "threshold": "cost", "costs": {"b": {"a": 30.0}}}
    changed = config.model_copy(update={"ensemble": config.ensemble.model_copy(update=keys)})
    again = train_run(changed, silent_console())
    assert {path: path.stat().st_mtime_ns for path in before} == before
    for name, entry in summary["architectures"].items():
        assert again["architectures"][name]["oof"] == entry["oof"]
    rule = run_of(config).manifest.rule
    expected = rule.proba({f"{name}/r0": np.mean(parts, axis=0) for name, parts in said.items()})
    predictor = build_predictor(run_of(config), None)
    np.testing.assert_allclose(predictor.predict_proba(TEXTS[:9]), expected, atol=1e-5)
    decided = ["b" if second > 1 / 31 else "a" for second in expected[:, 1]]
    assert predictor.predict(TEXTS[:9]) == decided
    write_csv(run / "new.csv", [{"text": text} for text in TEXTS[:9]])
    *_, rows = predict_file(
        str(run / "ensemble"), str(run / "new.csv"), str(run / "out.parquet"), reject=0.75
    )
    is_sure = expected.max(axis=1) >= 0.75
    labels = [label if sure else None for label, sure in zip(decided, is_sure, strict=True)]
    assert pq.read_table(run / "out.parquet")["label"].to_pylist() == labels
    assert rows.num_rejected == labels.count(None)


@pytest.mark.long
def test_two_workers_of_a_fold_agree(local_ray, tmp_path):
    config = tiny_config(tmp_path, model__architecture="tfidf", cluster__workers_per_fold=2)
    one = tiny_config(tmp_path, name="one", model__architecture="tfidf")
    shared = train_run(config, silent_console())
    with trained_here():
        alone = train_run(one, silent_console())
    assert shared["architectures"]["tfidf"]["oof"] == alone["architectures"]["tfidf"]["oof"]


@pytest.mark.long
def test_ngrams_alone_are_trained_and_predict_without_tensorflow_or_an_encoder(tmp_path):
    """A TensorFlow that leaves a mark where any process so much as looks for it, driver or worker."""
    mark, shadow = tmp_path / "imported", tmp_path / "shadow" / "tensorflow"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text(
        f"import traceback\nopen({str(mark)!r}, 'a').write(''.join(traceback.format_stack()))\n"
        "raise ImportError('there is no TensorFlow here')\n"
    )
    paths = [str(shadow.parent), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    without = environment() | {"PYTHONPATH": os.pathsep.join(paths)}
    texts, output = write_csv(tmp_path / "new.csv", make_rows(9, seed=5)), tmp_path / "out.csv"
    options = {"model__architecture": "tfidf", "encoder__checkpoint": tmp_path / "absent"}
    overrides = tiny_overrides(tmp_path, **options, data__test=texts)
    run = tmp_path / "runs" / "tiny"
    ensemble = ("--ensemble", str(run / "ensemble"), "--input", str(texts), "--output", str(output))
    for job in (command("kfold.py", *overrides), command("predict.py", *ensemble)):
        done = subprocess.run(job, capture_output=True, text=True, cwd=ROOT, env=without)
        assert done.returncode == 0, done.stderr
        assert not mark.exists(), mark.read_text()
    assert output.read_bytes() == (run / "predictions.csv").read_bytes()
    with output.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["label"] in ("a", "b") for row in rows] == [True] * 9
    assert not (run / "ensemble" / "encoder").exists()


def test_the_report_names_the_scores_and_the_words_that_moved_the_ensemble(mixed):
    config, _ = mixed
    run = f"{config.storage}/{config.name}"
    summary = json.loads((Path(run) / "summary.json").read_bytes())  # another test may have made it anew
    assert write_report(run, worst=3) == f"{run}/report.html"
    page = (Path(run) / "report.html").read_text(encoding="utf-8")
    for entry in (*summary["architectures"].values(), *summary["baselines"].values(), summary["ensemble"]):
        assert all(f"{value:.4f}" in page for value in entry["oof"].values())
    wrong = round((1 - summary["ensemble"]["oof"]["accuracy"]) * 48)
    assert page.count("The ensemble now gives") == min(3, wrong) > 0
    assert "not shown" not in page


def test_what_near_duplicates_move_the_score_by_is_shown_also_later(here, tmp_path):
    """Each text stands there twice: a fold that has learned the one knows the other."""
    rows = make_rows(40, seed=3)
    for number, row in enumerate(rows):
        row["text"], row["label"] = rows[number - number % 2]["text"], "ab"[number // 2 % 2]
    corpus = write_csv(tmp_path / "twice.csv", rows)
    options = {
        "data__path": corpus,
        "model__architecture": "tfidf",
        "folds__num_folds": 4,
        "baseline": "true",
    }
    first = train_run(tiny_config(tmp_path, **options), silent_console())
    assert first["compare"] is None
    later = train_run(tiny_config(tmp_path, **options, folds__compare="true"), silent_console())
    together, apart = later["compare"]["ways"].values()
    assert together["oof"] == first["baselines"]["tfidf_logistic"]["oof"]
    assert together["rows"] == apart["rows"] == 40
    assert apart["oof"]["log_loss"] < together["oof"]["log_loss"]
