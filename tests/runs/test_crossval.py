"""Whole runs on one shared local Ray."""

import contextlib
import csv
import json
import shutil
import signal
import threading
import time

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import ray
from folds_here import trained_here
from one_fold import each_fold_alone
from sentencepiece_model import ENGLISH, tiny_model
from tiny_run import (
    VOCAB,
    make_rows,
    read_oof,
    silent_console,
    silent_stages,
    tiny_config,
    write_csv,
    write_encoder,
)

from raytrain.corpus.labelled import read_corpus
from raytrain.crossval.driver import train_run
from raytrain.ensemble.apart import predict_test
from raytrain.ensemble.artifact import load_ensemble
from raytrain.ensemble.files import PredictedRows
from raytrain.errors import ArtifactError, ClusterError, ConfigError, FoldError
from raytrain.hidden_states.cache import HiddenStates
from raytrain.text.sentencepiece import SentencePieceTokenizer
from raytrain.text.vocab import Vocab

pytestmark = pytest.mark.slow


def run(config):
    return train_run(config, silent_console())


@pytest.fixture(scope="module")
def reference(local_ray, tmp_path_factory):
    """Two folds of finetune, undisturbed and side by side."""
    directory = tmp_path_factory.mktemp("reference")
    summary = run(tiny_config(directory, cluster__max_concurrent_folds=2))
    return directory, summary, *read_oof(directory / "runs" / "tiny")


@pytest.fixture(scope="module")
def fusion(local_ray, tmp_path_factory):
    """All architectures in one run, the fusion heads on a frozen encoder."""
    directory = tmp_path_factory.mktemp("fusion")
    architectures = "[finetune,textcnn,rnn_cnn]"
    config = tiny_config(directory, model__architecture=architectures, train__epochs=1, baseline="true")
    with trained_here():
        return directory, run(config)


def test_every_row_has_an_oof_prediction_in_corpus_order(reference):
    directory, _, ids, proba = reference
    with (directory / "corpus.csv").open(encoding="utf-8") as stream:
        assert ids == [row["id"] for row in csv.DictReader(stream)]
    assert np.isfinite(proba).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1)


def test_run_directory_holds_what_the_design_says(reference):
    run_directory = reference[0] / "runs" / "tiny"
    for name in ("config.yaml", "corpus.json", "folds.parquet", "ensemble/manifest.json"):
        assert (run_directory / name).is_file(), name
    for fold in ("r0-fold-00", "r0-fold-01"):
        result = run_directory / "folds" / "finetune" / fold / "result"
        assert {path.name for path in result.iterdir()} == {"model.safetensors", "oof.parquet", "result.json"}
        assert list((run_directory / "tensorboard" / "finetune" / fold).glob("events*"))


def test_artifact_holds_no_pickle_and_nothing_unlisted(reference):
    ensemble = load_ensemble(str(reference[0] / "runs" / "tiny" / "ensemble"))
    listed = {entry.name for entry in ensemble.manifest.files}
    assert set(ensemble.directory.files()) == listed | {"manifest.json"}
    assert {name.rsplit(".", 1)[1] for name in listed} <= {"safetensors", "parquet", "json", "txt"}


def test_summary_tells_every_fold_and_architecture(fusion):
    _, summary = fusion
    assert list(summary["architectures"]) == ["finetune", "textcnn", "rnn_cnn"]
    for name, entry in summary["architectures"].items():
        assert [fold["name"] for fold in entry["folds"]] == [f"{name}/r0-fold-00", f"{name}/r0-fold-01"]
    assert set(summary["baselines"]) == {"majority", "tfidf_logistic"}


def test_oof_of_several_architectures_is_their_mean(fusion):
    table = pq.read_table(fusion[0] / "runs" / "tiny" / "ensemble" / "oof.parquet")
    parts = [table[f"{name}_proba_b"].to_numpy() for name in ("finetune", "textcnn", "rnn_cnn")]
    np.testing.assert_allclose(table["proba_b"].to_numpy(), np.mean(parts, axis=0))


def test_ensemble_predicts_the_mean_of_its_fold_models(fusion, tmp_path):
    """Each fold model, asked for its valid rows alone, repeats its OOF probabilities."""
    from raytrain.ensemble.models import Predictor

    directory, _ = fusion
    ensemble = load_ensemble(str(directory / "runs" / "tiny" / "ensemble"))
    texts = [row["text"] for row in make_rows(48)]
    oof = pq.read_table(directory / "runs" / "tiny" / "ensemble" / "oof.parquet")
    for architecture, fold, alone in each_fold_alone(ensemble):
        proba = Predictor(alone).predict_proba(texts)
        valid = oof["fold"].to_numpy() == fold.fold
        expected = oof[f"{architecture}_proba_b"].to_numpy()[valid]
        np.testing.assert_allclose(proba[valid, 1], expected, atol=1e-5)


def test_folds_after_one_another_in_one_process_equal_folds_in_their_own(reference, here, tmp_path):
    run(tiny_config(tmp_path, cluster__max_concurrent_folds=1))
    ids, proba = read_oof(tmp_path / "runs" / "tiny")
    assert ids == reference[2]
    np.testing.assert_array_equal(proba, reference[3])


@pytest.mark.long
def test_two_workers_per_fold_equal_one(local_ray, tmp_path):
    """Without dropout, whose masks differ by worker, a batch split in two gives the same update."""
    one = tiny_config(tmp_path, name="one", dropout=0.0, train__dropout=0)
    two = tiny_config(tmp_path, name="two", dropout=0.0, train__dropout=0, cluster__workers_per_fold=2)
    run(two)
    with trained_here():
        run(one)
    expected = read_oof(tmp_path / "runs" / "one")[1]
    np.testing.assert_allclose(read_oof(tmp_path / "runs" / "two")[1], expected, atol=1e-4)


def test_encoding_on_ray_equals_encoding_in_one_piece(local_ray, tmp_path, monkeypatch):
    from raytrain.crossval import encode, inputs

    config = tiny_config(tmp_path, model__architecture="textcnn")
    corpus = read_corpus(config.data.path, ["text"], "label", "id")
    encoder = inputs.find_encoder(config, corpus, silent_console())
    dictionary = inputs.read_dictionary(config, corpus)
    whole = encode.read_shared(config, corpus, encoder, dictionary, silent_stages())
    monkeypatch.setattr(encode, "PARALLEL_TEXTS", 10)
    monkeypatch.setattr(encode, "_CHUNK", 7)
    pieces = encode.read_shared(config, corpus, encoder, dictionary, silent_stages())
    assert pieces.features.equals(whole.features)
    assert pieces.vocabulary == whole.vocabulary
    np.testing.assert_array_equal(pieces.embedding, whole.embedding)


def kill_worker_after_first_epoch(run_directory):
    """SIGKILLs this run's workers as soon as the first epoch of fold 0 is logged."""
    log = run_directory / "folds" / "finetune" / "r0-fold-00" / "log.jsonl"
    while not (log.exists() and '"epoch"' in log.read_text()):
        time.sleep(0.02)
    own = psutil.Process().children(recursive=True)
    workers = [process for process in own if "RayTrainWorker" in " ".join(process.cmdline())]
    for process in workers:
        process.send_signal(signal.SIGKILL)
    return workers


@pytest.mark.long
def test_killed_worker_changes_nothing(local_ray, tmp_path):
    options = {"train__epochs": 6}
    with trained_here():
        run(tiny_config(tmp_path, name="calm", **options))
    killed: list = []
    thread = threading.Thread(
        target=lambda: killed.extend(kill_worker_after_first_epoch(tmp_path / "runs" / "hurt")), daemon=True
    )
    thread.start()
    run(tiny_config(tmp_path, name="hurt", **options, cluster__max_failures=2))
    assert killed
    expected = read_oof(tmp_path / "runs" / "calm")[1]
    np.testing.assert_allclose(read_oof(tmp_path / "runs" / "hurt")[1], expected, atol=1e-6)


@pytest.mark.long
def test_failing_fold_leaves_the_others_committed_and_is_trained_alone_later(local_ray, tmp_path, reference):
    config = tiny_config(tmp_path)
    obstacle = tmp_path / "runs" / "tiny" / "folds" / "finetune" / "r0-fold-01" / "result"
    obstacle.parent.mkdir(parents=True)
    obstacle.write_text("a file where the fold wants its folder")
    with pytest.raises(FoldError) as raised:
        run(config)
    assert list(raised.value.failures) == ["finetune/r0-fold-01"]
    assert "result" in str(raised.value) and raised.value.exit_code == 1
    committed = tmp_path / "runs" / "tiny" / "folds" / "finetune" / "r0-fold-00" / "result" / "result.json"
    before = committed.stat().st_mtime_ns
    obstacle.unlink()
    run(config)
    assert committed.stat().st_mtime_ns == before
    np.testing.assert_allclose(read_oof(tmp_path / "runs" / "tiny")[1], reference[3], atol=1e-5)


def test_finished_run_is_summed_up_without_training(reference):
    directory, summary, *_ = reference
    assert run(tiny_config(directory))["architectures"] == summary["architectures"]


def test_same_name_with_another_config_is_refused(reference):
    with pytest.raises(ConfigError, match=r"train\.batch_size: the run was begun with 8, found 4"):
        run(tiny_config(reference[0], train__batch_size=4))


def test_same_name_with_another_corpus_is_refused(here, tmp_path):
    config = tiny_config(tmp_path, model__architecture="tfidf")
    run(config)
    rows = make_rows(48)
    rows[0]["text"] += "一"
    write_csv(tmp_path / "corpus.csv", rows)
    with pytest.raises(ConfigError, match=r"data\.path"):
        run(config)


def test_changed_fold_is_refused(here, tmp_path):
    config = tiny_config(tmp_path, model__architecture="tfidf")
    run(config)
    run_directory = tmp_path / "runs" / "tiny"
    (run_directory / "ensemble" / "manifest.json").unlink()
    weights = run_directory / "folds" / "tfidf" / "r0-fold-00" / "result" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    with pytest.raises(ArtifactError, match=r"model\.safetensors"):
        run(config)


def test_pairs_of_three_classes_with_groups_repeats_and_a_test_file(here, tmp_path):
    rows = make_rows(60, num_classes=3)
    for number, row in enumerate(rows):
        row["other"], row["author"] = rows[number - 3]["text"], f"author-{number // 3}"
    write_csv(tmp_path / "corpus.csv", rows)
    unlabelled = [{"id": row["id"], "text": row["text"], "other": row["other"]} for row in rows[:7]]
    write_csv(tmp_path / "test.csv", unlabelled)
    config = tiny_config(
        tmp_path,
        data__text="[text,other]",
        data__test=tmp_path / "test.csv",
        folds__repeats=2,
        folds__group="author",
        train__epochs=1,
        train__class_weight="balanced",
        train__select="best",
        train__early_stopping=1,
        train__schedule="plateau",
    )
    summary = run(config)
    assert summary["labels"] == ["a", "b", "c"]
    folds = [fold["name"].split("/")[1] for fold in summary["architectures"]["finetune"]["folds"]]
    assert folds == ["r0-fold-00", "r0-fold-01", "r1-fold-00", "r1-fold-01"]
    assert predict_test(str(tmp_path / "runs" / "tiny"), config, silent_stages()) == PredictedRows(7, 7, 0)
    with (tmp_path / "runs" / "tiny" / "predictions.csv").open(encoding="utf-8-sig") as stream:
        predicted = list(csv.DictReader(stream))
    assert [row["id"] for row in predicted] == [row["id"] for row in unlabelled]
    assert list(predicted[0]) == ["id", "label", "proba_a", "proba_b", "proba_c"]


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror with small encoders in the archives of two names, and a cache of its own."""
    monkeypatch.setenv("RAYTRAIN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RAYTRAIN_MIRROR", str(tmp_path / "mirror"))
    (tmp_path / "mirror").mkdir()
    config = json.loads((write_encoder(tmp_path / "plain") / "albert_config.json").read_text())
    write_archive(tmp_path / "mirror" / "albert_tiny_zh_google", "zip", config, VOCAB)
    english = config | {"vocab_size": len(SentencePieceTokenizer(tiny_model()))}
    write_archive(tmp_path / "mirror" / "albert_base_v2", "gztar", english, tiny_model())
    return tmp_path / "mirror"


def test_a_frozen_encoder_of_the_zoo_is_stored_once(here, mirror, tmp_path):
    """Named, fetched and unpacked; the fold files hold the head alone."""
    options = {"encoder__checkpoint": "albert_tiny_zh", "encoder__pretrained": "true"}
    run(tiny_config(tmp_path, model__architecture="textcnn", train__epochs=1, **options))
    assert (tmp_path / "home" / "checkpoints" / "albert_tiny_zh").is_dir()
    ensemble = load_ensemble(str(tmp_path / "runs" / "tiny" / "ensemble"))
    assert ensemble.manifest.encoder.weights == "encoder/weights.safetensors"
    from safetensors.numpy import load

    head = load(ensemble.read("textcnn/r0-fold-00.safetensors"))
    assert head and not [name for name in head if name.startswith("encoder.")]


def test_an_english_encoder_trains_and_predicts(here, mirror, tmp_path):
    """ALBERT v2 and its SentencePiece model; the finished artifact needs neither archive nor cache."""
    rows = [{"id": str(i), "text": ENGLISH[i % 4], "label": "ab"[i % 2]} for i in range(24)]
    write_csv(tmp_path / "corpus.csv", rows)
    options = {"encoder__checkpoint": "albert_base_v2", "encoder__pretrained": "true", "train__epochs": 1}
    config = tiny_config(tmp_path, data__test=tmp_path / "corpus.csv", **options)
    console = silent_console()
    train_run(config, console)
    assert "Google's ALBERT" in console.file.getvalue()
    shutil.rmtree(tmp_path / "home")
    shutil.rmtree(mirror)
    assert predict_test(str(tmp_path / "runs" / "tiny"), config, silent_stages()).done == 24


@pytest.fixture(scope="module")
def frozen(local_ray, tmp_path_factory):
    """One head on a frozen encoder, thrice: into an empty cache, from it, and without one."""
    directory = tmp_path_factory.mktemp("frozen")
    probabilities, lines = {}, {}
    for name, max_gb in (("cold", 1), ("warm", 1), ("without", 0.000001)):
        config = tiny_config(
            directory,
            name=name,
            model__architecture="textcnn",
            model__train_encoder="false",
            cache__max_gb=max_gb,
        )
        console = silent_console()
        with contextlib.nullcontext() if name == "cold" else trained_here():
            train_run(config, console)
        probabilities[name] = read_oof(directory / "runs" / name)[1]
        lines[name] = console.file.getvalue()
    return directory, probabilities, lines


def test_a_frozen_encoder_runs_once_and_says_so(frozen):
    directory, _, lines = frozen
    assert "computed in" in lines["cold"] and "from the cache" in lines["warm"]
    assert "more than cache.max_gb" in lines["without"].replace("\n", " ")
    assert [path.suffix for path in (directory / "cache").iterdir()] == [".npy"]


def test_the_cache_changes_no_result_beyond_rounding(frozen):
    _, proba, _ = frozen
    np.testing.assert_array_equal(proba["warm"], proba["cold"])
    np.testing.assert_allclose(proba["cold"], proba["without"], atol=5e-3)


def test_a_node_without_the_file_copies_it(frozen, tmp_path, monkeypatch):
    [path] = (frozen[0] / "cache").iterdir()
    here = ray.get_runtime_context().get_node_id()
    monkeypatch.setenv("RAYTRAIN_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("raytrain.hidden_states.cache._COPY_BYTES", 1000)
    monkeypatch.setattr("pathlib.Path.exists", lambda self: False)  # another node's disk
    copied = HiddenStates(str(path), here).open()
    np.testing.assert_array_equal(copied, np.load(path))
    assert (tmp_path / "home" / "hidden_states" / path.name).is_file()


def write_archive(path, kind, config, vocab):
    """An untrained ALBERT as Google packs it: a folder of config, vocabulary and checkpoint."""
    from raytrain.network.encoders import build_transformer
    from raytrain.network.layers import DropoutSeed
    from raytrain.network.weights import save_encoder

    folder = path.parent / "unpacked" / path.name
    save_encoder(folder, build_transformer("albert", config, 7, DropoutSeed()), config, Vocab(vocab))
    shutil.make_archive(str(path), kind, folder.parent, folder.name)


def test_fold_too_large_for_the_cluster_is_refused(local_ray, tmp_path):
    with pytest.raises(ClusterError, match="a fold needs 64 CPU and 0 GPU; the cluster has"):
        run(tiny_config(tmp_path, cluster__cpus_per_fold=64))
    # so that the corrected command is not another config
    assert not (tmp_path / "runs" / "tiny" / "config.yaml").exists()


def test_gpu_fold_without_a_gpu_is_refused(local_ray, tmp_path):
    with pytest.raises(ClusterError, match="gpus_per_fold=0"):
        run(tiny_config(tmp_path, cluster__gpus_per_fold=1))
