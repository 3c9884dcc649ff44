"""Several models' probabilities averaged into one."""

from typing import Literal

import numpy as np

from raytrain.scores.classes import proba_from_logits

Average = Literal["proba", "logits"]
LEAST = 1e-7  # what a probability counts as at least: as in the log loss


def log_of(proba: np.ndarray) -> np.ndarray:
    """Natural logarithm of probabilities, clipped at `LEAST`."""
    return np.log(np.clip(proba, LEAST, 1.0))


def average_proba(voices: np.ndarray, weights: np.ndarray, average: Average) -> np.ndarray:
    """The weighted mean of members' probabilities, or of their logarithms (Hinton 2002).

    Args:
        voices: (num_members, num_rows, num_classes) probabilities.
        weights: (num_members,) of them; they sum to 1.
        average: Of what.

    Returns:
        (num_rows, num_classes); each row sums to 1.
    """
    said = voices if average == "proba" else log_of(voices)
    # Member after member: a matrix product would round a row otherwise beside other rows.
    mean = np.zeros(voices.shape[1:])
    for weight, own in zip(weights, said, strict=True):
        mean += weight * own
    return mean if average == "proba" else proba_from_logits(mean)
