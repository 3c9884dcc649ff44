"""The jobs as a user runs them: commands, exit codes, what is printed, what is left after Ctrl-C."""

import csv
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from folds_here import trained_here
from tiny_run import (
    make_rows,
    read_oof,
    silent_console,
    tiny_config,
    tiny_overrides,
    write_csv,
    write_encoder,
)
from waiting import wait_until

from raytrain.crossval.driver import train_run

ROOT = Path(__file__).parents[2]


def command(job: str, *arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "jobs" / job), *arguments]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}


def run_job(job: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(job, *arguments), capture_output=True, text=True, cwd=ROOT, env=environment()
    )


@pytest.mark.parametrize(
    "job", ["kfold.py", "predict.py", "checkpoints.py", "sweep.py", "keywords.py", "report.py"]
)
def test_help_exits_0(job):
    done = run_job(job, "--help")
    assert done.returncode == 0 and "usage: python jobs/" in done.stdout


def test_an_input_error_exits_2_with_one_message():
    done = run_job("kfold.py", "data.path=nowhere.csv")
    assert done.returncode == 2
    assert "nowhere.csv" in done.stderr and "Traceback" not in done.stderr


def test_keywords_go_from_texts_to_a_file_to_mark(tmp_path):
    texts, output = write_csv(tmp_path / "texts.csv", make_rows(60)), tmp_path / "candidates.csv"
    done = run_job("keywords.py", "--input", str(texts), "--output", str(output), "--min-count", "1")
    assert done.returncode == 0, done.stderr
    assert "60 texts, labels: a, b" in done.stdout and "words.keywords=" in done.stdout
    header = output.read_text(encoding="utf-8-sig").splitlines()[0]
    assert header == "word,count,texts,count_a,count_b,association,tells,keep,class"
    assert (tmp_path / "candidates.png").exists() or "no font with Chinese characters" in done.stdout


def test_checkpoints_are_listed_fetched_and_shown(tmp_path, monkeypatch):
    folder = write_encoder(tmp_path / "unpacked" / "albert_tiny")
    shutil.make_archive(str(tmp_path / "albert_tiny_zh_google"), "zip", folder.parent)
    monkeypatch.setenv("RAYTRAIN_HOME", str(tmp_path / "home"))
    shown = run_job("checkpoints.py", "show", "albert_tiny_zh")
    assert shown.returncode == 2 and "fetch albert_tiny_zh" in shown.stderr
    fetched = run_job("checkpoints.py", "fetch", "albert_tiny_zh", "--mirror", str(tmp_path))
    assert fetched.returncode == 0, fetched.stderr
    assert str(tmp_path / "home" / "checkpoints" / "albert_tiny_zh") in fetched.stdout
    listed = run_job("checkpoints.py", "list")
    here = [line.split()[0] for line in listed.stdout.splitlines() if line.split()[-1] == "yes"]
    assert listed.returncode == 0 and here == ["albert_tiny_zh"]
    shown = run_job("checkpoints.py", "show", "albert_tiny_zh")
    assert shown.returncode == 0 and "WordPiece, 37 tokens" in shown.stdout


@pytest.mark.slow
@pytest.mark.long
def test_interrupted_and_killed_run_goes_on_to_the_same_result(local_ray, tmp_path):
    """Ctrl-C after a fold, SIGKILL after one more, to the end without TensorFlow; beside it a calm run."""
    texts = write_csv(tmp_path / "test.csv", make_rows(5, seed=1))
    options = {"folds__num_folds": 6, "cluster__max_concurrent_folds": 1, "data__test": texts}
    hurt = tiny_overrides(tmp_path, name="hurt", **options)
    run_directory = tmp_path / "runs" / "hurt"

    interrupted = start_until_committed(hurt, run_directory)
    interrupted.send_signal(signal.SIGINT)
    _, said = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130
    assert "run the same command again" in said and "Traceback" not in said

    killed = start_until_committed(hurt, run_directory)
    workers = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    killed.communicate(timeout=60)
    assert not (run_directory / "ensemble" / "manifest.json").exists()
    wait_until(lambda: not [worker for worker in workers if worker.is_running() and is_fold(worker)])

    done = run_without_tensorflow("kfold.py", *hurt)
    assert done.returncode == 0, done.stderr
    assert "kept" in done.stdout
    assert f"report: {run_directory}/report.html" in done.stdout

    with trained_here():
        train_run(tiny_config(tmp_path, name="calm", **options), silent_console())
    expected = read_oof(tmp_path / "runs" / "calm")
    found = read_oof(run_directory)
    assert found[0] == expected[0]
    np.testing.assert_allclose(found[1], expected[1], atol=1e-6)

    output = tmp_path / "predictions.csv"
    predicted = run_job(
        "predict.py",
        *("--ensemble", str(run_directory / "ensemble")),
        *("--input", str(tmp_path / "corpus.csv"), "--output", str(output)),
    )
    assert predicted.returncode == 0, predicted.stderr
    with output.open(encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == [f"row-{number}" for number in range(48)]


def run_without_tensorflow(job: str, *arguments: str) -> subprocess.CompletedProcess:
    """Runs the job in a process that fails at its end if it has imported TensorFlow."""
    code = (
        "import runpy, sys\n"
        f"sys.argv = {[job, *arguments]!r}\n"
        "try:\n"
        f"    runpy.run_path({str(ROOT / 'jobs' / job)!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0, end.code\n"
        "assert 'ray' in sys.modules and 'tensorflow' not in sys.modules\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment()
    )


def start_until_committed(overrides: list[str], run_directory: Path) -> subprocess.Popen:
    """Starts the job in a session of its own and waits until it has committed a fold."""

    def count_committed() -> int:
        return len(list(run_directory.glob("folds/*/*/result/result.json")))

    before = count_committed()
    job = subprocess.Popen(
        command("kfold.py", *overrides),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
        start_new_session=True,
        preexec_fn=_heed_interrupts,
    )
    wait_until(lambda: count_committed() > before)
    return job


def _heed_interrupts() -> None:
    """A shell's background jobs ignore SIGINT, and so would the job that such a test run starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def is_fold(process: psutil.Process) -> bool:
    try:
        return "RayTrainWorker" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
@pytest.mark.long
def test_a_sweep_and_then_its_best_config_in_full(tmp_path):
    texts = write_csv(tmp_path / "test.csv", make_rows(5, seed=1))
    overrides = tiny_overrides(
        tmp_path, name="search", train__epochs=1, model__architecture="textcnn", data__test=texts
    )
    space = "sweep.space={train.batch_size: [4, 8]}"
    options = ["sweep.num_trials=2", "sweep.num_folds=2", "sweep.then=kfold", space]
    done = run_job("sweep.py", *overrides, *options)
    assert done.returncode == 0, done.stderr
    assert "Configuration for experiment" not in done.stdout  # Tune's own
    assert f"ensemble: {tmp_path}/runs/search-trial-000" in done.stdout
    [predicted] = (tmp_path / "runs").glob("search-trial-*/predictions.csv")
    assert len(predicted.read_text(encoding="utf-8-sig").splitlines()) == 6
    assert predicted.with_name("report.html").exists()
    again = run_job("kfold.py", "--config", str(tmp_path / "runs" / "search" / "best.yaml"))
    assert again.returncode == 0 and "is finished" in again.stdout
