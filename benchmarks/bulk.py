"""Many short texts: `predict --cluster` against the plain command, and the memory of both over time.

python benchmarks/bulk.py --texts 1000000 --files 20 --picture memory.png
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from prediction import train_ensemble
from processes import Measured, run_measured, write_results
from rich.console import Console
from rich.table import Table

CHARACTERS = "网传明天停水快转给家人记者核实后说消息不是真的请大家要相信官方通报今天下午本市气温骤降注意保暖"
ROW_GROUP = 10_000


def write_texts(directory: Path, count: int, files: int, length: int, seed: int = 0) -> list[Path]:
    """Writes made-up texts of up to `length` characters, with ids, into so many Parquet files."""
    directory.mkdir(parents=True)
    paths, rest, drawn = [], count, random.Random(seed)
    for number in range(files):
        share = rest // (files - number)
        paths.append(directory / f"part-{number:03d}.parquet")
        _write_file(paths[-1], count - rest, share, length, drawn)
        rest -= share
    return paths


def _write_file(path: Path, first: int, rows: int, length: int, drawn: random.Random) -> None:
    schema = pa.schema([("id", pa.string()), ("text", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, ROW_GROUP):
            size = min(ROW_GROUP, rows - start)
            ids = [f"t{first + start + number}" for number in range(size)]
            texts = ["".join(drawn.choices(CHARACTERS, k=drawn.randint(5, length))) for _ in range(size)]
            writer.write_table(pa.table({"id": ids, "text": texts}, schema))


def predictions(directory: Path) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Ids and probabilities of a file or a directory of predictions, in order."""
    paths = sorted(directory.rglob("*.parquet")) if directory.is_dir() else [directory]
    for path in paths:
        table = pq.read_table(path)
        names = [name for name in table.column_names if name.startswith("proba")]
        for row in table.to_pylist():
            yield row["id"], tuple(row[name] for name in names)


def greatest_difference(one: Path, other: Path) -> float:
    """Between the probabilities of two predictions of the same rows, in the same order."""
    greatest = 0.0
    for (first, left), (second, right) in zip(predictions(one), predictions(other), strict=False):
        if first != second:
            sys.exit(f"the order differs: {first} beside {second}")
        greatest = max(greatest, *(abs(a - b) for a, b in zip(left, right, strict=True)))
    return greatest


def measure(name: str, texts: int, done: Measured) -> dict[str, Any]:
    if done.exit_code:
        sys.exit(f"{name}: {done.failure()}")
    return {
        "texts": texts,
        "seconds": round(done.seconds, 1),
        "texts_per_second": round(texts / done.seconds, 1),
        "peak_mb": round(done.peak_mb),
        "samples": done.samples,
    }


def draw(figures: dict[str, dict[str, Any]], path: Path) -> None:
    """Memory of all processes over time, a line each."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, entry in figures.items():
        seconds, megabytes = zip(*entry["samples"], strict=True)
        axes.plot([second / 60 for second in seconds], megabytes, label=f"{name}, {entry['texts']:,} texts")
    axes.set(xlabel="minutes", ylabel="memory of all processes, MB", ylim=(0, None))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    FigureCanvasAgg(figure).print_figure(path, dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--ensemble", metavar="DIR", help="without it a small one on a frozen encoder is trained")
    add("--shape", default="mini", choices=["mini", "tiny", "base"], help="of its encoder (mini)")
    add("--texts", type=int, default=100_000, help="of the cluster's command (100000)")
    add("--plain-texts", type=int, default=50_000, help="of the plain command (50000)")
    add("--files", type=int, default=2, help="that the texts lie in (2)")
    add("--length", type=int, default=30, help="characters of a text at most (30)")
    add("--picture", metavar="FILE", help="where memory over time is drawn")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        ensemble = options.ensemble or _train(folder, options.shape)
        write_texts(folder / "texts", options.texts, options.files, options.length)
        [plain] = write_texts(folder / "plain", options.plain_texts, 1, options.length)
        command = [sys.executable, "jobs/predict.py", "--ensemble", str(ensemble), "--id", "id", "--input"]
        own = folder / "plain.parquet"
        done = run_measured([*command, str(plain), "--output", str(own)])
        figures = {"plain": measure("plain", options.plain_texts, done)}
        many = folder / "predictions"
        done = run_measured([*command, str(folder / "texts"), "--output", str(many), "--cluster"])
        figures["--cluster"] = measure("--cluster", options.texts, done)
        difference = greatest_difference(own, many)
    if options.picture:
        draw(figures, Path(options.picture))
    table = Table("command", "texts", "seconds", "texts/s", "peak MB")
    for name, entry in figures.items():
        row = (entry["seconds"], entry["texts_per_second"], entry["peak_mb"])
        table.add_row(name, f"{entry['texts']:,}", *(f"{value:,}" for value in row))
    written = write_results("bulk", {**figures, "greatest_difference": difference})
    Console().print(table, f"greatest difference {difference:.1e}", f"{written}", highlight=False)


def _train(folder: Path, shape: str) -> Path:
    options = argparse.Namespace(data=None, train_rows=400, shape=shape, num_folds=3, maxlen=32)
    (folder / "training").mkdir()
    return train_ensemble("textcnn", folder / "training", options)


if __name__ == "__main__":
    main()
