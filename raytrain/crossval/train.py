"""Training the fold runs of a plan that are not committed yet, on the cluster that there is."""

import contextlib
from dataclasses import replace

from raytrain.crossval.directory import begin_run
from raytrain.crossval.plan import Plan
from raytrain.crossval.preflight import check_nodes, learned_bytes, needed_bytes, state_copies
from raytrain.folds.launch import Capacity, run_folds
from raytrain.folds.resources import (
    FoldResources,
    cluster_nodes,
    count_slots,
    describe_resources,
    divide_resources,
)
from raytrain.folds.result import FoldResult
from raytrain.folds.spec import FoldSpec
from raytrain.folds.tracking import tracking
from raytrain.hidden_states.cache import HiddenStates, cached_hidden_states
from raytrain.hidden_states.encode import EncodingWorkers
from raytrain.stages import Stages


def train_missing(
    plan: Plan,
    specs: list[FoldSpec],
    kept: dict[str, FoldResult],
    capacity: Capacity | None,
    stages: Stages,
) -> tuple[dict[str, FoldResult], float]:
    """Trains what is not kept, with the frozen encoder's output at hand.

    Args:
        plan: The run.
        specs: Its fold runs, in order.
        kept: Those that are finished, by name.
        capacity: Of `prepare_cluster`.
        stages: Where it is told.

    Returns:
        As `folds.launch.run_folds`, and the seconds that the encoder's output took.

    Raises:
        FoldError: Some failed for good; the rest were committed first.
        TimeBudgetError: Before any was begun.
    """
    with (
        hidden_states_of(plan, specs, kept, capacity, stages) as hidden_states,
        tracking(plan.run, plan.config) as tracker,
    ):
        ready = [
            replace(spec, hidden_states=hidden_states) if spec.model.freezes_encoder else spec
            for spec in specs
        ]
        failures = plan.config.cluster.max_failures
        results = run_folds(ready, kept, capacity, failures, stages.console, tracker)
    return results, 0.0 if hidden_states is None else hidden_states.seconds


def prepare_cluster(
    plan: Plan, specs: list[FoldSpec], kept: dict[str, FoldResult], stages: Stages
) -> Capacity | None:
    """Fits the folds into the cluster, begins the run, and has every node try its storage.

    Args:
        plan: The run.
        specs: Its fold runs.
        kept: Those that are finished, by name.
        stages: Where it is told.

    Returns:
        None where all are finished.

    Raises:
        ClusterError: Not one fold fits, or a node cannot write to the storage.
    """
    missing = [spec for spec in specs if spec.name not in kept]
    if not missing:
        begin_run(plan.run, plan.config, plan.corpus, plan.hashes, plan.folds)
        return None
    cluster = plan.config.cluster
    nodes = cluster_nodes(cluster.autoscaler)
    resources = divide_resources(cluster, len(specs), len(missing), nodes)
    stages.console.print(describe_resources(resources, len(missing), nodes), highlight=False, markup=False)
    begin_run(plan.run, plan.config, plan.corpus, plan.hashes, plan.folds)
    needs = [
        (learned_bytes(spec.model), state_copies(spec.settings) if spec.is_network else 0) for spec in missing
    ]
    check_nodes(plan.run, needed_bytes(needs, resources.slots))

    def recount(needs: FoldResources, num_left: int) -> int:
        return count_slots(needs, cluster, num_left, cluster_nodes(cluster.autoscaler))

    return Capacity(resources, recount, stages.deadline, len(nodes) == 1, cluster.folds_per_worker)


def hidden_states_of(
    plan: Plan,
    specs: list[FoldSpec],
    kept: dict[str, FoldResult],
    capacity: Capacity | None,
    stages: Stages,
) -> contextlib.AbstractContextManager[HiddenStates | None]:
    """The frozen encoder's output, where a fold that is still to train would read it."""
    missing = [spec for spec in specs if spec.name not in kept and spec.model.freezes_encoder]
    if not missing or capacity is None:
        return contextlib.nullcontext()
    return frozen_states(plan, capacity.resources, stages)


def frozen_states(
    plan: Plan, resources: FoldResources, stages: Stages
) -> contextlib.AbstractContextManager[HiddenStates | None]:
    """The frozen encoder's output for the corpus, kept in the cache while the block runs.

    Yields:
        None where there is no cache or no room in it: the encoder then runs in every step.
    """
    encoder, cache = plan.encoder_source, plan.config.cache
    if encoder is None or cache.max_gb == 0:
        return contextlib.nullcontext()
    count, failures = resources.slots * resources.workers, plan.config.cluster.max_failures
    workers = EncodingWorkers(count, resources.cpus, resources.gpus, failures)
    return cached_hidden_states(encoder, plan.shared.features, workers, cache.directory, cache.max_gb, stages)
