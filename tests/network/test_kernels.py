"""Every floating-point operation of a step has a kernel for cards, in its type."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import numpy as np
import pytest
import tensorflow as tf
from operations import ARCHITECTURES, float_operations, graphs_of, has_card_kernel, step_of
from step import TAGGERS

from raytrain.devices import set_precision
from raytrain.network.inference import _logits_function
from raytrain.network.build import build_model, input_specs

CARDS = tf.config.list_physical_devices("GPU")


pytestmark = pytest.mark.usefixtures("float32_again")


@pytest.fixture
def build(encoder_config):
    def make(architecture, kind="bert", precision="bfloat16"):
        set_precision(precision)
        return build_model(architecture, kind, encoder_config(kind), 3, (20, 4), True, 0.1, 7)

    return make


def test_kernels_are_told_apart_by_device_and_type():
    """Else the tests below could not fail."""
    assert has_card_kernel("MatMul", [("T", tf.bfloat16)])
    assert not has_card_kernel("MatMul", [("T", tf.int32)])
    assert not has_card_kernel("StringLower", [])


# What stands on an encoder does not depend on its kind, and float32's operations are a part of bfloat16's.
@pytest.mark.parametrize(
    ("architecture", "kind", "precision"),
    [
        *((name, "bert", "bfloat16") for name in ARCHITECTURES),
        *(("finetune", kind, "bfloat16") for kind in ("albert", "ernie", "nezha", "roformer", "roformer_v2")),
        ("bilstm_crf", "bert", "float32"),
    ],
)
def test_every_operation_has_a_kernel_for_cards(build, architecture, kind, precision):
    model = build(architecture, kind, precision)
    for function in graphs_of(model, architecture).values():
        counted = float_operations(function)
        assert [key for key in counted if not has_card_kernel(*key)] == []
        products = [types for operation, types in counted if operation in ("MatMul", "BatchMatMulV2")]
        low = any(("T", tf.bfloat16) in types for types in products)
        assert low == (precision == "bfloat16")


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
            targets = ids % 3 if architecture in TAGGERS else ids[:, 0] % 3
            weights = np.full(4, 0.25, np.float32)
            piece = (inputs, targets, weights)
            loss = step([piece], [np.array([7, 0], np.int32)], np.float32(1), np.float32(0))
            assert np.isfinite(loss)
            assert np.isfinite(_logits_function(model)(inputs)).all()
    finally:
        tf.config.set_soft_device_placement(True)
