"""Stacking: a logistic regression on what the members say (Wolpert 1992)."""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from raytrain.fusion.average import log_of
from raytrain.scores.classes import proba_from_logits

# Inverse of the ridge's strength beside the summed loss: with 0.1, too little is left of unsure members.
STRENGTH = 1.0


@dataclass(frozen=True)
class Stack:
    """A multinomial logistic regression on members' centred log-probabilities.

    Attributes:
        coef: (num_classes, num_members × num_classes), the members one after the other.
        intercept: (num_classes,).
    """

    coef: np.ndarray
    intercept: np.ndarray

    def proba(self, voices: np.ndarray) -> np.ndarray:
        """(num_rows, num_classes) of members' (num_members, num_rows, num_classes) probabilities."""
        return proba_from_logits(_features(voices) @ self.coef.T + self.intercept)

    def summed(self, belongs: np.ndarray) -> "Stack":
        """A stack of fewer members, each of which speaks for several that say the same.

        Args:
            belongs: (num_fewer, num_members), 1 where a member is spoken for, else 0.
        """
        own = self.coef.reshape(len(self.coef), belongs.shape[1], -1)
        return Stack(np.einsum("fm,cmk->cfk", belongs, own).reshape(len(self.coef), -1), self.intercept)


def fit_stack(voices: np.ndarray, labels: np.ndarray) -> Stack:
    """Learns from rows that the members had not learned.

    Args:
        voices: (num_members, num_rows, num_classes) probabilities.
        labels: (num_rows,) label indices; each class is among them.
    """
    model = LogisticRegression(C=STRENGTH, max_iter=1000).fit(_features(voices), labels)
    coef, intercept = model.coef_, model.intercept_
    if len(coef) == 1:  # of two classes scikit-learn has the second one's alone: the first one's are 0
        coef, intercept = np.pad(coef, ((1, 0), (0, 0))), np.pad(intercept, (1, 0))
    return Stack(coef, intercept)


def _features(voices: np.ndarray) -> np.ndarray:
    """(num_rows, num_members × num_classes); a row's of one member sum to 0."""
    logs = log_of(voices)
    centred = logs - logs.mean(axis=2, keepdims=True)
    return centred.transpose(1, 0, 2).reshape(voices.shape[1], -1)
