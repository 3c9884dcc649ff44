"""The driver: corpus to folds to fold runs to one ensemble artifact."""

import contextlib
import time
from typing import Any

import numpy as np
import ray
from rich.console import Console

from raytrain.cluster import check_storage, connect
from raytrain.config.ensemble import EnsembleConfig
from raytrain.config.schema import Config
from raytrain.config.stored import check_config
from raytrain.crossval.baselines import Comparison, finish_baselines, has_easier_folds, start_baselines
from raytrain.crossval.directory import check_inputs, read_summary
from raytrain.crossval.plan import Plan, load_plan
from raytrain.crossval.prepare import prepare_run, read_texts
from raytrain.crossval.results import time_lines, write_results
from raytrain.crossval.specs import build_specs
from raytrain.crossval.suspects import suspects_line, write_suspects
from raytrain.crossval.train import prepare_cluster, train_missing
from raytrain.ensemble.apart import TEST_OUTPUT, predict_test
from raytrain.ensemble.artifact import load_ensemble
from raytrain.errors import TimeBudgetError
from raytrain.folds.result import CHECKPOINT, clear_checkpoint, read_fold
from raytrain.fusion.tables import alternative_table, fusion_lines, member_table
from raytrain.messages import counted
from raytrain.scores.tables import (
    compare_table,
    dead_lines,
    fold_table,
    incomplete_line,
    is_complete,
    score_table,
    type_table,
)
from raytrain.scores.tagging import count_inexpressible
from raytrain.splits.duplicates import copies_line
from raytrain.stages import Stages
from raytrain.storage.directory import Directory
from raytrain.storage.files import json_bytes
from raytrain.storage.lock import lock_run
from raytrain.tasks import TASK_METRICS


def train_run(config: Config, console: Console) -> dict[str, Any]:
    """Trains every fold of every architecture and leaves the ensemble artifact in the run directory.

    Where `data.test` names a file, the ensemble predicts it into the run directory, too. A run of the same
    name goes on where it stopped; a finished one is only summed up again. Where `cluster.time_budget` ends
    it, the ensemble is made of what there is, and a later run goes on.

    Args:
        config: The whole config.
        console: Where progress and the summary are drawn.

    Returns:
        The summary, as in summary.json.

    Raises:
        InputError: Config, corpus, encoder or cluster cannot be used; no fold was started.
        FoldError: Folds failed for good; the others are committed.
        TimeBudgetError: It was used up before one fold had learned anything; what is done so far is kept.
    """
    started = time.monotonic()
    budget = config.cluster.time_budget
    stages = Stages(console, None if budget is None else time.time() + budget)
    check_storage(config.storage)
    run = Directory(config.storage) / config.name
    with lock_run(run):
        check_config(run, config)
        summary = read_summary(run)
        if summary is None or _lacks_something(summary, config):
            prepared = prepare_run(run, config, stages)
            connect(config.cluster.address)
            plan = load_plan(run, config, prepared, stages)
            announce(plan, console)
            summary = _train(plan, stages)
            summary["seconds"] = round(time.monotonic() - started, 1)
            if config.task == "classify" and is_complete(summary):
                found = write_suspects(run, plan.corpus, plan.duplicates, summary, Stages(console))
                summary["suspects"] = found
            # Last of all: where it lies, the run is finished.
            run.write_bytes("summary.json", json_bytes(summary))
        else:
            check_inputs(run, config, read_texts(config, Stages(console)), encoder=None)
            load_ensemble(f"{run}/ensemble")  # a damaged one is told now, not at the first prediction
            console.print(f"{run} is finished; nothing to train", highlight=False, markup=False)
        _tell_summary(run, summary, console)
        if config.data.test is not None:
            rows = predict_test(str(run), config, Stages(console))
            done = f"{run}/{TEST_OUTPUT[config.task]}: {counted(rows.total, 'row')} of {config.data.test}"
            console.print(done, highlight=False, markup=False, soft_wrap=True)
    return summary


def _tell_summary(run: Directory, summary: dict[str, Any], console: Console) -> None:
    """Draws the tables of a summary, and what is to be said beside them."""
    tables = (
        fold_table(summary),
        score_table(summary),
        type_table(summary),
        member_table(summary),
        alternative_table(summary),
        compare_table(summary),
    )
    for table in tables:
        if table is not None:
            console.print("", table)
    console.print("")
    lines = [*fusion_lines(summary), *dead_lines(summary)]
    if "suspects" in summary:
        lines.append(suspects_line(run, summary["suspects"]))
    if not is_complete(summary):
        lines.append(incomplete_line(summary))
    for line in lines:
        console.print(line, "", highlight=False, markup=False)


def _lacks_something(summary: dict[str, Any], config: Config) -> bool:
    """Whether a finished run is to be summed up anew: nothing of its folds is trained again."""
    lacks_baselines = config.baseline and config.task == "classify" and not summary.get("baselines")
    return lacks_baselines or _has_other_ensemble(summary, config) or _lacks_comparison(summary, config)


def _has_other_ensemble(summary: dict[str, Any], config: Config) -> bool:
    """Whether the ensemble of a finished run was made with other keys of `ensemble`.

    One that was made before there was a key was made with its default, or with less: it stays as it is.
    """
    wanted = config.ensemble.model_dump(mode="json")
    made = EnsembleConfig().model_dump(mode="json") | summary.get("ensemble_keys", {})
    made["drop_dead"] = summary["drop_dead"] if summary.get("dead") else wanted["drop_dead"]
    return made != wanted


def _lacks_comparison(summary: dict[str, Any], config: Config) -> bool:
    """Whether a finished run has not been compared yet, as is wanted now."""
    compares = config.folds.compare and has_easier_folds(config, summary.get("duplicates"))
    return compares and summary.get("compare") is None


def announce(plan: Plan, console: Console) -> None:
    """Says what is about to be learned from."""
    corpus, shared = plan.corpus, plan.shared
    told = corpus.summary()["labels"]
    counts = {entry["label"]: entry.get("spans", entry["rows"]) for entry in told}
    spans = f", {counted(sum(counts.values()), 'span')}" if plan.config.task == "tag" else ""
    labels = ", ".join(f"{label}: {count:,}" for label, count in counts.items())
    lines = [f"{corpus.path}: {counted(corpus.num_rows, 'row')}{spans} ({labels})"]
    lines += [f"  {line}" for line in corpus.reading]
    lines += [f"  dropped {counted(count, 'row')}: {kind}" for kind, count in corpus.dropped.items()]
    lines += _changed_lines(plan)
    lines += filter(None, [copies_line(corpus)])
    if plan.duplicates is not None:
        lines += filter(None, [plan.duplicates.line(plan.config.folds.time is not None)])
    lines += time_lines(plan)
    if plan.config.task == "tag":
        missed, total = count_inexpressible(plan.targets)
        if missed:
            cut = "do not begin and end with a token: no tagger can find just them"
            lines.append(f"  {missed:,} of {total:,} spans {cut}")
    if plan.encoder_facts["layout"] is not None:
        unread = plan.encoder_facts["unread"]
        names = ", ".join(unread[:4]) + (", …" if len(unread) > 4 else "")
        left = f"; {len(unread)} variables beside the encoder are not read: {names}" if unread else ""
        lines.append(f"encoder: {plan.encoder_facts['layout']}{left}")
    if plan.config.encoder.windows > 1 and shared.rows is not None:
        num_cut = int((np.bincount(shared.rows.rows) > 1).sum())
        lines.append(f"{num_cut:,} texts are read in several windows, all texts in {len(shared.rows):,}")
    if shared.vocabulary is not None:
        lines.append(counted(len(shared.vocabulary), "word"))
        if plan.config.words.vectors:
            found = shared.coverage
            lines[-1] += (
                f": {found['own']:,} with a vector of their own, {found['characters']:,} with their "
                f"characters' mean, {found['none']:,} with none"
            )
    if shared.keywords is not None:
        lines.append(shared.keywords.describe(corpus.labels))
    for line in lines:
        console.print(line, highlight=False, markup=False)


def _changed_lines(plan: Plan) -> list[str]:
    """How many labels a person has changed, where a file says so."""
    if plan.corpus.changed_labels is None:
        return []
    files = ", ".join(plan.config.data.labels_files)
    return [f"  changed {counted(plan.corpus.changed_labels, 'label')} by {files}"]


def _clear_checkpoints(committed: list[str]) -> None:
    """Removes what committed folds no longer need, where their driver died before it did."""
    for location in committed:
        with contextlib.suppress(OSError):
            if (Directory(location) / CHECKPOINT).exists():
                clear_checkpoint(location)


def _train(plan: Plan, stages: Stages) -> dict[str, Any]:
    """Trains what is not committed yet, then writes the ensemble. Returns the summary."""
    specs = build_specs(plan, ray.put(plan.fold_data()))
    found = {spec.name: read_fold(spec.location, spec.identity, TASK_METRICS[spec.task]) for spec in specs}
    committed = {name: result for name, result in found.items() if result is not None}
    kept = {name: result for name, result in committed.items() if not result.stopped_early}
    _clear_checkpoints([spec.location for spec in specs if spec.name in kept])
    capacity = prepare_cluster(plan, specs, kept, stages)
    baselines = start_baselines(plan)
    doubled = plan.duplicates.summary() if plan.duplicates is not None else None
    compares = plan.config.folds.compare and has_easier_folds(plan.config, doubled)
    comparison = Comparison(plan) if compares else None
    seconds = 0.0
    try:
        trained, seconds = train_missing(plan, specs, kept, capacity, stages)
        committed |= trained
    except TimeBudgetError as error:  # of the hidden states: no fold was begun
        if not committed:
            raise
        stages.say(str(error))
    if not committed:
        raise TimeBudgetError(
            "cluster.time_budget was used up before one fold had learned anything; the same command goes on, "
            "or give it more"
        )
    baseline_oof = finish_baselines(plan, baselines, stages)
    compared = comparison.finish(baseline_oof, stages) if comparison is not None else None
    plan.run.remove("summary.json")  # of an ensemble that is made anew: never beside another one
    return write_results(plan, specs, committed, seconds, baseline_oof, Stages(stages.console), compared)
