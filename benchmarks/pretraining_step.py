"""A step of masked language modelling of ours beside transformers', on the same shape, in turns.

python benchmarks/pretraining_step.py --threads 2                   # an ALBERT of 4 × 312, 32 × 128 tokens
python benchmarks/pretraining_step.py --shape base --precisions bfloat16    # on a GPU, where there is one
"""

import raytrain  # noqa: F401, I001 (sets the variables that bert4keras needs)

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from corpora import INVENTED, SHAPES, write_encoder
from fold_loop import NOT_INSTALLED
from processes import median_seconds, run_measured, write_results
from rich.console import Console
from rich.table import Table

from raytrain.devices import set_precision, set_up_tensorflow
from raytrain.pretraining.masking import mask_batch
from raytrain.pretraining.model import MaskedLanguageModel, TokenTelling
from raytrain.pretraining.pieces import BEGINS, special_ids
from raytrain.pretraining.settings import PretrainSettings
from raytrain.text.vocab import parse_vocab
from raytrain.training.step import TrainStep

HERE = Path(__file__).parent


def build_step(directory: Path, options: argparse.Namespace) -> Callable[[], float]:
    """An update on a full batch that is always the same; masks are drawn anew every time, as in a run."""
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    special = special_ids(parse_vocab("vocab.txt", (directory / "vocab.txt").read_bytes()))
    settings = PretrainSettings(1000, options.batch_size, 1e-4, 0.1, 0.01, 1.0, 100, 100)
    model = MaskedLanguageModel("albert" if "embedding_size" in config else "bert", config, 0)
    # Of an objective a step reads what it is to learn, and no more.
    update = TrainStep(model, TokenTelling(), settings.of_step(), None, 1)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    rows = rng.choice(special.drawn, (options.batch_size, options.length)).astype(np.uint32)
    rows |= np.where(rng.random(rows.shape) < 0.6, BEGINS, np.uint32(0))  # words of 1.7 tokens

    def step() -> float:
        masked = mask_batch(rows, settings.mask, special, rng)
        weights = np.full(len(rows), 1 / (masked.targets > 0).sum(), np.float32)
        inputs = {"token_ids": masked.token_ids, "positions": masked.positions}
        seeds = [np.array([0, 0], np.int32)]
        return float(update([(inputs, masked.targets, weights)], seeds, np.float32(1e-3), np.float32(0)))

    return step


def peer_step(directory: Path, precision: str, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """The peer's figures, from a process of its own; none where it is not installed."""
    command = [sys.executable, str(HERE / "transformers_pretraining_step.py")]
    command += ["--encoder", str(directory), "--precision", precision]
    for name in ("batch_size", "length", "threads", "repeats", "warm_ups"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    done = run_measured(command)
    if done.exit_code == NOT_INSTALLED:
        return {}
    if done.exit_code:
        sys.exit(f"transformers_pretraining_step.py failed: {done.failure()}")
    return done.last_json()


def measure(directory: Path, precision: str, options: argparse.Namespace) -> dict[str, Any]:
    """Both sides in turns, each the median of its rounds."""
    set_precision(precision)
    step = build_step(directory, options)
    seconds: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        figures = {"raytrain": {"seconds": median_seconds(step, options.repeats, options.warm_ups)}}
        figures |= peer_step(directory, precision, options)
        for name, figure in figures.items():
            seconds.setdefault(name, []).append(figure["seconds"])
    return {"precision": precision, "peers": seconds}


def draw(figures: list[dict[str, Any]], options: argparse.Namespace) -> Table:
    title = f"masked language modelling, {options.shape}, {options.batch_size} × {options.length}"
    table = Table(title=title, title_justify="left", box=None)
    for name in ("", "precision", "steps/s", "least–most", "of transformers"):
        table.add_column(name, justify="left" if name in ("", "precision") else "right")
    for entry in figures:
        peer = entry["peers"].get("transformers")
        for name, seconds in entry["peers"].items():
            median = float(np.median(seconds))
            spread = f"{1 / max(seconds):.2f}–{1 / min(seconds):.2f}"
            ratio = f"{float(np.median(peer)) / median:.2f}×" if peer else ""
            table.add_row(name, entry["precision"], f"{1 / median:.2f}", spread, ratio)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shape", default="tiny", choices=list(SHAPES))
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    for name, default in (
        ("batch-size", 32),
        ("length", 128),
        ("threads", 2),
        ("repeats", 5),
        ("warm-ups", 2),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rounds", type=int, default=3, help="of ours, then the peer's")
    options = parser.parse_args()
    has_card = bool(tf.config.list_physical_devices("GPU"))
    set_up_tensorflow(options.threads, 1.0 if has_card else None, "float32")
    with tempfile.TemporaryDirectory() as directory:
        write_encoder(Path(directory), options.shape, INVENTED)
        figures = [measure(Path(directory), precision, options) for precision in options.precisions]
    written = write_results(
        f"pretraining-step-{options.shape}", {"settings": vars(options), "figures": figures}
    )
    Console(width=120).print(draw(figures, options), f"{written}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
