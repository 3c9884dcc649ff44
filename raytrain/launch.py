"""Launching fold runs as the cluster has room, and watching them."""

import contextlib
import traceback
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ray
from rich.console import Console

from raytrain.cluster import FoldResources, on_this_node, quicken_controllers
from raytrain.errors import FoldError
from raytrain.fold_result import FoldResult, FoldSpec, read_fold
from raytrain.fold_run import FoldTrainer
from raytrain.progress import FoldTable
from raytrain.storage import Directory
from raytrain.tracking import Tracker

_POLL_SECONDS = 0.5


class FoldLauncher:
    """Runs each fold's blocking `fit` in a thread of its own, and collects what the folds report.

    It lives in a Ray actor. In threads of the driver `fit` would still be inside Ray when Ctrl-C
    wants to shut Ray down, and that ends in a crash.
    """

    def __init__(self) -> None:
        quicken_controllers()
        self._events: deque[tuple[str, dict[str, Any]]] = deque()

    def push(self, name: str, event: dict[str, Any]) -> None:
        self._events.append((name, event))

    def drain(self) -> list[tuple[str, dict[str, Any]]]:
        return [self._events.popleft() for _ in range(len(self._events))]

    def run_fold(
        self, spec: FoldSpec, resources: FoldResources, max_failures: int
    ) -> tuple[FoldResult | None, str]:
        """Runs one fold to its end; returns its result, or None and the text of its failure."""
        try:
            FoldTrainer(spec, resources.scaling(), max_failures).fit()
            result = read_fold(spec.location, spec.identity)
            missing = (
                f"expected {spec.location}/result/result.json, found none; do all nodes reach this storage?"
            )
            return result, "" if result else missing
        except Exception:
            failure = traceback.format_exc()
            with contextlib.suppress(Exception):
                Directory(spec.location).write_bytes("error.txt", failure.encode())
            return None, failure


def run_folds(
    specs: Sequence[FoldSpec],
    kept: dict[str, FoldResult],
    resources: FoldResources | None,
    max_failures: int,
    console: Console,
    tracker: Tracker,
) -> list[FoldResult]:
    """Trains the folds that are not committed yet, never more at once than fit.

    Args:
        specs: All fold runs, in order.
        kept: Those committed earlier, by name.
        resources: What a fold takes and how many fit; None where all are kept.
        max_failures: Retries of a fold run.
        console: Where progress is drawn.
        tracker: Where epochs are logged.

    Returns:
        Every fold's result, in the order of `specs`.

    Raises:
        FoldError: Some failed for good; the rest were committed first.
    """
    results = dict(kept)
    failures: dict[str, str] = {}
    table = FoldTable([spec.name for spec in specs], int(specs[0].settings["epochs"]), console)
    for name in kept:
        table.set_state(name, "kept")
    waiting = deque(spec for spec in specs if spec.name not in kept)
    if waiting and resources is not None:
        with table.shown():
            _run_waiting(waiting, resources, max_failures, table, tracker, results, failures)
    if failures:
        raise FoldError(failures, "Run the same command again to train only what is missing.")
    return [results[spec.name] for spec in specs]


def _run_waiting(
    waiting: deque[FoldSpec],
    resources: FoldResources,
    max_failures: int,
    table: FoldTable,
    tracker: Tracker,
    results: dict[str, FoldResult],
    failures: dict[str, str],
) -> None:
    """Fills `results` and `failures`, keeping as many folds running as fit."""
    actor: Any = ray.remote(FoldLauncher)
    options = {"num_cpus": 0, "max_concurrency": resources.slots + 2, "scheduling_strategy": on_this_node()}
    launcher = actor.options(**options).remote()
    running: dict[ray.ObjectRef, str] = {}
    while waiting or running:
        while waiting and len(running) < resources.slots:
            spec = waiting.popleft()
            gpu_share = resources.gpus or None
            spec = replace(spec, progress=launcher, threads=resources.cpus, gpu_share=gpu_share)
            running[launcher.run_fold.remote(spec, resources, max_failures)] = spec.name
            table.set_state(spec.name, "starting")
        done, _ = ray.wait(list(running), timeout=_POLL_SECONDS)
        _show_events(table, tracker, launcher)
        for outcome in done:
            name = running.pop(outcome)
            try:
                result, failure = ray.get(outcome)
            except ray.exceptions.RayError as error:
                result, failure = None, str(error)
            if result is None:
                failures[name] = failure
            else:
                results[name] = result
            table.set_state(name, "failed" if result is None else "committed")


def _show_events(table: FoldTable, tracker: Tracker, launcher: Any) -> None:
    with contextlib.suppress(ray.exceptions.RayError):  # progress is worth no run's failure
        for name, event in ray.get(launcher.drain.remote(), timeout=5):
            table.update(name, event)
            if "epoch" in event:
                tracker.log(name, event["epoch"], event)
