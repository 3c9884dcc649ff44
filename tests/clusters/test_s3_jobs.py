"""Whole jobs whose run directory lies on an S3 server that is not always there."""

import contextlib
import os
import subprocess
from unittest import mock

import numpy as np
import pytest
from runs.test_jobs import ROOT, command
from s3_server import serve_s3
from tiny_run import make_rows, read_oof, tiny_overrides, write_csv
from waiting import wait_until

from raytrain.storage.directory import Directory

pytestmark = [pytest.mark.slow, pytest.mark.long]

# One fold after another, and epochs enough for something to happen between them.
OPTIONS = {"train__epochs": 4, "cluster__max_concurrent_folds": 1, "tracking__tensorboard": "false"}
FOLDS = ["folds/finetune/r0-fold-00", "folds/finetune/r0-fold-01"]
RESULTS = [f"{fold}/result/result.json" for fold in FOLDS]


@pytest.fixture(scope="module")
def server():
    with serve_s3() as server, mock.patch.dict(os.environ, server.environment(), clear=True):
        os.environ.pop("RAY_ADDRESS", None)
        server.make_bucket("bucket")
        yield server


@pytest.fixture(scope="module")
def expected(server, tmp_path_factory):
    """The out-of-fold probabilities of an undisturbed run on this machine's disk."""
    directory = tmp_path_factory.mktemp("calm")
    done = run("kfold.py", *tiny_overrides(directory, **OPTIONS))
    assert done.returncode == 0, done.stderr
    return read_oof(directory / "runs" / "tiny")


def run(job, *arguments):
    return subprocess.run(command(job, *arguments), capture_output=True, text=True, cwd=ROOT)


@contextlib.contextmanager
def started(overrides, **environment):
    """The training job, running."""
    job = subprocess.Popen(
        command("kfold.py", *overrides),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
        start_new_session=True,
    )
    try:
        yield job
    finally:
        job.kill()
        job.communicate()


def read_s3_oof(run_directory, tmp_path):
    copy = Directory(tmp_path / "copy")
    copy.write_bytes("ensemble/oof.parquet", run_directory.read_bytes("ensemble/oof.parquet"))
    return read_oof(tmp_path / "copy")


def assert_same_oof(run_directory, expected, tmp_path):
    ids, proba = read_s3_oof(run_directory, tmp_path)
    assert ids == expected[0]
    np.testing.assert_allclose(proba, expected[1], atol=1e-6)


def test_an_outage_while_a_fold_trains_changes_nothing(server, expected, tmp_path):
    overrides = tiny_overrides(tmp_path, storage="s3://bucket/outage", **OPTIONS)
    run_directory = server.open("s3://bucket/outage/tiny", is_direct=True)
    with started(overrides) as job:
        wait_until(lambda: run_directory.exists(f"{FOLDS[0]}/log.jsonl"))
        with server.proxy.outage(refusals=9):  # some four attempts
            wait_until(lambda: server.proxy.is_on or job.poll() is not None)
        said, complaints = job.communicate()
    assert job.returncode == 0, said + complaints
    assert_same_oof(run_directory, expected, tmp_path)


def test_a_storage_that_goes_ends_the_run_and_it_goes_on_and_predicts_later(server, expected, tmp_path):
    overrides = tiny_overrides(tmp_path, storage="s3://bucket/gone", **OPTIONS)
    run_directory = server.open("s3://bucket/gone/tiny", is_direct=True)
    with started(overrides, RAYTRAIN_STORAGE_PATIENCE="3") as job:
        wait_until(lambda: run_directory.exists(RESULTS[0]))
        server.proxy.switch_off()
        said, complaints = job.communicate()
    server.proxy.switch_on()
    assert job.returncode == 1, said + complaints
    assert "run the same command again" in complaints and "Traceback" not in complaints
    assert run_directory.exists(RESULTS[0]) and not run_directory.exists("ensemble/manifest.json")

    done = run("kfold.py", *overrides)
    assert done.returncode == 0, done.stderr
    assert "kept" in done.stdout
    assert_same_oof(run_directory, expected, tmp_path)

    output = tmp_path / "predictions.csv"
    ensemble = ("--ensemble", "s3://bucket/gone/tiny/ensemble")
    predicted = run("predict.py", *ensemble, "--input", str(tmp_path / "corpus.csv"), "--output", str(output))
    assert predicted.returncode == 0, predicted.stderr
    assert len(output.read_text(encoding="utf-8").splitlines()) == 1 + 48

    posts = server.open("s3://bucket/posts", is_direct=True)
    posts.write_bytes("all.csv", (tmp_path / "corpus.csv").read_bytes())
    many = ("--cluster", "--input", "s3://bucket/posts", "--output", "s3://bucket/many", "--format", "csv")
    with server.proxy.outage(refusals=3):
        predicted = run("predict.py", *ensemble, *many)
    assert predicted.returncode == 0, predicted.stderr
    assert "s3://bucket/many: 48 rows of 1 file" in predicted.stdout
    written = server.open("s3://bucket/many", is_direct=True).read_bytes("all.csv")
    assert written == output.read_bytes()


def test_predicting_from_a_storage_that_is_gone_is_one_clear_message(server, tmp_path):
    write_csv(tmp_path / "corpus.csv", make_rows(2))
    ensemble = ("--ensemble", "s3://bucket/nowhere/tiny/ensemble")
    corpus, output = str(tmp_path / "corpus.csv"), str(tmp_path / "predictions.csv")
    server.proxy.switch_off()
    try:
        with mock.patch.dict(os.environ, RAYTRAIN_STORAGE_PATIENCE="1"):
            done = run("predict.py", *ensemble, "--input", corpus, "--output", output)
    finally:
        server.proxy.switch_on()
    assert done.returncode == 1
    assert "error: s3://bucket/nowhere/tiny/ensemble" in done.stderr and "Traceback" not in done.stderr
