"""What a person is told of groups: their words, their typical texts and the odd ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raytrain.groups.find import Found
from raytrain.groups.space import HeldWords
from raytrain.keywords.association import MIN_SCORE, log_odds

NUM_WORDS, NUM_TYPICAL, NUM_ODD = 8, 5, 3
NAME_WORDS = 3  # that make a group's name


@dataclass(frozen=True)
class Group:
    """A group as it is told.

    Attributes:
        number: From 0, the largest first.
        size: Texts in it.
        words: That tell of it against all others, the strongest first; may be none.
        typical: Rows of texts that are most like its mean, none twice.
        odd: Rows of texts that are least like it.
    """

    number: int
    size: int
    words: list[str]
    typical: list[int]
    odd: list[int]

    @property
    def name(self) -> str:
        return " · ".join(self.words[:NAME_WORDS]) or f"group {self.number}"


def tell_groups(texts: Sequence[str], held: HeldWords, found: Found) -> list[Group]:
    """Tells each group, the largest first.

    Args:
        texts: The texts.
        held: Their words.
        found: Their groups.
    """
    words = _telling_words(held, found)
    told = []
    for number in range(found.num_groups):
        own = np.flatnonzero(found.groups == number)
        nearest = own[np.argsort(-found.likeness[own], kind="stable")].tolist()
        typical = _distinct(texts, nearest, NUM_TYPICAL)
        odd = [row for row in _distinct(texts, nearest[::-1], NUM_ODD) if row not in typical]
        told.append(Group(number, len(own), words[number], typical, odd))
    return told


def _telling_words(held: HeldWords, found: Found) -> list[list[str]]:
    """Of each group the words by their log-odds against the rest, in how many of its texts they stand."""
    if found.num_groups < 2 or not held.words:
        return [[] for _ in range(found.num_groups)]
    holders = held.counts.copy()
    holders.data[:] = 1
    counts = np.stack(
        [holders[found.groups == group].sum(axis=0).A1 for group in range(found.num_groups)], axis=1
    )
    scores = log_odds(counts)
    told = []
    for group in range(found.num_groups):
        best = np.argsort(-scores[:, group], kind="stable")[:NUM_WORDS]
        told.append([held.words[word] for word in best.tolist() if scores[word, group] > MIN_SCORE])
    return told


def _distinct(texts: Sequence[str], rows: Sequence[int], most: int) -> list[int]:
    """The first rows whose texts differ."""
    kept: dict[str, int] = {}
    for row in rows:
        kept.setdefault(texts[row].strip(), row)
        if len(kept) == most:
            break
    return list(kept.values())
