"""Launching fold runs as the cluster has room, and watching them."""

import contextlib
import queue
import threading
import traceback
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ray
from ray.actor import ActorHandle
from rich.console import Console

from raytrain.cluster import FoldResources
from raytrain.errors import FoldError
from raytrain.fold_result import FoldResult, FoldSpec, read_fold
from raytrain.fold_run import FoldTrainer
from raytrain.progress import FoldTable, ProgressEvents
from raytrain.storage import Directory

_POLL_SECONDS = 0.5


def run_folds(
    specs: Sequence[FoldSpec],
    kept: dict[str, FoldResult],
    resources: FoldResources | None,
    max_failures: int,
    console: Console,
) -> list[FoldResult]:
    """Trains the folds that are not committed yet, never more at once than fit.

    Each fold's `fit` blocks in a daemon thread of its own; the main thread stays free for Ctrl-C.

    Args:
        specs: All fold runs, in order.
        kept: Those committed earlier, by name.
        resources: What a fold takes and how many fit; None where all are kept.
        max_failures: Retries of a fold run.
        console: Where progress is drawn.

    Returns:
        Every fold's result, in the order of `specs`.

    Raises:
        FoldError: Some failed for good; the rest were committed first.
    """
    results = dict(kept)
    failures: dict[str, str] = {}
    waiting = deque(spec for spec in specs if spec.name not in kept)
    outcomes: queue.Queue[tuple[str, FoldResult | None, str]] = queue.Queue()
    running: set[str] = set()
    actor: Any = ray.remote(num_cpus=0)(ProgressEvents)
    events = actor.remote() if waiting else None
    table = FoldTable([spec.name for spec in specs], int(specs[0].settings["epochs"]), console)
    for name in kept:
        table.set_state(name, "kept")
    with table.shown():
        while waiting or running:
            while waiting and resources and len(running) < resources.slots:
                spec = _with_resources(waiting.popleft(), resources, events)
                running.add(spec.name)
                table.set_state(spec.name, "starting")
                arguments = (spec, resources, max_failures, outcomes)
                threading.Thread(target=_run_fold, args=arguments, daemon=True).start()
            with contextlib.suppress(queue.Empty):
                name, result, failure = outcomes.get(timeout=_POLL_SECONDS)
                running.remove(name)
                _show_events(table, events)
                if result is None:
                    failures[name] = failure
                else:
                    results[name] = result
                table.set_state(name, "failed" if result is None else "committed")
            _show_events(table, events)
    if failures:
        raise FoldError(failures, "Run the same command again to train only what is missing.")
    return [results[spec.name] for spec in specs]


def _with_resources(spec: FoldSpec, resources: FoldResources, events: ActorHandle | None) -> FoldSpec:
    share = resources.gpus or None
    return replace(spec, progress=events, threads=resources.cpus, gpu_share=share)


def _run_fold(spec: FoldSpec, resources: FoldResources, max_failures: int, outcomes: queue.Queue) -> None:
    """Runs one fold to its end and puts (name, result, failure) on the queue, whatever happens."""
    try:
        FoldTrainer(spec, resources.scaling(), max_failures).fit()
        result = read_fold(spec.location, spec.identity)
        failure = "" if result else "the Ray Train run ended without a committed result"
    except Exception:
        result, failure = None, traceback.format_exc()
        with contextlib.suppress(Exception):
            Directory(spec.location).write_bytes("error.txt", failure.encode())
    outcomes.put((spec.name, result, failure))


def _show_events(table: FoldTable, events: ActorHandle | None) -> None:
    if events is None:
        return
    with contextlib.suppress(ray.exceptions.RayError):  # progress is worth no run's failure
        drained: list[tuple[str, dict[str, Any]]] = ray.get(events.drain.remote(), timeout=5)
        for name, event in drained:
            table.update(name, event)
