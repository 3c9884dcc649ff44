"""How our job's seconds grow with rows and with folds: a table, JSON and a chart.

python benchmarks/growth.py --architecture textcnn --rows 250
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from corpora import write_corpus, write_encoder
from processes import has_config_key, kfold_command, run_measured, write_results
from rich.console import Console
from rich.table import Table


def plan(rows: int, row_factors: list[int], folds: list[int], fixed_folds: int) -> list[dict[str, Any]]:
    """The points to measure: rows grow at `fixed_folds` folds, folds grow at `rows` rows."""
    growing_rows = [{"grows": "rows", "rows": rows * factor, "folds": fixed_folds} for factor in row_factors]
    return growing_rows + [{"grows": "folds", "rows": rows, "folds": number} for number in folds]


def measure(point: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Runs our job once, in a fresh directory. Returns the point with its figures."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        data = directory / "corpus.csv"
        texts = write_corpus(data, options.data, "text", "label", point["rows"], options.seed)
        if len(texts) < point["rows"]:
            sys.exit(f"the corpus has {len(texts)} rows; {point['rows']} were wanted")
        encoder = write_encoder(directory / "encoder", options.shape, texts)
        command = kfold_command(
            name="growth",
            storage=directory,
            seed=options.seed,
            baseline="false",
            data__path=data,
            folds__num_folds=point["folds"],
            encoder__checkpoint=encoder,
            encoder__pretrained="false",
            encoder__maxlen=options.maxlen,
            model__architecture=options.architecture,
            model__train_encoder="true" if options.architecture == "finetune" else "false",
            train__epochs=options.epochs,
        )
        if has_config_key("cache.directory"):
            command.append(f"cache.directory={directory / 'cache'}")
        done = run_measured(command)
        if done.exit_code:
            sys.exit(f"{point} failed: {done.failure()}")
        summary = json.loads((directory / "growth" / "summary.json").read_text(encoding="utf-8"))
    folds = summary["architectures"][options.architecture]["folds"]
    figures = {
        "seconds": round(done.seconds, 1),
        "fold_seconds": round(sum(fold["seconds"] for fold in folds), 1),
        "encoder_seconds": summary.get("encoder_seconds"),
        "peak_mb": round(done.peak_mb),
    }
    print(f"{point}: {figures['seconds']:.1f} s", file=sys.stderr, flush=True)
    return point | figures


def growth_table(points: list[dict[str, Any]]) -> Table:
    table = Table(title="how seconds grow", title_justify="left", box=None, pad_edge=False)
    for name in ("grows", "rows", "folds", "seconds", "all folds' seconds", "encoder's seconds", "peak MB"):
        table.add_column(name, justify="left" if name == "grows" else "right")
    for point in points:
        encoder = point["encoder_seconds"]
        table.add_row(
            point["grows"],
            f"{point['rows']:,}",
            str(point["folds"]),
            f"{point['seconds']:.1f}",
            f"{point['fold_seconds']:.1f}",
            "–" if encoder is None else f"{encoder:.1f}",
            f"{point['peak_mb']:,}",
        )
    return table


def draw(points: list[dict[str, Any]], path: Path, title: str) -> None:
    """Two panels: seconds over rows, seconds over folds, and the encoder's share where it is known."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    figure.suptitle(title)
    for axes, grows in zip(figure.subplots(1, 2, sharey=True), ("rows", "folds"), strict=True):
        own = [point for point in points if point["grows"] == grows]
        values = [point[grows] for point in own]
        axes.plot(values, [point["seconds"] for point in own], "o-", label="the whole job")
        if all(point["encoder_seconds"] is not None for point in own):
            axes.plot(values, [point["encoder_seconds"] for point in own], "s--", label="encoder alone")
        fixed = {"rows": "folds", "folds": "rows"}[grows]
        axes.set(xlabel=f"{grows}, at {own[0][fixed]:,} {fixed}", xlim=(0, None))
        axes.set_xticks(values)
        axes.grid(alpha=0.3)
        axes.legend()
    # For both at once: the panels share their scale.
    figure.axes[0].set(ylabel="seconds", ylim=(0, 1.05 * max(point["seconds"] for point in points)))
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--architecture", default="textcnn", choices=["finetune", "textcnn", "rnn_cnn"])
    parser.add_argument("--shape", default="tiny", choices=["mini", "tiny", "base"])
    parser.add_argument("--data", metavar="CSV", help="columns text and label")
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--row-factors", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--folds", type=int, nargs="+", default=[2, 5, 10])
    parser.add_argument("--fixed-folds", type=int, default=5, help="while rows grow")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--maxlen", type=int, default=128)
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    measured: dict[tuple[int, int], dict[str, Any]] = {}  # both series have one point in common
    points = []
    for point in plan(options.rows, options.row_factors, options.folds, options.fixed_folds):
        key = (point["rows"], point["folds"])
        measured[key] = measured.get(key) or measure(point, options)
        points.append(measured[key] | point)
    settings = {name: value for name, value in vars(options).items() if name != "data"}
    written = write_results(f"growth-{options.architecture}", {"settings": settings, "points": points})
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(growth_table(points), f"{written}", highlight=False, soft_wrap=True)
    chart = written.with_suffix(".png")
    try:
        draw(points, chart, f"{options.architecture}, {options.shape} encoder, epochs: {options.epochs}")
    except ImportError:
        print("no chart: matplotlib is not installed", file=sys.stderr)


if __name__ == "__main__":
    main()
