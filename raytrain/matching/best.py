"""The best of many scores, seen block after block: exactly those that a sort of all would give."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_LOW = np.int64(0xFFFFFFFF)


@dataclass(frozen=True)
class Found:
    """The best candidates of each query, the best first.

    Attributes:
        rows: (num_queries, num_found) int64, their places among the candidates.
        scores: (num_queries, num_found) float32, falling.
    """

    rows: np.ndarray
    scores: np.ndarray

    def cut(self, most: int) -> "Found":
        """The first so many of each."""
        return Found(self.rows[:, :most], self.scores[:, :most])


class Best:
    """Keeps the greatest scores of each row; of equal ones those of the lowest columns.

    A score and its column make one integer, by which all are compared: the score's bits, so turned that they
    rise with it, above the column's, which fall. So ties need no stable sort of a whole block.

    Args:
        num_rows: How many rows the blocks have.
        most: How many scores are kept of each.
    """

    def __init__(self, num_rows: int, most: int):
        self._most = most
        self._keys = np.zeros((num_rows, 0), np.int64)

    def add(self, scores: np.ndarray, first: int) -> None:
        """Looks at the scores of some columns.

        Args:
            scores: (num_rows, n) float32, none of them NaN.
            first: The column of scores[:, 0]; each column may come once.
        """
        keys = _greatest(_keys_of(scores, first), self._most)
        self._keys = _greatest(np.concatenate([self._keys, keys], axis=1), self._most)

    def found(self) -> Found:
        """What was best of all that was added."""
        keys = -np.sort(-self._keys, axis=1)
        bits = (keys >> 32).astype(np.int32)
        return Found(_LOW - (keys & _LOW), _turned(bits).view(np.float32))


def joined(parts: Sequence[Found]) -> Found:
    """What was found of queries, piece after piece, one piece at least."""
    return Found(
        np.concatenate([part.rows for part in parts]), np.concatenate([part.scores for part in parts])
    )


def best_of(scores: np.ndarray, rows: np.ndarray, most: int) -> Found:
    """The best of scored candidates; of equal ones those that lie first among all.

    Args:
        scores: (num_queries, n) float32.
        rows: (num_queries, n) their places among the candidates.
        most: How many are kept of each query.
    """
    order = np.lexsort((rows, -scores), axis=1)[:, :most]
    return Found(np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1))


def _keys_of(scores: np.ndarray, first: int) -> np.ndarray:
    bits = (scores.astype(np.float32) + np.float32(0)).view(np.int32)  # + 0 makes one zero of the two
    columns = _LOW - np.arange(first, first + scores.shape[1])
    return (_turned(bits).astype(np.int64) << 32) | columns


def _turned(bits: np.ndarray) -> np.ndarray:
    """Of float32's bits integers in the order of the numbers, and back: negative ones count from the end."""
    return np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)


def _greatest(keys: np.ndarray, most: int) -> np.ndarray:
    """(num_rows, most or fewer), in no order."""
    if keys.shape[1] <= most:
        return keys
    return np.partition(keys, keys.shape[1] - most, axis=1)[:, -most:]
