"""Texts in, the ensemble's probabilities out: raytrain's Predictor against Keras predict, fold after fold.

python benchmarks/prediction.py --ensemble runs/mine/ensemble --texts 1000
"""

import argparse
import csv
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from corpora import write_corpus, write_encoder
from plain_prediction import PlainPredictor
from processes import kfold_command, run_measured, write_results
from rich.console import Console
from rich.table import Table

from raytrain.devices import predict_side_by_side, set_precision
from raytrain.ensemble.artifact import load_ensemble
from raytrain.ensemble.load import build_predictor

BATCH_SIZE = 64

Timed = tuple[Any, float, list[float]]  # result, the first call's seconds, the others'


def train_ensemble(architecture: str, directory: Path, options: argparse.Namespace) -> Path:
    """Trains a small ensemble of one architecture; returns its directory."""
    data = directory / "train.csv"
    texts = write_corpus(data, options.data, "text", "label", options.train_rows, seed=1)
    encoder = write_encoder(directory / "encoder", options.shape, texts)
    command = kfold_command(
        name=architecture,
        storage=directory,
        baseline="false",
        data__path=data,
        folds__num_folds=options.num_folds,
        encoder__checkpoint=encoder,
        encoder__pretrained="false",
        encoder__maxlen=options.maxlen,
        model__architecture=architecture,
        model__train_encoder="true" if architecture == "finetune" else "false",
        train__epochs=1,
    )
    done = run_measured(command)
    if done.exit_code:
        sys.exit(f"no {architecture} ensemble: {done.failure()}")
    return directory / architecture / "ensemble"


def time_calls(call: Callable[[], Any], repeats: int) -> Timed:
    """Returns the result, the first call's seconds (it traces) and those of the repeats after it."""
    seconds = []
    for _ in range(repeats + 1):
        started = time.monotonic()
        result = call()
        seconds.append(time.monotonic() - started)
    return result, seconds[0], seconds[1:]


def time_ours(ensemble_directory: Path, texts: list[str], repeats: int) -> Timed:
    predict_side_by_side()  # as jobs/predict.py does
    predictor: Any = build_predictor(load_ensemble(str(ensemble_directory)), BATCH_SIZE)
    return time_calls(lambda: predictor.predict_proba(texts), repeats)


def time_keras(ensemble_directory: Path, texts: list[str], repeats: int) -> Timed:
    set_precision("float32")
    predictor = PlainPredictor(load_ensemble(str(ensemble_directory)), BATCH_SIZE)
    return time_calls(lambda: predictor.predict_proba(texts), repeats)


def compare(ensemble_directory: Path, texts: list[str], repeats: int) -> dict[str, Any]:
    """Times both ways on the same texts, each in a process of its own, weights already in memory."""
    manifest = load_ensemble(str(ensemble_directory)).manifest
    figures: dict[str, Any] = {
        "architectures": list(manifest.architectures),
        "fold_models": sum(len(entry.folds) for entry in manifest.architectures.values()),
        "texts": len(texts),
    }
    proba = {}
    for name, way in (("raytrain", time_ours), ("keras", time_keras)):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            proba[name], first, seconds = process.submit(way, ensemble_directory, texts, repeats).result()
        figures[name] = {
            "first_seconds": round(first, 3),
            "seconds": round(statistics.median(seconds), 3),
            "least_seconds": round(min(seconds), 3),
            "most_seconds": round(max(seconds), 3),
            "texts_per_second": round(len(texts) / statistics.median(seconds), 1),
        }
    figures["ratio"] = figures["keras"]["seconds"] / figures["raytrain"]["seconds"]
    figures["greatest_difference"] = float(abs(proba["raytrain"] - proba["keras"]).max())
    return figures


def prediction_table(figures: list[dict[str, Any]]) -> Table:
    table = Table(title="prediction with all folds, texts to probabilities", title_justify="left", box=None)
    table.add_column("ensemble", no_wrap=True)
    for name in ("texts", "raytrain s", "keras s", "raytrain is", "texts/s", "greatest difference"):
        table.add_column(name, justify="right")
    for entry in figures:
        table.add_row(
            f"{' + '.join(entry['architectures'])}, {entry['fold_models']} models",
            f"{entry['texts']:,}",
            f"{entry['raytrain']['seconds']:.2f}",
            f"{entry['keras']['seconds']:.2f}",
            f"{entry['ratio']:.2f}× as fast",
            f"{entry['raytrain']['texts_per_second']:.1f}",
            f"{entry['greatest_difference']:.1e}",
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--ensemble", metavar="DIR", nargs="*", help="without it small ones are trained")
    parser.add_argument("--architectures", nargs="+", default=["finetune", "textcnn", "rnn_cnn"])
    parser.add_argument(
        "--shape", default="tiny", choices=["mini", "tiny", "base"], help="of what is trained"
    )
    parser.add_argument("--train-rows", type=int, default=200)
    parser.add_argument("--num-folds", type=int, default=5)
    parser.add_argument("--maxlen", type=int, default=128)
    parser.add_argument("--data", metavar="CSV", help="columns text and label")
    parser.add_argument("--texts", type=int, default=500, help="how many to predict")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        source = directory / "texts.csv"
        write_corpus(source, options.data, "text", "label", options.texts, seed=2)
        with source.open(encoding="utf-8", newline="") as stream:
            texts = [row["text"] for row in csv.DictReader(stream)]
        figures = []
        for number in range(len(options.ensemble or options.architectures)):
            if options.ensemble:
                ensemble = Path(options.ensemble[number])
            else:
                ensemble = train_ensemble(options.architectures[number], directory, options)
            figures.append(compare(ensemble, texts, options.repeats))
            print(f"{figures[-1]['architectures']}: {figures[-1]['ratio']:.2f}", file=sys.stderr)
    written = write_results("prediction", {"batch_size": BATCH_SIZE, "figures": figures})
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(prediction_table(figures), f"{written}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
