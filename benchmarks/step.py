"""A training step's time beside that of a large matrix product, in its precision, on its device.

python benchmarks/step.py --shape tiny --threads 1                    # as a fold runs beside others on a CPU
python benchmarks/step.py --shape base --precisions bfloat16 --torch                            # on a GPU
python benchmarks/step.py --shape small --architecture rnn_cnn         # on a frozen encoder's hidden states
"""

import raytrain  # noqa: F401, I001 (sets the variables that bert4keras needs)

import argparse
import json
import sys
import tempfile
import time
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
from settings import default_settings

from raytrain.devices import set_precision, set_up_tensorflow
from raytrain.network.build import build_model, input_specs
from raytrain.network.heads import build_head
from raytrain.training.objectives import Classification, Objective, Tagging
from raytrain.training.step import TrainStep

HERE = Path(__file__).parent
SIDE = 4096  # of the matrix product; on a CPU half of it is large enough
WORDS = (20_000, 200)
NUM_TAGS = 7
ON_STATES = ("textcnn", "rnn_cnn")  # their encoder is frozen
TAGGERS = ("bilstm_crf", "bilstm", "crf")
WAYS = {"no": "raytrain", "layers": "raytrain, layers by XLA", "step": "raytrain, step by XLA"}


class Untagged(Tagging):
    """A tagger's losses without a corpus."""

    def __init__(self):
        pass


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


def build_step(config: dict[str, Any], compiled: str, options: argparse.Namespace) -> Callable[[], float]:
    """A training step of ours on a full batch that is always the same; it waits for the loss.

    Args:
        config: The encoder's.
        compiled: What XLA compiles, as in `WAYS`.
        options: Of the command.
    """
    kind = "albert" if "embedding_size" in config else "bert"
    name, num_labels = options.architecture, NUM_TAGS if options.architecture in TAGGERS else 2
    if name in ON_STATES:
        model = build_head(name, config["hidden_size"], num_labels, WORDS, 0.1, seed=0)
    else:
        model = build_model(name, kind, config, num_labels, WORDS, True, 0.1, seed=0)
    rng, shape = np.random.default_rng(0), (options.batch_size, options.length)
    limits = {"token_ids": config["vocab_size"], "segment_ids": 1, "word_ids": WORDS[0]}
    inputs = {}
    for key in input_specs(model):
        if key == "hidden_states":
            inputs[key] = rng.normal(size=(*shape, config["hidden_size"])).astype(np.float32)
        else:
            inputs[key] = rng.integers(min(5, limits[key] - 1), limits[key], shape).astype(np.int32)
    objective: Objective
    if name in TAGGERS:
        objective, targets = Untagged(), rng.integers(0, NUM_TAGS, shape).astype(np.int32)
        targets[:, [0, -1]] = 1  # the text is whole
    else:
        targets = (np.arange(options.batch_size) % 2).astype(np.int32)
        objective = Classification(targets, default_settings())
    settings = default_settings(compile=compiled == "layers")
    update = TrainStep(model, objective, settings, None, 1)
    step = update._whole
    if compiled == "step":
        step = tf.function(
            update._update, input_signature=step.input_signature, autograph=False, jit_compile=True
        )
    weights = np.full(options.batch_size, 1 / options.batch_size, np.float32)
    rest = (targets, weights, np.array([0, 0], np.int32), np.float32(1e-3), np.float32(0))
    return lambda: float(step(inputs, *rest))


def profile(step: Callable[[], Any]) -> dict[str, float]:
    """Kernels and copies of one step on the card, and the milliseconds that the card was busy with them."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as directory:
        tf.profiler.experimental.start(directory)
        step()
        tf.profiler.experimental.stop()
        space = xplane_pb2.XSpace()
        space.ParseFromString(next(Path(directory).rglob("*.xplane.pb")).read_bytes())
    events = [
        event
        for plane in space.planes
        for line in plane.lines
        if plane.name.startswith("/device:GPU") and line.name.startswith("Stream")
        for event in line.events
    ]
    return {"launches": len(events), "busy_ms": round(sum(event.duration_ps for event in events) / 1e9, 3)}


def our_step(config: dict[str, Any], compiled: str, options: argparse.Namespace) -> dict[str, float]:
    step = build_step(config, compiled, options)
    started = time.perf_counter()
    step()
    figures: dict[str, float] = {"first_seconds": time.perf_counter() - started}
    figures["seconds"] = median_seconds(step, options.repeats, options.warm_ups)
    if tf.config.get_visible_devices("GPU"):
        figures["peak_mb"] = tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
        tf.config.experimental.reset_memory_stats("GPU:0")
        figures |= profile(step)
    return figures


def product_rate(precision: str, options: argparse.Namespace) -> float:
    """Operations per second of a product of two large matrices."""
    kind = "float32" if precision == "float32" else "bfloat16"
    matrix = tf.cast(tf.random.normal((options.side, options.side)), kind)
    product = tf.function(lambda: tf.matmul(matrix, matrix)[:1, :1])
    return 2 * options.side**3 / median_seconds(lambda: product().numpy(), options.repeats)


def transformers_steps(precision: str, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """The peer's figures by how it runs, from a process of its own; none where it is not installed."""
    command = [sys.executable, str(HERE / "transformers_step.py"), "--encoder", options.encoder]
    command += ["--precision", "float32" if precision == "float32" else "bfloat16"]
    for name in ("batch_size", "length", "threads", "repeats", "warm_ups"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    done = run_measured(command)
    if done.exit_code == NOT_INSTALLED:
        return {}
    if done.exit_code:
        sys.exit(f"transformers_step.py failed: {done.failure()}")
    return done.last_json()


def measure(config: dict[str, Any], precision: str, options: argparse.Namespace) -> dict[str, Any]:
    set_precision(precision)
    product = product_rate(precision, options)
    peers = {WAYS[compiled]: our_step(config, compiled, options) for compiled in options.compile}
    if options.torch:
        peers |= transformers_steps(precision, options)
    for name, figures in peers.items():
        figures["examples_per_second"] = options.batch_size / figures["seconds"]
        if options.architecture == "finetune":
            flops = step_flops(
                config, options.batch_size, options.length, first_only=name.startswith("raytrain")
            )
            figures |= {"gflops": flops / figures["seconds"] / 1e9}
            figures["share"] = figures["gflops"] * 1e9 / product
    return {"precision": precision, "product_gflops": product / 1e9, "peers": peers}


def draw(figures: list[dict[str, Any]], options: argparse.Namespace) -> Table:
    table = Table(title=f"a step of {options.architecture}, {options.shape}", title_justify="left", box=None)
    columns = {
        "ms": lambda peer: f"{1e3 * peer['seconds']:.1f}",
        "examples/s": lambda peer: f"{peer['examples_per_second']:,.0f}",
        "GFLOP/s": lambda peer: f"{peer['gflops']:,.0f}",
        "of product": lambda peer: f"{peer['share']:.0%}",
        "first s": lambda peer: f"{peer['first_seconds']:.1f}",
        "launches": lambda peer: f"{peer['launches']:,}",
        "busy ms": lambda peer: f"{peer['busy_ms']:.1f}",
        "peak MB": lambda peer: f"{peer['peak_mb']:,.0f}",
    }
    for name in ("", "precision", *columns):
        table.add_column(name, justify="right" if name in columns else "left")
    for entry in figures:
        for name, peer in entry["peers"].items():
            cells = []
            for show in columns.values():
                try:
                    cells.append(show(peer))
                except KeyError:  # not measured on this device or for this architecture
                    cells.append("")
            table.add_row(name, entry["precision"], *cells)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shape", default="tiny", choices=list(SHAPES))
    parser.add_argument("--architecture", default="finetune", choices=["finetune", *ON_STATES, *TAGGERS])
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--warm-ups", type=int, default=2)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu"])
    parser.add_argument("--compile", nargs="+", default=["no"], choices=list(WAYS), help="ours, by XLA")
    parser.add_argument("--torch", action="store_true", help="also transformers' step; compiled on a GPU")
    parser.add_argument("--json", action="store_true", help="print the figures and write no file")
    options = parser.parse_args()
    settings = dict(vars(options))
    has_card = options.device == "auto" and bool(tf.config.list_physical_devices("GPU"))
    set_up_tensorflow(options.threads, 1.0 if has_card else None, "float32")
    options.side = 2 * SIDE if has_card else SIDE // 2
    with tempfile.TemporaryDirectory() as options.encoder:
        write_encoder(Path(options.encoder), options.shape, INVENTED)  # where there is no real vocabulary
        config = json.loads((Path(options.encoder) / "config.json").read_text(encoding="utf-8"))
        figures = [measure(config, precision, options) for precision in options.precisions]
    if options.json:
        print(json.dumps(figures))
        return
    suffix = "" if options.architecture == "finetune" else f"-{options.architecture}"
    written = write_results(f"step-{options.shape}{suffix}", {"settings": settings, "figures": figures})
    Console(width=120).print(draw(figures, options), f"{written}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
