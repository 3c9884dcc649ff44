"""What everything that predicts labels has alike, with TensorFlow and without."""

from collections.abc import Sequence

import numpy as np


class LabelPredictor:
    """An ensemble that gives every text a label. How probable each is, a subclass says.

    Attributes:
        labels: Of the ensemble, in order.
    """

    labels: list[int] | list[str]

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[int | str]:
        """The most probable label of each text; arguments as of `predict_proba`."""
        return [self.labels[index] for index in self.predict_proba(texts, pairs).argmax(axis=1)]

    def predict_proba(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """Averages the folds' probabilities, then the architectures' where there are several.

        Args:
            texts: The texts.
            pairs: The second texts, where the ensemble was trained on pairs.

        Returns:
            (len(texts), num_classes), columns in the order of `labels`.
        """
        if not texts:
            return np.zeros((0, len(self.labels)))
        return self._mean_proba(texts, pairs)

    def _mean_proba(self, texts: Sequence[str], pairs: Sequence[str] | None) -> np.ndarray:
        """`predict_proba` of one text or more."""
        raise NotImplementedError
