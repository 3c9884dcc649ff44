"""Several searches as one: their ranks fused."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from raytrain.matching.best import Found
from raytrain.matching.settings import DEPTH

FUSED = "both"
CONSTANT = 60  # of reciprocal rank fusion (Cormack, Clarke & Büttcher 2009)


class Search(Protocol):
    """What finds candidates of queries."""

    def find(self, part: slice, most: int) -> Found:
        """The best candidates of these queries, `most` of them or as many as there are."""


def fuse(parts: Sequence[Found], most: int) -> Found:
    """The candidates whose sum of 1 / (60 + rank) is greatest; of equal ones those that come first.

    Args:
        parts: Of each search what it found of the same queries. A score of 0 says that candidate and query
            have nothing in common: there is no rank of it.
        most: How many are kept, or as many as any search found.
    """
    width = max(min(most, part.rows.shape[1]) for part in parts)
    ranks = [CONSTANT + 1 + np.arange(part.rows.shape[1]) for part in parts]
    shares = np.concatenate(
        [(part.scores != 0) / own for part, own in zip(parts, ranks, strict=True)], axis=1
    )
    rows = np.concatenate([part.rows for part in parts], axis=1)
    found = Found(np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width), np.float32))
    for query, own in enumerate(rows):
        distinct, which = np.unique(own, return_inverse=True)
        sums = np.bincount(which, shares[query])
        order = np.lexsort((distinct, -sums))[:width]
        found.rows[query], found.scores[query] = distinct[order], sums[order]
    return found


class FirstStage:
    """What is found before anything is judged.

    Args:
        searches: By name; of several their fused ranks are the answer.
    """

    def __init__(self, searches: Mapping[str, Search]):
        self._searches = searches

    def find(self, part: slice, most: int) -> dict[str, Found]:
        """What each search found, by name; the last is the answer."""
        if len(self._searches) == 1:
            return {name: search.find(part, most) for name, search in self._searches.items()}
        found = {name: search.find(part, max(most, DEPTH)) for name, search in self._searches.items()}
        fused = fuse(list(found.values()), most)
        return {name: part.cut(most) for name, part in found.items()} | {FUSED: fused}
