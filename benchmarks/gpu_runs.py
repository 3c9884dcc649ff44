"""Whole runs of raytrain on a card, for gpu.py: folds by their share of it, prediction, a killed worker."""

import argparse
import csv
import json
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
from corpora import write_corpus, write_encoder
from processes import ROOT, Measured, kfold_command, run_measured

Row = dict[str, Any]
WORKER = "RayTrainWorker"  # what Ray calls a process that trains


def prepare(options: argparse.Namespace) -> dict[str, Any]:
    """Writes corpus and encoder once; returns the overrides that all runs share."""
    data, encoder = options.directory / "texts.csv", options.directory / "encoder"
    on_card = options.device == "gpu"
    if not data.exists():
        texts = write_corpus(data, options.data, "text", "label", None if on_card else 48, seed=1)
        if options.encoder is None:
            write_encoder(encoder, "small" if on_card else "mini", texts)
    return {
        "storage": options.directory,
        "baseline": "false",
        "data__path": data,
        "folds__num_folds": 10 if on_card else 2,
        "encoder__checkpoint": options.encoder or encoder,
        "encoder__pretrained": "true" if options.encoder else "false",
        "encoder__maxlen": 128 if on_card else 16,
        "cache__directory": options.directory / "cache",
        "train__epochs": 1,
    } | ({} if on_card else {"cluster__gpus_per_fold": 0, "train__precision": "bfloat16"})


def fold_figures(run: Path, architecture: str) -> Row:
    """Seconds of the folds before and from their first step, and the greatest memory they took of a card."""
    before, training, peaks = [], [], []
    for log in sorted((run / "folds" / architecture).glob("*/log.jsonl")):
        events: dict[str, Row] = {}
        for line in log.read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            events.setdefault(event["event"], event)
        times = {name: datetime.fromisoformat(event["time"]).timestamp() for name, event in events.items()}
        if {"training", "committed"} <= times.keys():
            whole = events["committed"]["seconds"]
            training.append(times["committed"] - times["training"])
            before.append(whole - training[-1])
        if "memory" in events:
            peaks.append(events["memory"]["peak_bytes"] / 2**20)
    median = {"seconds_before": before, "seconds_from_first_step": training}
    figures = {name: statistics.median(values) for name, values in median.items() if values}
    return figures | ({"peak_mb": max(peaks)} if peaks else {})


def finished(what: Row, done: Measured, figures: Row) -> Row:
    return {
        **what,
        "seconds": done.seconds,
        **figures,
        **({"trouble": done.failure()} if done.exit_code else {}),
    }


def run_folds(options: argparse.Namespace) -> Iterator[Row]:
    """A run by the share of the card that a fold takes; folds that share it train at once."""
    shares = ("auto", 0.25, 1, 0.1, 0.5) if options.device == "gpu" else (0,)
    shared = prepare(options)
    for share in shares:
        for architecture in ("finetune", "textcnn"):
            name = f"{architecture}-{share}"
            own = {"name": name, "model__architecture": architecture, "cluster__gpus_per_fold": share}
            done = run_measured(kfold_command(**(shared | own)), limit=options.limit)
            figures = fold_figures(options.directory / name, architecture)
            plan = [line for line in done.stdout.splitlines() if "at once" in line or "waves" in line]
            yield finished({"what": name}, done, {**figures, "plan": plan[:1]})


def run_transformers(options: argparse.Namespace) -> Iterator[Row]:
    """The same folds by transformers, one after another on the whole card; some, and what all would take."""
    shared = prepare(options)
    command = [sys.executable, str(ROOT / "benchmarks" / "transformers_loop.py"), "--precision", "bfloat16"]
    command += ["--data", str(shared["data__path"]), "--encoder", str(shared["encoder__checkpoint"])]
    command += ["--num-folds", str(shared["folds__num_folds"]), "--folds", "3", "--epochs", "1"]
    command += ["--maxlen", str(shared["encoder__maxlen"])]
    done = run_measured(command, limit=options.limit)
    if done.exit_code:
        yield finished({"what": "transformers"}, done, {})
        return
    told = done.last_json()
    left = told["num_folds"] - told["folds_run"]
    whole = told["setup_seconds"] + sum(told["fold_seconds"]) + left * statistics.median(told["fold_seconds"])
    yield finished({"what": "transformers"}, done, {"all_folds_seconds": whole, **told})


def predict_texts(options: argparse.Namespace) -> Iterator[Row]:
    """Prediction by the folds of the runs that there are."""
    num_texts = 100_000 if options.device == "gpu" else 100
    with (options.directory / "texts.csv").open(encoding="utf-8", newline="") as stream:
        texts = [row["text"] for row in csv.DictReader(stream)]
    many = options.directory / "many.jsonl"
    lines = (json.dumps({"text": texts[i % len(texts)]}, ensure_ascii=False) for i in range(num_texts))
    many.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for run in sorted(path.parent.parent for path in options.directory.glob("*/ensemble/manifest.json")):
        if not run.name.endswith(("-auto", "-0")):
            continue
        command = [sys.executable, "jobs/predict.py", "--ensemble", str(run / "ensemble")]
        command += ["--input", str(many), "--output", str(options.directory / "predicted.parquet")]
        done = run_measured([*command, "--batch-size", "256"], limit=options.limit)
        yield finished({"what": run.name}, done, {"texts_per_second": num_texts / done.seconds})


def kill_worker(options: argparse.Namespace) -> Iterator[Row]:
    """A fold's process killed in its second epoch: the result is that of a calm run, up to rounding."""
    shared = prepare(options)
    shared |= {"folds__num_folds": 2, "train__epochs": 3, "model__architecture": "finetune"}
    shared |= {"cluster__max_failures": 2, "cluster__max_concurrent_folds": 1}
    calm = run_measured(kfold_command(**shared, name="calm"), limit=options.limit)
    yield finished({"what": "calm"}, calm, {})
    command = kfold_command(**shared, name="killed")
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    started, killed = time.monotonic(), False
    while process.poll() is None and time.monotonic() - started < options.limit:
        log = options.directory / "killed" / "folds" / "finetune" / "r0-fold-00" / "log.jsonl"
        if not killed and log.exists() and '"event": "epoch"' in log.read_text(encoding="utf-8"):
            killed = _kill_one(process.pid)
        time.sleep(0.2)
    process.terminate()
    process.wait()
    one, other = (_read_oof(options.directory / name) for name in ("calm", "killed"))
    difference = float(np.abs(one - other).max()) if one is not None and other is not None else None
    yield {
        "what": "killed",
        "killed": killed,
        "seconds": time.monotonic() - started,
        "difference": difference,
    }


def _kill_one(pid: int) -> bool:
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if any(WORKER in part for part in process.cmdline()):
                process.send_signal(signal.SIGKILL)
                return True
        except psutil.Error:
            continue
    return False


def _read_oof(run: Path) -> np.ndarray | None:
    file = run / "ensemble" / "oof.parquet"
    if not file.exists():
        return None
    table = pq.read_table(file)
    return np.stack([table[name].to_numpy() for name in table.column_names if name.startswith("proba_")])


def share_fold(options: argparse.Namespace) -> Iterator[Row]:
    """Two workers a fold, each on half of the card."""
    shared = prepare(options)
    shared |= {"folds__num_folds": 2, "model__architecture": "finetune", "name": "two"}
    shared |= {"cluster__workers_per_fold": 2, "cluster__cpus_per_fold": 1}
    if options.device == "gpu":
        shared["cluster__gpus_per_fold"] = 0.5
    done = run_measured(kfold_command(**shared), limit=options.limit)
    yield finished({"what": "two workers a fold"}, done, fold_figures(options.directory / "two", "finetune"))


RUN_PARTS = {
    "folds": run_folds,
    "transformers": run_transformers,
    "prediction": predict_texts,
    "kill": kill_worker,
    "workers": share_fold,
}
