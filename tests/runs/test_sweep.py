"""Whole sweeps on one shared local Ray."""

import json
import os
import signal
import threading
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny_run import silent_console, tiny_config

from raytrain.config.load import load_config
from raytrain.crossval.driver import train_run
from raytrain.errors import ConfigError, InputError, StorageError, SweepError
from raytrain.sweep import hooks as trial_recorder
from raytrain.sweep.driver import run_sweep

pytestmark = pytest.mark.slow

SPACE = "{model.architecture: [finetune, textcnn], train.batch_size: [8, 16]}"


@pytest.fixture
def interruptible():
    """A shell's background jobs ignore SIGINT, and so would these tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def config_of(directory, **overrides):
    options = {
        "folds__num_folds": 3,
        "train__epochs": 1,
        "sweep__space": SPACE,
        "sweep__num_trials": 4,
        "sweep__num_folds": 2,
        "sweep__search": "random",
        "sweep__scheduler": "none",
        "sweep__max_concurrent_trials": 2,  # of the two CPUs; folds of other tests run one by one
    }
    return tiny_config(directory, **{**options, **overrides})


def table_of(config, without=("seconds", "ended")):
    table = pq.read_table(f"{config.storage}/{config.name}/trials.parquet")
    rows = [{key: value for key, value in row.items() if key not in without} for row in table.to_pylist()]
    return [{k: None if v != v else v for k, v in row.items()} for row in rows]  # NaN equals nothing


@pytest.fixture(scope="module")
def calm(local_ray, tmp_path_factory):
    """A sweep that nothing disturbs."""
    directory = tmp_path_factory.mktemp("calm")
    config, console = config_of(directory), silent_console()
    best = run_sweep(config, console)
    return directory, config, best, console.file.getvalue()


def test_every_trial_trains_its_folds(calm):
    _, config, _, text = calm
    rows = table_of(config)
    assert [(row["trial"], row["state"], row["folds"]) for row in rows] == [
        (n, "finished", 2) for n in range(4)
    ]
    assert "the best of 4 trials by macro-F1 (4 finished)" in text
    assert all(len(row["auc_per_fold"]) == 2 for row in rows)


def test_what_a_sweep_leaves(calm):
    directory, config, best, _ = calm
    sweep = directory / "runs" / "tiny"
    names = {path.name for path in sweep.iterdir()}
    assert names == {
        ".lock",
        "best.yaml",
        "pictures",
        "sweep.json",
        "tensorboard",
        "trials",
        "trials.parquet",
    }
    assert load_config(sweep / "best.yaml") == best
    rows = table_of(config)
    winner = max(rows, key=lambda row: (row["macro_f1"], -row["trial"]))
    assert best.train.batch_size == winner["train.batch_size"]
    assert best.model.architecture == winner["model.architecture"]
    assert best.name == f"tiny-trial-{winner['trial']:04d}"


@pytest.mark.long
def test_a_trial_s_folds_are_those_of_the_run(calm, here):
    """The best config, trained in full, scores on its first folds what the trial did."""
    _, config, best, _ = calm
    summary = train_run(best, silent_console())
    [entry] = summary["architectures"].values()
    rows = table_of(config)
    winner = max(rows, key=lambda row: (row["macro_f1"], -row["trial"]))
    for metric in ("accuracy", "macro_f1", "auc", "log_loss"):
        found = [fold["metrics"][metric] for fold in entry["folds"][:2]]
        np.testing.assert_allclose(found, winner[f"{metric}_per_fold"], atol=1e-4)


@pytest.mark.long
def test_a_sweep_cut_off_goes_on_to_the_same_table(calm, interruptible, tmp_path):
    config = config_of(tmp_path)
    trials = tmp_path / "runs" / "tiny" / "trials"

    def interrupt():
        while len(list(trials.glob("*.json"))) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    console = silent_console()
    with pytest.raises(KeyboardInterrupt):
        run_sweep(config, console)
    assert "the best of" in console.file.getvalue()
    assert {row["state"] for row in table_of(config)} <= {"finished", "stopped"}
    before = {path.name: path.read_bytes() for path in trials.glob("*.json")}
    ended = {name for name, data in before.items() if json.loads(data)["state"] == "finished"}
    run_sweep(config, silent_console())
    assert {name: (trials / name).read_bytes() for name in ended} == {name: before[name] for name in ended}
    drop = ("seconds", "ended", "config")
    assert table_of(config, drop) == table_of(calm[1], drop)


def test_a_failing_trial_is_recorded_and_ends_nothing(local_ray, tmp_path):
    space = "{train.weight_decay: [0.0, 1.0e+38]}"
    config = config_of(
        tmp_path,
        model__architecture="textcnn",
        train__learning_rate=0.5,
        train__encoder_learning_rate=0.5,
        sweep__space=space,
        sweep__search="grid",
        sweep__num_folds=1,
    )
    run_sweep(config, silent_console())
    healthy, failed = table_of(config)
    assert (healthy["state"], failed["state"]) == ("finished", "failed")
    assert "not finite" in failed["error"]
    run_sweep(config, silent_console())  # and is not run again
    assert table_of(config) == [healthy, failed]


@pytest.mark.long
def test_a_storage_that_fails_ends_the_sweep_with_its_own_error(local_ray, tmp_path, monkeypatch):
    """Tune, which calls what writes the records, tells of it in a traceback; no trial counts as failed."""
    config = config_of(tmp_path, model__architecture="textcnn", sweep__space="{train.batch_size: [8, 16]}")
    write, refusals = trial_recorder.write_trial, [StorageError("the storage is away")]

    def refuse_once(sweep, record):
        if refusals:
            raise refusals.pop()
        write(sweep, record)

    monkeypatch.setattr(trial_recorder, "write_trial", refuse_once)
    with pytest.raises(StorageError, match="the storage is away"):
        run_sweep(config, silent_console())
    assert "failed" not in {row["state"] for row in table_of(config)}


def test_a_sweep_in_which_all_fails_says_why(local_ray, tmp_path):
    config = config_of(
        tmp_path,
        model__architecture="textcnn",
        train__learning_rate=0.5,
        train__encoder_learning_rate=0.5,
        sweep__space="{train.weight_decay: [1.0e+38]}",
        sweep__search="grid",
    )
    with pytest.raises(SweepError, match="not finite"):
        run_sweep(config, silent_console())


@pytest.mark.long
def test_a_trial_s_class_weights_are_its_own(local_ray, tmp_path):
    space = "{train.class_weight: [null, {a: 9.0}]}"
    config = config_of(
        tmp_path,
        model__architecture="textcnn",
        sweep__space=space,
        sweep__search="grid",
        sweep__scheduler="median",
    )
    run_sweep(config, silent_console())
    plain, weighted = table_of(config)
    assert plain["log_loss_per_fold"][0] != weighted["log_loss_per_fold"][0]


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ("{train.class_weight: [{nobody: 2.0}]}", "no such label"),
        ("{encoder.checkpoint: [mini, nowhere, albert_bse_zh]}", "did you mean albert_base_zh"),
        ("{words.vectors: [nowhere.vec]}", "nowhere.vec"),
    ],
)
def test_what_trials_would_read_is_looked_at_first(local_ray, tmp_path, space, told):
    with pytest.raises(InputError, match=told):
        run_sweep(config_of(tmp_path, model__architecture="textcnn", sweep__space=space), silent_console())
    assert not (tmp_path / "runs" / "tiny" / "sweep.json").exists()


@pytest.mark.long
def test_trials_are_pruned_across_folds_and_features_follow_the_point(local_ray, tmp_path):
    """Optuna and ASHA, over a key on which the features depend, with frozen encoders."""
    space = "{model.architecture: [textcnn, rnn_cnn], model.train_encoder: [false], encoder.maxlen: [16, 32]}"
    config = config_of(
        tmp_path,
        sweep__space=space,
        sweep__search="optuna",
        sweep__scheduler="asha",
        sweep__num_trials=6,
        sweep__metric="log_loss",  # accuracies of so few rows are often alike
    )
    run_sweep(config, silent_console())
    rows = table_of(config)
    assert {row["state"] for row in rows} <= {"finished", "pruned"}
    assert "pruned" in {row["state"] for row in rows}
    assert {row["encoder.maxlen"] for row in rows} <= {16, 32}
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2


def test_another_config_under_the_same_name_is_refused(calm):
    directory = calm[0]
    with pytest.raises(ConfigError, match="exists with another config"):
        run_sweep(config_of(directory, train__epochs=2), silent_console())


def test_a_bad_space_starts_nothing(local_ray, tmp_path):
    with pytest.raises(ConfigError, match="no logarithm"):
        run_sweep(
            config_of(tmp_path, sweep__space="{train.learning_rate: {loguniform: [0, 1]}}"), silent_console()
        )
    assert not (tmp_path / "runs" / "tiny" / "sweep.json").exists()
