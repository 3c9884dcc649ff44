"""Words by jieba, laid on characters."""

import functools
import logging
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import jieba
import numpy as np
from jieba import finalseg

from raytrain.errors import InputError
from raytrain.home import home_directory
from raytrain.text.dictionary import DictionaryWord, finds_uncommon, parse_user_dict
from raytrain.text.ragged import bounds_of
from raytrain.text.segmentation import cut_texts
from raytrain.text.vectors import Vectors, vector_of

jieba.setLogLevel(logging.WARNING)

PAD_WORD, UNKNOWN_WORD, FIRST_WORD = 0, 1, 2
_SHOWN_WORDS = 8
_ROWS_AT_ONCE = 1 << 16  # of vectors that are looked at


@functools.lru_cache(maxsize=2)
def build_segmenter(user_dict: str | None = None) -> jieba.Tokenizer:
    """Builds a jieba tokenizer of our own: what else the process loads into jieba does not reach it.

    Args:
        user_dict: The text of a dictionary in jieba's format: a word a line, then optionally its
            frequency and part of speech.

    Returns:
        The tokenizer; its attribute `words_apart` holds the words of frequency 0, which jieba itself
        would force apart in every tokenizer of the process, and `uncommon_words` those that its own `cut`
        never finds, because they hold characters at which it cuts first.

    Raises:
        CorpusError: A line that jieba cannot read, with its number.
    """
    entries = parse_user_dict(user_dict or "")
    segmenter = jieba.Tokenizer()
    segmenter.tmp_dir = _cache_directory()
    if segmenter.tmp_dir is None:
        # jieba's own way would take the temp directory, where anyone could have written what it loads.
        segmenter.FREQ, segmenter.total = segmenter.gen_pfdict(segmenter.get_dict_file())
        segmenter.initialized = True
    forced_by_others = set(finalseg.Force_Split_Words)
    for entry in entries:
        segmenter.add_word(entry.word, entry.frequency, entry.tag)
    finalseg.Force_Split_Words.intersection_update(forced_by_others)
    segmenter.words_apart = frozenset(entry.word for entry in entries if entry.frequency == 0)
    uncommon = finds_uncommon(user_dict)
    segmenter.uncommon_words = frozenset(
        entry.word for entry in entries if uncommon and entry.is_uncommon and entry.frequency != 0
    )
    return segmenter


def _cache_directory() -> str | None:
    """Where jieba keeps its parsed dictionary for this user's processes; it writes by rename.

    Returns:
        None where nothing can be written: each process then parses the dictionary, which takes a second.
    """
    try:
        cache = home_directory() / "jieba"
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, InputError):  # InputError: a user without a home
        return None
    return str(cache) if os.access(cache, os.W_OK | os.X_OK) else None


def unmade_words(user_dict: str) -> list[DictionaryWord]:
    """The words of a dictionary that are cut even where they stand alone, though none forces them apart."""
    words = [word for word in parse_user_dict(user_dict) if word.frequency != 0]
    cut = cut_texts([word.word for word in words], build_segmenter(user_dict))
    # A word, and the line end behind it.
    return [word for word, parts in zip(words, np.diff(cut.bounds).tolist(), strict=True) if parts > 2]


def dictionary_notes(user_dict: str | None, key: str = "words.user_dict") -> list[str]:
    """What a user should know of a dictionary, which `key` names: words never found, ambiguous lines."""
    if user_dict is None:
        return []
    notes = [
        f"{key}, line {word.line}: read as the word {word.word!r}; a frequency behind the first "
        "word makes the second its tag"
        for word in parse_user_dict(user_dict)
        if word.is_guess
    ]
    if unmade := unmade_words(user_dict):
        shown = ", ".join(f"{word.word!r} (line {word.line})" for word in unmade[:_SHOWN_WORDS])
        more = f" and {len(unmade) - _SHOWN_WORDS:,} more" if len(unmade) > _SHOWN_WORDS else ""
        why = "their parts are more frequent; leave out their frequency, or give a higher one"
        notes.append(f"{key}: never found, even alone: {shown}{more}: {why}")
    return notes


@dataclass(frozen=True)
class SegmentedTexts:
    """Texts cut into words.

    Attributes:
        words: The words met, numbered from 2 in order of first sight.
        counts: How often each occurs.
        numbers: (characters,) the number of the word on each character of the texts, which have one
            character more behind each; the unknown word's on blanks.
        starts: (num_texts,) where the texts begin in `numbers`.
    """

    words: list[str]
    counts: Counter[str]
    numbers: np.ndarray
    starts: np.ndarray


def segment_texts(
    texts: Sequence[str], segmenter: jieba.Tokenizer, unread: np.ndarray | None = None
) -> SegmentedTexts:
    """Cuts texts into words.

    Args:
        texts: The texts.
        segmenter: Of `build_segmenter`.
        unread: Places in `SegmentedTexts.numbers`; a word that stands on these alone is not met there.
    """
    cut = cut_texts(texts, segmenter)
    words, numbers = cut.words, np.where(cut.numbers < 0, UNKNOWN_WORD, cut.numbers + FIRST_WORD)
    if unread is not None:
        is_read = np.ones(int(cut.sizes.sum()), bool)
        is_read[unread] = False
        numbers[~np.logical_or.reduceat(is_read, bounds_of(cut.sizes)[:-1])] = UNKNOWN_WORD
        words, numbers = _number_anew(words, numbers)
    counts = np.bincount(numbers, minlength=len(words) + FIRST_WORD)[FIRST_WORD:]
    counted = Counter(dict(zip(words, counts.tolist(), strict=True)))
    starts = bounds_of([len(text) + 1 for text in texts])[:-1]
    return SegmentedTexts(words, counted, np.repeat(numbers, cut.sizes), starts)


def _number_anew(words: Sequence[str], numbers: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The words that have a number left, and their numbers in order of first sight among these."""
    met, first = np.unique(numbers[numbers >= FIRST_WORD], return_index=True)
    met = met[np.argsort(first)]
    anew = np.full(len(words) + FIRST_WORD, UNKNOWN_WORD)
    anew[met] = np.arange(len(met)) + FIRST_WORD
    return [words[number - FIRST_WORD] for number in met.tolist()], anew[numbers]


def select_words(counts: Counter[str], min_count: int, has_vector: Iterable[str] = ()) -> list[str]:
    """Returns the word vocabulary: frequent words and those with a vector, by falling count.

    The first has id 2: 0 is padding and 1 any unknown word.
    """
    known = set(has_vector)
    kept = [word for word, count in counts.items() if count >= min_count or word in known]
    return sorted(kept, key=lambda word: (-counts[word], word))


def build_embedding(
    words: Sequence[str], dim: int, seed: int, vectors: Vectors | None = None
) -> tuple[np.ndarray, dict[str, int]]:
    """Builds the first value of the word embedding.

    A word without a vector takes the mean of its characters' vectors; where those are missing too
    (and for the unknown word) the row is drawn uniformly from ±0.05, Keras's own default.

    Args:
        words: The word vocabulary; word i has id i + 2.
        dim: Size of a row where there are no vectors.
        seed: For the drawn rows.
        vectors: Pretrained vectors, or None.

    Returns:
        (len(words) + 2, dim) float32 with zeros for padding, and the coverage: how many words took
        their `own` vector, their `characters`' mean, or `none`.
    """
    dim = vectors.dim if vectors else dim
    rng = np.random.default_rng(seed)
    embedding = rng.uniform(-0.05, 0.05, (len(words) + FIRST_WORD, dim)).astype(np.float32)
    embedding[PAD_WORD] = 0
    coverage = {"own": 0, "characters": 0, "none": 0}
    known = vectors.by_word if vectors else {}
    for row, word in enumerate(words, start=FIRST_WORD):
        vector = vector_of(word, known)
        if vector is not None:
            embedding[row] = vector
        coverage["none" if vector is None else "own" if word in known else "characters"] += 1
    return embedding, coverage
