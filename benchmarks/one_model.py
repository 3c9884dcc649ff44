"""One model out of many: the ensemble, one of its folds, the refit and the student on rows held out from all.

A labelled file is split by a seed, by its labels; all are trained on one part and scored on the other.

python benchmarks/one_model.py --data train.csv model.architecture=textcnn folds.num_folds=5
"""

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from raytrain.config.load import load_config
from raytrain.corpus.corpus import Corpus
from raytrain.corpus.labelled import read_corpus
from raytrain.crossval.driver import train_run
from raytrain.ensemble.artifact import Ensemble, load_ensemble
from raytrain.ensemble.load import build_predictor
from raytrain.refit.distill import distill_run
from raytrain.refit.driver import refit_run
from raytrain.scores.classes import score_proba

SHOWN = {"accuracy": "accuracy", "auc": "AUC", "log_loss": "log loss"}
Measured = dict[str, float]


def split_rows(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """(num_rows,) bool: which rows are held out; of each label the same share, rounded."""
    held, rng = np.zeros(len(labels), bool), np.random.default_rng(seed)
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        held[own[: round(share * len(own))]] = True
    return held


def write_part(path: Path, corpus: Corpus, rows: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Writes some rows as CSV. Returns their texts, and the index of each one's label."""
    part = corpus.table.filter(rows)
    texts, labels = part["text"].to_pylist(), part["label"].to_numpy()
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows((text, corpus.labels[label]) for text, label in zip(texts, labels, strict=True))
    return texts, labels


def measure(ensemble: Ensemble, texts: Sequence[str], labels: np.ndarray) -> Measured:
    """Scores, megabytes and texts a second, the second time that it predicts."""
    predictor: Any = build_predictor(ensemble, None)
    predictor.predict_proba(texts)
    started = time.perf_counter()
    proba = predictor.predict_proba(texts)
    seconds = time.perf_counter() - started
    sizes = {entry.name: entry.bytes for entry in ensemble.manifest.files if entry.name != "oof.parquet"}
    alone = {fold.file for entry in ensemble.manifest.architectures.values() for fold in entry.folds}
    used = sum(size for name, size in sizes.items() if "/r" not in name or name in alone)
    return {**score_proba(labels, proba), "mb": used / 1e6, "texts_per_second": len(texts) / seconds}


def folds_alone(ensemble: Ensemble) -> Iterator[Ensemble]:
    """The first architecture's folds, each as an ensemble of its own."""
    architecture, entry = next(iter(ensemble.manifest.architectures.items()))
    for fold in entry.folds:
        own = {architecture: entry.model_copy(update={"folds": [fold]})}
        yield Ensemble(ensemble.directory, ensemble.manifest.model_copy(update={"architectures": own}))


def train_all(directory: Path, options: argparse.Namespace) -> Path:
    """Trains the run, the refit and the student. Returns the run's directory."""
    own = [f"data.path={directory}/train.csv", f"storage={directory}", "name=run", "baseline=false"]
    console, student = Console(), ["distill." + text for text in options.student]
    train_run(load_config(None, [*options.overrides, *own]), console)
    run = f"{directory}/run"
    refit_run(run, None, [], console)
    distill_run(run, options.texts, None, None, student, console)
    return Path(run)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a file of labelled texts")
    parser.add_argument("--text", default="text")
    parser.add_argument("--label", default="label")
    parser.add_argument("--texts", help="texts without labels for the student")
    parser.add_argument("--held-out", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--student", nargs="*", default=[], help="temperature=… hard=…")
    parser.add_argument("--directory", type=Path, help="where all is kept; default: nowhere")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value", help="of the run")
    options = parser.parse_intermixed_args()
    corpus = read_corpus(options.data, [options.text], options.label, drop=["empty_text", "missing_label"])
    held = split_rows(corpus.table["label"].to_numpy(), options.held_out, options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        directory = options.directory or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        write_part(directory / "train.csv", corpus, ~held)
        texts, labels = write_part(directory / "held_out.csv", corpus, held)
        run = train_all(directory, options)
        ensemble = load_ensemble(str(run / "ensemble"))
        alone = [measure(fold, texts, labels) for fold in folds_alone(ensemble)]
        rows = {
            "ensemble": measure(ensemble, texts, labels),
            "one fold (mean)": {name: float(np.mean([one[name] for one in alone])) for name in alone[0]},
            "refit": measure(load_ensemble(str(run / "refit")), texts, labels),
            "student": measure(load_ensemble(str(run / "distilled")), texts, labels),
        }
    table = Table(title=f"{len(texts):,} rows held out, {int((~held).sum()):,} learned", box=None)
    for title in ("model", *SHOWN.values(), "MB", "texts/s"):
        table.add_column(title, justify="left" if title == "model" else "right")
    for name, row in rows.items():
        scores = [f"{row[metric]:.4f}" for metric in SHOWN]
        table.add_row(name, *scores, f"{row['mb']:.1f}", f"{row['texts_per_second']:.0f}")
    Console().print(table)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
