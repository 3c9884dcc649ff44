"""Candidates for keywords: what TextRank finds in files of texts, counted in all and per class."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray

from raytrain.cluster import connect, get_result
from raytrain.keywords.association import log_odds
from raytrain.keywords.sources import Chunk, Source, chunks_of_sources, short_names
from raytrain.keywords.textrank import rank_texts

ALONE = 5  # chunks that this process counts in less time than Ray takes to start

Counts = tuple[list[str], np.ndarray]  # words, and (num_words, 1 + num_groups) texts and counts of each


@dataclass(frozen=True)
class Candidates:
    """Words that are a keyword of some text, the most telling first.

    Attributes:
        words: The words, in lower case.
        texts: (num_words,) texts that hold the word at all.
        by_class: (num_words, num_classes) texts of each class of which it is a keyword; no columns
            where no file has labels.
        by_source: (num_words, num_sources) texts of each file of which it is a keyword.
        scores: (num_words, num_classes) of `keywords.association.log_odds`.
        labels: The classes.
        sources: A short name of each file.
    """

    words: list[str]
    texts: np.ndarray
    by_class: np.ndarray
    by_source: np.ndarray
    scores: np.ndarray
    labels: list[int] | list[str]
    sources: list[str]

    @functools.cached_property
    def counts(self) -> np.ndarray:
        """(num_words,) texts of all files of which it is a keyword."""
        counts: np.ndarray = self.by_source.sum(axis=1)
        return counts

    def top(self, label: int, num_words: int) -> list[int]:
        """Indices of the words that tell most of a class."""
        best = np.argsort(-self.scores[:, label], kind="stable")[:num_words]
        return [int(word) for word in best if self.scores[word, label] > 0]


def find_candidates(
    sources: Sequence[Source],
    user_dict: str | None = None,
    parts_of_speech: Sequence[str] = (),
    min_count: int = 1,
    workers: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Candidates:
    """Counts the keywords of all files together; large files on Ray, which this starts where need be.

    Args:
        sources: Of `keywords.sources.open_source`.
        user_dict: Text of a jieba dictionary.
        parts_of_speech: As in `keywords.textrank.rank_texts`.
        min_count: Words that are a keyword of fewer texts are left out.
        workers: Processes at once; None takes every CPU of the cluster. The result is the same.
        on_progress: Called with the texts done after each chunk.
    """
    groups, labels = _groups(sources)
    width = 1 + sum(len(own) for own in groups)
    index: dict[str, int] = {}
    totals = np.zeros((0, width), np.int64)
    arguments = (width - 1, user_dict, tuple(parts_of_speech))
    done = 0
    for num_texts, (words, counts) in _count(chunks_of_sources(sources, groups), arguments, workers):
        numbers = [index.setdefault(word, len(index)) for word in words]
        if len(index) > len(totals):
            totals = np.concatenate([totals, np.zeros((2 * len(index) - len(totals), width), np.int64)])
        totals[numbers] += counts
        done += num_texts
        if on_progress is not None:
            on_progress(done)
    return _rank(index, totals, sources, groups, labels, min_count)


def _groups(sources: Sequence[Source]) -> tuple[list[dict[Any, int]], list[int] | list[str]]:
    """Numbers every class of every file, one without classes as a whole; and all labels in order."""
    labels: list[Any] = []
    for source in sources:
        labels += [label for label in source.labels or [] if label not in labels]
    if len({type(label) for label in labels}) > 1:
        labels = [str(label) for label in labels]
    labels = sorted(dict.fromkeys(labels))
    groups, size = [], 0
    for source in sources:
        own = source.labels or [None]
        groups.append({label: size + number for number, label in enumerate(own)})
        size += len(own)
    return groups, labels


def _count(
    chunks: Iterator[Chunk], arguments: tuple[Any, ...], workers: int | None
) -> Iterator[tuple[int, Counts]]:
    """Counts few chunks here, more of them on Ray. Yields how many texts and their counts, in any order."""
    first = [chunk for _, chunk in zip(range(ALONE), chunks, strict=False)]
    following = next(chunks, None)
    if following is None:
        yield from ((len(chunk[0]), count_chunk(*chunk, *arguments)) for chunk in first)
        return
    connect(None)
    count: Any = ray.remote(count_chunk)
    room = workers or 2 * int(ray.cluster_resources().get("CPU", 1))
    pending: dict[ray.ObjectRef, int] = {}
    for chunk in _chain(first, following, chunks):
        if len(pending) >= room:
            yield _next(pending)
        pending[count.remote(*chunk, *arguments)] = len(chunk[0])
    while pending:
        yield _next(pending)


def _chain(first: Sequence[Chunk], following: Chunk, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    yield from first
    yield following
    yield from chunks


def _next(pending: dict[ray.ObjectRef, int]) -> tuple[int, Counts]:
    [ready], _ = ray.wait(list(pending), num_returns=1)
    return pending.pop(ready), get_result(ready)


def count_chunk(
    texts: Sequence[str],
    groups: np.ndarray,
    num_groups: int,
    user_dict: str | None = None,
    parts_of_speech: Sequence[str] = (),
) -> Counts:
    """Counts the words of some texts.

    Args:
        texts: The texts.
        groups: (num_texts,) the group of each.
        num_groups: How many there are.
        user_dict: Text of a jieba dictionary.
        parts_of_speech: As in `keywords.textrank.rank_texts`.

    Returns:
        The words that the texts hold, and (num_words, 1 + num_groups) int64: how many texts hold each,
        then of how many texts of each group it is a keyword.
    """
    ranked = rank_texts(texts, user_dict, parts_of_speech)
    num_words = len(ranked.words)
    counts = np.zeros((num_words, 1 + num_groups), np.int64)
    holders = np.repeat(np.arange(len(texts)), np.diff(ranked.held_bounds))
    once = np.unique(holders * num_words + ranked.held)
    counts[:, 0] = np.bincount(once % num_words, minlength=num_words)
    owners = np.repeat(groups, np.diff(ranked.keyword_bounds))
    counts[:, 1:] = np.bincount(
        ranked.keywords * num_groups + owners, minlength=num_words * num_groups
    ).reshape(num_words, num_groups)
    held = np.flatnonzero(counts[:, 0])
    return [ranked.words[number] for number in held.tolist()], counts[held]


def _rank(
    index: dict[str, int],
    totals: np.ndarray,
    sources: Sequence[Source],
    groups: Sequence[dict[Any, int]],
    labels: list[Any],
    min_count: int,
) -> Candidates:
    """Orders words by association, then count. Everything is summed in the words' own order."""
    words = sorted(index)
    totals = totals[[index[word] for word in words]]
    texts: np.ndarray = totals[:, 0]
    totals = totals[:, 1:]
    by_class = np.zeros((len(words), len(labels)), np.int64)
    for source, own in zip(sources, groups, strict=True):
        for label, group in own.items() if source.labels else ():
            name = label if label in labels else str(label)
            column = labels.index(name)
            by_class[:, column] += totals[:, group]
    by_source = np.stack([totals[:, list(own.values())].sum(axis=1) for own in groups], axis=1)
    scores = log_odds(by_class) if labels else np.zeros((len(words), 0))
    counts = by_source.sum(axis=1)
    best = scores.max(axis=1) if labels else counts
    order = np.lexsort((np.arange(len(words)), -counts, -best))
    order = order[counts[order] >= max(min_count, 1)]
    return Candidates(
        [words[number] for number in order.tolist()],
        texts[order],
        by_class[order],
        by_source[order],
        scores[order],
        labels,
        short_names([source.path for source in sources]),
    )
