"""Wrong labels: how many of those that were flipped at random a run's suspects find.

In a copy of a corpus a share of the labels is flipped, a run is trained on it, and as many rows as were
flipped are taken from the beginning of several orders: of the suspects, and by the probability of the given
label, which the ensemble or an architecture alone says. Chance would find the flipped share.
"""

import argparse
import csv
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from raytrain.config.load import load_config
from raytrain.config.schema import Config
from raytrain.corpus.corpus import Corpus
from raytrain.crossval.driver import train_run
from raytrain.crossval.prepare import read_texts
from raytrain.crossval.suspects import load_suspects
from raytrain.stages import Stages
from raytrain.storage.directory import Directory
from raytrain.storage.files import read_parquet


def flip_labels(labels: np.ndarray, num_classes: int, share: float, seed: int) -> np.ndarray:
    """(num_rows,) the labels, of which a share is another one, each other class alike."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(labels), round(share * len(labels)), replace=False)
    flipped = labels.copy()
    flipped[rows] = (labels[rows] + rng.integers(1, num_classes, len(rows))) % num_classes
    return flipped


def write_flipped(corpus: Corpus, labels: np.ndarray, path: Path) -> None:
    """Writes a corpus with other labels, its ids numbers."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", *corpus.text_names, "label"])
        columns = [corpus.table[name].to_pylist() for name in corpus.text_names]
        names = [corpus.labels[index] for index in labels.tolist()]
        writer.writerows(zip(range(len(names)), *columns, names, strict=True))


def order_of(score: np.ndarray, first: list[int]) -> np.ndarray:
    """All rows: some that come first, in their order, then the others by rising score."""
    others = np.argsort(score, kind="stable")
    return np.concatenate([np.array(first, np.int64), others[~np.isin(others, first)]])


def count_found(orders: dict[str, np.ndarray], flipped: np.ndarray) -> dict[str, int]:
    """How many flipped rows each order has among its first, as many as are flipped."""
    most = int(flipped.sum())
    return {name: int(flipped[order[:most]].sum()) for name, order in orders.items()}


def orders_of(run: Directory, labels: np.ndarray, names: Sequence[str], architectures: Sequence[str]) -> dict:
    """The orders that are compared, and the suspects alone as `listed`."""
    table = read_parquet((run / "ensemble").read_bytes("oof.parquet"))
    suspects = load_suspects(run, Stages(Console(quiet=True)), None)["id"].to_pylist()
    listed = [int(key) for key in suspects]

    def proba_of(prefix: str) -> np.ndarray:
        return np.stack([table[f"{prefix}proba_{name}"].to_numpy() for name in names], axis=1)

    whole = proba_of("")
    own = whole[np.arange(len(labels)), labels]
    orders = {"suspects": order_of(own, listed), "self-confidence of the ensemble": order_of(own, [])}
    for architecture in architectures if len(architectures) > 1 else []:
        own = proba_of(f"{architecture}_")[np.arange(len(labels)), labels]
        orders[f"self-confidence of {architecture} alone"] = order_of(own, [])
    return {"orders": orders, "listed": np.array(listed, np.int64)}


def measure(config: Config, share: float, seed: int, console: Console) -> dict:
    """Flips, trains and counts."""
    corpus = read_texts(config, Stages(console))
    labels = flip_labels(corpus.table["label"].to_numpy(), len(corpus.labels), share, seed)
    flipped = labels != corpus.table["label"].to_numpy()
    with tempfile.TemporaryDirectory() as folder:
        write_flipped(corpus, labels, Path(folder) / "flipped.csv")
        texts = corpus.text_names
        data = {"path": f"{folder}/flipped.csv", "text": texts, "label": "label", "id": "id"}
        own = config.model_copy(
            update={"storage": folder, "data": config.data.model_copy(update=data), "baseline": False}
        )
        summary = train_run(own, console)
        run = Directory(folder) / config.name
        found = orders_of(run, labels, [str(n) for n in corpus.labels], config.model.architectures)
    listed = found["listed"]
    return {
        "rows": corpus.num_rows,
        "flipped": int(flipped.sum()),
        "found": count_found(found["orders"], flipped),
        "listed": len(listed),
        "listed_flipped": int(flipped[listed].sum()),
        "accuracy": round(summary["ensemble"]["oof"]["accuracy"], 4),
    }


def found_table(figures: dict) -> Table:
    flipped, rows = figures["flipped"], figures["rows"]
    title = f"of {flipped:,} flipped labels of {rows:,} among the first {flipped:,} of each order"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("order")
    table.add_column("found", justify="right")
    table.add_column("share", justify="right")
    for name, count in figures["found"].items():
        table.add_row(name, f"{count:,}", f"{count / flipped:.1%}")
    table.add_row("chance", f"{flipped * flipped / rows:.0f}", f"{flipped / rows:.1%}", style="dim")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=0.05, help="of the labels that are flipped (0.05)")
    parser.add_argument("--flip-seed", type=int, default=0)
    parser.add_argument(
        "overrides", nargs="+", metavar="key.path=value", help="as for kfold; data.path at least"
    )
    options = parser.parse_args()
    config = load_config(None, options.overrides)
    console = Console(stderr=True, width=120)
    figures = measure(config, options.share, options.flip_seed, console)
    Console(width=120).print(found_table(figures))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
