"""Queries matched with candidates, some at a time: as arrays, or written as they come."""

from collections.abc import Iterator, Sequence

from raytrain.corpus.given import given_texts
from raytrain.errors import InputError
from raytrain.matching.best import Found, joined
from raytrain.matching.fused import FirstStage, Search
from raytrain.matching.judge import PAIRS_AT_ONCE, Judge, PredictMatch
from raytrain.matching.measures import Measures
from raytrain.matching.nearest import EmbedTexts, VectorSearch
from raytrain.matching.outputs import open_matches, rows_of
from raytrain.matching.settings import RERANK, TOP
from raytrain.matching.texts import Texts
from raytrain.matching.words import WordSearch
from raytrain.messages import logging_console
from raytrain.stages import Stages
from raytrain.storage.files import whole_or_not

QUERIES_AT_ONCE = 256
JUDGED = "reranked"


def match_texts(
    queries: Sequence[str],
    candidates: Sequence[str],
    top: int = TOP,
    embed: EmbedTexts | None = None,
    words: bool = True,
    judge: PredictMatch | None = None,
    rerank: int = RERANK,
    whiten: bool = True,
    stages: Stages | None = None,
) -> Found:
    """Finds of each query the best candidates, as `raytrain match` does.

    Args:
        queries: The queries' texts.
        candidates: The candidates' texts.
        top: How many are found of each query, or as many as there are.
        embed: Gives (n, dim) vectors of texts, whose cosines count; None compares words alone.
        words: Whether words and characters count (BM25); beside `embed` the ranks of both are fused.
        judge: Gives (n,) probabilities that the n first texts, queries, and the n second, candidates, belong
            together; it orders the best `rerank` candidates of each query. None leaves them as found.
        rerank: How many candidates of each query are judged; `top` at least.
        whiten: Whether vectors are whitened by all texts.
        stages: Where progress is told; None logs it to `raytrain`.

    Returns:
        `rows`, (len(queries), `top` or as many as there are) int64, places among the candidates, the best
        first; `scores`, float32.

    Raises:
        InputError: There is nothing to match, or by nothing.

    Example:
        >>> import raytrain
        >>> found = raytrain.match_texts(["退款多久到账"], ["发票可以开吗", "退款三天到账"], top=1)
        >>> found.rows
        array([[1]])
        >>> predictor = raytrain.load("runs/pairs/ensemble")  # doctest: +SKIP
        >>> def judge(queries, candidates):
        ...     return predictor.predict_proba(queries, candidates)[:, 1]
        >>> found = raytrain.match_texts(queries, candidates, judge=judge)  # doctest: +SKIP
    """
    queries, candidates = given_texts(queries, "queries"), given_texts(candidates, "candidates")
    _check_asked(queries, candidates, top, rerank, embed is not None or words)
    stages = stages or Stages(logging_console())
    first = FirstStage(open_searches(queries, candidates, embed, words, whiten, stages))
    ordering = None if judge is None else Judge(judge, candidates)
    depth = top if ordering is None else max(top, rerank)
    with stages.stage("matching", len(queries), "queries") as stage:
        parts = []
        for part, found in find_matches(queries, first, ordering, depth):
            parts.append(list(found.values())[-1].cut(top))
            stage.advance(part.stop - stage.done)
    return joined(parts)


def _check_asked(
    queries: Sequence[str], candidates: Sequence[str], top: int, rerank: int, by_something: bool
) -> None:
    problems = [
        f"{name}: expected texts, found none"
        for name, texts in (("queries", queries), ("candidates", candidates))
        if not texts
    ]
    problems += [
        f"{name}: expected 1 or more, found {number}"
        for name, number in (("top", top), ("rerank", rerank))
        if number < 1
    ]
    if not by_something:
        problems.append("expected embed, or words=True: something by which candidates are found")
    if problems:
        raise InputError("nothing can be matched", problems)


def open_searches(
    queries: Sequence[str],
    candidates: Sequence[str],
    embed: EmbedTexts | None,
    words: bool,
    whiten: bool,
    stages: Stages,
) -> dict[str, Search]:
    """The searches of the first stage, by name; vectors are made here. Arguments as of `match_texts`."""
    searches: dict[str, Search] = {}
    if embed is not None:
        with stages.stage("embedding", len(queries) + len(candidates), "texts") as stage:
            searches["vectors"] = VectorSearch(embed, candidates, queries, whiten, stage.advance)
    if words:
        with stages.stage("counting words"):
            searches["words"] = WordSearch(candidates, queries)
    return searches


def find_matches(
    queries: Sequence[str], first: FirstStage, judge: Judge | None, depth: int
) -> Iterator[tuple[slice, dict[str, Found]]]:
    """Matches queries, some at a time.

    Args:
        queries: Their texts.
        first: What finds candidates of these queries.
        judge: What orders them then, or None.
        depth: How many are found of each query, and judged.

    Yields:
        Which queries, and what each stage found of them; the last is the answer.
    """
    at_once = QUERIES_AT_ONCE if judge is None else max(1, PAIRS_AT_ONCE // depth)
    for start in range(0, len(queries), at_once):
        part = slice(start, min(start + at_once, len(queries)))
        stages = first.find(part, depth)
        if judge is not None:
            stages[JUDGED] = judge.order(queries[part], list(stages.values())[-1])
        yield part, stages


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
    with whole_or_not(path) as unfinished, open_matches(unfinished) as write:
        for part, stages in find_matches(queries.texts, first, judge, depth):
            if measures is not None:
                measures.add(part, stages)
            write(rows_of(queries, part, candidates, list(stages.values())[-1].cut(top)))
            yield part.stop
