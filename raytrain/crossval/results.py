"""What the driver makes of committed folds: their scores, and the ensemble."""

from typing import Any

import numpy as np
import pyarrow as pa
import ray

from raytrain.crossval.plan import Plan
from raytrain.ensemble.write import ENSEMBLE, write_ensemble
from raytrain.folds.result import FoldResult, read_fold_oof
from raytrain.folds.spec import FoldSpec
from raytrain.scores.oof import score_baseline, score_folds
from raytrain.scores.scoring import SCORINGS, Scoring
from raytrain.stages import Stages
from raytrain.tasks import TASK_METRICS


def write_results(
    plan: Plan,
    specs: list[FoldSpec],
    results: dict[str, FoldResult],
    encoder_seconds: float,
    baseline_oof: dict[str, np.ndarray],
    stages: Stages,
) -> dict[str, Any]:
    """Writes the ensemble of the folds that there are, without those that learned nothing.

    Args:
        plan: The run.
        specs: Its folds, in order.
        results: Those that are committed, by name.
        encoder_seconds: What the frozen encoder's output took, where it was computed.
        baseline_oof: Each baseline's (num_rows, num_classes) probabilities.
        stages: Where it is told.

    Returns:
        The summary, as in summary.json but for the seconds it took.
    """
    with stages.stage("scoring"):
        done, summary, table = _score(plan, specs, results, baseline_oof)
    summary["encoder_seconds"] = encoder_seconds
    drops = plan.config.ensemble.drop_dead
    summary |= {"drop_dead": drops, "dropped": _choose_dropped(done, results) if drops else []}
    kept = [spec for spec in done if spec.name not in summary["dropped"]]
    is_frozen = any(spec.model.freezes_encoder for spec in kept)
    frozen = ray.get(plan.encoder_weights) if is_frozen and plan.encoder_weights is not None else None
    records = [results[spec.name].record for spec in kept]
    with stages.stage("writing the ensemble", len(kept), "folds") as stage:
        labels = plan.corpus.labels
        write_ensemble(
            plan.run / ENSEMBLE,
            plan.config,
            plan.shared,
            labels,
            kept,
            records,
            summary,
            table,
            frozen,
            stage,
        )
    return summary


def _choose_dropped(done: list[FoldSpec], results: dict[str, FoldResult]) -> list[str]:
    """The dead folds, by name; none of an architecture of which there is no other fold."""
    living = {spec.architecture for spec in done if not results[spec.name].dead}
    return [spec.name for spec in done if results[spec.name].dead and spec.architecture in living]


def _score(
    plan: Plan,
    specs: list[FoldSpec],
    results: dict[str, FoldResult],
    baseline_oof: dict[str, np.ndarray],
) -> tuple[list[FoldSpec], dict[str, Any], pa.Table]:
    """The committed folds, their scores as in the summary, and oof.parquet."""
    done = [spec for spec in specs if spec.name in results]
    parts = {
        name: [read_fold_oof(spec.location) for spec in done if spec.architecture == name]
        for name in dict.fromkeys(spec.architecture for spec in done)
    }
    scoring: Scoring = SCORINGS[plan.config.task](plan.corpus.labels, plan.targets)
    oof = {name: scoring.assemble({name: own}) for name, own in parts.items()}
    whole = scoring.assemble(parts) if len(parts) > 1 else next(iter(oof.values()))
    summary = _sum_up(plan, [results[spec.name] for spec in done], scoring, oof, whole)
    summary["baselines"] = {
        name: score_baseline(plan.targets, plan.folds[0], proba, plan.config.seed)
        for name, proba in baseline_oof.items()
    }
    summary["missing"] = [spec.name for spec in specs if spec.name not in results]
    summary["stopped_early"] = [spec.name for spec in done if results[spec.name].stopped_early]
    summary["dead"] = [spec.name for spec in done if results[spec.name].dead]
    return done, summary, scoring.table(plan.corpus.table["id"].combine_chunks(), plan.folds, oof, whole)


def _sum_up(
    plan: Plan, results: list[FoldResult], scoring: Scoring, oof: dict[str, Any], whole: Any
) -> dict[str, Any]:
    task, seed = plan.config.task, plan.config.seed
    architectures = {}
    for name, own_oof in oof.items():
        own = [result for result in results if result.record["architecture"] == name]
        folds = [
            {
                "name": result.name,
                "metrics": result.metrics,
                "epochs": result.record["history"][-1]["epoch"],
                "seconds": result.record["seconds"],
                "dead": result.dead,
            }
            for result in own
        ]
        spread = score_folds([result.metrics for result in own], TASK_METRICS[task])
        architectures[name] = {"folds": folds, **spread, **scoring.score(own_oof, seed)}
    return {
        "name": plan.config.name,
        "task": task,
        "rows": plan.corpus.num_rows,
        "labels": plan.corpus.labels,
        "duplicates": plan.duplicates.summary() if plan.duplicates is not None else None,
        "select": plan.config.train.select,
        "architectures": architectures,
        "ensemble": scoring.score(whole, seed),
    }
