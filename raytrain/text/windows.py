"""Texts that are tagged, cut into overlapping windows of what an encoder reads, and put together again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raytrain.corpus.tags import Spans
from raytrain.text.encode import EncodedTexts, lay_rows, shared_tokenizer
from raytrain.text.ragged import bounds_of, ranges
from raytrain.text.rows import TextRows, cut_rows
from raytrain.text.vocab import Vocab
from raytrain.text.wordpiece import Tokens
from raytrain.text.words import build_segmenter, segment_texts


@dataclass(frozen=True)
class Windows(TextRows):
    """Which tokens of which text stand in each row of the features.

    Of tokens that two windows hold, the first half is answered for by the first window and the rest by
    the second: each by the one in which it stands farther from a cut.

    Attributes:
        rows: (num_windows,) int64; the text that a window is of.
        firsts: (num_windows,) int64; which of the text's tokens stands first in it, behind [CLS].
        sizes: (num_windows,) int64; how many stand in it.
        owned: (num_windows, 2) int64; from which of the text's tokens to before which it answers for.
        tokens: Of the whole texts.
        lengths: (num_texts,) int64; characters of each text.
    """

    firsts: np.ndarray
    sizes: np.ndarray
    owned: np.ndarray
    tokens: Tokens
    lengths: np.ndarray

    @property
    def bounds(self) -> np.ndarray:
        """(num_texts + 1,): the tokens of text i are bounds[i]:bounds[i + 1]."""
        return self.tokens.bounds

    def join(self, windows: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Puts together what a model says of each token.

        Args:
            windows: (n,) windows in order, all of a text or none.
            values: (tokens of these windows, [CLS] and [SEP] included, …), window after window.

        Returns:
            (tokens of the texts, …), text after text.
        """
        begin = bounds_of(self.sizes[windows] + 2)[:-1] + 1
        owned = self.owned[windows] - self.firsts[windows, None]
        return values[ranges(begin + owned[:, 0], owned[:, 1] - owned[:, 0])]

    def token_bounds(self, texts: np.ndarray) -> np.ndarray:
        """(len(texts) + 1,): the bounds of the tokens of some texts laid end to end."""
        return bounds_of(np.diff(self.bounds)[texts])

    def tag_tokens(self, tags: np.ndarray, char_bounds: np.ndarray) -> np.ndarray:
        """Tags on tokens: B- on the first that covers a character of a span, I- on its others.

        A token takes the span of the first character that it covers.

        Args:
            tags: (num_characters,) valid BIO of all texts.
            char_bounds: (num_texts + 1,); text i has tags char_bounds[i]:char_bounds[i + 1].

        Returns:
            (num_tokens,) int32.
        """
        # One more behind each text: a token that stands for nothing may lie behind its end.
        padded = np.zeros(len(tags) + len(self.lengths), np.int32)
        bounds = char_bounds + np.arange(len(char_bounds))
        padded[ranges(bounds[:-1], self.lengths)] = tags
        spans = np.cumsum(padded % 2 == 1) * (padded > 0)
        place = np.repeat(bounds[:-1], np.diff(self.bounds)) + self.tokens.begins
        found, held = padded[place], spans[place]
        is_first = np.diff(held, prepend=0) != 0
        kind = (found - 1) // 2
        return np.where(found == 0, 0, np.where(is_first, 2 * kind + 1, 2 * kind + 2)).astype(np.int32)

    def character_spans(self, spans: Spans) -> tuple[Spans, np.ndarray]:
        """Places spans of tokens in the characters of their texts.

        Args:
            spans: Of tokens of all texts.

        Returns:
            The spans in characters, and (len(spans),) bool: which of the given ones these are. Those
            that cover no character of their own are left out.
        """
        first, last = self.bounds[spans.rows] + spans.starts, self.bounds[spans.rows] + spans.ends - 1
        starts, ends = self.tokens.begins[first], self.tokens.ends[last]
        # Two tokens may be pieces of one character; it goes to the first span.
        same = np.diff(spans.rows, prepend=-1) == 0
        before = np.concatenate([np.zeros(1, np.int64), ends])[:-1]
        starts = np.where(same, np.maximum(starts, before), starts)
        kept = starts < ends
        return Spans(spans.rows[kept], starts[kept], ends[kept], spans.types[kept]), kept


def cut_windows(tokens: Tokens, lengths: np.ndarray, room: int) -> Windows:
    """Cuts texts of more than `room` tokens into windows of `room`, spread evenly.

    Args:
        tokens: Of the texts.
        lengths: (num_texts,) characters of each text.
        room: Most tokens of a window.
    """
    sizes = np.diff(tokens.bounds)
    rows, firsts, held = cut_rows(sizes, room)
    is_first, is_last = np.diff(rows, prepend=-1) > 0, np.diff(rows, append=len(sizes)) > 0
    cuts = (np.append(firsts[1:], 0) + firsts + held) // 2
    ends = np.where(is_last, sizes[rows], cuts)
    starts = np.where(is_first, 0, np.concatenate([np.zeros(1, np.int64), ends])[:-1])
    return Windows(rows, firsts, held, np.stack([starts, ends], axis=1), tokens, lengths)


def encode_windows(
    texts: Sequence[str], vocab: Vocab, maxlen: int, with_words: bool, user_dict: str | None = None
) -> tuple[EncodedTexts, Windows]:
    """Encodes texts as one or several rows of [CLS] tokens [SEP] each; nothing is left out.

    Args:
        texts: The texts.
        vocab: The encoder's vocabulary, by whose folding the texts are read.
        maxlen: Longest row in tokens.
        with_words: Whether to give each token the id of the word that covers its first character.
        user_dict: Text of a jieba dictionary.

    Returns:
        The rows, their words counted once a text; and which tokens stand in each.
    """
    tokenizer = shared_tokenizer(vocab)
    tokens = tokenizer.tokenize(texts)
    windows = cut_windows(tokens, np.fromiter(map(len, texts), np.int64, len(texts)), maxlen - 2)
    cut = windows.rows, windows.firsts, windows.sizes
    segmented = segment_texts(texts, build_segmenter(user_dict)) if with_words else None
    return lay_rows(tokenizer, tokens, cut, segmented), windows


@dataclass(frozen=True)
class TaggedWindows:
    """Windows of a corpus, and what is to be found in them.

    Attributes:
        windows: Of the corpus.
        tags: (num_tokens,) int32 tags of all tokens of all texts.
        char_tags: (num_characters,) int32 tags of all characters of all texts.
        names: Of the tags, as in `corpus.tags.tag_names`.
    """

    windows: Windows
    tags: np.ndarray
    char_tags: np.ndarray
    names: list[str]

    def targets(self) -> np.ndarray:
        """(tokens of all windows,) int32: what is to be learned, laid as the features are.

        At [CLS] and [SEP] stands 1 where the text begins and ends there, 0 where it is cut.
        """
        windows = self.windows
        laid = bounds_of(windows.sizes + 2)
        targets = np.zeros(laid[-1], np.int32)
        sizes = np.diff(windows.bounds)[windows.rows]
        targets[laid[:-1]] = windows.firsts == 0
        targets[laid[1:] - 1] = windows.firsts + windows.sizes == sizes
        from_ = ranges(windows.bounds[windows.rows] + windows.firsts, windows.sizes)
        targets[ranges(laid[:-1] + 1, windows.sizes)] = self.tags[from_]
        return targets


def tag_windows(windows: Windows, char_tags: np.ndarray, names: Sequence[str]) -> TaggedWindows:
    """Lays the tags of all characters on the windows' tokens."""
    tags = windows.tag_tokens(char_tags, bounds_of(windows.lengths))
    return TaggedWindows(windows, tags, char_tags, list(names))
