"""raytrain from Python: what `import raytrain` gives, and a run, a sweep and predictions by it."""

import doctest
import importlib
import json
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from folds_here import trained_here
from tiny_run import make_rows, make_tagged, tiny_config, tiny_overrides, tiny_tag_config

import raytrain
from raytrain.errors import ConfigError

DOCUMENTED = (
    *("bulk.predict", "config.load", "crossval.run", "crossval.suspects", "ensemble.load"),
    *("exporting.driver", "groups.driver", "matching.run", "pretraining.driver", "refit.distill"),
    *("refit.driver", "report.page", "vectors.load"),
)
TEXTS = [row["text"] for row in make_rows(9, seed=4)]


def run_python(code):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=kept)


def test_importing_raytrain_imports_nothing_large():
    code = "import raytrain, sys, json; print(json.dumps([*sys.modules]))"
    assert {"ray", "tensorflow", "pydantic"} & {*json.loads(run_python(code).stdout)} == set()


def test_every_public_name_is_there_and_documented():
    for name in raytrain.__all__:
        assert getattr(raytrain, name).__doc__
        assert name in dir(raytrain)
    with pytest.raises(AttributeError, match="no attribute 'cros_validate'"):
        raytrain.cros_validate  # noqa: B018


@pytest.mark.parametrize("module", DOCUMENTED)
def test_examples_of_the_docstrings_run(module):
    results = doctest.testmod(importlib.import_module(f"raytrain.{module}"))
    assert results.failed == 0


def test_config_values_from_python_are_laid_over_the_rest(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("data: {path: a.csv}\nseed: 1\nname: file\n", encoding="utf-8")
    config = raytrain.load_config(
        file, ["seed=2", "name=override"], name="python", data__path=tmp_path, model__architecture=["textcnn"]
    )
    assert (config.seed, config.name, config.data.path) == (2, "python", str(tmp_path))
    assert list(config.model.architecture) == ["textcnn"]
    with pytest.raises(ConfigError, match=r"did you mean folds\.num_folds"):
        raytrain.load_config(data__path="a.csv", folds__num_fold=3)


def test_a_process_with_keras_3_is_told_what_to_do(tmp_path):
    code = (
        "import tensorflow as tf; tf.keras.layers.Dense; from raytrain.ensemble.load import check_keras\n"
        "try: check_keras()\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    assert "import raytrain before anything imports TensorFlow" in run_python(code).stdout


@pytest.fixture(scope="module")
def run(local_ray, tmp_path_factory):
    directory = tmp_path_factory.mktemp("api")
    with trained_here():
        return raytrain.cross_validate(tiny_config(directory, model__architecture="[finetune,textcnn]"))


@pytest.mark.slow
def test_a_run_has_scores_oof_and_an_ensemble(run):
    assert run.scores.keys() == {"finetune", "textcnn", "ensemble"}
    assert 0 < run.scores["ensemble"]["accuracy"] <= 1
    table = run.oof()
    assert table.num_rows == 48 and {"id", "label", "proba_a", "proba_b"} <= set(table.column_names)
    proba = np.stack([table["proba_a"].to_numpy(), table["proba_b"].to_numpy()], axis=1)
    said = np.array(["a", "b"])[proba.argmax(axis=1)]
    assert (said == table["label"].to_numpy(zero_copy_only=False)).mean() == run.scores["ensemble"][
        "accuracy"
    ]


@pytest.mark.slow
def test_a_finished_run_is_not_trained_again_and_logs_what_it_says(run, caplog, capsys):
    caplog.set_level(logging.INFO, "raytrain")
    again = raytrain.cross_validate(run.config)
    assert again.scores == run.scores
    assert any("is finished; nothing to train" in record.getMessage() for record in caplog.records)
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_an_ensemble_predicts_alike_alone_and_from_threads(run):
    import tensorflow as tf

    predictor = raytrain.load(run.ensemble)
    assert tf.keras.mixed_precision.global_policy().name == "float32"
    proba = predictor.predict_proba(TEXTS)
    assert proba.shape == (9, 2)
    assert predictor.predict(TEXTS) == [predictor.labels[index] for index in proba.argmax(axis=1)]
    with ThreadPoolExecutor(4) as threads:
        parts = list(threads.map(lambda text: predictor.predict_proba([text])[0], TEXTS))
    np.testing.assert_allclose(parts, proba, atol=1e-5)


@pytest.mark.slow
def test_a_run_is_told_looked_through_and_made_into_one_model(run, here, caplog, capsys):
    caplog.set_level(logging.INFO, "raytrain")
    assert raytrain.write_report(run.directory, words=False) == f"{run.directory}/report.html"
    suspects = raytrain.list_suspects(run.directory, most=3)
    assert suspects.num_rows <= 3 and {"id", "label", "says"} <= set(suspects.column_names)
    model = raytrain.refit_run(run.directory, model__architecture=["textcnn"], train__epochs=1)
    assert model.artifact == f"{run.directory}/refit" and model.task == "classify"
    assert model.metrics["training"].keys() == {"textcnn"}
    assert model.predictor().predict_proba(TEXTS).shape == (9, 2)
    own = {"model__architecture": ["textcnn"], "train__epochs": 1}
    assert raytrain.refit_run(run.directory, **own).metrics == model.metrics
    assert any("nothing to train" in record.getMessage() for record in caplog.records)
    assert capsys.readouterr().out == ""
    with pytest.raises(ConfigError, match=r"folds\.repeats"):
        raytrain.distill_run(run.directory, folds__repeats=2)


@pytest.mark.slow
def test_a_taggers_ensemble_predicts_spans(here, tmp_path):
    run = raytrain.cross_validate(tiny_tag_config(tmp_path))
    texts = [text for text, _ in make_tagged(5, seed=7)]
    found = run.predictor().predict(texts)
    assert len(found) == 5 and any(found)
    for text, spans in zip(texts, found, strict=True):
        assert all(text[span["start"] : span["end"]] == span["text"] for span in spans)


@pytest.mark.slow
@pytest.mark.long
def test_a_sweep_gives_the_best_config(local_ray, tmp_path):
    overrides = tiny_overrides(tmp_path, name="search", train__epochs=1)
    options = {"num_trials": 1, "num_folds": 1, "space": {"train.batch_size": [4, 8]}}
    values = {f"sweep__{key}": value for key, value in options.items()}
    best = raytrain.run_sweep(raytrain.load_config(None, overrides, **values))
    assert best.train.batch_size in (4, 8) and best.name != "search"
