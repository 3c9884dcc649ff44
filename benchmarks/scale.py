"""The driver's own cost of scheduling fold runs, which are stubs, on 100 nodes' worth of made-up resources.

python benchmarks/scale.py
python benchmarks/scale.py --repeats 1 3 10 --seconds 2
"""

import argparse
import io
import itertools
import json
import threading
import time
from pathlib import Path
from typing import Any

import ray
from rich.console import Console
from rich.table import Table
from settings import default_settings

from raytrain.config.sections import ClusterConfig
from raytrain.folds import launch
from raytrain.folds.attempts import FoldOutcome
from raytrain.folds.crews import FoldLauncher
from raytrain.folds.events import Started, Stepped
from raytrain.folds.launch import Capacity, run_folds
from raytrain.folds.resources import Node, divide_resources
from raytrain.folds.result import FoldResult
from raytrain.folds.spec import FoldSpec, ModelSettings, fold_name
from raytrain.folds.tracking import Tracker

NODES, CPUS, NUM_FOLDS = 100, 8, 10
PROBE_SECONDS = 0.01
EVENTS = 20  # what a fold of some minutes tells


class StubLauncher(FoldLauncher):
    """Folds that only take time and tell of progress."""

    def run_fold(self, spec: FoldSpec, resources: Any, max_failures: int) -> FoldOutcome:
        began = time.time()
        self.push(spec.name, Started("stub"), time.time())
        for step in range(1, EVENTS + 1):
            time.sleep(spec.model.config["seconds"] / EVENTS)
            self.push(spec.name, Stepped(step, EVENTS, 1.0, 1.0), time.time())
        return FoldOutcome(FoldResult(spec.name, {}, {"began": began}))


class Lag:
    """How long another thread of the driver, as the one that hears Ctrl-C, had to wait at most."""

    def __enter__(self) -> "Lag":
        self.worst, self._end = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._end.is_set():
            began = time.monotonic()
            time.sleep(PROBE_SECONDS)
            self.worst = max(self.worst, time.monotonic() - began - PROBE_SECONDS)

    def __exit__(self, *exception: Any) -> None:
        self._end.set()
        self._thread.join()


class Untracked(Tracker):
    """Logs nothing."""

    def __init__(self) -> None:
        pass

    def log(self, *arguments: Any, **named: Any) -> None:
        pass


def build_specs(num_architectures: int, repeats: int, seconds: float) -> list[FoldSpec]:
    specs, nothing = [], ray.put(None)
    for number in range(num_architectures):
        for repeat in range(repeats):
            for fold in range(NUM_FOLDS):
                architecture = f"architecture-{number}"
                specs.append(
                    FoldSpec(
                        name=f"{architecture}/{fold_name(repeat, fold)}",
                        architecture=architecture,
                        fold=fold,
                        repeat=repeat,
                        seed=repeat * NUM_FOLDS + fold,
                        location="/nowhere",
                        identity="",
                        settings=default_settings(epochs=1),
                        model=ModelSettings("", "", {"seconds": seconds}, 2, (2, 1), True, 0.0),
                        data=nothing,
                        encoder_weights=None,
                        precision="float32",
                    )
                )
    return specs


def measure(specs: list[FoldSpec]) -> dict[str, Any]:
    nodes = [Node(CPUS, 1)] * NODES
    resources = divide_resources(ClusterConfig(), len(specs), len(specs), nodes)
    capacity = Capacity(resources, lambda needs, left: resources.slots)
    cpu, wall = time.process_time(), time.monotonic()
    with Lag() as lag:
        results = run_folds(specs, {}, capacity, 0, Console(file=io.StringIO()), Untracked())
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    began = [results[spec.name].record["began"] for spec in specs]
    late = sum(one > other + 1.0 for one, other in itertools.pairwise(began))
    ideal = -(-len(specs) // resources.slots) * specs[0].model.config["seconds"]
    return {
        "fold_runs": len(specs),
        "at_once": resources.slots,
        "wall_seconds": round(wall, 1),
        "ideal_seconds": round(ideal, 1),
        "driver_ms_per_fold_run": round(1000 * cpu / len(specs), 2),
        "worst_lag_ms": round(1000 * lag.worst, 1),
        "out_of_order": late,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--architectures", type=int, default=10)
    parser.add_argument("--repeats", type=int, nargs="+", default=[1, 3, 10])
    parser.add_argument("--seconds", type=float, default=2.0, help="that a stub fold takes")
    parser.add_argument("--output", type=Path, help="a file for the numbers, a JSON object a line")
    options = parser.parse_args()
    setattr(launch, "FoldLauncher", StubLauncher)  # noqa: B010 (where run_folds finds it)
    ray.init("local", num_cpus=NODES * CPUS, num_gpus=NODES, include_dashboard=False, log_to_driver=False)
    rows = [
        measure(build_specs(options.architectures, repeats, options.seconds)) for repeats in options.repeats
    ]
    table = Table(*rows[0], box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(width=160).print(table)
    if options.output is not None:
        options.output.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
