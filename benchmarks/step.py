"""A fine-tuning step's rate beside that of a large matrix product, in its precision, on its device.

python benchmarks/step.py --shape tiny --threads 1          # as a fold runs beside others on a CPU
python benchmarks/step.py --shape base --precisions bfloat16 --xla --torch       # on a GPU
"""

import raytrain  # noqa: F401, I001 (sets the variables that bert4keras needs)

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from corpora import write_encoder
from fold_loop import NOT_INSTALLED
from processes import median_seconds, run_measured, write_results
from rich.console import Console
from rich.table import Table

from raytrain.devices import set_precision, set_up_tensorflow
from raytrain.models import build_model
from raytrain.objectives import Classification
from raytrain.schedule import TrainSettings
from raytrain.training import FoldTraining

HERE = Path(__file__).parent
SIDE = 4096  # of the matrix product; on a CPU half of it is large enough


class FixedBatch:
    """Stands for a corpus: every batch is the same full one."""

    def __init__(self, batch_size: int, length: int, vocab_size: int):
        rng = np.random.default_rng(0)
        self.lengths = np.full(batch_size, length)
        zeros = np.zeros((batch_size, length), np.int32)
        token_ids = rng.integers(5, vocab_size, zeros.shape).astype(np.int32)
        self.batch = {"token_ids": token_ids, "segment_ids": zeros, "word_ids": zeros}

    def collate(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        return self.batch


def step_flops(config: dict[str, Any], batch_size: int, length: int, first_only: bool) -> float:
    """Multiplications and additions of the products in a step, forward and backward (thrice the forward).

    Args:
        config: The encoder's.
        batch_size: Texts.
        length: Tokens of each.
        first_only: Whether the last layer has keys and values of all tokens, but all else of one.
    """
    hidden, inner, layers = (config[k] for k in ("hidden_size", "intermediate_size", "num_hidden_layers"))
    keys_and_values = 4 * hidden**2
    others = 4 * hidden**2 + 4 * hidden * inner + 4 * length * hidden
    per_text = layers * length * (keys_and_values + others)
    if first_only:
        per_text -= (length - 1) * others
    per_text += length * 2 * config.get("embedding_size", 0) * hidden
    return 3.0 * per_text * batch_size


def our_step(config: dict[str, Any], options: argparse.Namespace) -> float:
    kind = "albert" if "embedding_size" in config else "bert"
    model = build_model("finetune", kind, config, 2, (2, 1), True, 0.1, seed=0)
    features = FixedBatch(options.batch_size, options.length, config["vocab_size"])
    rows, labels = np.arange(options.batch_size), np.arange(options.batch_size) % 2
    training = FoldTraining(
        model, features, Classification(labels, TrainSettings()), rows, rows, TrainSettings(), seed=0
    )
    update = training._update
    step = update._whole
    if options.xla:
        step = tf.function(
            update._update, input_signature=step.input_signature, autograph=False, jit_compile=True
        )
    weights = np.full(options.batch_size, 1 / options.batch_size, np.float32)
    seeds, factor, number = training._schedule(0, 1, 1)
    batch = (features.batch, labels.astype(np.int32), weights, seeds[0], factor, number)
    return median_seconds(lambda: float(step(*batch)), options.repeats)


def product_rate(precision: str, side: int, repeats: int) -> float:
    matrix = tf.cast(tf.random.normal((side, side)), precision)
    product = tf.function(lambda: tf.reduce_sum(tf.matmul(matrix, matrix)[:1, :1]))
    return 2 * side**3 / median_seconds(lambda: product().numpy(), repeats)


def transformers_step(precision: str, options: argparse.Namespace) -> float | None:
    """The peer's seconds, from a process of its own; None where its packages are not installed."""
    command = [sys.executable, str(HERE / "transformers_step.py"), "--encoder", options.encoder]
    command += ["--precision", precision]
    for name in ("batch_size", "length", "threads", "repeats"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    done = run_measured(command)
    if done.exit_code == NOT_INSTALLED:
        return None
    if done.exit_code:
        sys.exit(f"transformers_step.py failed: {done.failure()}")
    return done.last_json()["seconds"]


def measure(config: dict[str, Any], precision: str, options: argparse.Namespace) -> dict[str, Any]:
    set_precision(precision)
    product = product_rate(precision, options.side, options.repeats)
    peers: dict[str, float | None] = {"raytrain": our_step(config, options)}
    if options.torch:
        peers["transformers"] = transformers_step(precision, options)
    rates = {}
    for name, seconds in peers.items():
        if seconds is not None:
            flops = step_flops(config, options.batch_size, options.length, first_only=name == "raytrain")
            share = flops / seconds / product
            rates[name] = {"seconds": seconds, "gflops": flops / seconds / 1e9, "share": share}
    return {"precision": precision, "product_gflops": product / 1e9, "peers": rates}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shape", default="tiny", choices=["tiny", "base"])
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--xla", action="store_true", help="compile our step by XLA")
    parser.add_argument("--torch", action="store_true", help="also transformers' step; compiled on a GPU")
    options = parser.parse_args()
    settings = dict(vars(options))
    set_up_tensorflow(options.threads, 1.0 if tf.config.list_physical_devices("GPU") else None, "float32")
    options.side = SIDE if tf.config.get_visible_devices("GPU") else SIDE // 2
    with tempfile.TemporaryDirectory() as options.encoder:
        texts = [chr(code) * 2 for code in range(0x4E00, 0x9E00)]  # where there is no real vocabulary
        write_encoder(Path(options.encoder), options.shape, texts)
        config = json.loads((Path(options.encoder) / "config.json").read_text(encoding="utf-8"))
        figures = [measure(config, precision, options) for precision in options.precisions]
    table = Table(title=f"a fine-tuning step, {options.shape}", title_justify="left", box=None)
    for name in ("", "precision", "seconds", "GFLOP/s", "product's GFLOP/s", "share"):
        table.add_column(name, justify="right" if name else "left")
    for entry in figures:
        for name, peer in entry["peers"].items():
            cells = (f"{peer['seconds']:.3f}", f"{peer['gflops']:.0f}", f"{entry['product_gflops']:.0f}")
            table.add_row(name, entry["precision"], *cells, f"{peer['share']:.0%}")
    written = write_results(f"step-{options.shape}", {"settings": settings, "figures": figures})
    Console(width=100).print(table, f"{written}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
