"""Words by jieba, laid on characters."""

import functools
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jieba
import numpy as np
from jieba import finalseg

from raytrain.errors import CorpusError
from raytrain.home import home_directory
from raytrain.text.ragged import bounds_of
from raytrain.text.segmentation import cut_texts

jieba.setLogLevel(logging.WARNING)

PAD_WORD, UNKNOWN_WORD, FIRST_WORD = 0, 1, 2


@functools.lru_cache(maxsize=2)
def build_segmenter(user_dict: str | None = None) -> jieba.Tokenizer:
    """Builds a jieba tokenizer of our own: what else the process loads into jieba does not reach it.

    Args:
        user_dict: The text of a dictionary in jieba's format: a word a line, then optionally its
            frequency and part of speech.

    Returns:
        The tokenizer; its attribute `words_apart` holds the words of frequency 0, which jieba itself
        would force apart in every tokenizer of the process.

    Raises:
        CorpusError: A line that jieba cannot read, with its number.
    """
    entries = _parse_user_dict(user_dict or "", "words.user_dict")
    segmenter = jieba.Tokenizer()
    segmenter.tmp_dir = _cache_directory()
    if segmenter.tmp_dir is None:
        # jieba's own way would take the temp directory, where anyone could have written what it loads.
        segmenter.FREQ, segmenter.total = segmenter.gen_pfdict(segmenter.get_dict_file())
        segmenter.initialized = True
    forced_by_others = set(finalseg.Force_Split_Words)
    for word, frequency, tag in entries:
        segmenter.add_word(word, frequency, tag)
    finalseg.Force_Split_Words.intersection_update(forced_by_others)
    segmenter.words_apart = frozenset(word for word, frequency, _ in entries if frequency == 0)
    return segmenter


def _parse_user_dict(text: str, source: str) -> list[tuple[str, int | None, str | None]]:
    """Returns (word, frequency, part of speech) of each line. Raises CorpusError with every bad one."""
    entries, problems = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.strip().lstrip("\ufeff").split()
        if not fields:
            continue
        frequency = next((int(field) for field in fields[1:2] if re.fullmatch("[0-9]+", field)), None)
        rest = fields[1:] if frequency is None else fields[2:]
        if len(rest) > 1 or not all(re.fullmatch("[A-Za-z]+", tag) for tag in rest):
            problems.append(f"line {number}: expected `word [frequency] [tag]`, found {line.strip()!r}")
            continue
        entries.append((fields[0], frequency, rest[0] if rest else None))
    if problems:
        raise CorpusError(f"{source} cannot be used", problems)
    return entries


def _cache_directory() -> str | None:
    """Where jieba keeps its parsed dictionary for this user's processes; it writes by rename.

    Returns:
        None where nothing can be written: each process then parses the dictionary, which takes a second.
    """
    try:
        cache = home_directory() / "jieba"
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: a user without a home
        return None
    return str(cache) if os.access(cache, os.W_OK | os.X_OK) else None


def read_user_dict(path: str, key: str = "words.user_dict") -> str:
    """Reads a dictionary file, which `key` names.

    Raises:
        CorpusError: It is missing, not UTF-8, or jieba cannot read it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CorpusError(f"{key}: cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CorpusError(f"{key}: {path} is not UTF-8: {error}") from error
    _parse_user_dict(text, f"{key}: {path}")
    return text


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
