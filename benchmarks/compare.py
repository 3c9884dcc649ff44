"""Compares a whole cross-validation by raytrain with the fold loops people write, peer after peer.

python benchmarks/compare.py --architecture textcnn --rows 1000 --num-folds 10 --loop-folds 2
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from corpora import TINY_ENCODER, write_corpus, write_encoder
from fold_loop import NOT_INSTALLED
from processes import Measured, has_config_key, kfold_command, run_measured, write_results
from rich.console import Console
from rich.table import Table

ARCHITECTURES = ("finetune", "textcnn", "rnn_cnn")
PEERS = ("loop", "transformers float32", "transformers bfloat16", "raytrain")
HERE = Path(__file__).parent


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--architecture", default="finetune", choices=ARCHITECTURES)
    parser.add_argument("--shape", default="tiny", choices=["tiny", "base"], help="of the encoder")
    parser.add_argument("--data", metavar="CSV", help="two classes; without it the bundled or invented posts")
    parser.add_argument("--text", default="text", help="the text column")
    parser.add_argument("--label", default="label", help="the label column")
    parser.add_argument("--rows", type=int, help="a subset, the same for all peers")
    parser.add_argument("--num-folds", type=int, default=10)
    parser.add_argument("--loop-folds", type=int, help="folds that the loops run; the rest is extrapolated")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--maxlen", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, help="without it 1e-4 for finetune, else 1e-3")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--repeats", type=int, default=1, help="all peers in turn, then all again")
    parser.add_argument("--peers", nargs="+", default=PEERS, choices=PEERS)
    parser.add_argument("--storage", metavar="DIR", help="keeps raytrain's runs there")
    options = parser.parse_args(arguments)
    if options.learning_rate is None:
        options.learning_rate = 1e-4 if options.architecture == "finetune" else 1e-3
    if options.architecture != "finetune":
        options.peers = [peer for peer in options.peers if not peer.startswith("transformers")]
    return options


# ── running the peers ──────────────────────────────────────────────────────────────────────────────


def loop_command(peer: str, options: argparse.Namespace, data: Path, encoder: Path) -> list[str]:
    script = "loop.py" if peer == "loop" else "transformers_loop.py"
    command = [sys.executable, str(HERE / script), "--data", str(data), "--encoder", str(encoder)]
    for name in ("architecture", "num_folds", "epochs", "maxlen", "batch_size", "learning_rate", "seed"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    if options.loop_folds:
        command += ["--folds", str(options.loop_folds)]
    return command if peer == "loop" else [*command, "--precision", peer.split()[1]]


def raytrain_command(options: argparse.Namespace, data: Path, encoder: Path, run: Path) -> list[str]:
    """Our job on the same rows, folds, epochs and rates, starting with nothing cached."""
    command = kfold_command(
        name=run.name,
        storage=run.parent,
        seed=options.seed,
        baseline="false",
        data__path=data,
        folds__num_folds=options.num_folds,
        encoder__checkpoint=encoder,
        encoder__pretrained="false",
        encoder__maxlen=options.maxlen,
        model__architecture=options.architecture,
        train__epochs=options.epochs,
        train__batch_size=options.batch_size,
        train__learning_rate=options.learning_rate,
        train__encoder_learning_rate=options.learning_rate,
        train__schedule="constant",  # as the loops train, for comparable accuracies
        train__warmup=0,
        train__clip_norm="null",
    )
    if options.architecture != "finetune":
        command.append("model.train_encoder=false")
    if has_config_key("cache.directory"):
        command.append(f"cache.directory={tempfile.mkdtemp(dir=data.parent)}")
    return command


def run_peer(peer: str, options: argparse.Namespace, data: Path, encoder: Path, run: Path) -> dict[str, Any]:
    """Runs a peer once, raytrain into the directory `run`. Returns its figures, or {peer, error}."""
    if peer != "raytrain":
        done = run_measured(loop_command(peer, options, data, encoder))
        if done.exit_code == NOT_INSTALLED:
            return {"peer": peer, "error": "skipped: torch and transformers are not installed"}
        return {"peer": peer, "error": done.failure()} if done.exit_code else loop_run(peer, done)
    done = run_measured(raytrain_command(options, data, encoder, run))
    if done.exit_code:
        return {"peer": peer, "error": done.failure()}
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    entry = summary["architectures"][options.architecture]
    return {
        "peer": peer,
        "seconds": round(done.seconds, 1),
        "folds_run": options.num_folds,
        "peak_mb": round(done.peak_mb),
        "accuracy": entry["oof"]["accuracy"],
        "predicted_rows": summary["rows"],
        "fold_seconds": [fold["seconds"] for fold in entry["folds"]],
    }


def loop_run(peer: str, done: Measured) -> dict[str, Any]:
    """A loop's run; where it left folds out, its seconds are extrapolated to all of them."""
    told = done.last_json()
    seconds = done.seconds
    if told["folds_run"] < told["num_folds"]:
        seconds = extrapolate(told["setup_seconds"], told["fold_seconds"], told["num_folds"])
    return {
        "peer": peer,
        "seconds": round(seconds, 1),
        "process_seconds": round(done.seconds, 1),
        "folds_run": told["folds_run"],
        "peak_mb": round(done.peak_mb),
        "accuracy": told["oof_accuracy"],
        "predicted_rows": told["predicted_rows"],
        "setup_seconds": told["setup_seconds"],
        "fold_seconds": told["fold_seconds"],
    }


def extrapolate(setup_seconds: float, fold_seconds: list[float], num_folds: int) -> float:
    """Seconds of all folds, from those that ran; the first one, which warms up, counts as no other's."""
    left_out = num_folds - len(fold_seconds)
    return setup_seconds + sum(fold_seconds) + left_out * statistics.mean(fold_seconds[1:] or fold_seconds)


# ── figures ────────────────────────────────────────────────────────────────────────────────────────


def sum_up(runs: list[dict[str, Any]], rows: int, num_folds: int, epochs: int) -> list[dict[str, Any]]:
    """Figures per peer, in the order in which they first ran."""
    peers = list(dict.fromkeys(run["peer"] for run in runs))
    figures = [
        _figures([run for run in runs if run["peer"] == peer], rows, num_folds, epochs) for peer in peers
    ]
    ours = next((entry.get("seconds") for entry in figures if entry["peer"] == "raytrain"), None)
    for entry in figures:
        if ours and "seconds" in entry:
            entry["ratio"] = entry["seconds"] / ours
    return figures


def _figures(runs: list[dict[str, Any]], rows: int, num_folds: int, epochs: int) -> dict[str, Any]:
    errors = [run["error"] for run in runs if "error" in run]
    if errors:
        return {"peer": runs[0]["peer"], "error": errors[0]}
    seconds = [run["seconds"] for run in runs]
    accuracy = statistics.mean(run["accuracy"] for run in runs)
    return {
        "peer": runs[0]["peer"],
        "repeats": len(runs),
        "seconds": statistics.median(seconds),
        "least_seconds": min(seconds),
        "most_seconds": max(seconds),
        "examples_per_second": rows * (num_folds - 1) * epochs / statistics.median(seconds),
        "peak_mb": max(run["peak_mb"] for run in runs),
        "accuracy": accuracy,
        "accuracy_error": math.sqrt(accuracy * (1 - accuracy) / runs[0]["predicted_rows"]),
        "folds_run": runs[0]["folds_run"],
        "num_folds": num_folds,
    }


def comparison_table(figures: list[dict[str, Any]], title: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("peer", no_wrap=True)
    for name in ("seconds (min–max)", "examples/s", "raytrain is", "peak MB", "OOF accuracy ± SE"):
        table.add_column(name, justify="right")
    table.add_column("note")
    for entry in figures:
        if "error" in entry:
            table.add_row(entry["peer"], "–", "–", "–", "–", "–", entry["error"])
            continue
        spread = (
            f" ({entry['least_seconds']:.1f}–{entry['most_seconds']:.1f})" if entry["repeats"] > 1 else ""
        )
        faster = f"{entry['ratio']:.2f}× as fast" if "ratio" in entry else "–"
        partial = entry["folds_run"] < entry["num_folds"]
        table.add_row(
            entry["peer"],
            f"{entry['seconds']:.1f}" + (spread if entry["repeats"] > 1 else ""),
            f"{entry['examples_per_second']:.1f}",
            "" if entry["peer"] == "raytrain" else faster,
            f"{entry['peak_mb']:,}",
            f"{entry['accuracy']:.4f} ± {entry['accuracy_error']:.4f}",
            f"{entry['folds_run']} of {entry['num_folds']} folds, rest extrapolated" if partial else "",
        )
    return table


def run_all(options: argparse.Namespace, directory: Path) -> tuple[list[dict[str, Any]], int]:
    """Runs the peers in turn, `repeats` times. Returns their runs and the number of rows."""
    storage = Path(options.storage or directory / "runs").resolve()
    names = [f"{options.architecture}-{options.shape}-{repeat}" for repeat in range(options.repeats)]
    for name in names:
        if (storage / name).exists():  # the job would find its folds finished
            sys.exit(f"{storage / name} exists; delete it, or choose another --storage")
    data = directory / "corpus.csv"
    texts = write_corpus(data, options.data, options.text, options.label, options.rows, options.seed)
    encoder = TINY_ENCODER
    if options.shape != "tiny" or not TINY_ENCODER.exists():
        encoder = write_encoder(directory / "encoder", options.shape, texts)
    runs: list[dict[str, Any]] = []
    for name in names:
        for peer in options.peers:
            if any(run["peer"] == peer and "error" in run for run in runs):
                continue
            runs.append(run_peer(peer, options, data, encoder, storage / name))
            told = runs[-1].get("error") or f"{runs[-1]['seconds']:.1f} s"
            print(f"{name}, {peer}: {told}", file=sys.stderr, flush=True)
    return runs, len(texts)


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as directory:
        runs, rows = run_all(options, Path(directory))
    figures = sum_up(runs, rows, options.num_folds, options.epochs)
    settings = {name: value for name, value in vars(options).items() if name not in ("data", "storage")}
    settings["rows"] = rows
    name = f"compare-{options.architecture}-{options.shape}"
    written = write_results(name, {"settings": settings, "figures": figures, "runs": runs})
    title = (
        f"{options.architecture}, {options.shape} encoder: {rows:,} rows, {options.num_folds} folds, "
        f"epochs: {options.epochs}"
    )
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(comparison_table(figures, title), f"\n{written}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
