"""A whole run, one fold of which has nothing to learn from, on one shared local Ray."""

import io
import json

import numpy as np
import pytest
from folds_here import trained_here
from one_fold import each_fold_alone
from rich.console import Console
from tiny_run import CHARACTERS, read_oof, tiny_config, write_csv

from raytrain.crossval.driver import train_run
from raytrain.ensemble.artifact import load_ensemble
from raytrain.folds.log import read_log

pytestmark = pytest.mark.slow
NUM_ROWS = 160


def make_rows():
    """Two groups: of one two characters together give the label away, in the other all texts are the same.

    Apart they say nothing, so that a fold that has learned nothing does not guess well by chance.
    """
    rows = []
    for row in range(NUM_ROWS):
        one, two, is_silent = row // 4 % 2, row // 8 % 2, row % 4 < 2
        text = CHARACTERS[4] * 6 if is_silent else (CHARACTERS[one] + CHARACTERS[2 + two]) * 3
        label = "ab"[row % 2 if is_silent else one ^ two]
        author = "silent" if is_silent else "telling"
        rows.append({"id": f"row-{row}", "text": text, "label": label, "author": author})
    return rows


def train(directory, **options):
    """Two folds of textcnn, each of which learns from one group.

    Returns the run's directory, its summary and what was said.
    """
    write_csv(directory / "corpus.csv", make_rows())
    own = {
        "model__architecture": "textcnn",
        "folds__group": "author",
        "train__restarts": 1,
        "train__epochs": 1,
        "train__batch_size": 2,
        "train__learning_rate": 5e-3,
        "train__dropout": 0,
        "ensemble__drop_dead": "true",
    }
    console = Console(file=io.StringIO(), width=200)
    summary = train_run(tiny_config(directory, dropout=0.0, **own | options), console)
    return directory / "runs" / "tiny", summary, console.file.getvalue()


@pytest.fixture(scope="module")
def run(local_ray, tmp_path_factory):
    with trained_here():
        return train(tmp_path_factory.mktemp("dead"))


@pytest.fixture(scope="module")
def dead(run):
    """The name of the fold whose valid rows are those that can be learned from."""
    [name] = run[1]["dead"]
    return name


def test_the_fold_that_cannot_learn_is_begun_again_and_then_marked(run, dead):
    directory, summary, said = run
    log = read_log(f"{directory}/folds/{dead}")
    [restarted] = [entry for entry in log if entry["event"] == "restarted"]
    record = json.loads((directory / "folds" / dead / "result" / "result.json").read_text())
    assert (record["dead"], record["restarts"], record["seed"]) == (True, 1, restarted["seed"])
    assert record["seed"] not in (42, 43) and restarted["constant_loss"] == pytest.approx(np.log(2))
    loss = f"{restarted['loss']:.3f}"
    assert f"{dead}  learns nothing (loss {loss}, a constant guess has 0.693): begun again" in said
    assert "with another seed, 1 of 1" in said
    assert f"{dead} dead" in said and "1 fold run learned nothing" in said
    assert f"left out of the ensemble: {dead}" in said and summary["dropped"] == [dead]


def test_the_fold_that_learns_is_left_alone(run, dead):
    directory, summary, _ = run
    [alive] = [fold["name"] for fold in summary["architectures"]["textcnn"]["folds"] if not fold["dead"]]
    record = json.loads((directory / "folds" / alive / "result" / "result.json").read_text())
    assert alive != dead and (record["dead"], record["restarts"]) == (False, 0)
    assert record["seed"] == 42 + record["fold"]


def test_all_rows_have_out_of_fold_predictions(run, dead):
    ids, proba = read_oof(run[0])
    assert len(ids) == NUM_ROWS and np.isfinite(proba).all()


def test_the_artifact_predicts_without_the_dead_fold(run, dead):
    from raytrain.ensemble.models import Predictor

    directory, *_ = run
    ensemble = load_ensemble(str(directory / "ensemble"))
    [(architecture, fold, alone)] = each_fold_alone(ensemble)
    assert f"{architecture}/r0-fold-0{fold.fold}" != dead and ensemble.manifest.dropped == [dead]
    assert f"{dead}.safetensors" not in ensemble.directory.files()
    texts = [row["text"] for row in make_rows()]
    proba = Predictor(ensemble).predict_proba(texts)
    np.testing.assert_array_equal(proba, Predictor(alone).predict_proba(texts))


@pytest.mark.long
def test_two_workers_begin_a_fold_again_together(local_ray, tmp_path, run, dead):
    directory, summary, _ = train(tmp_path, cluster__workers_per_fold=2)
    assert summary["dead"] == summary["dropped"] == [dead]
    [restarted] = [entry for entry in read_log(f"{directory}/folds/{dead}") if entry["event"] == "restarted"]
    [alone] = [entry for entry in read_log(f"{run[0]}/folds/{dead}") if entry["event"] == "restarted"]
    assert restarted["seed"] == alone["seed"]
    assert restarted["loss"] == pytest.approx(alone["loss"], rel=0.01)
