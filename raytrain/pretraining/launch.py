"""Launching a pre-training's Ray Train run, and watching it."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ray
from ray.actor import ActorHandle

from raytrain.cluster import on_this_node, quicken_controllers
from raytrain.config.pretraining import PretrainCluster
from raytrain.errors import ClusterError, PretrainError, RaytrainError, StorageError
from raytrain.folds.attempts import Outcome, run_attempts
from raytrain.folds.crews import END_SECONDS
from raytrain.folds.events import Event
from raytrain.folds.resources import WHOLE_CARD, FoldResources, Node, cpu_share, describe_nodes
from raytrain.folds.result import clear_checkpoint
from raytrain.folds.trainer import LightTrainer
from raytrain.pretraining.directory import SEQUENCES, is_finished, read_record
from raytrain.pretraining.settings import PretrainSpec
from raytrain.pretraining.table import PretrainTable
from raytrain.pretraining.worker import pretrain_encoder
from raytrain.storage.directory import Directory

_POLL_SECONDS = 0.5


class Launcher:
    """Attempts a pre-training until it is done, and collects what its worker tells. It lives in a Ray actor.

    Args:
        one_machine: Whether no other machine is there.
    """

    def __init__(self, one_machine: bool):
        quicken_controllers(one_machine)
        self._events: deque[tuple[float, Event]] = deque()
        self._workers: list[ActorHandle] = []
        self._closed, self._ended = False, threading.Event()

    def run(self, spec: PretrainSpec, resources: FoldResources, max_failures: int) -> Outcome[dict[str, Any]]:
        """Trains; a worker that was killed goes on from the last checkpoint."""

        def fit(attempt: PretrainSpec) -> Outcome[dict[str, Any]]:
            if self._closed:
                raise RaytrainError("ended by its driver")
            arguments = {"spec": attempt, "launcher": ray.get_runtime_context().current_actor}
            LightTrainer(pretrain_encoder, arguments, "pretrain", resources.scaling()).fit()
            return Outcome(read_record(Directory(attempt.location), attempt.identity))

        try:
            return run_attempts(
                spec, max_failures, fit, lambda event: self.push(spec.name, event, time.time())
            )
        finally:
            self._ended.set()

    def enter(self, worker: ActorHandle) -> None:
        """Told by each worker: who it is."""
        self._workers.append(worker)

    def push(self, name: str, event: Event, sent: float) -> None:
        """Takes what is told, and the Unix time at which it was sent."""
        self._events.append((sent, event))

    def drain(self) -> list[Event]:
        """What was pushed since the last time, in the order it was sent."""
        events = [self._events.popleft() for _ in range(len(self._events))]
        return [event for _, event in sorted(events, key=lambda event: event[0])]

    def end(self) -> None:
        """Ends the workers, and waits until what they own is free."""
        self._closed = True
        if not self._ended.is_set():
            for worker in self._workers:
                ray.kill(worker)
            self._ended.wait(END_SECONDS)


def fit_workers(cluster: PretrainCluster, nodes: Sequence[Node]) -> FoldResources:
    """Fits the workers into the cluster.

    Raises:
        ClusterError: They do not fit.
    """
    gpus = cluster.gpus_per_worker
    if gpus is None:
        gpus = WHOLE_CARD if any(node.gpus for node in nodes) else 0.0
    cpus = cluster.cpus_per_worker or cpu_share(cluster.workers, gpus, nodes)
    resources = FoldResources(cpus, gpus, cluster.workers, 1)
    if not resources.fitting(nodes):
        each = f"{cluster.workers} × {cpus} CPU and {gpus:g} GPU"
        advice = "ask for less by cluster.workers, cluster.cpus_per_worker or cluster.gpus_per_worker"
        raise ClusterError(
            "the workers do not fit into the cluster",
            [f"expected room for {each}; the cluster has {describe_nodes(nodes)}; {advice}"],
        )
    return resources


def launch(
    spec: PretrainSpec,
    resources: FoldResources,
    max_failures: int,
    table: PretrainTable,
    one_machine: bool,
) -> dict[str, Any] | None:
    """Runs a pre-training to its end, and tells how far it is.

    Args:
        spec: What is learned.
        resources: What its workers take.
        max_failures: Failures by chance that are forgiven.
        table: Where progress is drawn.
        one_machine: Whether no other machine is there.

    Returns:
        The record; None where the deadline came before the first step.

    Raises:
        PretrainError: It failed for good.
        StorageError: It is gone.
    """
    actor: Any = ray.remote(Launcher)
    launcher = actor.options(
        num_cpus=0, max_concurrency=8 + resources.workers, scheduling_strategy=on_this_node()
    ).remote(one_machine)
    spec = replace(spec, progress=launcher, threads=resources.cpus, gpu_share=resources.gpus or None)
    running = launcher.run.remote(spec, resources, max_failures)
    try:
        with table.shown():
            outcome = _watch(running, launcher, table)
    finally:
        with contextlib.suppress(ray.exceptions.RayError):
            ray.get(launcher.end.remote(), timeout=2 * END_SECONDS)
        ray.kill(launcher)
    if outcome.storage:
        raise StorageError(outcome.storage)
    if outcome.failure:
        raise PretrainError(spec.name, outcome.failure)
    if is_finished(outcome.result):
        clear_work(Directory(spec.location))
    return outcome.result


def _watch(running: Any, launcher: Any, table: PretrainTable) -> Outcome[dict[str, Any]]:
    while True:
        done, _ = ray.wait([running], timeout=_POLL_SECONDS)
        with contextlib.suppress(ray.exceptions.RayError):  # progress is worth no run's failure
            for event in ray.get(launcher.drain.remote(), timeout=5):
                table.update(event)
        table.tell()
        if done:
            outcome: Outcome[dict[str, Any]] = ray.get(running)
            return outcome


def clear_work(run: Directory) -> None:
    """Removes what only an unfinished run needs."""
    clear_checkpoint(run.location)
    (run / SEQUENCES).delete()
