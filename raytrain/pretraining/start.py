"""The weights that a pre-training begins with, read on Ray: the driver does without TensorFlow."""

from typing import Any

import numpy as np
import ray

from raytrain.cluster import WITHOUT_GPU, on_this_node
from raytrain.devices import quick_imports


def load_start(kind: str, config: dict[str, Any], path: str) -> tuple[ray.ObjectRef, ray.ObjectRef]:
    """Begins to read an encoder's checkpoint.

    Args:
        kind: A key of `kinds.KINDS`.
        config: The encoder's, in Google's names.
        path: As in `EncoderFiles.weights`.

    Returns:
        Of arrays by Google's names, the head's among them where the checkpoint has one that fits; and of its
        `layout` and whether there is a `head`.
    """
    read = _read_start.options(scheduling_strategy=on_this_node(), runtime_env=WITHOUT_GPU)
    answer: Any = read.remote(kind, config, path)
    weights, facts = answer
    return weights, facts


# max_calls: the process would keep a second copy of the encoder for as long as it idles.
@ray.remote(num_cpus=0, max_retries=1, num_returns=2, max_calls=1)
def _read_start(kind: str, config: dict[str, Any], path: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    with quick_imports():
        from raytrain.network.weights import load_weights, read_array, read_variables
        from raytrain.pretrained.weights import open_weights
        from raytrain.pretraining.model import MaskedLanguageModel

    model = MaskedLanguageModel(kind, config, 0)
    opened = open_weights(kind, path)
    load_weights(model.transformer, opened)
    head = model.head.variables_by_name()
    has_head = all(opened.shapes.get(name) == tuple(variable.shape) for name, variable in head.items())
    arrays = {
        name: array for name, array in read_variables(model.variables_by_name()).items() if name not in head
    }
    if has_head:
        arrays |= {name: read_array(opened, name) for name in head}
    return arrays, {"layout": opened.layout, "head": has_head}
