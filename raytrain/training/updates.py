"""The updates of an epoch, one after the other: batches laid ahead, each by its seed and rate."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from raytrain.text.batches import FeatureRows
from raytrain.training.batches import Batches, Piece
from raytrain.training.objectives import Objective
from raytrain.training.settings import TrainSettings, rate_factor
from raytrain.training.step import TrainStep

keras = tf.keras

PREFETCHED = 2  # batches laid out while a step runs


class Updates:
    """A model's updates on the rows of a corpus.

    Args:
        model: Of `network.build.build_model` or `build_head`.
        features: The whole corpus.
        objective: What is to be learned of its rows.
        settings: Hyperparameters.
        strategy: A tf.distribute strategy where several workers share the fold.
        rank: This worker's number among `num_workers`.
        num_workers: How many workers share every batch.
        accumulation: Into how many pieces a worker cuts its batch, where memory is short.

    Attributes:
        step: The traced update.
        features: The whole corpus.
    """

    def __init__(
        self,
        model: keras.Model,
        features: FeatureRows,
        objective: Objective,
        settings: TrainSettings,
        strategy: tf.distribute.Strategy | None = None,
        rank: int = 0,
        num_workers: int = 1,
        accumulation: int = 1,
    ):
        self.features, self._settings = features, settings
        self.step = TrainStep(model, objective, settings, strategy, accumulation)
        self._batches = Batches(features.lengths, objective, settings, rank, num_workers, accumulation)
        # Also where XLA refuses the first step: a fold's masks depend on how its batches are padded.
        self._filled = self.step.compiles

    def run(
        self, plan: list[np.ndarray], epoch: int, first: int, seed: int, factor: float
    ) -> Iterator[tf.Tensor]:
        """Updates the model by each batch in turn, while the next ones are laid.

        Args:
            plan: Rows of the batches of an epoch.
            epoch: Finished ones.
            first: Batch to begin with.
            seed: Of what the steps draw.
            factor: On the schedule's.

        Yields:
            The batch's loss, a scalar, which a card may not have computed yet.
        """
        with ThreadPoolExecutor(1) as prefetch:
            ahead = [prefetch.submit(self.lay, rows) for rows in plan[first : first + PREFETCHED]]
            for number in range(first, len(plan)):
                pieces = ahead.pop(0).result()
                if number + PREFETCHED < len(plan):
                    ahead.append(prefetch.submit(self.lay, plan[number + PREFETCHED]))
                yield self.update(pieces, epoch * len(plan) + number, len(plan), seed, factor)

    def lay(self, rows: np.ndarray) -> list[Piece]:
        """This worker's pieces of the batch of these rows."""
        return self._batches.lay(self.features, rows, filled=self._filled)

    def update(
        self, pieces: list[Piece], number: int, steps_per_epoch: int, seed: int, factor: float = 1.0
    ) -> tf.Tensor:
        """Updates the model by one batch.

        Args:
            pieces: Of `lay`.
            number: Of the update, counted over all epochs.
            steps_per_epoch: How many an epoch has.
            seed: Of what the step draws.
            factor: On the schedule's.

        Returns:
            The batch's loss, a scalar.
        """
        settings = self._settings
        num_steps = settings.epochs * steps_per_epoch
        factor *= rate_factor(settings.schedule, number, num_steps, settings.warmup)
        seeds = self._batches.seeds(seed, number, len(pieces))
        return self.step(pieces, seeds, np.float32(factor), np.float32(number))
