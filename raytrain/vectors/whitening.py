"""Whitening: vectors whose directions are uncorrelated and equally wide, so that angles tell of likeness.

Sentence vectors of an encoder lie in a narrow cone (Su et al. 2021, arXiv 2103.15316): all are alike by their
cosine. Whitening turns and stretches them by the eigenvectors of their covariance, and the widest directions
alone say nearly as much.
"""

import math
from dataclasses import dataclass

import numpy as np

LEAST_SHARE = 1e-7  # of the widest direction's variance: what is narrower is rounding


class Moments:
    """Mean and covariance of vectors that come piece by piece.

    Args:
        dim: Size of a vector.
    """

    def __init__(self, dim: int):
        self.count = 0
        self._shift = np.zeros(dim)
        self._sum = np.zeros(dim)
        self._products = np.zeros((dim, dim))

    def add(self, vectors: np.ndarray) -> None:
        """Counts some, (n, dim), in."""
        if not self.count and len(vectors):
            self._shift = vectors.mean(axis=0, dtype=np.float64)  # else products of large means cancel out
        centred = vectors.astype(np.float64) - self._shift
        self.count += len(vectors)
        self._sum += centred.sum(axis=0)
        self._products += centred.T @ centred

    @property
    def mean(self) -> np.ndarray:
        """(dim,) float64."""
        return self._shift + self._sum / max(self.count, 1)

    @property
    def covariance(self) -> np.ndarray:
        """(dim, dim) float64, of the vectors as the whole of what there is."""
        offset = self._sum / max(self.count, 1)
        return self._products / max(self.count, 1) - np.outer(offset, offset)


@dataclass(frozen=True)
class Whitening:
    """What makes vectors white.

    Attributes:
        mean: (dim,) float64.
        kernel: (dim, size) float64, the widest direction first.
    """

    mean: np.ndarray
    kernel: np.ndarray

    @classmethod
    def of(cls, moments: Moments, size: int | None = None, held: float = 0.0) -> "Whitening":
        """Fits it.

        Args:
            moments: Of the vectors.
            size: Of a whitened vector; None keeps every direction in which the vectors differ.
            held: So many times the mean variance is added to each direction's, so that those in which the
                vectors hardly differ are not stretched to noise; of few vectors most are such. Infinity
                leaves directions as wide as they are: what an ensemble has learned lies in the widest.

        Raises:
            ValueError: They differ in less directions than `size`.
        """
        variances, directions = np.linalg.eigh(moments.covariance)
        variances, directions = variances[::-1], directions[:, ::-1]
        rank = int((variances > LEAST_SHARE * max(variances[0], 0)).sum())
        if not rank or (size is not None and size > rank):
            wanted = f"{size} directions" if size else "a direction"
            raise ValueError(f"expected vectors that differ in {wanted}, found {rank}")
        kept = size or rank
        if math.isinf(held):
            return cls(moments.mean, directions[:, :kept])
        widths = np.sqrt(variances[:kept] + held * max(variances.mean(), 0))
        return cls(moments.mean, directions[:, :kept] / widths)

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """(n, dim) vectors → (n, size) float32 of length 1 each; a vector that is the mean stays 0."""
        white = (vectors.astype(np.float64) - self.mean) @ self.kernel
        lengths = np.linalg.norm(white, axis=1, keepdims=True)
        return (white / np.where(lengths > 0, lengths, 1)).astype(np.float32)
