"""Batches as a worker lays them: its share of the rows, in pieces, with what each draws from."""

import numpy as np

from raytrain.text.batches import FeatureRows, choose_lengths
from raytrain.training.objectives import Objective
from raytrain.training.settings import TrainSettings

Piece = tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]  # inputs, targets, weights


class Batches:
    """Lays batches of rows for one of the workers that share a fold.

    Args:
        lengths: (num_rows,) tokens of every row of the corpus.
        objective: What is to be learned of the rows.
        settings: Hyperparameters.
        rank: This worker's number among `num_workers`.
        num_workers: How many workers share every batch.
        accumulation: Into how many pieces a worker cuts its batch.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        objective: Objective,
        settings: TrainSettings,
        rank: int,
        num_workers: int,
        accumulation: int,
    ):
        self._objective, self._batch_size = objective, settings.batch_size
        self.rank, self.num_workers, self.accumulation = rank, num_workers, accumulation
        self._lengths = choose_lengths(lengths)

    def lay(self, features: FeatureRows, rows: np.ndarray, filled: bool) -> list[Piece]:
        """This worker's rows of a batch, in as many pieces as each worker has: all of them sum up each one.

        Where its rows are too few for that, the rest are of weight 0.

        Args:
            features: The whole corpus.
            rows: The whole batch.
            filled: Whether in few shapes: of few lengths, filled up with rows of weight 0.
        """
        own = rows[self.rank :: self.num_workers]
        num_pieces = min(self.accumulation, -(-len(rows) // self.num_workers))
        cut = [piece for piece in np.array_split(own, num_pieces) if len(piece)]
        pieces = [self._lay(features, piece, rows, filled) for piece in cut]
        if len(pieces) < num_pieces:
            inputs, targets, weights = self._lay(features, rows[:1], rows, filled)
            pieces += [(inputs, targets, np.zeros_like(weights))] * (num_pieces - len(pieces))
        return pieces

    def _lay(self, features: FeatureRows, rows: np.ndarray, batch: np.ndarray, filled: bool) -> Piece:
        objective, length = self._objective, None
        weights = objective.weights(features, rows, batch)
        if filled:
            length = int(self._lengths[np.searchsorted(self._lengths, features.lengths[rows].max())])
            num_rows = -(-self._batch_size // self.num_workers)
            missing = -(-num_rows // self.accumulation) - len(rows)
            rows = np.concatenate([rows, np.repeat(rows[:1], missing)])
            weights = np.pad(weights, (0, missing))
        return features.collate(rows, length), objective.targets(features, rows, length), weights

    def seeds(self, seed: int, step: int, num_pieces: int) -> list[np.ndarray]:
        """(2,) int32 of each piece, another for every step of a training and every worker."""
        first = (step * self.num_workers + self.rank) * self.accumulation
        return [np.array([seed, first + piece], np.int32) for piece in range(num_pieces)]
