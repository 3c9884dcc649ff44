"""The rounds of a fold: one, or two, the second with texts without a label of which the first was sure."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from raytrain.storage.state import Parts
from raytrain.text.batches import FeatureRows
from raytrain.training.objectives import Classification

keras = tf.keras

NO_ROWS = np.zeros(0, np.int64)
Pseudo = tuple[np.ndarray, np.ndarray]  # indices of texts, and of the label that each was given


class Rounds:
    """Pseudo-labels (Lee 2013) of one fold.

    They are the fold's own: its model has not seen the valid rows, so that what it says of these stays out
    of fold.

    Args:
        objective: What is learned; any other where there are no such rows.
        unlabelled_rows: Rows of the features whose texts have no label; all of a text or none.
        least: Probability of a label from which on a text is learned; None where none ever is.

    Attributes:
        number: 0 or 1.
        pseudo: What is learned in this round beside the labelled rows.
    """

    def __init__(self, objective: Classification, unlabelled_rows: np.ndarray, least: float | None):
        self._objective, self._rows, self._least = objective, unlabelled_rows, least
        self.number, self.pseudo = 0, (NO_ROWS, NO_ROWS)

    @property
    def is_last(self) -> bool:
        return self._least is None or not len(self._rows) or self.number == 1

    def begin(self, pseudo: Pseudo | None) -> np.ndarray:
        """Begins the first round, or with `pseudo` the second. Returns the rows that it adds."""
        self.number, self.pseudo = int(pseudo is not None), pseudo or (NO_ROWS, NO_ROWS)
        return self._objective.learn_from(*self.pseudo) if len(self._rows) else NO_ROWS

    def label(self, model: keras.Model, features: FeatureRows, batch_size: int) -> Pseudo:
        """The texts without a label of which a model is sure, and what it says of them."""
        predicted = self._objective.predict(model, features, self._rows, batch_size)
        return self._objective.confident(self._rows, predicted, self._least)

    def state(self) -> tuple[dict[str, Any], Parts]:
        """As `storage.state` writes it: values, and arrays by what they are of and by name."""
        return {"round": self.number}, {"pseudo": dict(zip(("texts", "labels"), self.pseudo, strict=True))}


def read_rounds(values: Mapping[str, Any], parts: Parts) -> Pseudo | None:
    """What `Rounds.begin` takes to go on in the round that `Rounds.state` told."""
    return (parts["pseudo"]["texts"], parts["pseudo"]["labels"]) if values.get("round") else None
