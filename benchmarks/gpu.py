"""What raytrain does on a card, in parts; each prints and is written as it ends, the last may be cut off.

python benchmarks/gpu.py                                   # all parts, the most telling first
python benchmarks/gpu.py --parts steps folds --limit 120   # some; no command of theirs takes longer
python benchmarks/gpu.py --device cpu                      # tiny sizes: whether the parts themselves work
"""

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpora import INVENTED, write_encoder
from gpu_runs import RUN_PARTS
from processes import RESULTS, TIMED_OUT, describe_machine, run_measured
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
TESTS = (
    "test_precision",
    "test_layer_types",
    "test_kernels",
    "test_layers",
    "test_formulas",
    "test_transformer",
    "test_compiled",
    "test_recurrent",
    "test_crf",
)

Row = dict[str, Any]


def test_card(options: argparse.Namespace) -> Iterator[Row]:
    """The layers' and models' tests, in float32 as it is meant: TF32 has fewer digits than they ask for."""
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"]
    if importlib.util.find_spec("xdist"):
        command += ["-n", str(min(8, os.cpu_count() or 1))]
    files = TESTS if options.device == "gpu" else TESTS[1:2]
    command += [f"tests/network/{name}.py" for name in files]
    environment = {"NVIDIA_TF32_OVERRIDE": "0", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    if options.device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = "-1"
    done = run_measured(command, environment, options.limit)
    counts = {
        kind: int(number) for number, kind in re.findall(r"(\d+) (passed|failed|skipped|error)", done.stdout)
    }
    # As each ends: of tests that are cut off there is no summary.
    failed = sorted(set(re.findall(r"FAILED (tests/\S+)", done.stdout)))
    yield {"what": " ".join(files), "seconds": done.seconds, **counts, "failures": failed, **trouble(done)}


def run_device(options: argparse.Namespace) -> Iterator[Row]:
    """What the card can do at all."""
    side, environment = ("8192", {}) if options.device == "gpu" else ("256", {"CUDA_VISIBLE_DEVICES": "-1"})
    environment["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    done = run_measured([sys.executable, str(HERE / "card.py"), "--side", side], environment, options.limit)
    yield {**trouble(done)} if done.exit_code else done.last_json()


def list_operations(options: argparse.Namespace) -> Iterator[Row]:
    """Operations of each graph by type, and which lack a kernel for cards; read without one."""
    done = run_measured([sys.executable, str(HERE / "operations.py")], limit=options.limit)
    yield from [trouble(done)] if done.exit_code else json.loads(done.stdout.strip().split("\n")[-1])


def trouble(done: Any) -> Row:
    if done.exit_code == TIMED_OUT:
        return {"trouble": "not done in time"}
    return {"trouble": done.failure()} if done.exit_code else {}


def run_step(options: argparse.Namespace, *arguments: str) -> Iterator[Row]:
    """Rows of one call of step.py, one a peer and precision."""
    command = [
        sys.executable,
        str(HERE / "step.py"),
        "--json",
        "--threads",
        "4",
        *_sizes(options),
        *arguments,
    ]
    command += ["--device", "cpu"] if options.device == "cpu" else []
    done = run_measured(command, limit=options.limit)
    what = " ".join(argument.removeprefix("--") for argument in arguments)
    if done.exit_code:
        yield {"what": what, **trouble(done)}
        return
    for entry in done.last_json():
        for peer, figures in entry["peers"].items():
            product = {"product_tflops": entry["product_gflops"] / 1e3}
            yield {"what": what, "peer": peer, "precision": entry["precision"], **product, **figures}


def shapes(options: argparse.Namespace) -> tuple[str, ...]:
    return ("base", "small", "tiny") if options.device == "gpu" else ("mini",)


def time_steps(options: argparse.Namespace) -> Iterator[Row]:
    """A fine-tuning step in bfloat16 and float32 (TF32 on a card), as runs train and without XLA."""
    compiled = ("layers", "no") if options.device == "gpu" else ("no",)  # a CPU's compilations take long
    for shape in shapes(options):
        for precision in ("bfloat16", "float32"):
            how = ("--precisions", precision, "--compile", *compiled)
            yield from run_step(options, "--shape", shape, *how)


def time_peers(options: argparse.Namespace) -> Iterator[Row]:
    """The same step by transformers, as it comes and compiled."""
    for precision in ("bfloat16", "float32"):
        for shape in shapes(options):
            encoder = write_encoder(options.directory / shape, shape, INVENTED)
            command = [sys.executable, str(HERE / "transformers_step.py"), "--encoder", str(encoder)]
            command += ["--precision", precision, "--threads", "4", *_sizes(options)]
            done = run_measured(command, limit=options.limit)
            what = {"what": f"shape {shape}", "precision": precision}
            if done.exit_code:
                yield {**what, **trouble(done)}
                continue
            for peer, figures in done.last_json().items():
                yield {**what, "peer": peer, **figures}


def _sizes(options: argparse.Namespace) -> list[str]:
    sizes = {"batch-size": 2, "length": 16, "repeats": 1, "warm-ups": 2}
    if options.device == "gpu":
        sizes = {"batch-size": 32, "length": 128, "repeats": 50, "warm-ups": 20}
    return [part for name, size in sizes.items() for part in (f"--{name}", str(size))]


def compile_steps(options: argparse.Namespace) -> Iterator[Row]:
    """The same compiled by XLA whole, which takes long."""
    for shape in reversed(shapes(options)):
        yield from run_step(options, "--shape", shape, "--precisions", "bfloat16", "--compile", "step")


def time_heads(options: argparse.Namespace) -> Iterator[Row]:
    """Steps of heads on a frozen encoder's hidden states, and of a tagger with its encoder."""
    shape = "small" if options.device == "gpu" else "mini"
    for architecture in ("textcnn", "rnn_cnn", "bilstm_crf"):
        arguments = ("--shape", shape, "--architecture", architecture, "--precisions", "bfloat16")
        yield from run_step(options, *arguments, "--compile", "layers", "no", "step")


PARTS = {
    "device": run_device,
    "tests": test_card,
    "steps": time_steps,
    "peers": time_peers,
    "heads": time_heads,
    **RUN_PARTS,
    "operations": list_operations,
    "xla": compile_steps,
}


def result_name(options: argparse.Namespace) -> str:
    """Another name for each choice of parts, so that a few do not overwrite what all gave."""
    name = "gpu" if options.device == "gpu" else "gpu-dry"
    return name if options.parts == list(PARTS) else "-".join([name, *options.parts])


def has_card() -> bool:
    """Whether NVIDIA's tool lists one."""
    if shutil.which("nvidia-smi") is None:
        return False
    return bool(subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout.strip())


def show(console: Console, part: str, rows: list[Row]) -> None:
    """A table of a part's rows, a column a figure."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(title=part, title_justify="left", box=None)
    for name in names:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(name, "")) for name in names))
    console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return ", ".join(map(_cell, value)) if isinstance(value, list) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--device", default="gpu", choices=["gpu", "cpu"])
    parser.add_argument("--limit", type=float, default=300, help="seconds that one command may take")
    parser.add_argument("--data", help="a CSV of texts and labels; default: the benchmarks' corpus")
    parser.add_argument("--encoder", help="a pretrained encoder's directory; default: an untrained one")
    parser.add_argument(
        "--output",
        type=Path,
        help="default: results/gpu.json, or gpu-dry.json on a CPU; with the names of --parts",
    )
    options = parser.parse_args()
    if options.device == "gpu" and set(options.parts) - {"operations"} and not has_card():
        parser.error("expected a GPU, found none by nvidia-smi; --device cpu tries the parts in tiny sizes")
    console = Console(width=160)
    output = options.output or RESULTS / f"{result_name(options)}.json"
    output.parent.mkdir(exist_ok=True)
    measured: dict[str, Any] = {"machine": describe_machine(), "parts": {}}
    with tempfile.TemporaryDirectory() as directory:
        options.directory = Path(directory)
        for part in options.parts:
            started, rows = time.monotonic(), measured["parts"].setdefault(part, [])
            for row in PARTS[part](options):
                rows.append(row)
                output.write_text(json.dumps(measured, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
                console.print(
                    f"{part}: {json.dumps(row, ensure_ascii=False)}", highlight=False, soft_wrap=True
                )
            show(console, f"{part}: {time.monotonic() - started:.0f} s", rows)
    console.print(str(output))


if __name__ == "__main__":
    main()
