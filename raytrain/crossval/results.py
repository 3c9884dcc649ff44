"""What the driver makes of committed folds: their scores, and the ensemble."""

from typing import Any

import numpy as np
import pyarrow as pa
import ray

from raytrain.crossval.plan import Plan
from raytrain.crossval.prepare import fusion_settings
from raytrain.ensemble.write import ENSEMBLE, write_ensemble
from raytrain.folds.result import FoldResult, read_fold_oof
from raytrain.folds.spec import FoldSpec
from raytrain.fusion.fuse import fuse_members
from raytrain.fusion.rule import FusionRule, member_name
from raytrain.scores.oof import oof_table, score_baseline, score_folds, score_oof
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
    compared: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes the ensemble of the folds that there are, without those that learned nothing.

    Args:
        plan: The run.
        specs: Its folds, in order.
        results: Those that are committed, by name.
        encoder_seconds: What the frozen encoder's output took, where it was computed.
        baseline_oof: Each baseline's (num_rows, num_classes) probabilities.
        stages: Where it is told.
        compared: A baseline's scores under the run's folds and easier ones, or None.

    Returns:
        The summary, as in summary.json but for the seconds it took.
    """
    done = [spec for spec in specs if spec.name in results]
    ensemble = plan.config.ensemble
    dropped = _choose_dropped(done, results) if ensemble.drop_dead else []
    kept = [spec for spec in done if spec.name not in dropped]
    with stages.stage("scoring"):
        summary, table, rule = _score(plan, done, kept, results, baseline_oof)
    summary["missing"] = [spec.name for spec in specs if spec.name not in results]
    summary |= {"compare": compared, "encoder_seconds": encoder_seconds}
    summary |= {"drop_dead": ensemble.drop_dead, "dropped": dropped}
    summary["ensemble_keys"] = ensemble.model_dump(mode="json")
    if rule is not None:
        kept = [spec for spec in kept if member_name(spec.architecture, spec.repeat) in rule.weights]
        rule = None if rule.is_plain else rule
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
            rule,
        )
    return summary


def _choose_dropped(done: list[FoldSpec], results: dict[str, FoldResult]) -> list[str]:
    """The dead folds, by name; none of an architecture of which there is no other fold."""
    living = {spec.architecture for spec in done if not results[spec.name].dead}
    return [spec.name for spec in done if results[spec.name].dead and spec.architecture in living]


def _score(
    plan: Plan,
    done: list[FoldSpec],
    kept: list[FoldSpec],
    results: dict[str, FoldResult],
    baseline_oof: dict[str, np.ndarray],
) -> tuple[dict[str, Any], pa.Table, FusionRule | None]:
    """Scores of the committed folds as in the summary, oof.parquet, and of a classifier its rule.

    Args:
        plan: The run.
        done: The committed folds.
        kept: Those that are to predict.
        results: Of the committed, by name.
        baseline_oof: As of `write_results`.
    """
    said = {spec.name: read_fold_oof(spec.location) for spec in done}
    parts = {
        name: [said[spec.name] for spec in done if spec.architecture == name]
        for name in dict.fromkeys(spec.architecture for spec in done)
    }
    scoring: Scoring = SCORINGS[plan.config.task](plan.corpus.labels, plan.targets)
    oof = {name: scoring.assemble({name: own}) for name, own in parts.items()}
    whole = scoring.assemble(parts) if len(parts) > 1 else next(iter(oof.values()))
    summary = _sum_up(plan, [results[spec.name] for spec in done], scoring, oof)
    summary["baselines"] = {
        name: score_baseline(plan.targets, plan.folds.valid[0], proba, plan.config.seed, plan.folds.groups)
        for name, proba in baseline_oof.items()
    }
    summary["stopped_early"] = [spec.name for spec in done if results[spec.name].stopped_early]
    summary["dead"] = [spec.name for spec in done if results[spec.name].dead]
    if plan.config.task == "classify":
        return _fuse(plan, scoring, _members(kept, said), oof, whole, summary)
    summary["ensemble"] = _score_whole(plan, scoring, whole, summary)
    ids = plan.corpus.table["id"].combine_chunks()
    return summary, scoring.table(ids, plan.folds.valid, oof, whole), None


def _score_whole(plan: Plan, scoring: Scoring, whole: Any, summary: dict[str, Any]) -> dict[str, Any]:
    """The scores of all architectures together; those of a single one are known."""
    first, *others = summary["architectures"].values()
    if others:
        return scoring.score(whole, plan.config.seed, plan.folds.groups)
    return {key: value for key, value in first.items() if key not in ("folds", "mean", "sd")}


def _members(kept: list[FoldSpec], said: dict[str, pa.Table]) -> dict[str, list[pa.Table]]:
    """What the folds of each member said, of those that are to predict."""
    names = dict.fromkeys(member_name(spec.architecture, spec.repeat) for spec in kept)
    return {
        name: [said[spec.name] for spec in kept if member_name(spec.architecture, spec.repeat) == name]
        for name in names
    }


def _fuse(
    plan: Plan,
    scoring: Scoring,
    members: dict[str, list[pa.Table]],
    oof: dict[str, np.ndarray],
    whole: np.ndarray,
    summary: dict[str, Any],
) -> tuple[dict[str, Any], pa.Table, FusionRule]:
    """What `_score` returns of a classifier; `whole` is the mean of its architectures."""
    labels, targets, folds = plan.corpus.labels, plan.targets, plan.folds.valid
    own = {name: scoring.assemble({name: tables}) for name, tables in members.items()}
    fused = fuse_members(own, whole, targets, folds[0], fusion_settings(plan.config, labels), labels)
    summary["fusion"] = fused.told
    if fused.rule.is_plain:
        summary["ensemble"] = _score_whole(plan, scoring, whole, summary)
    else:
        summary["ensemble"] = score_oof(
            targets, fused.proba, plan.config.seed, fused.decisions, plan.folds.groups
        )
    ids = plan.corpus.table["id"].combine_chunks()
    table = oof_table(ids, folds, labels, targets, oof, fused.proba, fused.decisions)
    return summary, table, fused.rule.trimmed()


def _sum_up(plan: Plan, results: list[FoldResult], scoring: Scoring, oof: dict[str, Any]) -> dict[str, Any]:
    task, drawn = plan.config.task, (plan.config.seed, plan.folds.groups)
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
        architectures[name] = {"folds": folds, **spread, **scoring.score(own_oof, *drawn)}
    return {
        "name": plan.config.name,
        "task": task,
        "rows": plan.corpus.num_rows,
        "labels": plan.corpus.labels,
        "duplicates": plan.duplicates.summary() if plan.duplicates is not None else None,
        "time": time_summary(plan),
        "select": plan.config.train.select,
        "architectures": architectures,
    }


# ── folds by time ──────────────────────────────────────────────────────────────────────────────────


def time_lines(plan: Plan) -> list[str]:
    """What is told before the folds begin; nothing of folds at random."""
    told = time_summary(plan)
    if told is None:
        return []
    column, before, folds = told["column"], told["before"], told["folds"]
    sizes = [fold["train_rows"] for fold in folds]
    lines = [
        f"folds by time (folds.time={column}): the first {before['rows']:,} of {plan.corpus.num_rows:,} "
        f"rows, up to {before['last']}, are in no fold; each fold learns from what lies before it, from "
        f"{sizes[0]:,} to {sizes[-1]:,} rows"
    ]
    left_out = [fold["left_out"] for fold in folds]
    if any(left_out):
        lines.append(
            f"  not learned from, because a fold is judged by a row of their group: {sum(left_out):,} rows, "
            f"of one fold {max(left_out):,} at most"
        )
    return lines


def time_summary(plan: Plan) -> dict[str, Any] | None:
    """When each fold is and how many rows it learns from, as in summary.json; None of folds at random.

    And where no fold is judged by any row.
    """
    if plan.config.folds.time is None or not plan.folds.covered.any():
        return None
    times, folds = plan.corpus.table["time"].combine_chunks(), plan.folds

    def told(is_in: np.ndarray) -> dict[str, Any]:
        rows = np.flatnonzero(is_in)
        order = rows[np.argsort(times.to_numpy(zero_copy_only=False)[rows], kind="stable")]
        first, last = (times[int(order[place])].as_py() for place in (0, -1))
        first, last = (end if isinstance(end, int | float) else str(end) for end in (first, last))
        return {"rows": len(rows), "first": first, "last": last}

    blocks = [
        {
            "fold": fold,
            **told(folds.is_valid(0, fold)),
            "train_rows": int(folds.is_train(0, fold).sum()),
            "left_out": folds.num_left_out(0, fold),
        }
        for fold in range(folds.num_folds)
    ]
    return {"column": plan.config.folds.time, "before": told(~folds.covered), "folds": blocks}
