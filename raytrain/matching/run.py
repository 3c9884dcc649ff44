"""Queries matched with candidates, some at a time, and written as they come."""

from collections.abc import Iterator

from raytrain.matching.fused import FirstStage
from raytrain.matching.judge import PAIRS_AT_ONCE, Judge
from raytrain.matching.measures import Measures
from raytrain.matching.outputs import open_matches, rows_of
from raytrain.matching.texts import Texts
from raytrain.storage.files import whole_or_not

QUERIES_AT_ONCE = 256
JUDGED = "reranked"


def write_matches(
    path: str,
    queries: Texts,
    candidates: Texts,
    first: FirstStage,
    judge: Judge | None,
    top: int,
    depth: int,
    measures: Measures | None = None,
) -> Iterator[int]:
    """Matches each query, in the file's order; the output appears whole or not at all.

    Args:
        path: Ends in one of `outputs.SUFFIXES`.
        queries: The queries.
        candidates: The candidates.
        first: What finds candidates of these queries among these candidates.
        judge: What orders them then, or None.
        top: How many of each query are written, or as many as there are.
        depth: How many are found, and judged; `top` at least.
        measures: Told what each stage found.

    Yields:
        How many queries are done, after each piece.
    """
    at_once = QUERIES_AT_ONCE if judge is None else max(1, PAIRS_AT_ONCE // depth)
    with whole_or_not(path) as unfinished, open_matches(unfinished) as write:
        for start in range(0, len(queries.texts), at_once):
            part = slice(start, min(start + at_once, len(queries.texts)))
            stages = first.find(part, depth)
            found = list(stages.values())[-1]
            if judge is not None:
                found = stages[JUDGED] = judge.order(queries.texts[part], found)
            if measures is not None:
                measures.add(part, stages)
            write(rows_of(queries, part, candidates, found.cut(top)))
            yield part.stop
