"""How often the right candidate is found, and how high, stage by stage."""

from collections.abc import Mapping, Sequence

import numpy as np
from rich.table import Table

from raytrain.matching.best import Found
from raytrain.matching.texts import Texts, known_id, known_ids
from raytrain.messages import counted


def ranks_of(found: Sequence[Sequence[str]], right: Sequence[str]) -> np.ndarray:
    """(num_queries,) int64: the rank from 1 of the first right candidate; 0 where it was not found.

    Args:
        found: Of each query the candidates' ids, the best first.
        right: Of each query the id of the right one; several candidates may have it.
    """
    places = (ids.index(wanted) + 1 if wanted in ids else 0 for ids, wanted in zip(found, right, strict=True))
    return np.fromiter(places, np.int64, len(right))


def recall(ranks: np.ndarray, most: int) -> float:
    """The share of queries, of one at least, whose right candidate is among the first `most`."""
    return float(((ranks > 0) & (ranks <= most)).mean())


def mean_reciprocal_rank(ranks: np.ndarray) -> float:
    """The mean over queries, of one at least, of 1 / rank, or of 0 where nothing right was found."""
    return float(np.where(ranks > 0, 1 / np.maximum(ranks, 1), 0).mean())


class Measures:
    """The ranks of right candidates in what each stage found.

    Args:
        queries: With the right ones; where none is told, a query does not count.
        candidates: All candidates.
    """

    def __init__(self, queries: Texts, candidates: Texts):
        self._ids = known_ids(candidates)
        known = set(self._ids)
        self._right = [known_id(id, known) for id in queries.right or []]
        self._ranks: dict[str, list[np.ndarray]] = {}

    def add(self, part: slice, stages: Mapping[str, Found]) -> None:
        """Counts in what the stages, by name, found of some queries."""
        right = self._right[part]
        places = [place for place, id in enumerate(right) if id]
        for name, found in stages.items():
            ids = [self._found_ids(found, place) for place in places]
            ranks = ranks_of(ids, [right[place] for place in places])
            self._ranks.setdefault(name, []).append(ranks)

    def _found_ids(self, found: Found, place: int) -> list[str]:
        """What has anything in common with the query, which a score of 0 denies."""
        return [self._ids[row] for row in found.rows[place][found.scores[place] != 0].tolist()]

    def table(self, depths: Sequence[int]) -> Table:
        """A row a stage: recall at each depth, and the mean reciprocal rank."""
        depths = sorted({1, *depths})
        ranks = {name: np.concatenate(parts) for name, parts in self._ranks.items()}
        num_queries = len(next(iter(ranks.values())))
        title = f"the right candidate, of {counted(num_queries, 'query')}"
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        table.add_column("stage", no_wrap=True)
        for name in (*(f"recall@{depth}" for depth in depths), "MRR"):
            table.add_column(name, justify="right")
        for name, own in ranks.items():
            values = [*(recall(own, depth) for depth in depths), mean_reciprocal_rank(own)]
            table.add_row(name, *(f"{value:.4f}" for value in values))
        return table
