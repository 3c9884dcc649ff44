"""How sure an ensemble may be: one temperature for all that it says."""

import math

import numpy as np
from scipy.optimize import minimize_scalar

from raytrain.fusion.average import log_of
from raytrain.scores.classes import log_loss, proba_from_logits

COLDEST, HOTTEST = 0.1, 10.0


def scale(proba: np.ndarray, temperature: float) -> np.ndarray:
    """Divides log-probabilities by the temperature; above 1 makes them less sure, 1 leaves them."""
    return proba if temperature == 1 else proba_from_logits(log_of(proba) / temperature)


def fit_temperature(proba: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of the lowest log loss (Guo et al. 2017), from `COLDEST` to `HOTTEST`.

    Args:
        proba: (num_rows, num_classes) of rows that were not learned.
        labels: (num_rows,) label indices.
    """
    logs = log_of(proba).T  # a class a row: sums over them are several times as fast
    behind = np.ascontiguousarray(logs - logs[labels, np.arange(len(labels))])

    def mean_loss(log: float) -> float:
        return float(np.log(np.exp(behind * math.exp(-log)).sum(axis=0)).mean())

    found = minimize_scalar(
        mean_loss,
        bounds=(math.log(COLDEST), math.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return math.exp(found.x)


def improves(proba: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> bool:
    """Whether a temperature lowers the log loss of rows that it was not chosen by.

    Args:
        proba: (num_rows, num_classes).
        labels: (num_rows,) label indices.
        folds: (num_rows,) the fold of each row; of each fold, the others choose the temperature.
    """
    parts = folds if len(np.unique(folds)) > 1 else np.arange(len(labels)) % 2
    scaled = proba.copy()
    for part in np.unique(parts):
        here = parts == part
        scaled[here] = scale(proba[here], fit_temperature(proba[~here], labels[~here]))
    return log_loss(labels, scaled) < log_loss(labels, proba)
