"""Whether probabilities mean what they say: how often what is said with one is right, by bins of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

NUM_BINS = 15  # as in Guo et al. 2017


@dataclass(frozen=True)
class Reliability:
    """How often what is said with some probability is right, by equal-width bins of this probability.

    Attributes:
        counts: (num_bins,) rows.
        confidence: (num_bins,) mean probability of what was said; NaN of an empty bin.
        accuracy: (num_bins,) share of them that is right; NaN of an empty bin.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini et al. 2015): the mean gap, each bin by its rows."""
        gaps = np.abs(self.accuracy - self.confidence)
        return float(np.nansum(self.counts * gaps) / max(self.counts.sum(), 1))

    @property
    def excess(self) -> float:
        """Mean probability less the share that is right: above 0 the model is too sure."""
        rows = max(self.counts.sum(), 1)
        return float(np.nansum(self.counts * (self.confidence - self.accuracy)) / rows)

    def to_bins(self) -> list[dict[str, float]]:
        """`rows`, `confidence` and `accuracy` of each bin that has any, from the least probable on."""
        return [
            {
                "rows": int(self.counts[place]),
                "confidence": float(self.confidence[place]),
                "accuracy": float(self.accuracy[place]),
            }
            for place in np.flatnonzero(self.counts)
        ]


def reliability(confidence: np.ndarray, is_right: np.ndarray) -> Reliability:
    """Sorts rows into `NUM_BINS` bins of (0, 1] by the probability of what was said.

    Args:
        confidence: (num_rows,) the highest probability of each row.
        is_right: (num_rows,) bool.
    """
    places = np.clip(np.ceil(confidence * NUM_BINS).astype(int) - 1, 0, NUM_BINS - 1)
    counts = np.bincount(places, minlength=NUM_BINS)
    held = np.where(counts, counts, np.nan)
    return Reliability(
        counts,
        np.bincount(places, confidence, NUM_BINS) / held,
        np.bincount(places, is_right, NUM_BINS) / held,
    )


def judge_proba(labels: np.ndarray, proba: np.ndarray) -> Reliability:
    """`reliability` of the most probable labels.

    Args:
        labels: (num_rows,) label indices.
        proba: (num_rows, num_classes).
    """
    return reliability(proba.max(axis=1), proba.argmax(axis=1) == labels)


def read_bins(bins: Sequence[Mapping[str, float]]) -> Reliability:
    """What `Reliability.to_bins` told. Raises KeyError, TypeError or ValueError where it is no such thing."""
    columns = [np.array([one[key] for one in bins], float) for key in ("rows", "confidence", "accuracy")]
    return Reliability(*columns)
