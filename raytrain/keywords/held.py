"""Keywords of a corpus: which words each text holds, which are kept, and how many of each class it has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raytrain.keywords.association import pick_words
from raytrain.keywords.textrank import RankedTexts
from raytrain.text.ragged import bounds_of, chunks_of
from raytrain.text.segmentation import cut_texts
from raytrain.text.words import build_segmenter


@dataclass(frozen=True)
class HeldWords:
    """Where words that may count stand in texts.

    Attributes:
        words: The words, in lower case.
        held: (num_held,) which of `words` each one is, text after text.
        bounds: (num_texts + 1,) text i holds held[bounds[i]:bounds[i + 1]].
    """

    words: list[str]
    held: np.ndarray
    bounds: np.ndarray

    def count(self, classes: np.ndarray, num_classes: int) -> np.ndarray:
        """Counts the kept words of each class in each text, repetitions included.

        Args:
            classes: (num_words,) the class each word is kept for, -1 where it is not.
            num_classes: How many classes there are.

        Returns:
            (num_texts, num_classes) float32.
        """
        num_texts = len(self.bounds) - 1
        found = np.asarray(classes, np.int64)[self.held]
        texts = np.repeat(np.arange(num_texts), np.diff(self.bounds))
        places = (texts * num_classes + found)[found >= 0]
        counts = np.bincount(places, minlength=num_texts * num_classes)
        return counts.reshape(num_texts, num_classes).astype(np.float32)

    def classes_of(self, kept: Mapping[str, int]) -> np.ndarray:
        """Returns (num_words,) int16, the class of each word as `count` takes it."""
        return np.array([kept.get(word, -1) for word in self.words], np.int16)

    def kept(self, classes: np.ndarray) -> dict[str, int]:
        """Returns word to class of those that are kept, class after class: the inverse of `classes_of`."""
        pairs = [(int(number), word) for word, number in zip(self.words, classes, strict=True) if number >= 0]
        return {word: number for number, word in sorted(pairs)}


@dataclass(frozen=True)
class KeywordInputs:
    """What the folds need to count kept words.

    Attributes:
        held: Of the whole corpus.
        given: Word to class as a person chose, or None where each fold chooses.
        keywords: Where each fold chooses: (num_keywords,) each text's keywords, numbers into `held.words`.
        keyword_bounds: (num_texts + 1,) of `keywords`.
        num_words: How many words a fold chooses of each class at most.
    """

    held: HeldWords
    given: dict[str, int] | None
    keywords: np.ndarray
    keyword_bounds: np.ndarray
    num_words: int

    def describe(self, labels: Sequence[int | str]) -> str:
        """Says in one line which words are counted."""
        if self.given is None:
            return f"keywords: each fold keeps up to {self.num_words:,} a class of {len(self.held.words):,}"
        sizes = np.bincount(list(self.given.values()), minlength=len(labels))
        counts = ", ".join(f"{label}: {size:,}" for label, size in zip(labels, sizes, strict=True))
        return f"{len(self.given):,} keywords ({counts})"

    def choose(self, rows: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
        """The class of every word, chosen from these rows alone where no person chose.

        Args:
            rows: A fold's training rows.
            labels: (num_texts,) label indices; only those of `rows` are looked at.
            num_classes: How many classes there are.

        Returns:
            (num_words,) int16, -1 for a word that is not kept.
        """
        if self.given is not None:
            return self.held.classes_of(self.given)
        is_chosen_from = np.zeros(len(self.keyword_bounds) - 1, bool)
        is_chosen_from[rows] = True
        sizes = np.diff(self.keyword_bounds)
        inside = np.repeat(is_chosen_from, sizes)
        own = np.repeat(np.where(is_chosen_from, labels, 0), sizes)[inside].astype(np.int64)
        places = self.keywords[inside] * num_classes + own
        counts = np.bincount(places, minlength=len(self.held.words) * num_classes)
        return pick_words(self.held.words, counts.reshape(-1, num_classes), self.num_words)


def find_words(
    texts: Sequence[str], pairs: Sequence[str] | None, words: Sequence[str], user_dict: str | None
) -> HeldWords:
    """Segments texts as a whole, however long, and finds the words in them.

    Args:
        texts: The texts.
        pairs: The second texts, or None.
        words: The words, in lower case.
        user_dict: Text of a jieba dictionary.
    """
    parts, segmenter = interleave(texts, pairs), build_segmenter(user_dict)
    index = {word: number for number, word in enumerate(words)}
    held, sizes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for chunk in chunks_of(parts):
        cut = cut_texts(parts[chunk], segmenter)
        own = np.array([*(index.get(word, -1) for word in cut.words), -1], np.int64)[cut.numbers]
        before = np.append(0, np.cumsum(own >= 0))
        held.append(own[own >= 0])
        sizes.append(np.diff(before[cut.bounds]))
    return HeldWords(list(words), np.concatenate(held), _row_bounds(sizes, len(parts) // max(len(texts), 1)))


def _row_bounds(sizes: Sequence[np.ndarray], texts_per_row: int) -> np.ndarray:
    """Returns (num_rows + 1,) where the rows begin whose texts, in pieces, have these sizes."""
    return bounds_of(np.concatenate(sizes))[:: max(texts_per_row, 1)]


def given_keywords(
    texts: Sequence[str], pairs: Sequence[str] | None, kept: Mapping[str, int], user_dict: str | None
) -> KeywordInputs:
    """Finds the words that a person kept.

    Args:
        texts: The texts.
        pairs: The second texts, or None.
        kept: Word to class.
        user_dict: Text of a jieba dictionary, of `keywords.marks.extend_dictionary`.
    """
    held = find_words(texts, pairs, list(kept), user_dict)
    none = np.zeros(0, np.int64)
    return KeywordInputs(held, dict(kept), none, np.zeros(len(texts) + 1, np.int64), len(kept))


def join_ranked(parts: Sequence[RankedTexts], texts_per_row: int, num_words: int) -> KeywordInputs:
    """Joins pieces of a corpus, for folds to choose from; words that are no text's keyword are left out.

    Args:
        parts: The pieces, one or more.
        texts_per_row: 2 for pairs.
        num_words: How many words a fold chooses of each class at most.
    """
    index: dict[str, int] = {}
    for part in parts:
        for number in np.unique(part.keywords).tolist():
            index.setdefault(part.words[number], len(index))
    held, keywords, held_sizes, keyword_sizes = [], [], [], []
    for part in parts:
        renumbered = np.array([index.get(word, -1) for word in part.words], np.int64)
        own = renumbered[part.held]
        before = np.append(0, np.cumsum(own >= 0))
        held.append(own[own >= 0])
        held_sizes.append(np.diff(before[part.held_bounds]))
        keywords.append(renumbered[part.keywords])
        keyword_sizes.append(np.diff(part.keyword_bounds))
    words = HeldWords(list(index), np.concatenate(held), _row_bounds(held_sizes, texts_per_row))
    bounds = _row_bounds(keyword_sizes, texts_per_row)
    return KeywordInputs(words, None, np.concatenate(keywords), bounds, num_words)


def interleave(texts: Sequence[str], pairs: Sequence[str] | None) -> list[str]:
    """Returns first and second text of each row in turn; the texts where there are no pairs."""
    if pairs is None:
        return list(texts)
    return [part for row in zip(texts, pairs, strict=True) for part in row]
