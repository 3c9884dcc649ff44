"""Distillation: a student learns what a teacher says of texts (Hinton, Vinyals & Dean 2015), and labels."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from scipy.special import xlogy

from raytrain.scores.guess import entropy, is_learned
from raytrain.text.batches import FeatureRows
from raytrain.text.rows import TextRows
from raytrain.training.objectives import Classification
from raytrain.training.settings import TrainSettings

keras = tf.keras

LEAST_PROBA = 1e-7  # of a class, of which the teacher is not asked more exactly


def soften(proba: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities as their logits divided by a temperature give them.

    Args:
        proba: (rows, num_classes).
        temperature: 1 leaves them; the higher, the more even.
    """
    raised = np.clip(proba, LEAST_PROBA, None) ** (1 / temperature)
    return raised / raised.sum(axis=1, keepdims=True)


class Distillation(Classification):
    """Each text has a label, a teacher's word, or both; it weighs the same in all three cases.

    Args:
        labels: (num_texts,) label indices, -1 of texts without a label.
        teacher: (num_texts, num_classes) probabilities; NaN of texts of which the teacher says nothing, which
            have a label.
        settings: Hyperparameters; `temperature` and `hard`, the label's share where there are both. Class
            weights are the labels' alone: the teacher's word was learned with them.
        rows: As of `Classification`.
    """

    def __init__(
        self,
        labels: np.ndarray,
        teacher: np.ndarray,
        settings: TrainSettings,
        rows: TextRows | None = None,
    ):
        super().__init__(labels, settings, rows)
        self._shares = self._rows.shares().astype(np.float32)  # texts without a label are learned like others
        num_classes, smoothing = teacher.shape[1], settings.label_smoothing
        self.target_spec = tf.TensorSpec((None, 2, num_classes), tf.float32)
        is_taught, is_labelled = np.isfinite(teacher).all(axis=1), labels >= 0
        hard = np.where(is_taught, settings.hard, 1.0) * is_labelled
        soft = np.where(is_labelled, 1 - settings.hard, 1.0) * is_taught
        weights = np.ones(num_classes) if settings.class_weight is None else np.array(settings.class_weight)
        smoothed = np.eye(num_classes)[labels] * (1 - smoothing) + smoothing / num_classes
        taught = soften(np.where(is_taught[:, None], teacher, 1.0), settings.temperature)
        parts = smoothed * (hard * weights[labels])[:, None], taught * soft[:, None]
        self._masses = np.stack(parts, axis=1).astype(np.float32)  # of each text, by label and by teacher

    def targets(self, features: FeatureRows, rows: np.ndarray, length: int | None = None) -> np.ndarray:
        """(rows, 2, num_classes): what each class weighs by the label, and by the teacher's softened word."""
        return self._masses[self._rows.rows[rows]]

    def weights(self, features: FeatureRows, rows: np.ndarray, batch: np.ndarray) -> np.ndarray:
        """As `Classification.weights`, of which the class weights lie in the targets."""
        return np.full(len(rows), 1 / len(batch), np.float32) * self._shares[rows]

    def losses(
        self, model: keras.Model, inputs: Mapping[str, tf.Tensor], outputs: tf.Tensor, targets: tf.Tensor
    ) -> tf.Tensor:
        """Cross-entropy with the label, and the divergence from the teacher's word, both at its temperature.

        The divergence is multiplied by the temperature squared, as its gradient is smaller by that (Hinton et
        al. 2015, section 2).
        """
        temperature = self._settings.temperature
        if outputs.shape[-1] == 1:
            outputs = tf.concat([tf.zeros_like(outputs), outputs], axis=-1)
        hard, soft = tf.unstack(targets, axis=1)
        by_label = -tf.reduce_sum(hard * tf.nn.log_softmax(outputs), axis=-1)
        share = tf.reduce_sum(soft, axis=-1)
        least = tf.math.xlogy(share, share) - tf.reduce_sum(tf.math.xlogy(soft, soft), axis=-1)
        by_teacher = -tf.reduce_sum(soft * tf.nn.log_softmax(outputs / temperature), axis=-1) - least
        return by_label + temperature**2 * by_teacher

    def constant_loss(self, model: keras.Model, features: FeatureRows, rows: np.ndarray) -> float | None:
        """At most the best constant guess's: the best of the labels, and that of the teacher's word."""
        weights = self.weights(features, rows, rows).astype(np.float64)
        masses = self._masses[self._rows.rows[rows]].astype(np.float64) * weights[:, None, None]
        hard, soft = masses[:, 0], masses[:, 1]
        apart = entropy(soft.sum(axis=0)) - _row_entropies(soft)
        guess = entropy(hard.sum(axis=0)) + self._settings.temperature**2 * apart
        known = _row_entropies(hard)  # above 0 where labels are smoothed
        return guess if is_learned(known, guess) else None


def _row_entropies(masses: np.ndarray) -> float:
    """The sum of `scores.guess.entropy` of each row."""
    held = masses.sum(axis=1)
    return float(xlogy(held, held).sum() - xlogy(masses, masses).sum())
