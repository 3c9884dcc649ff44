"""Every floating-point operation of a step has a kernel for cards, in its type.

Where one is missing TensorFlow runs the operation on the CPU, copies its tensors there and back, and says
nothing. Which kernels there are is known without a card: TensorFlow's build for Linux registers them all.
"""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import kernels, op_def_registry

from raytrain.devices import set_precision
from raytrain.inference import _logits_function, _states_function
from raytrain.models import build_model, input_specs
from raytrain.objectives import Classification, Tagging
from raytrain.schedule import TrainSettings
from raytrain.step import TrainStep

ARCHITECTURES = ("finetune", "textcnn", "rnn_cnn", "bilstm_crf", "bilstm", "crf")
CARDS = tf.config.list_physical_devices("GPU")


@pytest.fixture(autouse=True)
def float32_again():
    yield
    set_precision("float32")


@pytest.fixture
def build(encoder_config):
    def make(architecture, kind="bert", precision="mixed_bfloat16"):
        set_precision(precision)
        return build_model(architecture, kind, encoder_config(kind), 3, (20, 4), True, 0.1, 7)

    return make


class _Untagged(Tagging):
    """A tagger's losses without a corpus."""

    def __init__(self):
        pass


def step_of(model, architecture):
    objective = Classification(np.zeros(4, int), TrainSettings(label_smoothing=0.1))
    if architecture in ARCHITECTURES[3:]:
        objective = _Untagged()
    return TrainStep(model, objective, TrainSettings(clip_norm=1.0, weight_decay=0.01), None, 1)


def graphs_of(model, architecture):
    """The graphs of an update, of a prediction and of a frozen encoder's states."""
    ids = tf.TensorSpec((None, None), tf.int32)
    encoder = model.get_layer("encoder")
    return [
        step_of(model, architecture)._whole.get_concrete_function(),
        _logits_function(model).get_concrete_function(),
        _states_function(encoder).get_concrete_function({"token_ids": ids, "segment_ids": ids}),
    ]


def float_operations(function):
    """Counts (operation, its types) of a graph and all functions within it that hold a float type."""
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for inner in graph.library.function for node in inner.node_def)]
    counted = Counter()
    for node in nodes:
        definition = op_def_registry.get(node.op)
        if definition is None:  # a call of a function, whose operations are counted themselves
            continue
        names = [attribute.name for attribute in definition.attr if attribute.type == "type"]
        types = {name: tf.as_dtype(node.attr[name].type) for name in names if name in node.attr}
        if any(kind.is_floating for kind in types.values()):
            counted[node.op, tuple(sorted(types.items()))] += 1
    return counted


def has_card_kernel(operation, types):
    for kernel in kernels.get_registered_kernels_for_op(operation).kernel:
        allowed = {
            c.name: {tf.as_dtype(kind) for kind in c.allowed_values.list.type} for c in kernel.constraint
        }
        fits = all(kind in allowed.get(name, {kind}) for name, kind in types)
        if kernel.device_type in ("GPU", "DEFAULT") and fits:
            return True
    return False


def test_kernels_are_told_apart_by_device_and_type():
    """Else the tests below could not fail."""
    assert has_card_kernel("MatMul", [("T", tf.bfloat16)])
    assert not has_card_kernel("MatMul", [("T", tf.int32)])
    assert not has_card_kernel("StringLower", [])


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "float32"])
@pytest.mark.parametrize("kind", ["bert", "albert"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_operation_has_a_kernel_for_cards(build, architecture, kind, precision):
    model = build(architecture, kind, precision)
    for function in graphs_of(model, architecture):
        counted = float_operations(function)
        assert [key for key in counted if not has_card_kernel(*key)] == []
        products = [types for operation, types in counted if operation in ("MatMul", "BatchMatMulV2")]
        low = any(("T", tf.bfloat16) in types for types in products)
        assert low == (precision == "mixed_bfloat16")


@pytest.mark.skipif(not CARDS, reason="needs a GPU")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_step_and_a_prediction_run_on_the_card_alone(build, architecture):
    tf.config.set_soft_device_placement(False)
    try:
        with tf.device("GPU:0"):
            model = build(architecture)
            step = step_of(model, architecture)
            rng = np.random.default_rng(0)
            ids = rng.integers(1, 5, (4, 16)).astype(np.int32)
            inputs = {name: ids % 2 if name == "segment_ids" else ids for name in input_specs(model)}
            targets = ids % 3 if architecture in ARCHITECTURES[3:] else ids[:, 0] % 3
            weights = np.full(4, 0.25, np.float32)
            piece = (inputs, targets, weights)
            loss = step([piece], [np.array([7, 0], np.int32)], np.float32(1), np.float32(0))
            assert np.isfinite(loss)
            assert np.isfinite(_logits_function(model)(inputs)).all()
    finally:
        tf.config.set_soft_device_placement(True)
