"""How good a model in training is on rows, and what it would leave if it ended now."""

import contextlib

import numpy as np
import tensorflow as tf

from raytrain.errors import RaytrainError
from raytrain.network.weights import learned_variables, read_variables
from raytrain.text.batches import FeatureRows
from raytrain.training.averaging import WeightAverage
from raytrain.training.objectives import Objective

keras = tf.keras

PREDICTED = 64  # rows of a forward pass without a gradient
ADVICE = "lower train.learning_rate or train.clip_norm"
STATES_ADVICE = (
    "the frozen encoder's hidden states in the cache hold NaN or infinity: their file is damaged; delete the "
    "folder hidden_states of the cache, or cache.directory where that is set, to compute them again"
)


class Judge:
    """Looks at a model, by its weights' average where there is one.

    Args:
        model: Of `network.build.build_model` or `build_head`.
        features: The whole corpus.
        objective: What is to be learned of its rows.
        average: Of what the model learns, or None.
        accumulation: Into how many pieces a batch is cut, where memory is short.

    Attributes:
        features: The whole corpus.
        batch_size: Rows of a forward pass.
    """

    def __init__(
        self,
        model: keras.Model,
        features: FeatureRows,
        objective: Objective,
        average: WeightAverage | None,
        accumulation: int = 1,
    ):
        self._model, self.features, self._objective = model, features, objective
        self._average = average
        self.batch_size = max(1, PREDICTED // accumulation)

    def averaged(self) -> contextlib.AbstractContextManager[None]:
        """The model as it is judged and kept, while the block runs."""
        return contextlib.nullcontext() if self._average is None else self._average.used()

    def weights(self) -> dict[str, np.ndarray]:
        """What the model would leave, by name."""
        with self.averaged():
            return read_variables(learned_variables(self._model))

    def evaluate(self, rows: np.ndarray, epoch: int) -> tuple[np.ndarray, dict[str, float]]:
        """Scores rows.

        Args:
            rows: To predict and to score. Without any, the weights are looked at instead.
            epoch: For messages.

        Returns:
            What the model says of the rows, as `Objective.predict` gives it, and its metrics.

        Raises:
            RaytrainError: The rows' logits, or the weights, are not finite.
        """
        if not len(rows):
            self._check_weights(epoch)
            return np.zeros((0, max(self._model.output_shape[-1], 2)), np.float32), {}
        with self.averaged():
            predicted = self._objective.predict(self._model, self.features, rows, self.batch_size)
            if not np.isfinite(predicted).all():  # the last update of the epoch may have done it
                raise RaytrainError(
                    f"the valid rows' logits are not finite in epoch {epoch}; {self.advice()}"
                )
            return predicted, self._objective.score(self._model, rows, predicted)

    def _check_weights(self, epoch: int) -> None:
        """Looks for what the last update may have done, where no logits of valid rows would show it."""
        if not all(np.isfinite(value).all() for value in self.weights().values()):
            raise RaytrainError(f"the weights are not finite in epoch {epoch}; {ADVICE}")

    def check_loss(self, total: float, epoch: int, step: int) -> None:
        """Refuses a loss that is not finite, by what to do about it.

        Args:
            total: Sum of an epoch's losses.
            epoch: Finished ones.
            step: By which it was looked at.

        Raises:
            RaytrainError: It is not finite.
        """
        if not np.isfinite(total):
            raise RaytrainError(
                f"the loss is not finite in epoch {epoch + 1}, by step {step}; {self.advice()}"
            )

    def advice(self) -> str:
        """What to do about a number that is not finite."""
        return ADVICE if self.features.has_finite_states() else STATES_ADVICE
