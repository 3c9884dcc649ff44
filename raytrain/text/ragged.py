"""Rows of unequal length laid end to end, and texts as arrays of their characters."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def ranges(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Returns starts[i], starts[i] + 1, … (sizes[i] numbers), one i after another.

    Args:
        starts: (n,) integers.
        sizes: (n,) integers, none below 0.

    Returns:
        (sum of sizes,) int64.
    """
    before = np.cumsum(sizes) - sizes
    return np.arange(int(np.sum(sizes))) + np.repeat(starts - before, sizes)


def bounds_of(sizes: Sequence[int] | np.ndarray) -> np.ndarray:
    """Returns (n + 1,) int64: row i of these sizes lies at bounds[i]:bounds[i + 1]."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])


def number(items: Sequence[Item]) -> tuple[list[Item], np.ndarray]:
    """Numbers the distinct items in order of first sight.

    Returns:
        The distinct items, and (len(items),) int64: which of them each item is.
    """
    distinct = list(dict.fromkeys(items))
    index = dict(zip(distinct, range(len(distinct)), strict=True))
    return distinct, integers(map(index.__getitem__, items), len(items))


def integers(values: Iterable[int], count: int = -1) -> np.ndarray:
    """Returns the values as int64, also where there are none."""
    return np.fromiter(values, np.int64, count)


def chunks_of(texts: Sequence[str], max_characters: int = 200_000) -> Iterator[slice]:
    """Deals texts, in order, into pieces that take little memory to cut and some tenths of a second."""
    start = characters = 0
    for i, text in enumerate(texts):
        if i > start and characters + len(text) >= max_characters:
            yield slice(start, i)
            start, characters = i, 0
        characters += len(text) + 1
    if start < len(texts):
        yield slice(start, len(texts))


def runs_of(mask: np.ndarray) -> np.ndarray:
    """Returns (n, 2) begins and ends of the runs of True."""
    return np.flatnonzero(np.diff(mask, prepend=False, append=False)).reshape(-1, 2)


def slices(text: str, spans: np.ndarray) -> list[str]:
    """Returns text[begin:end] of each of the (n, 2) spans."""
    return [text[i:j] for i, j in zip(spans[:, 0].tolist(), spans[:, 1].tolist(), strict=True)]


def codes_of(text: str) -> np.ndarray:
    """(len(text),) uint32, the code point of each character."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
