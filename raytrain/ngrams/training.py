"""The training of an n-gram classifier on one fold's rows, as folds are run: one epoch, which is its fit."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from raytrain.ngrams.tfidf import fit_classifier, read_classifier
from raytrain.scores.classes import log_loss, score_proba
from raytrain.scores.guess import ConstantGuess
from raytrain.scores.oof import fold_table


class NgramObjective:
    """What becomes of a fold's probabilities, as `training.objectives.Classification` has it."""

    def oof_table(
        self, rows: np.ndarray, predicted: np.ndarray, ids: pa.Array, weights: Mapping[str, np.ndarray]
    ) -> pa.Table:
        """Row, id and a probability a label."""
        return fold_table(rows, predicted, ids)


class NgramTraining:
    """An n-gram classifier in training on one fold; what runs folds asks it what it asks `FoldTraining`.

    It is fitted in one go: a pause comes before that or not at all. Of several workers the first one fits
    it; the others do nothing, and wait for nothing.

    Args:
        texts: (num_rows,) the whole corpus; of pairs, both joined.
        labels: (num_rows,) label indices.
        train_rows: Rows to learn from.
        valid_rows: Rows to evaluate on; there may be none.
        num_classes: Number of labels.
        class_weight: Weight per label index, or None.
        seed: The fold's, on which nothing depends.
        rank: This worker's number.
    """

    step, restarts, refusal = 0, 0, None
    has_another_round, num_pseudo_labels = False, 0

    def __init__(
        self,
        texts: pa.Array,
        labels: np.ndarray,
        train_rows: np.ndarray,
        valid_rows: np.ndarray,
        num_classes: int,
        class_weight: tuple[float, ...] | None = None,
        seed: int = 0,
        rank: int = 0,
    ):
        self._texts, self._labels = texts, labels
        self.train_rows, self.valid_rows, self.seed, self.rank = train_rows, valid_rows, seed, rank
        self._num_classes, self._class_weight = num_classes, class_weight
        self.objective = NgramObjective()
        self.guess = ConstantGuess(None, 1, 1)  # it has no seed with which it might do better
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self._weights: dict[str, np.ndarray] = {}
        self.predicted: np.ndarray | None = None

    @property
    def finished(self) -> bool:
        return self.epoch > 0

    def run_epoch(
        self,
        on_step: Callable[[int, int, float], None] | None = None,
        pause: Callable[[], bool] | None = None,
        agree: Callable[[float], float] = float,
    ) -> dict[str, float] | None:
        """Fits the classifier and evaluates it.

        Args:
            on_step: Never called: there are no steps.
            pause: Asked once, before all, whether to return.
            agree: Not needed: nothing is judged.

        Returns:
            The training rows' log loss and the scores of the valid ones, if any; None where `pause` said so.
        """
        if pause is not None and pause():
            return None
        metrics = {"epoch": 1, **(self._fit() if self.rank == 0 else {})}
        self.epoch = 1
        self.history.append(metrics)
        return metrics

    def _fit(self) -> dict[str, float]:
        texts, labels = self._texts_of(self.train_rows), self._labels[self.train_rows]
        fitted = fit_classifier(texts, labels, self._num_classes, self._class_weight)
        self._weights = fitted.arrays()
        # What is kept is what predicts, rounded as it is.
        kept = read_classifier(self._weights, self._num_classes, "the fold")
        self.predicted, scores = np.zeros((0, self._num_classes)), {}
        if len(self.valid_rows):
            self.predicted = kept.predict_proba(self._texts_of(self.valid_rows))
            scores = score_proba(self._labels[self.valid_rows], self.predicted)
        return {"loss": log_loss(labels, kept.predict_proba(texts)), **scores}

    def _texts_of(self, rows: np.ndarray) -> list[str]:
        return self._texts.take(pa.array(rows)).to_pylist()

    def stop_early(self) -> None:
        """There is no middle of an epoch to stop in."""

    def weights(self) -> dict[str, np.ndarray]:
        return self._weights

    def selected(self) -> tuple[dict[str, np.ndarray], Any, dict[str, float]]:
        """Weights, probabilities of the valid rows, and metrics."""
        return self._weights, self.predicted, self.history[-1]

    def save(self, directory: str | Path) -> None:
        """A fold that is not finished has not begun; a file all the same, for a checkpoint is not empty."""
        (Path(directory) / "state.json").write_text("{}", encoding="utf-8")

    def load(self, directory: str | Path) -> None:
        """Begins anew: see `save`."""
