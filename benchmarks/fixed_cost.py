"""What a fold costs beside its training: folds of a tiny corpus, by our job and by Ray's stock trainer."""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from corpora import write_corpus, write_encoder
from processes import Measured, kfold_command, run_measured, write_results
from rich.console import Console
from rich.table import Table

SETTINGS: dict[str, Any] = {"maxlen": 32, "batch_size": 16, "learning_rate": 1e-3, "seed": 42}
HERE = Path(__file__).parent


def our_command(options: argparse.Namespace, data: Path, encoder: Path, storage: Path) -> list[str]:
    return kfold_command(
        name="ours",
        storage=storage,
        seed=SETTINGS["seed"],
        baseline="false",
        data__path=data,
        folds__num_folds=options.num_folds,
        encoder__checkpoint=encoder,
        encoder__pretrained="false",
        encoder__maxlen=SETTINGS["maxlen"],
        model__architecture="finetune",
        train__epochs=options.epochs,
        train__batch_size=SETTINGS["batch_size"],
        train__learning_rate=SETTINGS["learning_rate"],
        train__encoder_learning_rate=SETTINGS["learning_rate"],
    )


def stock_command(options: argparse.Namespace, data: Path, encoder: Path, storage: Path) -> list[str]:
    values = {"data": data, "encoder": encoder, "storage": storage / "stock"}
    values |= {"num_folds": options.num_folds, "epochs": options.epochs} | SETTINGS
    command = [sys.executable, str(HERE / "stock_trainer.py")]
    for name, value in values.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    return command


def run_once(options: argparse.Namespace) -> dict[str, Measured]:
    """Runs both in fresh directories."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        data = directory / "corpus.csv"
        texts = write_corpus(data, options.data, "text", "label", options.rows, SETTINGS["seed"])
        encoder = write_encoder(directory / "encoder", "mini", texts)
        ours = run_measured(our_command(options, data, encoder, directory))
        stock = run_measured(stock_command(options, data, encoder, directory))
    for name, done in (("our job", ours), ("the stock trainer", stock)):
        if done.exit_code:
            sys.exit(f"{name} failed: {done.failure()}")
    folds = json.loads(stock.stdout.strip().split("\n")[-1])["folds"]
    print(f"ours {ours.seconds:.1f} s, stock {stock.seconds:.1f} s, {folds} folds", file=sys.stderr)
    return {"ours": ours, "stock": stock}


def sum_up(runs: list[dict[str, Measured]], num_folds: int) -> dict[str, Any]:
    """Median seconds and greatest memory of both, and how many times the stock trainer's seconds are ours."""
    figures: dict[str, Any] = {}
    for name in ("ours", "stock"):
        seconds = [run[name].seconds for run in runs]
        figures[name] = {
            "seconds": round(statistics.median(seconds), 1),
            "least_seconds": round(min(seconds), 1),
            "most_seconds": round(max(seconds), 1),
            "seconds_per_fold": round(statistics.median(seconds) / num_folds, 2),
            "peak_mb": round(max(run[name].peak_mb for run in runs)),
        }
    return figures | {"ratio": figures["stock"]["seconds"] / figures["ours"]["seconds"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", metavar="CSV", help="columns text and label")
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--num-folds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    figures = sum_up([run_once(options) for _ in range(options.repeats)], options.num_folds)
    settings = {name: value for name, value in vars(options).items() if name != "data"} | SETTINGS
    written = write_results("fixed-cost", {"settings": settings, "figures": figures})
    table = Table(title=f"{options.num_folds} folds of {options.rows} rows", box=None, title_justify="left")
    for name in ("", "seconds", "per fold", "peak MB"):
        table.add_column(name, justify="right" if name else "left")
    for name, title in (("ours", "jobs/kfold.py"), ("stock", "TensorflowTrainer per fold")):
        entry = figures[name]
        cells = (f"{entry['seconds']:.1f}", f"{entry['seconds_per_fold']:.2f}", f"{entry['peak_mb']:,}")
        table.add_row(title, *cells)
    told = f"ours is {figures['ratio']:.2f}× as fast\n{written}"
    Console().print(table, told, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
