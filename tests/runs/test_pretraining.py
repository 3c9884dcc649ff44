"""Whole pre-trainings on one shared local Ray: what they leave, how they go on."""

import io
import json
import threading

import numpy as np
import psutil
import pytest
from rich.console import Console
from safetensors.numpy import load_file
from tiny_pretraining import VOCAB, encoder_config, make_lines
from tiny_run import tiny_config
from waiting import wait_until

from raytrain.config.load import read_config
from raytrain.config.pretraining import PretrainConfig
from raytrain.crossval.driver import train_run
from raytrain.errors import ConfigError, TimeBudgetError
from raytrain.folds.log import read_log
from raytrain.pretrained.directory import read_encoder
from raytrain.pretraining.directory import SEQUENCES
from raytrain.pretraining.driver import encoder_location, pretrain
from raytrain.refit.driver import refit_run

pytestmark = pytest.mark.slow


def config_of(directory, *overrides, name="tiny"):
    """Of an untrained encoder of two layers, on texts of ours."""
    encoder = directory / "encoder"
    if not encoder.exists():
        encoder.mkdir(parents=True)
        (encoder / "vocab.txt").write_text("\n".join(VOCAB) + "\n", encoding="utf-8")
        config = json.dumps({**encoder_config("bert"), "model_type": "bert"})
        (encoder / "config.json").write_text(config, encoding="utf-8")
        (directory / "posts.txt").write_text("\n".join(make_lines(80)), encoding="utf-8")
    plain = [
        f"name={name}",
        f"storage={directory}/runs",
        f"data.path={directory}/posts.txt",
        "data.held_back=0.2",
        f"encoder.checkpoint={encoder}",
        "encoder.pretrained=false",
        "encoder.maxlen=32",
        "train.steps=6",
        "train.batch_size=4",
        "train.evaluate_every=3",
        "train.precision=float32",
        "train.learning_rate=0.01",
        "cluster.cpus_per_worker=1",
    ]
    return read_config(PretrainConfig, None, [*plain, *overrides])


def run(config):
    """The record, and what was said."""
    console = Console(file=io.StringIO(), width=200)
    return pretrain(config, console), console.file.getvalue()


def weights_of(config):
    return load_file(f"{encoder_location(config)}/model.safetensors")


@pytest.fixture(scope="module")
def whole(local_ray, tmp_path_factory):
    """A run that nothing disturbed."""
    directory = tmp_path_factory.mktemp("whole")
    config = config_of(directory)
    return directory, config, *run(config)


def test_it_leaves_an_encoder_and_where_it_came_from(whole):
    directory, config, record, said = whole
    assert [entry["step"] for entry in record["history"]] == [0, 3, 6]
    assert record["history"][-1]["perplexity"] < record["history"][0]["perplexity"]
    assert len(record["start"]["sha256"]) == 64 and "origin" not in record["start"]
    assert record["texts"][0]["texts"] == 80 and record["encoded"]["held_back_texts"] > 0
    assert "perplexity" in said and "step 6/6" in said and "untrained BERT" in said
    assert read_encoder(encoder_location(config), True, 32).kind == "bert"
    left = {path.name for path in (directory / "runs" / "tiny").iterdir()}
    assert {"encoder", "google", "pretraining.json", "config.yaml"} <= left
    assert not {SEQUENCES, "checkpoint"} & left


def test_a_finished_run_says_so_and_another_config_of_its_name_is_refused(whole):
    directory, config, record, _ = whole
    left = directory / "runs" / "tiny" / SEQUENCES  # where the driver died before it removed them
    left.mkdir()
    (left / "index.json").write_bytes(b"{}")
    again, said = run(config)
    assert not left.exists()
    assert again == record and "is finished; nothing to train" in said
    with pytest.raises(ConfigError, match=r"mask\.rate: the run was begun with 0\.15, found 0\.3"):
        run(config_of(directory, "mask.rate=0.3"))
    (directory / "posts.txt").write_text("\n".join(make_lines(81)), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"posts\.txt: its content is not"):
        run(config)
    (directory / "posts.txt").write_text("\n".join(make_lines(80)), encoding="utf-8")


def kill_worker_at_checkpoint(location):
    """Kills the worker once it has left a checkpoint."""
    wait_until(lambda: (location / "checkpoint" / "latest.json").exists())
    workers = [
        process
        for process in psutil.Process().children(recursive=True)
        if "RayTrainWorker" in " ".join(process.cmdline())
    ]
    for process in workers:
        process.kill()
    return workers


@pytest.mark.long
def test_a_killed_worker_changes_nothing(local_ray, tmp_path):
    hurt = config_of(tmp_path, "train.checkpoint_every=1", "cluster.max_failures=2", name="hurt")
    expected = config_of(tmp_path, "train.checkpoint_every=1", name="calm")
    location, killed = tmp_path / "runs" / "hurt", []
    killer = threading.Thread(target=lambda: killed.extend(kill_worker_at_checkpoint(location)), daemon=True)
    killer.start()
    found, said = run(hurt)
    killer.join()
    calm, _ = run(expected)
    assert killed and "failure 1 of 2" in said
    assert [entry["perplexity"] for entry in found["history"]] == [
        entry["perplexity"] for entry in calm["history"]
    ]
    ours, others = weights_of(hurt), weights_of(expected)
    assert all(np.array_equal(ours[name], others[name]) for name in others)


def run_within_budget(directory):
    """One that learns something but never ends."""
    for budget in (25, 100):
        short = config_of(directory, "train.steps=100000", f"cluster.time_budget={budget}", name="short")
        try:
            return *run(short), short
        except TimeBudgetError:  # on a slow machine a worker's start takes that long
            continue
    raise AssertionError("it learned nothing")


@pytest.mark.long
def test_the_time_budget_leaves_an_encoder_and_a_later_run_goes_on(local_ray, tmp_path):
    stopped, said, short = run_within_budget(tmp_path)
    assert stopped["stopped_early"] and 0 < stopped["steps"] < 100_000
    assert "the same command goes on" in said and len(weights_of(short)) > 10
    more, said = run(short)
    assert more["steps"] > stopped["steps"] and "goes on from its checkpoint" in said
    assert [e["event"] for e in read_log(str(tmp_path / "runs" / "short"))].count("start") == 2


@pytest.mark.long
def test_two_workers_learn_what_one_does(local_ray, tmp_path):
    """Without dropout, whose masks are each worker's own."""
    one = config_of(tmp_path, name="one")
    path = tmp_path / "encoder" / "config.json"
    path.write_text(json.dumps({**encoder_config("bert", 0.0), "model_type": "bert"}), encoding="utf-8")
    alone, _ = run(one)
    shared, _ = run(config_of(tmp_path, "cluster.workers=2", name="two"))
    for own, other in zip(alone["history"], shared["history"], strict=True):
        assert own["perplexity"] == pytest.approx(other["perplexity"], rel=1e-3)


def test_a_run_starts_from_it(whole, here, tmp_path):
    _, config, _, _ = whole
    summary = train_run(
        tiny_config(
            tmp_path,
            encoder__checkpoint=encoder_location(config),
            encoder__pretrained="true",
            model__architecture="textcnn",
            train__epochs=1,
        ),
        Console(file=io.StringIO()),
    )
    assert summary["rows"] == 48


def test_a_run_adapts_its_encoder_once_and_the_next_takes_it_from_the_cache(here, tmp_path, monkeypatch):
    monkeypatch.setenv("RAYTRAIN_HOME", str(tmp_path / "home"))
    options = {
        "encoder__adapt": "true",
        "encoder__adapt_epochs": 4,
        "model__architecture": "textcnn",
        "train__epochs": 1,
    }
    said = []
    for name in ("first", "second"):
        console = Console(file=io.StringIO(), width=200)
        summary = train_run(tiny_config(tmp_path, name=name, **options), console)
        said.append(console.file.getvalue())
        assert summary["rows"] == 48
    assert "adapting it to 48 texts" in said[0] and "held back: perplexity" in said[0]
    assert "adapted to these texts before" in said[1] and "held back: perplexity" in said[1]
    [kept] = (tmp_path / "home" / "adapted").iterdir()
    encoders = [
        load_file(tmp_path / f"runs/{name}/ensemble/encoder/weights.safetensors")
        for name in ("first", "second")
    ]
    adapted = load_file(kept / "model.safetensors")
    embedding = adapted["albert.embeddings.word_embeddings.weight"]
    assert any(np.array_equal(array, embedding) for array in encoders[0].values())
    assert all(np.array_equal(encoders[0][name], encoders[1][name]) for name in encoders[0])
    run, console = tmp_path / "runs" / "first", Console(file=io.StringIO(), width=200)
    refit_run(str(run), console=console, seed=9)  # has the run's encoder, whatever its own seed
    assert (
        "adapted to these texts before" in console.file.getvalue() and len(list(run.glob("adapted/*"))) == 1
    )
    own = load_file(run / "refit" / "encoder" / "weights.safetensors")
    assert all(np.array_equal(encoders[0][name], own[name]) for name in own)
