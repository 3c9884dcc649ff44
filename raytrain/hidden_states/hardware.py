"""In what the machines that may encode multiply, found without building anything on them."""

from typing import Any

import ray

from raytrain.cluster import on_node
from raytrain.devices import has_bfloat16


def all_nodes_have_bfloat16(on_cards: bool) -> bool:
    """Whether every node that may encode multiplies in bfloat16; where they differ, none is to.

    Args:
        on_cards: Whether cards encode, and processors do not.
    """
    resource = "GPU" if on_cards else "CPU"
    ask: Any = ray.remote(num_cpus=0, max_retries=3)(has_bfloat16)
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get(resource)]
    if nodes:
        places: list[dict[str, Any]] = [{"scheduling_strategy": on_node(node["NodeID"])} for node in nodes]
    else:  # the first one is still to come
        places = [{"num_gpus": 1} if on_cards else {"num_cpus": 1}]
    answers = [ask.options(**place).remote(on_cards) for place in places]
    found = [_answer_of(answer) for answer in answers]
    return True in found and False not in found


def _answer_of(answer: ray.ObjectRef) -> bool | None:
    """What a node said; None where it is lost meanwhile, and will not encode."""
    try:
        return bool(ray.get(answer))
    except ray.exceptions.RayError:
        return None
