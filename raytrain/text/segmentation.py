"""The cut of `jieba.Tokenizer.cut` for many texts at once, with NumPy where jieba loops over characters.

A user's words that hold other characters than jieba's blocks are found, too, which jieba itself never does.

Every sum is taken in jieba's order, in float64, and ties fall as there, so that the words are the same.
"""

import functools
import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log

import jieba
import numpy as np
from jieba import finalseg

from raytrain.text.ragged import bounds_of, codes_of, integers, number, ranges, runs_of, slices

_LINE_END = 10
_EVERY_CHARACTER = "".join(map(chr, range(sys.maxunicode + 1)))
PAIR_TABLE = 1 << 22


class Cutter:
    """Finds where words begin, as a jieba tokenizer does with its dictionary of this moment.

    What else the process has told jieba to force apart does not count: only the tokenizer's `words_apart`.

    Attributes:
        weights: Each word of the dictionary and its log probability; -inf for what only begins a word.
        unknown: Log probability of a character that is no word and begins none.
        in_block: (characters,) bool; runs of these are cut by dictionary, others stand alone, but in words of
            `uncommon`.
        singles: (characters,) float64; `weights` of single characters, -inf where there is none.
        pairs: (PAIR_TABLE,) bool; False at the hash of two characters that surely begin no word.
    """

    def __init__(self, tokenizer: jieba.Tokenizer):
        tokenizer.check_initialized()
        log_total = log(tokenizer.total)
        self.weights = {word: log(f) - log_total if f else -inf for word, f in tokenizer.FREQ.items()}
        self.unknown = log(1) - log_total
        self.in_block = np.zeros(sys.maxunicode + 1, bool)
        for block in jieba.re_han_default.finditer(_EVERY_CHARACTER):
            self.in_block[block.start() : block.end()] = True
        self.singles = np.full(sys.maxunicode + 1, -inf)
        self.pairs = np.zeros(PAIR_TABLE, bool)
        chars = [word for word in self.weights if len(word) == 1]
        self.singles[codes_of("".join(chars))] = [self.weights[char] for char in chars]
        pairs = codes_of("".join(word for word in self.weights if len(word) == 2))
        self.pairs[pair_hash(pairs[::2], pairs[1::2])] = True
        self.recognizer = _Recognizer(getattr(tokenizer, "words_apart", frozenset()))
        self.uncommon: frozenset[str] = getattr(tokenizer, "uncommon_words", frozenset())
        self.beginnings = {word[:size] for word in self.uncommon for size in range(2, len(word) + 1)}

    def word_starts(self, text: str) -> np.ndarray:
        """Returns (len(text),) bool: whether a word begins at the character.

        Args:
            text: Texts, each with a line end behind it: no word reaches over one.
        """
        codes = codes_of(text)
        codes = np.where(self.in_block[codes] | self._in_uncommon(text, codes), codes, _LINE_END)
        inside = codes != _LINE_END
        blocks = runs_of(inside)
        text = codes.tobytes().decode("utf-32-le")
        ends = self._best_ends(text, codes, blocks)
        starts = ~inside
        begins = blocks[:, 0]
        while len(begins):
            starts[begins] = True
            begins = ends[begins]
            begins = begins[inside[begins]]
        self._recognize(text, codes, starts)
        return starts

    def _in_uncommon(self, text: str, codes: np.ndarray) -> np.ndarray:
        """(len(text),) bool: what lies in a user's word that holds characters at which jieba cuts first."""
        inside = np.zeros(len(codes), bool)
        if not self.uncommon:
            return inside
        size = 2
        here = np.flatnonzero(self.pairs[pair_hash(codes[:-1], codes[1:])]).tolist()
        while here := [i for i in here if text[i : i + size] in self.beginnings]:
            for i in here:
                if text[i : i + size] in self.uncommon:
                    inside[i : i + size] = True
            size += 1
        return inside

    def _edges(self, text: str, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Finds the words of two characters and more: begins, ends and weights, sorted by begin, then end."""
        get = self.weights.get
        here = np.flatnonzero(self.pairs[pair_hash(codes[:-1], codes[1:])])
        begins, ends, weights = [here[:0]], [here[:0]], [np.zeros(0)]
        for size in itertools.count(2):
            found = np.array([get(text[i : i + size]) for i in here.tolist()], np.float64)  # None becomes NaN
            here, found = here[~np.isnan(found)], found[~np.isnan(found)]
            if not len(here):
                break
            begins.append(here[found != -inf])
            ends.append(begins[-1] + size)
            weights.append(found[found != -inf])
        order = np.argsort(np.concatenate(begins), kind="stable")
        return np.concatenate(begins)[order], np.concatenate(ends)[order], np.concatenate(weights)[order]

    def _best_ends(self, text: str, codes: np.ndarray, blocks: np.ndarray) -> np.ndarray:
        """Finds the most probable cut of all blocks together, from their last characters backwards.

        Returns:
            (len(text),) int64: where the word ends that best begins at the character.
        """
        begins, edge_ends, weights = self._edges(text, codes)
        edges = np.bincount(begins, minlength=len(codes))
        first_edge = np.cumsum(edges) - edges
        singles = self.singles[codes]
        singles[np.isneginf(singles) & (edges == 0)] = self.unknown
        scores, ends = np.zeros(len(codes) + 1), np.arange(1, len(codes) + 1)
        sizes = blocks[:, 1] - blocks[:, 0]
        longest_first = np.argsort(-sizes, kind="stable")
        last, sizes = blocks[longest_first, 1], sizes[longest_first]
        for step in range(1, int(sizes.max(initial=0)) + 1):
            here = last[: np.searchsorted(-sizes, -step, "right")] - step
            scores[here] = singles[here] + scores[here + 1]
            here, nth = here[edges[here] > 0], 0
            while len(here):
                edge = first_edge[here] + nth
                score = weights[edge] + scores[edge_ends[edge]]
                better = score >= scores[here]
                scores[here[better]], ends[here[better]] = score[better], edge_ends[edge[better]]
                nth += 1
                here = here[edges[here] > nth]
        return ends

    def _recognize(self, text: str, codes: np.ndarray, starts: np.ndarray) -> None:
        """Marks the words that the hidden Markov model sees where the dictionary left single characters.

        It reads runs of two characters and more that are not in the dictionary as a whole.
        """
        begins = np.flatnonzero(starts)
        single = (np.diff(begins, append=len(text)) == 1) & (codes[begins] != _LINE_END)
        runs = runs_of(single)
        runs = np.stack([begins[runs[:, 0]], begins[runs[:, 1] - 1] + 1], axis=1)
        runs = runs[runs[:, 1] - runs[:, 0] > 1]
        known = [self.weights.get(run, -inf) > -inf for run in slices(text, runs)]
        runs = runs[~np.array(known, bool)]
        unread = np.zeros(len(text), bool)
        unread[ranges(runs[:, 0], runs[:, 1] - runs[:, 0])] = True
        chinese = unread & self.recognizer.reads[codes]
        self.recognizer.mark(text, codes, runs_of(chinese), starts)
        others = runs_of(unread & ~chinese)
        starts[ranges(others[:, 0], others[:, 1] - others[:, 0])] = False
        found = []
        for begin, other in zip(others[:, 0].tolist(), slices(text, others), strict=True):
            for part in finalseg.re_skip.split(other):
                found.append(begin)
                begin += len(part)
        starts[found] = True


class _Recognizer:
    """jieba's hidden Markov model of words: a character begins (B), goes on (M), ends (E) or is (S) a word.

    Each state has two predecessors. States stand in the order of their letters, by which jieba breaks ties.
    """

    _STATES = "BEMS"
    _BEFORE = np.array([[1, 0, 0, 1], [3, 2, 2, 3]])

    def __init__(self, apart: frozenset[str]) -> None:
        self.apart = apart
        self.reads = np.zeros(sys.maxunicode + 1, bool)
        for block in finalseg.re_han.finditer(_EVERY_CHARACTER):
            self.reads[block.start() : block.end()] = True
        self.emissions = np.full((4, 1 << 16), finalseg.MIN_FLOAT)  # it reads nothing beyond U+9FD5
        for row, state in zip(self.emissions, self._STATES, strict=True):
            row[codes_of("".join(finalseg.emit_P[state]))] = list(finalseg.emit_P[state].values())
        self.start = np.array([[finalseg.start_P[state]] for state in self._STATES])
        moves = [[finalseg.trans_P[a].get(b, finalseg.MIN_FLOAT) for b in self._STATES] for a in self._STATES]
        self.moves = np.array(moves)[self._BEFORE, np.arange(4)][:, :, None]

    def mark(self, text: str, codes: np.ndarray, parts: np.ndarray, starts: np.ndarray) -> None:
        """Sets `starts` in the parts, (n, 2) begins and ends of runs that the model reads."""
        states = self._states(codes, parts)
        inside = ranges(parts[:, 0], parts[:, 1] - parts[:, 0])
        starts[inside] = (states[inside] == 0) | (states[inside] == 3)
        starts[parts[:, 0]] = True
        if self.apart:
            edges = np.append(np.flatnonzero(starts), len(text))
            words = edges[np.searchsorted(edges, inside[starts[inside]])[:, None] + [0, 1]]
            for begin, end in words.tolist():
                starts[begin:end] |= text[begin:end] in self.apart

    def _states(self, codes: np.ndarray, parts: np.ndarray) -> np.ndarray:
        """Finds the most probable states of all parts together: (len(codes),) int8."""
        parts = parts[np.argsort(parts[:, 0] - parts[:, 1], kind="stable")]
        begins, sizes = parts[:, 0], parts[:, 1] - parts[:, 0]
        longer = np.searchsorted(-sizes, -np.arange(1, sizes.max(initial=0) + 1), "right")
        back = np.zeros((4, len(codes)), np.int8)
        scores = self.start + self.emissions[:, codes[begins]]
        for step, count in enumerate(longer.tolist()[1:], start=1):
            here = begins[:count] + step
            low, high = scores[:, :count][self._BEFORE] + self.moves + self.emissions[:, codes[here]]
            back[:, here] = np.where(high >= low, *self._BEFORE[::-1, :, None])
            scores[:, :count] = np.maximum(low, high)
        states = np.zeros(len(codes), np.int8)
        state = np.where(scores[3] >= scores[1], 3, 1)
        for step, count in reversed(list(enumerate(longer.tolist()))):
            here = begins[:count] + step
            states[here] = state[:count]
            state[:count] = back[state[:count], here]
        return states


cutter_of = functools.lru_cache(maxsize=2)(Cutter)  # takes longer to build than a few thousand texts to cut


@dataclass(frozen=True)
class CutTexts:
    """Texts cut into words.

    Attributes:
        words: The distinct words in lower case and in order of first sight, blanks left out.
        numbers: (num_words,) which of `words` each one is, text after text; -1 for a blank and for the
            line end behind each text.
        bounds: (num_texts + 1,) text i has numbers[bounds[i]:bounds[i + 1]], its line end last.
        sizes: (num_words,) characters of each.
    """

    words: list[str]
    numbers: np.ndarray
    bounds: np.ndarray
    sizes: np.ndarray


def cut_texts(texts: Sequence[str], tokenizer: jieba.Tokenizer) -> CutTexts:
    """Cuts texts as the tokenizer's `cut` does, and by its `uncommon_words`, all together.

    Args:
        texts: The texts.
        tokenizer: Of `text.words.build_segmenter`; its dictionary must not change any more.
    """
    text = "\n".join([*texts, ""])
    begins = np.flatnonzero(cutter_of(tokenizer).word_starts(text))
    sizes = np.diff(begins, append=len(text))
    found = [text[i:j] for i, j in zip(begins.tolist(), (begins + sizes).tolist(), strict=True)]
    distinct, which = number(found)
    index: dict[str, int] = {}
    numbers = integers(
        -1 if word.isspace() else index.setdefault(word.lower(), len(index)) for word in distinct
    )[which]
    bounds = np.searchsorted(begins, bounds_of([len(text) + 1 for text in texts]))
    return CutTexts(list(index), numbers, bounds, sizes)


def cut_text(text: str, tokenizer: jieba.Tokenizer) -> list[str]:
    """The words of one text as they stand there, blanks among them; together they are the text.

    >>> from raytrain.text.words import build_segmenter
    >>> cut_text("明天停水，Really 吗", build_segmenter())
    ['明天', '停水', '，', 'Really', ' ', '吗']
    """
    ends = np.cumsum(cut_texts([text], tokenizer).sizes)[:-1].tolist()
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def pair_hash(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Numbers below `PAIR_TABLE` of pairs of code points; two pairs may share one."""
    return (first * np.uint32(5003) + second) % PAIR_TABLE
