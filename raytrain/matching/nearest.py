"""Candidates found by the cosine of an encoder's vectors: exact, in blocks, so that memory stays flat."""

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.preprocessing import normalize

from raytrain.matching.best import Best, Found, best_of, joined
from raytrain.text.ragged import number
from raytrain.vectors.whitening import Moments, Whitening

CHUNK_TEXTS = 1024  # embedded at once
BLOCK_QUERIES, BLOCK_CANDIDATES = 256, 16_384
# So many more are found by float32 products, whose last bits hang on the block, than are asked for; which of
# them are best is decided in float64, so that equal vectors are equally near.
MORE = 32
_AT_ONCE = 32  # queries compared in float64
# Of a few hundred texts most directions are noise, which plain whitening stretches as wide as the others; so
# held it finds more than none and than plain (docs/matching.md).
HELD = 1.0

EmbedTexts = Callable[[Sequence[str]], np.ndarray]
Advance = Callable[[int], None]
Prepare = Callable[[np.ndarray], np.ndarray]


class VectorSearch:
    """Finds candidates by the cosine of vectors.

    Args:
        embed: Gives (n, dim) vectors of texts.
        candidates: The candidates' texts.
        queries: The queries' texts. Each distinct text is embedded once, so that equal ones are equally near.
        whiten: Whether the vectors are whitened by all of them, candidates and queries.
        advance: Told how many texts more are done.
    """

    def __init__(
        self,
        embed: EmbedTexts,
        candidates: Sequence[str],
        queries: Sequence[str],
        whiten: bool = True,
        advance: Advance = lambda done: None,
    ):
        distinct, which = number([*candidates, *queries])
        counts = np.bincount(which, minlength=len(distinct))
        parts = []
        for start in range(0, len(distinct), CHUNK_TEXTS):
            parts.append(embed(distinct[start : start + CHUNK_TEXTS]))
            advance(int(counts[start : start + CHUNK_TEXTS].sum()))
        vectors = np.concatenate(parts)
        prepare = _whitening(vectors, which) if whiten else to_length_one
        pieces = range(0, len(vectors), CHUNK_TEXTS)
        vectors = np.concatenate([prepare(vectors[start : start + CHUNK_TEXTS]) for start in pieces])
        self._candidates, self._queries = vectors[which[: len(candidates)]], vectors[which[len(candidates) :]]

    def find(self, part: slice, most: int) -> Found:
        """The nearest candidates of these queries, `most` or as many as there are; scores are cosines."""
        return nearest(self._queries[part], self._candidates, most)


def to_length_one(vectors: np.ndarray) -> np.ndarray:
    """(n, dim) vectors → float32 of length 1 each; one of zeros stays so."""
    return normalize(vectors.astype(np.float64)).astype(np.float32)


def _whitening(vectors: np.ndarray, which: np.ndarray) -> Prepare:
    """Of all texts' vectors, each counted as often as it occurs; of such as do not differ none."""
    moments = Moments(vectors.shape[1])
    for start in range(0, len(which), CHUNK_TEXTS):
        moments.add(vectors[which[start : start + CHUNK_TEXTS]])
    try:
        return Whitening.of(moments, held=HELD)
    except ValueError:
        return to_length_one


def nearest(
    queries: np.ndarray,
    candidates: np.ndarray,
    most: int,
    block_queries: int = BLOCK_QUERIES,
    block_candidates: int = BLOCK_CANDIDATES,
) -> Found:
    """The candidates whose product with each query is greatest; of equal ones those that come first.

    Args:
        queries: (num_queries, dim) float32, of length 1 where the products shall be cosines.
        candidates: (num_candidates, dim) float32.
        most: How many are found, or as many as there are.
        block_queries: Queries compared at once.
        block_candidates: Candidates compared at once.
    """
    parts = []
    for start in range(0, len(queries), block_queries):
        block = queries[start : start + block_queries]
        best = Best(len(block), most + MORE)
        for first in range(0, len(candidates), block_candidates):
            best.add(block @ candidates[first : first + block_candidates].T, first)
        parts.append(_decided(block, candidates, best.found(), most))
    return joined(parts)


def _decided(queries: np.ndarray, candidates: np.ndarray, found: Found, most: int) -> Found:
    scores = np.empty_like(found.scores)
    for start in range(0, len(queries), _AT_ONCE):
        here = slice(start, start + _AT_ONCE)
        near = candidates[found.rows[here]].astype(np.float64)
        scores[here] = np.einsum("qd,qnd->qn", queries[here].astype(np.float64), near)
    return best_of(scores, found.rows, most)
