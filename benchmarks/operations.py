"""The operations that an update launches; those of each architecture's graphs by type that cards lack.

python benchmarks/operations.py --launches         # a table for BERT-base's twelve layers, compiled and not

Where a card has no kernel of an operation in its type, TensorFlow runs it on the CPU, copies its tensors
there and back, and says nothing. Which kernels there are is known without a card: TensorFlow's build for
Linux registers them all.
"""

import raytrain  # noqa: F401, I001 (sets the variables that bert4keras needs)

import argparse
import json
from collections import Counter
from typing import Any

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table
from settings import default_settings
from step import ON_STATES, TAGGERS, Untagged
from tensorflow.python.framework import kernels, op_def_registry

from raytrain.devices import set_precision
from raytrain.network.inference import _logits_function, _states_function
from raytrain.network.build import build_model
from raytrain.training.objectives import Classification, Objective
from raytrain.training.step import TrainStep

CONFIG = {
    "vocab_size": 30,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}
ARCHITECTURES = ("finetune", *ON_STATES, *TAGGERS)
# What costs a step nothing, or next to it.
FREE = ("Const", "Placeholder", "Identity", "NoOp")
CALLS = ("PartitionedCall", "StatefulPartitionedCall")
Types = tuple[tuple[str, tf.DType], ...]


def step_of(model: tf.keras.Model, architecture: str, compiled: bool = False) -> TrainStep:
    """An update with all that a config may add to it."""
    objective: Objective = Untagged()
    if architecture not in TAGGERS:
        objective = Classification(np.zeros(4, int), default_settings(label_smoothing=0.1))
    return TrainStep(model, objective, default_settings(weight_decay=0.01, compile=compiled), None, 1)


def launched(function: Any) -> Counter[str]:
    """Counts what a graph runs by type, called functions among it; one that XLA compiles is one operation.

    So is a loop: how often it turns is not in the graph.
    """
    graph = function.graph.as_graph_def()
    library = {inner.signature.name: inner for inner in graph.library.function}

    def count_nodes(nodes: Any) -> Counter[str]:
        counted: Counter[str] = Counter()
        for node in nodes:
            called = library[node.attr["f"].func.name] if node.op in CALLS else None
            if called is not None and not called.attr["_XlaMustCompile"].b:
                counted += count_nodes(called.node_def)
            elif node.op not in FREE:
                counted["XLA" if called is not None else node.op] += 1
        return counted

    return count_nodes(graph.node)


def update_graph(precision: str, compiled: bool) -> Any:
    """An update of BERT-base in twelve narrow layers: how wide they are changes no count."""
    set_precision(precision)
    model = build_model("finetune", "bert", CONFIG | {"num_hidden_layers": 12}, 2, (20, 4), True, 0.1, 7)
    return step_of(model, "finetune", compiled)._whole.get_concrete_function()


def count_launches() -> Table:
    """What an update of BERT-base runs, compiled and not."""
    columns = ("XLA", "Mul", "Cast", "MatMul", "Reshape", "StridedSlice", "Shape", "ReadVariableOp")
    table = Table(title="operations of an update of BERT-base, finetune", title_justify="left", box=None)
    for name in ("precision", "compiled", "all", *columns):
        table.add_column(name, justify="right" if name not in ("precision", "compiled") else "left")
    for precision in ("bfloat16", "float32"):
        for compiled in (False, True):
            counted = launched(update_graph(precision, compiled))
            cells = [f"{number:,}" for number in (counted.total(), *(counted[name] for name in columns))]
            table.add_row(precision, "by layers" if compiled else "no", *cells)
    return table


def graphs_of(model: tf.keras.Model, architecture: str) -> dict[str, Any]:
    """The graphs of an update, of a prediction and of the encoder alone, as it runs where it is frozen."""
    ids = tf.TensorSpec((None, None), tf.int32)
    encoder = model.get_layer("encoder")
    return {
        "update": step_of(model, architecture)._whole.get_concrete_function(),
        "prediction": _logits_function(model).get_concrete_function(),
        "encoder": _states_function(encoder).get_concrete_function({"token_ids": ids, "segment_ids": ids}),
    }


def float_operations(function: Any) -> Counter[tuple[str, Types]]:
    """Counts (operation, its types) of a graph and all functions within it that hold floats or bits."""
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for inner in graph.library.function for node in inner.node_def)]
    counted: Counter[tuple[str, Types]] = Counter()
    for node in nodes:
        definition = op_def_registry.get(node.op)
        if definition is None:  # a call of a function, whose operations are counted themselves
            continue
        names = [attribute.name for attribute in definition.attr if attribute.type == "type"]
        types = {name: tf.as_dtype(node.attr[name].type) for name in names if name in node.attr}
        if any(kind.is_floating or kind.is_unsigned for kind in types.values()):
            counted[node.op, tuple(sorted(types.items()))] += 1
    return counted


def has_card_kernel(operation: str, types: Types) -> bool:
    for kernel in kernels.get_registered_kernels_for_op(operation).kernel:
        allowed = {c.name: {tf.as_dtype(t) for t in c.allowed_values.list.type} for c in kernel.constraint}
        fits = all(kind in allowed.get(name, {kind}) for name, kind in types)
        if kernel.device_type in ("GPU", "DEFAULT") and fits:
            return True
    return False


def count(architecture: str, config: dict[str, Any]) -> list[dict[str, Any]]:
    model = build_model(architecture, "bert", config, 3, (20, 4), True, 0.1, 7)
    rows = []
    for name, function in graphs_of(model, architecture).items():
        counted = float_operations(function)
        by_type: Counter[str] = Counter()
        for (_, types), number in counted.items():
            kinds = {kind.name for _, kind in types if kind.is_floating or kind.is_unsigned}
            by_type[" to ".join(sorted(kinds))] += number
        lacking = sorted({operation for operation, types in counted if not has_card_kernel(operation, types)})
        rows.append({"what": architecture, "graph": name, **by_type, "without a card's kernel": lacking})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--precision", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--launches", action="store_true", help="count them, and nothing else")
    options = parser.parse_args()
    tf.config.set_visible_devices([], "GPU")  # it only reads graphs
    if options.launches:
        Console(width=120).print(count_launches())
        return
    set_precision(options.precision)
    print(json.dumps([row for name in ARCHITECTURES for row in count(name, CONFIG)]))


if __name__ == "__main__":
    main()
