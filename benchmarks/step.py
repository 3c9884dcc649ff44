"""A fine-tuning step's rate beside that of a large matrix product, in its precision, on its device.

python benchmarks/step.py --shape tiny --threads 1          # as a fold runs beside others on a CPU
python benchmarks/step.py --shape base --precisions bfloat16 --xla --torch       # on a GPU
"""

import raytrain  # noqa: F401, I001 (sets the variables that bert4keras needs)

import argparse
import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from corpora import write_encoder
from processes import write_results
from rich.console import Console
from rich.table import Table

from raytrain.devices import set_precision, set_up_tensorflow
from raytrain.models import build_model
from raytrain.training import FoldTraining, TrainSettings

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


def step_flops(config: dict[str, Any], batch_size: int, length: int) -> float:
    """Multiplications and additions of the products in a step, forward and backward (thrice the forward)."""
    hidden, inner, layers = (config[k] for k in ("hidden_size", "intermediate_size", "num_hidden_layers"))
    per_token = layers * (2 * (4 * hidden**2 + 2 * hidden * inner) + 4 * length * hidden)
    per_token += 2 * config.get("embedding_size", 0) * hidden
    return 3.0 * per_token * batch_size * length


def median_seconds(call: Callable[[], Any], repeats: int) -> float:
    """After two calls that trace and warm up."""
    seconds = []
    for number in range(repeats + 2):
        started = time.perf_counter()
        call()
        if number > 1:
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def our_step(config: dict[str, Any], options: argparse.Namespace) -> float:
    kind = "albert" if "embedding_size" in config else "bert"
    model = build_model("finetune", kind, config, 2, (2, 1), True, 0.1, seed=0)
    features = FixedBatch(options.batch_size, options.length, config["vocab_size"])
    rows, labels = np.arange(options.batch_size), np.arange(options.batch_size) % 2
    training = FoldTraining(model, features, labels, rows, rows, TrainSettings(), seed=0)
    step = training._step
    if options.xla:
        signature = step.input_signature
        step = tf.function(
            training._distributed_step, input_signature=signature, autograph=False, jit_compile=True
        )
    weights = np.full(options.batch_size, 1 / options.batch_size, np.float32)
    batch = (features.batch, labels.astype(np.int32), weights, *training._schedule(0, 1))
    return median_seconds(lambda: float(step(*batch)), options.repeats)


def product_rate(precision: str, side: int, repeats: int) -> float:
    matrix = tf.cast(tf.random.normal((side, side)), precision)
    product = tf.function(lambda: tf.reduce_sum(tf.matmul(matrix, matrix)[:1, :1]))
    return 2 * side**3 / median_seconds(lambda: product().numpy(), repeats)


def torch_step(config: dict[str, Any], precision: str, options: argparse.Namespace) -> float:
    """transformers' model of the same shape, compiled, under autocast where the precision is bfloat16."""
    import torch
    from transformers_loop import build_model as build_classifier

    torch.set_num_threads(options.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = build_classifier(options.encoder).to(device).train()
    compiled = torch.compile(model) if device == "cuda" else model
    optimizer = torch.optim.Adam(model.parameters(), 1e-5)
    token_ids = torch.randint(5, config["vocab_size"], (options.batch_size, options.length), device=device)
    labels = torch.arange(options.batch_size, device=device) % 2

    def step() -> float:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            loss = compiled(input_ids=token_ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss)

    return median_seconds(step, options.repeats)


def measure(config: dict[str, Any], precision: str, options: argparse.Namespace) -> dict[str, Any]:
    set_precision(precision)
    flops = step_flops(config, options.batch_size, options.length)
    product = product_rate(precision, options.side, options.repeats)
    peers = {"raytrain": our_step(config, options)}
    if options.torch and importlib.util.find_spec("transformers") is not None:
        peers["transformers"] = torch_step(config, precision, options)
    return {
        "precision": precision,
        "product_gflops": product / 1e9,
        "peers": {
            name: {"seconds": seconds, "gflops": flops / seconds / 1e9, "share": flops / seconds / product}
            for name, seconds in peers.items()
        },
    }


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
