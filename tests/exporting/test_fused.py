import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import numpy as np
import pytest
import tensorflow as tf

from raytrain.exporting.fused import fuse, pool, proba_of
from raytrain.fusion.rule import FusionRule
from raytrain.fusion.stack import Stack
from raytrain.scores.classes import proba_from_logits
from raytrain.text.rows import TextRows

NAMES = ["finetune/r0", "textcnn/r0", "textcnn/r1"]
WEIGHTS = dict(zip(NAMES, [0.5, 0.2, 0.3], strict=True))


def voices(classes=3, rows=40):
    rng = np.random.default_rng(0)
    said = {name: proba_from_logits(rng.normal(0, 4, (rows, classes))) for name in NAMES}
    said[NAMES[0]][0] = np.eye(classes)[0]  # a logarithm of 0
    return said


@pytest.mark.parametrize(
    "rule",
    [
        FusionRule(WEIGHTS),
        FusionRule(WEIGHTS, "logits"),
        FusionRule(WEIGHTS, temperature=0.6),
        FusionRule(WEIGHTS, "logits", temperature=2.5, costs=np.ones((3, 3)) - np.eye(3)),
        FusionRule(
            WEIGHTS, stack=Stack(np.random.default_rng(1).normal(0, 1, (3, 9)), np.array([0.1, -1, 2]))
        ),
    ],
)
def test_a_rule_is_computed_as_the_fusion_does(rule):
    said = voices()
    found = fuse({name: tf.constant(own, tf.float32) for name, own in said.items()}, rule)
    np.testing.assert_allclose(found, rule.proba(said), atol=1e-6)


def test_without_a_rule_voices_are_averaged():
    said = voices(2)
    found = fuse({name: tf.constant(own, tf.float32) for name, own in said.items()}, None)
    np.testing.assert_allclose(found, np.mean([*said.values()], axis=0), atol=1e-7)


@pytest.mark.parametrize("units", [1, 3])
def test_logits_become_probabilities(units):
    logits = np.random.default_rng(0).normal(0, 20, (30, units)).astype(np.float32)
    np.testing.assert_allclose(proba_of(tf.constant(logits)), proba_from_logits(logits), atol=1e-7)


def test_rows_of_a_text_are_averaged():
    rows = np.array([0, 0, 1, 2, 2, 2])
    said = np.random.default_rng(0).random((6, 2))
    found = pool(tf.constant(said, tf.float32), tf.constant(rows, tf.int32))
    np.testing.assert_allclose(found, TextRows(rows).pool(np.arange(6), said), atol=1e-7)
