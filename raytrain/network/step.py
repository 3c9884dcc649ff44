"""One update of a model: losses, gradients, clipping; a batch in one piece or in several."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from raytrain.network.build import input_specs
from raytrain.network.objectives import Objective
from raytrain.network.optimizer import Adam
from raytrain.network.schedule import TrainSettings
from raytrain.network.weights import head_variables, learned_variables

keras = tf.keras

Piece = tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]  # inputs, targets, weights


class TrainStep:
    """The compiled update of one model.

    Args:
        model: Of `network.build.build_model` or `build_head`.
        objective: What it learns.
        settings: Hyperparameters.
        strategy: A tf.distribute strategy where several workers share the fold.
        num_pieces: Into how many pieces a batch is cut whose gradients are summed before the update:
            memory for a piece is enough then, and the update is that of the whole batch.

    Attributes:
        optimizer: Of what the model learns.
    """

    def __init__(
        self,
        model: keras.Model,
        objective: Objective,
        settings: TrainSettings,
        strategy: tf.distribute.Strategy | None,
        num_pieces: int,
    ):
        self._model, self._objective = model, objective
        self._settings, self._strategy = settings, strategy
        self.optimizer = _build_optimizer(model, settings)
        piece = [
            input_specs(model),
            objective.target_spec,
            tf.TensorSpec((None,), tf.float32),
            tf.TensorSpec((2,), tf.int32),
        ]
        scalars = [tf.TensorSpec((), tf.float32), tf.TensorSpec((), tf.float32)]
        # Nothing here is Python control flow on tensors, and reading every layer's source takes seconds.
        options: dict[str, Any] = {"autograph": False}
        self._sums: dict[str, tf.Variable] = {}
        if num_pieces == 1:
            self._whole = tf.function(self._update, input_signature=piece + scalars, **options)
        else:
            self._sums = {
                name: tf.Variable(tf.zeros_like(variable), trainable=False, name="sum")
                for name, variable in self.optimizer.variables.items()
            }
            self._add = tf.function(self._add_gradients, input_signature=piece, **options)
            self._finish = tf.function(self._apply_sums, input_signature=scalars, **options)

    def __call__(
        self, pieces: Sequence[Piece], seeds: Sequence[np.ndarray], factor: np.float32, number: np.float32
    ) -> tf.Tensor:
        """Updates the model once.

        Args:
            pieces: The batch; its weights hold the division by the rows of the whole batch.
            seeds: Of each piece's dropout, (2,) int32.
            factor: By which the schedule multiplies the rates.
            number: Of the update, 0 at the first.

        Returns:
            The batch's loss, a scalar.
        """
        if not self._sums:
            return self._whole(*pieces[0], seeds[0], factor, number)
        loss = tf.add_n([self._add(*piece, seed) for piece, seed in zip(pieces, seeds, strict=True)])
        self._finish(factor, number)
        return loss

    def _everywhere(self, function, *arguments):
        """Runs a function on every worker; returns the sum of what it returns."""
        if self._strategy is None:
            return function(*arguments)
        total = self._strategy.run(function, args=arguments)
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, total, axis=None)

    def _update(self, inputs, targets, weights, seed, factor, number):
        def update():
            loss, gradients = self._gradients(inputs, targets, weights, seed)
            self._apply(gradients, factor, number)
            return loss

        return self._everywhere(update)

    def _add_gradients(self, inputs, targets, weights, seed):
        def add():
            loss, gradients = self._gradients(inputs, targets, weights, seed)
            for name, gradient in gradients.items():
                tf.raw_ops.AssignAddVariableOp(resource=self._sums[name].handle, value=gradient)
            return loss

        return self._everywhere(add)

    def _apply_sums(self, factor, number):
        def apply():
            self._apply({name: tf.identity(value) for name, value in self._sums.items()}, factor, number)
            for value in self._sums.values():
                tf.raw_ops.AssignVariableOp(resource=value.handle, value=tf.zeros_like(value))
            return tf.constant(0.0)

        return self._everywhere(apply)

    def _gradients(self, inputs, targets, weights, seed):
        """This worker's share of the loss and of the gradients, the latter by name."""
        self._model.dropout_seed.begin_step(seed)
        with tf.GradientTape() as tape:
            outputs = tf.cast(self._model(inputs, training=True), tf.float32)
            losses = self._objective.losses(self._model, inputs, outputs, targets)
            loss = tf.reduce_sum(losses * weights)
        variables = self.optimizer.variables
        gradients = tape.gradient(loss, list(variables.values()))
        # Dense: the norm of IndexedSlices would count a token's occurrences apart, not their sum.
        return loss, {
            name: tf.convert_to_tensor(value) for name, value in zip(variables, gradients, strict=True)
        }

    def _apply(self, gradients: dict[str, tf.Tensor], factor: tf.Tensor, number: tf.Tensor) -> None:
        values = list(gradients.values())
        if self._strategy is not None:
            replica = tf.distribute.get_replica_context()
            values = replica.all_reduce(tf.distribute.ReduceOp.SUM, values)
        if self._settings.clip_norm is not None:
            values, _ = tf.clip_by_global_norm(values, self._settings.clip_norm)
        self.optimizer.apply(dict(zip(gradients, values, strict=True)), factor, number)


def _build_optimizer(model: keras.Model, settings: TrainSettings) -> Adam:
    head = head_variables(model)
    learned = {name: v for name, v in learned_variables(model).items() if v.trainable}

    def rate(name: str) -> float:
        if name.startswith("crf."):
            return settings.crf_learning_rate
        return settings.learning_rate if name in head else settings.encoder_learning_rate

    return Adam(learned, {name: rate(name) for name in learned}, settings.weight_decay)
