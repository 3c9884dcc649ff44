"""What single keys of the config bring: variants of a run on the same folds, and their paired differences.

python benchmarks/ablation.py --storage /tmp/ablation --variants benchmarks/ablation.yaml --folds 0-4 \
    data.path=posts.csv model.architecture=finetune

Some folds are trained (choose by these), the report may take others (report these). Run it again with more
variants or folds: what is committed is kept.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import ray
import yaml
from rich.console import Console
from rich.table import Table

from raytrain.cluster import connect
from raytrain.config.load import load_config
from raytrain.config.schema import Config
from raytrain.crossval.plan import load_plan
from raytrain.crossval.prepare import prepare_run
from raytrain.crossval.specs import build_specs
from raytrain.crossval.train import hidden_states_of, prepare_cluster
from raytrain.errors import RaytrainError
from raytrain.folds.launch import run_folds
from raytrain.folds.result import read_fold, read_fold_oof
from raytrain.folds.tracking import tracking
from raytrain.scores.classes import score_proba
from raytrain.stages import Stages
from raytrain.storage.directory import Directory
from raytrain.tasks import LOWER_IS_BETTER, TASK_METRICS

MEAN = "mean of all"


def train_some(config: Config, folds: list[int], console: Console) -> dict[str, dict[int, dict[str, float]]]:
    """Trains some folds of a run, those not yet committed.

    Returns:
        Metrics by architecture, and of the mean of all architectures' probabilities, and by fold.
    """
    stages, run = Stages(console), Directory(config.storage) / config.name
    prepared = prepare_run(run, config, stages)
    connect(config.cluster.address)
    plan = load_plan(run, config, prepared, stages)
    specs = build_specs(plan, ray.put(plan.fold_data()))
    specs = [spec for spec in specs if spec.fold in folds and spec.repeat == 0]
    found = {spec.name: read_fold(spec.location, spec.identity, TASK_METRICS[spec.task]) for spec in specs}
    kept = {name: result for name, result in found.items() if result is not None}
    capacity = prepare_cluster(plan, specs, kept, stages)
    with hidden_states_of(plan, specs, kept, capacity, stages) as states, tracking(run, config) as tracker:
        ready = [replace(s, hidden_states=states) if s.model.freezes_encoder else s for s in specs]
        run_folds(ready, kept, capacity, config.cluster.max_failures, console, tracker)
    scores: dict[str, dict[int, dict[str, float]]] = {}
    for fold in folds:
        told = [(s.architecture, *_read_oof(s.location)) for s in specs if s.fold == fold]
        rows = told[0][1]
        told.append((MEAN, rows, np.mean([proba for _, _, proba in told], axis=0)))
        for name, _, proba in told:
            scores.setdefault(name, {})[fold] = score_proba(plan.targets[rows], proba)
    return scores


def _read_oof(location: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a committed fold, ascending, and their probabilities."""
    table = read_fold_oof(location)
    rows = table["row"].to_numpy()
    names = [name for name in table.column_names if name.startswith("proba")]
    proba = np.stack([table[name].to_numpy() for name in names], axis=1)
    order = np.argsort(rows)
    return rows[order], proba[order]


def compare(scores: dict[str, Any], architecture: str, folds: list[int], metric: str) -> Table:
    """A table of variants that have these folds: their mean, and its paired difference from the first's."""
    table = Table(title=f"{architecture}, {metric}, folds {folds}", title_justify="left")
    for column in ("variant", metric, "difference", "its standard error", "folds better"):
        table.add_column(column, justify="left" if column == "variant" else "right")
    whole = {
        name: np.array([own[architecture][str(fold)][metric] for fold in folds])
        for name, own in scores.items()
        if all(str(fold) in own.get(architecture, {}) for fold in folds)
    }
    for name, value in whole.items():
        apart = value - next(iter(whole.values()))
        error = apart.std(ddof=1) / np.sqrt(len(folds)) if len(folds) > 1 else np.nan
        gained = -apart if metric in LOWER_IS_BETTER else apart
        better = f"{int((gained > 0).sum())} of {len(folds)}"
        table.add_row(name, f"{value.mean():.4f}", f"{apart.mean():+.4f}", f"{error:.4f}", better)
    return table


def _folds(text: str) -> list[int]:
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--storage", type=Path, required=True)
    parser.add_argument("--variants", type=Path, required=True)
    parser.add_argument("--only", nargs="*", help="these variants; else all")
    parser.add_argument("--folds", type=_folds, default=_folds("0-4"), help="as 0-4")
    parser.add_argument("--metrics", nargs="*", default=["accuracy", "log_loss"])
    parser.add_argument("overrides", nargs="*", help="key=value of all variants")
    options = parser.parse_args()
    console, answers = Console(stderr=True), options.storage / "scores.json"
    options.storage.mkdir(parents=True, exist_ok=True)
    scores = json.loads(answers.read_text(encoding="utf-8")) if answers.exists() else {}
    variants = yaml.safe_load(options.variants.read_text(encoding="utf-8"))
    chosen = options.only or list(variants)
    unknown = [name for name in chosen if name not in variants]
    if unknown:
        parser.error(f"--only: no variants {unknown}; the file has {', '.join(variants)}")
    for name in chosen:
        own = [*options.overrides, *variants[name], f"name={name}", f"storage={options.storage}"]
        try:
            found = train_some(load_config(None, own), options.folds, console)
        except RaytrainError as error:
            sys.exit(f"{name}: {error}")
        for architecture, by_fold in found.items():
            kept = scores.setdefault(name, {}).setdefault(architecture, {})
            kept.update({str(fold): metrics for fold, metrics in by_fold.items()})
        answers.write_text(json.dumps(scores, indent=1), encoding="utf-8")
    scores = {name: scores[name] for name in variants if name in scores}  # in the file's order
    architectures = dict.fromkeys(arch for own in scores.values() for arch in own)
    for architecture in architectures:
        for metric in options.metrics:
            Console().print(compare(scores, architecture, options.folds, metric))


if __name__ == "__main__":
    main()
