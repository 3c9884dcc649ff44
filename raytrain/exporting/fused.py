"""From folds' logits to an ensemble's probabilities, in TensorFlow's operations. Imports TensorFlow.

What `scores.classes`, `text.rows` and `fusion.rule` compute with NumPy in float64 is float32 here, by their
formulas. Shapes: (rows or texts, classes).
"""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from raytrain.fusion.average import LEAST
from raytrain.fusion.rule import FusionRule


def proba_of(logits: tf.Tensor) -> tf.Tensor:
    """Sigmoid for one column (two classes), softmax for more."""
    if logits.shape[-1] == 1:
        logits = tf.concat([tf.zeros_like(logits), logits], axis=1)
    return tf.nn.softmax(logits)


def pool(proba: tf.Tensor, text_of_row: tf.Tensor) -> tf.Tensor:
    """The mean of each text's rows; `text_of_row` is (rows,) int32, from 0 on, no text without a row."""
    texts = tf.range(tf.reduce_max(text_of_row) + 1)
    belongs = tf.cast(tf.equal(texts[:, None], text_of_row[None, :]), tf.float32)
    return tf.matmul(belongs, proba) / tf.reduce_sum(belongs, axis=1, keepdims=True)


def fuse(voices: Mapping[str, tf.Tensor], rule: FusionRule | None) -> tf.Tensor:
    """The mean of voices, or what a rule makes of them."""
    if rule is None:
        return tf.add_n([*voices.values()]) / len(voices)
    members = [voices[name] for name in rule.weights]
    if rule.stack is not None:
        logs = [_log(member) for member in members]
        centred = [log - tf.reduce_mean(log, axis=1, keepdims=True) for log in logs]
        coef, intercept = (_constant(part) for part in (rule.stack.coef.T, rule.stack.intercept))
        fused = tf.nn.softmax(tf.matmul(tf.concat(centred, axis=1), coef) + intercept)
    else:
        said = members if rule.average == "proba" else [_log(member) for member in members]
        weighted = [weight * own for weight, own in zip(rule.weights.values(), said, strict=True)]
        fused = tf.add_n(weighted)
        fused = fused if rule.average == "proba" else tf.nn.softmax(fused)
    return fused if rule.temperature == 1 else tf.nn.softmax(_log(fused) / rule.temperature)


def _log(proba: tf.Tensor) -> tf.Tensor:
    return tf.math.log(tf.clip_by_value(proba, LEAST, 1.0))


def _constant(values: np.ndarray) -> tf.Tensor:
    return tf.constant(values, tf.float32)
