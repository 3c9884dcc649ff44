"""The driver: corpus to folds to fold runs to one ensemble artifact."""

import contextlib
import time
from dataclasses import replace
from typing import Any

import numpy as np
import ray
from rich.console import Console

from raytrain.baseline import baselines_on_ray
from raytrain.cluster import (
    FoldResources,
    check_storage,
    connect,
    plan_resources,
)
from raytrain.config import Config
from raytrain.ensemble import load_ensemble, write_ensemble
from raytrain.fold_result import FoldResult, FoldSpec, read_fold, read_fold_oof
from raytrain.hidden_states import HiddenStates, cached_hidden_states
from raytrain.launch import run_folds
from raytrain.plan import Plan, build_specs, load_plan, prepare_run, read_texts
from raytrain.run_directory import (
    begin_run,
    check_config,
    check_inputs,
    lock_run,
    read_summary,
)
from raytrain.storage import Directory, json_bytes
from raytrain.summary import (
    assemble_oof,
    fold_table,
    oof_table,
    score_baseline,
    score_folds,
    score_oof,
    score_table,
)
from raytrain.tracking import tracking


def cross_validate(config: Config, console: Console) -> dict[str, Any]:
    """Trains every fold of every architecture and leaves the ensemble artifact in the run directory.

    A run of the same name goes on where it stopped; a finished one is only summed up again.

    Args:
        config: The whole config.
        console: Where progress and the summary are drawn.

    Returns:
        The summary, as in summary.json.

    Raises:
        InputError: Config, corpus, encoder or cluster cannot be used; no fold was started.
        FoldError: Folds failed for good; the others are committed.
    """
    started = time.monotonic()
    check_storage(config.storage)
    run = Directory(config.storage) / config.name
    with lock_run(run):
        check_config(run, config)
        summary = read_summary(run)
        if summary is None:
            prepared = prepare_run(run, config, console)
            connect(config.cluster.address)
            plan = load_plan(run, config, prepared)
            announce(plan, console)
            summary = _train(plan, console)
            summary["seconds"] = round(time.monotonic() - started, 1)
            run.write_bytes("summary.json", json_bytes(summary))
        else:
            check_inputs(run, config, read_texts(config), encoder=None)
            load_ensemble(f"{run}/ensemble")  # a damaged one is told now, not at the first prediction
            console.print(f"{run} is finished; nothing to train", highlight=False, markup=False)
        console.print("", fold_table(summary), "", score_table(summary), "")
    return summary


def announce(plan: Plan, console: Console) -> None:
    """Says what is about to be learned from."""
    corpus, inputs = plan.corpus, plan.inputs
    labels = ", ".join(f"{entry['label']}: {entry['rows']:,}" for entry in corpus.summary()["labels"])
    lines = [f"{corpus.path}: {corpus.num_rows:,} rows ({labels})"]
    lines += [f"  dropped {count:,} rows: {kind}" for kind, count in corpus.dropped.items()]
    if plan.encoder_facts["layout"] is not None:
        unread = plan.encoder_facts["unread"]
        names = ", ".join(unread[:4]) + (", …" if len(unread) > 4 else "")
        left = f"; {len(unread)} variables beside the encoder are not read: {names}" if unread else ""
        lines.append(f"encoder: {plan.encoder_facts['layout']}{left}")
    if inputs.vocabulary is not None:
        lines.append(f"{len(inputs.vocabulary):,} words")
        if plan.config.words.vectors:
            found = inputs.coverage
            lines[-1] += (
                f": {found['own']:,} with a vector of their own, {found['characters']:,} with their "
                f"characters' mean, {found['none']:,} with none"
            )
    if inputs.keywords is not None:
        lines.append(inputs.keywords.describe(corpus.labels))
    for line in lines:
        console.print(line, highlight=False, markup=False)


def _train(plan: Plan, console: Console) -> dict[str, Any]:
    """Trains what is not committed yet, then writes the ensemble. Returns the summary."""
    specs = build_specs(plan, ray.put(plan.shared_data()))
    committed = {spec.name: read_fold(spec.location, spec.identity) for spec in specs}
    kept = {name: result for name, result in committed.items() if result is not None}
    num_missing = len(specs) - len(kept)
    resources = plan_resources(plan.config.cluster, len(specs)) if num_missing else None
    begin_run(plan.run, plan.config, plan.corpus, plan.hashes, plan.folds)
    baselines = _start_baselines(plan)
    with (
        _hidden_states(plan, specs, kept, resources, console) as hidden_states,
        tracking(plan.run, plan.config) as tracker,
    ):
        ready = [
            spec if spec.model["train_encoder"] else replace(spec, hidden_states=hidden_states)
            for spec in specs
        ]
        results = run_folds(ready, kept, resources, plan.config.cluster.max_failures, console, tracker)
    oof: dict[str, np.ndarray] = {
        name: assemble_oof(
            [read_fold_oof(spec.location) for spec in specs if spec.architecture == name],
            plan.corpus.num_rows,
            len(plan.corpus.labels),
        )
        for name in plan.config.model.architectures
    }
    summary = _sum_up(plan, results, oof, _finish_baselines(baselines, console))
    summary["encoder_seconds"] = hidden_states.seconds if hidden_states is not None else 0.0
    table = oof_table(
        plan.corpus.table["id"].combine_chunks(), plan.folds, plan.corpus.labels, plan.labels, oof
    )
    is_frozen = any(not spec.model["train_encoder"] for spec in specs)
    frozen = ray.get(plan.encoder_weights) if is_frozen and plan.encoder_weights is not None else None
    write_ensemble(plan.run, plan.config, plan.inputs, plan.corpus.labels, specs, summary, table, frozen)
    return summary


def _hidden_states(
    plan: Plan,
    specs: list[FoldSpec],
    kept: dict[str, FoldResult],
    resources: FoldResources | None,
    console: Console,
) -> contextlib.AbstractContextManager[HiddenStates | None]:
    """The frozen encoder's output, where a fold that is still to train would read it."""
    missing = [spec for spec in specs if spec.name not in kept and not spec.model["train_encoder"]]
    if not missing or resources is None:
        return contextlib.nullcontext()
    return frozen_states(plan, resources, console)


def frozen_states(
    plan: Plan, resources: FoldResources, console: Console
) -> contextlib.AbstractContextManager[HiddenStates | None]:
    """The frozen encoder's output for the corpus, kept in the cache while the block runs.

    Yields:
        None where there is no cache or no room in it: the encoder then runs in every step.
    """
    encoder, cache = plan.encoder_source, plan.config.cache
    if encoder is None or cache.max_gb == 0:
        return contextlib.nullcontext()
    return cached_hidden_states(
        encoder, plan.inputs.features, resources, cache.directory, cache.max_gb, console
    )


def _start_baselines(plan: Plan) -> ray.ObjectRef | None:
    if not plan.config.baseline:
        return None
    columns = [plan.corpus.table[name].to_pylist() for name in plan.corpus.text_names]
    texts = [" ".join(parts) for parts in zip(*columns, strict=True)]
    return baselines_on_ray.remote(texts, plan.labels, plan.folds[0], len(plan.corpus.labels))


def _finish_baselines(baselines: ray.ObjectRef | None, console: Console) -> dict[str, np.ndarray]:
    """Waits for the baselines; a corpus too large for them must not cost the folds their ensemble."""
    if baselines is None:
        return {}
    try:
        oof: dict[str, np.ndarray] = ray.get(baselines)
        return oof
    except ray.exceptions.RayError as error:
        console.print(f"the baselines are left out, they failed: {error}", highlight=False, markup=False)
        return {}


def _sum_up(
    plan: Plan, results: list[FoldResult], oof: dict[str, np.ndarray], baseline_oof: dict[str, np.ndarray]
) -> dict[str, Any]:
    labels, seed = plan.labels, plan.config.seed
    architectures = {}
    for name, proba in oof.items():
        own = [result for result in results if result.record["architecture"] == name]
        folds = [
            {
                "name": result.name,
                "metrics": result.metrics,
                "epochs": len(result.record["history"]),
                "seconds": result.record["seconds"],
            }
            for result in own
        ]
        spread = score_folds([result.metrics for result in own])
        architectures[name] = {"folds": folds, **spread, **score_oof(labels, proba, seed)}
    whole = np.mean(list(oof.values()), axis=0)
    return {
        "name": plan.config.name,
        "rows": plan.corpus.num_rows,
        "labels": plan.corpus.labels,
        "select": plan.config.train.select,
        "architectures": architectures,
        "ensemble": score_oof(labels, whole, seed),
        "baselines": {
            name: score_baseline(labels, plan.folds[0], proba, seed) for name, proba in baseline_oof.items()
        },
    }
