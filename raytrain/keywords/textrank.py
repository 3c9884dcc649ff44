"""Keywords of each text by jieba's TextRank, over the words of a segmenter of our own."""

import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jieba
import numpy as np

from raytrain.errors import InputError
from raytrain.text.ragged import bounds_of, integers
from raytrain.text.segmentation import cut_text, cut_texts, cutter_of
from raytrain.text.words import build_segmenter

WINDOW = 2  # words that reach each other, the word itself counted
PER_TEXT = 10


@dataclass(frozen=True)
class RankedTexts:
    """The words of texts, and which of them are keywords.

    Attributes:
        words: The distinct words, in lower case.
        held: (num_held,) which of `words` each word of the texts is, text after text; words alone, no
            blanks or punctuation.
        held_bounds: (num_texts + 1,) text i has held[held_bounds[i]:held_bounds[i + 1]].
        keywords: (num_keywords,) likewise the keywords, the best first, each once a text.
        keyword_bounds: (num_texts + 1,) of `keywords`.
    """

    words: list[str]
    held: np.ndarray
    held_bounds: np.ndarray
    keywords: np.ndarray
    keyword_bounds: np.ndarray


def rank_texts(
    texts: Sequence[str], user_dict: str | None = None, parts_of_speech: Sequence[str] = ()
) -> RankedTexts:
    """Finds the `PER_TEXT` best keywords of each text.

    The algorithm is `jieba.analyse.TextRank` (Mihalcea and Tarau, 2004, "TextRank: Bringing Order into
    Text") with a window of `WINDOW` words. Unlike jieba's, ours takes words of any length, in lower case.
    A word holds a letter, a digit or a Chinese character; jieba's English stop words are none. A text
    in which no two words are neighbours has no keywords.

    Args:
        texts: The texts.
        user_dict: Text of a jieba dictionary.
        parts_of_speech: jieba's tags of the words that may be keywords; none lets all words be. Tagging
            takes jieba some milliseconds a text, and cuts words otherwise where it knows none.
    """
    segmenter = build_segmenter(user_dict)
    if parts_of_speech:
        words, held, sizes, allowed = _tag(texts, segmenter, frozenset(parts_of_speech))
    else:
        words, held, sizes = _cut(texts, segmenter)
        allowed = np.ones(len(held), bool)
    is_word = np.array([any(map(str.isalnum, word)) for word in words], bool)[held]
    bounds = bounds_of(sizes)
    found = _keywords(words, held, allowed & is_word, bounds)
    before = np.append(0, np.cumsum(is_word))
    keywords = integers(number for row in found for number in row)
    return RankedTexts(words, held[is_word], before[bounds], keywords, bounds_of([len(row) for row in found]))


def _cut(texts: Sequence[str], segmenter: jieba.Tokenizer) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The distinct words, which of them each word of the texts is, and the words per text.

    Blanks are words here, numbered as the last of `words`, since they keep their neighbours apart.
    """
    cut = cut_texts(texts, segmenter)
    inside = np.ones(len(cut.numbers), bool)
    inside[cut.bounds[1:] - 1] = False
    numbers = np.where(cut.numbers < 0, len(cut.words), cut.numbers)
    return [*cut.words, " "], numbers[inside], np.diff(cut.bounds) - 1


def _tag(
    texts: Sequence[str], segmenter: jieba.Tokenizer, tags: frozenset[str]
) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """As `_cut`, by jieba's tagger, whose model of unknown words is another; and which have a tag."""
    tagger = _tagger(segmenter)
    index: dict[str, int] = {}
    rows = [[(word.lower(), tag in tags) for word, tag in _tagged(text, segmenter, tagger)] for text in texts]
    held = integers(index.setdefault(word, len(index)) for row in rows for word, _ in row)
    allowed = np.array([is_wanted for row in rows for _, is_wanted in row], bool)
    return list(index), held, integers(len(row) for row in rows), allowed


def _tagged(text: str, segmenter: jieba.Tokenizer, tagger: Any) -> Iterator[tuple[str, str]]:
    """Words and tags: words at which jieba cuts by the dictionary, all between them by the tagger."""
    uncommon = cutter_of(segmenter).uncommon
    tagger.makesure_userdict_loaded()
    words = cut_text(text, segmenter) if uncommon else [text]
    for is_uncommon, run in itertools.groupby(words, lambda word: word in uncommon):
        if is_uncommon:
            yield from ((word, tagger.word_tag_tab.get(word, "x")) for word in run)
        else:
            yield from ((word.word, word.flag) for word in tagger.cut("".join(run)))


@functools.lru_cache(maxsize=2)
def _tagger(segmenter: jieba.Tokenizer) -> Any:
    from jieba.posseg import POSTokenizer  # a second's import, which reads jieba's dictionary anew

    return POSTokenizer(segmenter)


class _Word:
    """What TextRank wants of a word: its text, and here in place of a tag whether it may be a keyword."""

    __slots__ = ("flag", "number", "word")

    def __init__(self, number: int, word: str, flag: bool):
        self.number, self.word, self.flag = number, word, flag


def _keywords(words: list[str], held: np.ndarray, allowed: np.ndarray, bounds: np.ndarray) -> list[list[int]]:
    """Numbers of each text's keywords, the best first."""
    ranker = _ranker()
    may_be = np.array([word not in ranker.stop_words for word in words], bool)[held] & allowed
    # A word may be wanted in one place and not in another, where the tagger sees another part of speech.
    objects = [[_Word(number, word, flag) for number, word in enumerate(words)] for flag in (False, True)]
    cut = [objects[flag][number] for number, flag in zip(held.tolist(), may_be.tolist(), strict=True)]
    index = {word: number for number, word in enumerate(words)}
    return [
        [index[word] for word in ranker.textrank(cut[begin:end], topK=PER_TEXT)]
        for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    ]


@functools.cache
def _ranker() -> Any:
    """jieba's TextRank of texts that are cut already."""
    from jieba.analyse import TextRank

    class OfWords(TextRank):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.span, self.tokenizer = WINDOW, self

        def cut(self, words: list[_Word]) -> list[_Word]:
            return words

        def pairfilter(self, word: _Word) -> bool:
            return word.flag

    return OfWords()


def parse_tags(text: str) -> list[str]:
    """Reads a list of jieba's part-of-speech tags, e.g. `n,v,ns`. Raises InputError where it is none."""
    tags = [tag for tag in re.split(r"[,\s]+", text) if tag]
    if not tags or not all(re.fullmatch("[A-Za-z]+", tag) for tag in tags):
        raise InputError(f"parts of speech: expected jieba's tags as in n,v,ns, found {text!r}")
    return tags
