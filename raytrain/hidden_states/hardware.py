"""In what the machines that may encode multiply, found without building anything on them."""

import time
from collections.abc import Iterator
from typing import Any

import ray

from raytrain.cluster import on_node
from raytrain.devices import has_bfloat16
from raytrain.stages import POLL_SECONDS, Stage, Stages

ANSWER_SECONDS = 120.0  # of a node that is there; the first one to come is waited for as long as it takes


def all_nodes_have_bfloat16(on_cards: bool, stages: Stages) -> bool:
    """Whether every node that may encode multiplies in bfloat16; where they differ, none is to.

    Args:
        on_cards: Whether cards encode, and processors do not.
        stages: Where it is told.

    Raises:
        TimeBudgetError: Before they answered.
    """
    resource = "GPU" if on_cards else "CPU"
    ask: Any = ray.remote(num_cpus=0, max_retries=3)(has_bfloat16)
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get(resource)]
    if nodes:
        places: list[dict[str, Any]] = [{"scheduling_strategy": on_node(node["NodeID"])} for node in nodes]
    else:  # the first one is still to come
        places = [{"num_gpus": 1} if on_cards else {"num_cpus": 1}]
    references = [ask.options(**place).remote(on_cards) for place in places]
    with stages.stage("asking the nodes in what they multiply", len(places), "nodes") as stage:
        found = [*_answers(references, stage, ANSWER_SECONDS if nodes else float("inf"))]
    return True in found and False not in found


def _answers(waiting: list[ray.ObjectRef], stage: Stage, seconds: float) -> Iterator[bool]:
    """What the nodes said, but for those that are lost or silent, and will not encode."""
    until = time.monotonic() + seconds
    while waiting and time.monotonic() < until:
        done, waiting = ray.wait(waiting, num_returns=1, timeout=POLL_SECONDS)
        stage.advance(len(done))
        for reference in done:
            try:
                yield bool(ray.get(reference))
            except ray.exceptions.RayTaskError:  # it answered, and what it says is no loss
                raise
            except ray.exceptions.RayError:
                continue
        if not done:
            stage.check()
