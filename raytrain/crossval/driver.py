"""The driver: corpus to folds to fold runs to one ensemble artifact."""

import contextlib
import time
from dataclasses import replace
from typing import Any

import numpy as np
import ray
from rich.console import Console

from raytrain.cluster import check_storage, connect
from raytrain.config.schema import Config
from raytrain.crossval.directory import (
    begin_run,
    check_config,
    check_inputs,
    lock_run,
    read_summary,
)
from raytrain.crossval.plan import Plan, build_specs, load_plan
from raytrain.crossval.preflight import check_nodes, learned_bytes, needed_bytes
from raytrain.crossval.prepare import prepare_run, read_texts
from raytrain.crossval.results import write_results
from raytrain.ensemble.artifact import load_ensemble
from raytrain.ensemble.files import TEST_OUTPUT, predict_test
from raytrain.errors import TimeBudgetError
from raytrain.folds.hidden_states import HiddenStates, cached_hidden_states
from raytrain.folds.launch import Capacity, run_folds
from raytrain.folds.resources import (
    FoldResources,
    cluster_nodes,
    count_slots,
    describe_resources,
    divide_resources,
)
from raytrain.folds.result import FoldResult, read_fold
from raytrain.folds.spec import FoldSpec
from raytrain.folds.tracking import tracking
from raytrain.scores.baseline import baselines_on_ray
from raytrain.scores.tables import fold_table, incomplete_line, is_complete, score_table, type_table
from raytrain.scores.tagging import count_inexpressible
from raytrain.storage.directory import Directory
from raytrain.storage.files import json_bytes
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
        TimeBudgetError: It was used up before one fold had learned anything.
    """
    started = time.monotonic()
    budget = config.cluster.time_budget
    deadline = None if budget is None else time.time() + budget
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
            summary = _train(plan, deadline, console)
            summary["seconds"] = round(time.monotonic() - started, 1)
            run.write_bytes("summary.json", json_bytes(summary))
        else:
            check_inputs(run, config, read_texts(config), encoder=None)
            load_ensemble(f"{run}/ensemble")  # a damaged one is told now, not at the first prediction
            console.print(f"{run} is finished; nothing to train", highlight=False, markup=False)
        tables = (fold_table(summary), score_table(summary), type_table(summary))
        for table in tables:
            if table is not None:
                console.print("", table)
        console.print("")
        if not is_complete(summary):
            console.print(incomplete_line(summary), "", highlight=False, markup=False)
    if config.data.test is not None:
        num_rows, _ = predict_test(str(run), config)
        done = f"{run}/{TEST_OUTPUT[config.task]}: {num_rows:,} rows of {config.data.test}"
        console.print(done, highlight=False, markup=False, soft_wrap=True)
    return summary


def announce(plan: Plan, console: Console) -> None:
    """Says what is about to be learned from."""
    corpus, shared = plan.corpus, plan.shared
    told = corpus.summary()["labels"]
    counts = {entry["label"]: entry.get("spans", entry["rows"]) for entry in told}
    spans = f", {sum(counts.values()):,} spans" if plan.config.task == "tag" else ""
    labels = ", ".join(f"{label}: {count:,}" for label, count in counts.items())
    lines = [f"{corpus.path}: {corpus.num_rows:,} rows{spans} ({labels})"]
    lines += [f"  dropped {count:,} rows: {kind}" for kind, count in corpus.dropped.items()]
    if shared.windows is not None:
        missed, total = count_inexpressible(plan.targets)
        if missed:
            cut = "do not begin and end with a token: no tagger can find just them"
            lines.append(f"  {missed:,} of {total:,} spans {cut}")
    if plan.encoder_facts["layout"] is not None:
        unread = plan.encoder_facts["unread"]
        names = ", ".join(unread[:4]) + (", …" if len(unread) > 4 else "")
        left = f"; {len(unread)} variables beside the encoder are not read: {names}" if unread else ""
        lines.append(f"encoder: {plan.encoder_facts['layout']}{left}")
    if shared.vocabulary is not None:
        lines.append(f"{len(shared.vocabulary):,} words")
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


def _train(plan: Plan, deadline: float | None, console: Console) -> dict[str, Any]:
    """Trains what is not committed yet, then writes the ensemble. Returns the summary."""
    specs = build_specs(plan, ray.put(plan.fold_data()))
    found = {spec.name: read_fold(spec.location, spec.identity, TASK_METRICS[spec.task]) for spec in specs}
    committed = {name: result for name, result in found.items() if result is not None}
    kept = {name: result for name, result in committed.items() if not result.stopped_early}
    capacity = _prepare_cluster(plan, specs, len(specs) - len(kept), deadline, console)
    baselines = _start_baselines(plan)
    with (
        _hidden_states(plan, specs, kept, capacity, console) as hidden_states,
        tracking(plan.run, plan.config) as tracker,
    ):
        ready = [
            spec if spec.model.train_encoder else replace(spec, hidden_states=hidden_states) for spec in specs
        ]
        trained = run_folds(ready, kept, capacity, plan.config.cluster.max_failures, console, tracker)
    results = committed | trained
    if not results:
        raise TimeBudgetError(
            f"cluster.time_budget of {plan.config.cluster.time_budget:g} s was used up before one fold had "
            "learned anything; give it more"
        )
    return write_results(plan, specs, results, hidden_states, _finish_baselines(baselines, console))


def _prepare_cluster(
    plan: Plan, specs: list[FoldSpec], num_missing: int, deadline: float | None, console: Console
) -> Capacity | None:
    """Fits the folds into the cluster, begins the run, and has every node try its storage.

    Raises:
        ClusterError: Not one fold fits, or a node cannot write to the storage.
    """
    if not num_missing:
        begin_run(plan.run, plan.config, plan.corpus, plan.hashes, plan.folds)
        return None
    cluster = plan.config.cluster
    nodes = cluster_nodes(cluster.autoscaler)
    resources = divide_resources(cluster, len(specs), num_missing, nodes)
    console.print(describe_resources(resources, num_missing, nodes), highlight=False, markup=False)
    begin_run(plan.run, plan.config, plan.corpus, plan.hashes, plan.folds)
    weights = max(learned_bytes(spec.model) for spec in specs)
    check_nodes(plan.run, needed_bytes(weights, num_missing, resources.slots))

    def recount(needs: FoldResources, num_left: int) -> int:
        return count_slots(needs, cluster, num_left, cluster_nodes(cluster.autoscaler))

    return Capacity(resources, recount, deadline, len(nodes) == 1, cluster.folds_per_worker)


def _hidden_states(
    plan: Plan,
    specs: list[FoldSpec],
    kept: dict[str, FoldResult],
    capacity: Capacity | None,
    console: Console,
) -> contextlib.AbstractContextManager[HiddenStates | None]:
    """The frozen encoder's output, where a fold that is still to train would read it."""
    missing = [spec for spec in specs if spec.name not in kept and not spec.model.train_encoder]
    if not missing or capacity is None:
        return contextlib.nullcontext()
    return frozen_states(plan, capacity.resources, console)


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
        encoder, plan.shared.features, resources, cache.directory, cache.max_gb, console
    )


def _start_baselines(plan: Plan) -> ray.ObjectRef | None:
    if not plan.config.baseline or plan.config.task != "classify":
        return None
    columns = [plan.corpus.table[name].to_pylist() for name in plan.corpus.text_names]
    texts = [" ".join(parts) for parts in zip(*columns, strict=True)]
    return baselines_on_ray.remote(texts, plan.targets, plan.folds[0], len(plan.corpus.labels))


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
