"""What the fold-after-fold peers share: arguments, rows, folds, timing and the JSON line at the end."""

import argparse
import csv
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import psutil

from raytrain.splits.assign import assign_folds

NOT_INSTALLED = 3  # exit code of a peer whose packages are missing

# Imports are part of what a peer costs, so the clock starts with the process.
STARTED = psutil.Process().create_time()


def peer_parser(description: str | None, architectures: list[str]) -> argparse.ArgumentParser:
    """The arguments that every peer takes."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--data", required=True, metavar="CSV")
    parser.add_argument("--text", default="text", help="the text column")
    parser.add_argument("--label", default="label", help="the label column, of two classes")
    parser.add_argument("--encoder", required=True, metavar="DIR", help="*config*.json and vocab.txt")
    parser.add_argument("--architecture", default="finetune", choices=architectures)
    parser.add_argument("--num-folds", type=int, default=10)
    parser.add_argument("--folds", type=int, help="run only the first of them")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--maxlen", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--rows", type=int, help="take the first of the rows, after a seeded shuffle")
    return parser


def take_rows(rows: list[dict[str, str]], count: int | None, seed: int) -> list[dict[str, str]]:
    """The first `count` rows after a shuffle; None takes all, in the file's order."""
    return rows if count is None else Random(seed).sample(rows, min(count, len(rows)))


def read_texts(options: argparse.Namespace) -> tuple[list[str], np.ndarray]:
    """Returns the texts and their label indices, labels in sorted order."""
    with Path(options.data).open(encoding="utf-8-sig", newline="") as stream:
        rows = take_rows(list(csv.DictReader(stream)), options.rows, options.seed)
    names = sorted({row[options.label] for row in rows})
    if len(names) != 2:
        sys.exit(f"{options.data}: expected two classes in {options.label}, found {len(names)}")
    return [row[options.text] for row in rows], np.array([names.index(row[options.label]) for row in rows])


def encoder_config(directory: str) -> Path:
    """The one *config*.json of an encoder directory."""
    found = sorted(Path(directory).glob("*config*.json"))
    if len(found) != 1:
        sys.exit(f"{directory}: expected one *config*.json, found {len(found)}")
    return found[0]


@dataclass(frozen=True)
class Fold:
    """One fold's number, its row indices and the seed of all that is drawn in it."""

    number: int
    train_rows: np.ndarray
    valid_rows: np.ndarray
    seed: int


def run_folds(
    peer: str, options: argparse.Namespace, labels: np.ndarray, train: Callable[[Fold], np.ndarray]
) -> None:
    """Trains fold after fold and prints what it took as one JSON line.

    Args:
        peer: The name to report.
        options: Of `peer_parser`.
        labels: (num_rows,) label indices.
        train: Trains a fold and returns the last epoch's probability of label 1, (len(valid_rows),).
    """
    assigned = assign_folds(labels, options.num_folds, 1, options.seed)[0]
    num_run = min(options.folds or options.num_folds, options.num_folds)
    proba = np.full(len(labels), np.nan)
    setup_seconds = time.time() - STARTED
    fold_seconds, train_examples = [], 0
    for number in range(num_run):
        started = time.monotonic()
        train_rows, valid_rows = np.flatnonzero(assigned != number), np.flatnonzero(assigned == number)
        proba[valid_rows] = train(Fold(number, train_rows, valid_rows, options.seed + number))
        fold_seconds.append(time.monotonic() - started)
        train_examples += len(train_rows) * options.epochs
        say(f"fold {number + 1}/{num_run}: {fold_seconds[-1]:.1f} s")
    predicted = ~np.isnan(proba)
    figures = {
        "peer": peer,
        "architecture": options.architecture,
        "rows": len(labels),
        "num_folds": options.num_folds,
        "folds_run": num_run,
        "epochs": options.epochs,
        "setup_seconds": round(setup_seconds, 2),
        "fold_seconds": [round(seconds, 2) for seconds in fold_seconds],
        "train_examples": train_examples,
        "predicted_rows": int(predicted.sum()),
        "oof_accuracy": float(((proba > 0.5) == labels)[predicted].mean()),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    print(json.dumps(figures))


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
