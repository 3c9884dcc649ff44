"""One update of a model: losses, gradients, clipping; a batch in one piece or in several."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from raytrain.devices import compiles
from raytrain.errors import RaytrainError
from raytrain.network.build import input_specs
from raytrain.network.weights import count_layers, encoder_depth, head_variables, learned_variables
from raytrain.training.averaging import WeightAverage
from raytrain.training.batches import Piece
from raytrain.training.gradients import Gradients
from raytrain.training.objectives import Objective
from raytrain.training.optimizer import Adam
from raytrain.training.settings import TrainSettings

keras = tf.keras


class TrainStep:
    """The traced update of one model, whose layers and optimizer XLA compiles where it is wanted.

    Args:
        model: Of `network.build.build_model` or `build_head`.
        objective: What it learns.
        settings: Hyperparameters.
        strategy: A tf.distribute strategy where several workers share the fold.
        num_pieces: Into how many pieces a batch is cut whose gradients are summed before the update:
            memory for a piece is enough then, and the update is that of the whole batch.

    Attributes:
        optimizer: Of what the model learns.
        average: Of what the model learns, or None.
        compiles: Whether XLA compiles.
        refusal: Why it does not although it might have, or None.
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
        learned = self.optimizer.variables
        self.average = None if settings.ema is None else WeightAverage(learned, settings.ema)
        self._differentiate = Gradients(model, objective, settings, learned)
        self._sums: dict[str, tf.Variable] = {}
        if num_pieces > 1:
            self._sums = {
                name: tf.Variable(tf.zeros_like(variable), trainable=False, name="sum")
                for name, variable in learned.items()
            }
        self.refusal: str | None = None
        self._trace(compiles(settings.compile))

    def _trace(self, compiles: bool) -> None:
        self.compiles, self._is_proven = compiles, not compiles
        piece = [
            input_specs(self._model),
            self._objective.target_spec,
            tf.TensorSpec((None,), tf.float32),
            tf.TensorSpec((2,), tf.int32),
        ]
        scalars = [tf.TensorSpec((), tf.float32), tf.TensorSpec((), tf.float32)]
        # Nothing here is Python control flow on tensors, and reading every layer's source takes seconds.
        options: dict[str, Any] = {"autograph": False}
        # Whoever shares the fold is asked for his gradients in between, which XLA cannot.
        apart = compiles and self._strategy is None
        self._change, self._add, self._clear = (
            tf.function(function, jit_compile=True, **options) if apart else function
            for function in (self._change_weights, self._add_to_sums, self._clear_sums)
        )
        self._whole = tf.function(self._update, input_signature=piece + scalars, **options)
        self._part = tf.function(self._add_gradients, input_signature=piece, **options)
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

        Raises:
            RaytrainError: XLA cannot compile the update, and the settings say that it must.
        """
        if self._is_proven:
            return self._run(pieces, seeds, factor, number)
        try:
            loss = self._run(pieces, seeds, factor, number)
            loss.numpy()  # a card tells later what went wrong
        except tf.errors.ResourceExhaustedError:
            raise
        except tf.errors.OpError as error:
            self._go_on_without_xla(error)
            return self._run(pieces, seeds, factor, number)
        self._is_proven = True
        return loss

    def _go_on_without_xla(self, error: tf.errors.OpError) -> None:
        """Builds the step anew; nothing of the failed one has reached the weights."""
        reason = next((line.strip() for line in error.message.splitlines() if line.strip()), "")
        self.refusal = f"{type(error).__name__}: {reason}"
        if self._settings.compile != "auto":
            raise RaytrainError(
                f"train.compile is true, but XLA cannot compile this model here: {self.refusal}"
            ) from error
        for value in self._sums.values():
            value.assign(tf.zeros_like(value))
        self._trace(False)

    def _run(self, pieces, seeds, factor, number) -> tf.Tensor:
        if not self._sums:
            return self._whole(*pieces[0], seeds[0], factor, number)
        loss = tf.add_n([self._part(*piece, seed) for piece, seed in zip(pieces, seeds, strict=True)])
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
            loss, gradients = self._differentiate(inputs, targets, weights, seed, self.compiles)
            self._apply(gradients, factor, number)
            return loss

        return self._everywhere(update)

    def _add_gradients(self, inputs, targets, weights, seed):
        def add():
            loss, gradients = self._differentiate(inputs, targets, weights, seed, self.compiles)
            self._add(gradients)
            return loss

        return self._everywhere(add)

    def _add_to_sums(self, gradients: dict[str, tf.Tensor]) -> None:
        for name, gradient in gradients.items():
            tf.raw_ops.AssignAddVariableOp(resource=self._sums[name].handle, value=gradient)

    def _apply_sums(self, factor, number):
        def apply():
            self._apply({name: tf.identity(value) for name, value in self._sums.items()}, factor, number)
            self._clear()
            return tf.constant(0.0)

        return self._everywhere(apply)

    def _clear_sums(self) -> None:
        for value in self._sums.values():
            tf.raw_ops.AssignVariableOp(resource=value.handle, value=tf.zeros_like(value))

    def _apply(self, gradients: dict[str, tf.Tensor], factor: tf.Tensor, number: tf.Tensor) -> None:
        if self._strategy is not None:
            replica = tf.distribute.get_replica_context()
            values = replica.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients.values()))
            gradients = dict(zip(gradients, values, strict=True))
        # Where XLA refuses one layer, no other has learned by then.
        with tf.control_dependencies(list(gradients.values()) if self.compiles else []):
            self._change(gradients, factor, number)

    def _change_weights(self, gradients: dict[str, tf.Tensor], factor, number) -> None:
        self.optimizer.apply(gradients, factor, number, self._settings.clip_norm)
        if self.average is not None:
            self.average.update(number)


def _build_optimizer(model: keras.Model, settings: TrainSettings) -> Adam:
    head = head_variables(model)
    learned = {name: v for name, v in learned_variables(model).items() if v.trainable}
    num_layers = count_layers(learned)

    def rate(name: str) -> float:
        if name.startswith("crf."):
            return settings.crf_learning_rate
        if name in head:
            return settings.learning_rate
        # What lies deeper is more general, and is left more as it is (Howard & Ruder 2018).
        return settings.encoder_learning_rate * settings.layer_decay ** encoder_depth(name, num_layers)

    return Adam(learned, {name: rate(name) for name in learned}, settings.weight_decay)
