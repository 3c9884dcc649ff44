"""Texts to ragged ids in Arrow: encoded once, shared by every fold."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import jieba
import numpy as np
import pyarrow as pa

from raytrain.tokens import build_tokenizer
from raytrain.words import FIRST_WORD, UNKNOWN_WORD, build_segmenter

# Below this many texts a second process costs more than it saves: it loads jieba's dictionary anew.
PARALLEL_TEXTS = 20_000


@dataclass(frozen=True)
class EncodedTexts:
    """Texts as ragged ids.

    Attributes:
        offsets: (num_texts + 1,) int64; text i holds tokens offsets[i]:offsets[i + 1].
        token_ids: (num_tokens,) int32.
        segment_ids: (num_tokens,) int8; 1 on the second text of a pair and its [SEP].
        word_ids: (num_tokens,) int32, ids into `words` + 2; empty where words were not asked for.
        words: The words met, in order of first sight.
        counts: How often each word occurs.
    """

    offsets: np.ndarray
    token_ids: np.ndarray
    segment_ids: np.ndarray
    word_ids: np.ndarray
    words: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def truncated_lengths(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens each text of a pair keeps: the longer loses one at a time, as in bert4keras.

    On a tie the first loses.
    """
    while first + second > room:
        if first >= second:
            first -= 1
        else:
            second -= 1
    return first, second


def encode_texts(
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    vocab: Sequence[str],
    maxlen: int,
    with_words: bool,
    user_dict: str | None = None,
) -> EncodedTexts:
    """Encodes texts as [CLS] text [SEP], pairs as [CLS] text [SEP] second [SEP].

    Args:
        texts: The texts.
        pairs: The second texts, or None.
        vocab: The encoder's vocabulary.
        maxlen: Longest result in tokens; longer texts lose their end.
        with_words: Whether to segment by jieba and give each token the id of the word that covers
            its first character.
        user_dict: Text of a jieba dictionary.
    """
    tokenizer = build_tokenizer(vocab)
    ids = tokenizer.get_vocab()
    start, end = ids["[CLS]"], ids["[SEP]"]
    encoded = [tokenizer.encode_batch(list(part), add_special_tokens=False) for part in (texts, pairs or [])]
    lay_words = _WordLayer(build_segmenter(user_dict)) if with_words else None
    tokens: list[int] = []
    segments: list[int] = []
    offsets = [0]
    for row, text in enumerate(texts):
        parts = [(text, encoded[0][row])]
        if pairs is not None:
            parts.append((pairs[row], encoded[1][row]))
        sizes = [len(part.ids) for _, part in parts]
        room = maxlen - 1 - len(parts)
        kept = truncated_lengths(sizes[0], sizes[1], room) if len(parts) == 2 else (min(sizes[0], room),)
        for segment, ((source, part), size) in enumerate(zip(parts, kept, strict=True)):
            tokens += [start, *part.ids[:size], end] if segment == 0 else [*part.ids[:size], end]
            segments += [segment] * (len(tokens) - len(segments))
            if lay_words:
                lay_words.add(source, part.offsets[:size], special_before=segment == 0)
        offsets.append(len(tokens))
    return EncodedTexts(
        np.array(offsets, np.int64),
        np.array(tokens, np.int32),
        np.array(segments, np.int8),
        np.array(lay_words.ids if lay_words else [], np.int32),
        list(lay_words.index) if lay_words else [],
        lay_words.counts if lay_words else Counter(),
    )


class _WordLayer:
    """Collects, token after token, the id of the word that covers the token's first character."""

    def __init__(self, segmenter: jieba.Tokenizer):
        self.segmenter = segmenter
        self.ids: list[int] = []
        self.index: dict[str, int] = {}
        self.counts: Counter[str] = Counter()

    def add(self, text: str, offsets: Sequence[tuple[int, int]], special_before: bool) -> None:
        if special_before:
            self.ids.append(UNKNOWN_WORD)
        # What lies behind the last kept token is not read by the model, so it is not segmented either.
        seen = text[: offsets[-1][1]] if offsets else ""
        word_of_char: list[int] = []
        for word in self.segmenter.cut(seen):
            key = word.lower()
            if key.isspace():
                word_of_char += [UNKNOWN_WORD] * len(word)
                continue
            self.counts[key] += 1
            number = self.index.setdefault(key, len(self.index) + FIRST_WORD)
            word_of_char += [number] * len(word)
        self.ids += [word_of_char[begin] for begin, _ in offsets]
        self.ids.append(UNKNOWN_WORD)


def join_encoded(parts: Sequence[EncodedTexts]) -> EncodedTexts:
    """Joins consecutive pieces of a corpus; the result is that of encoding it in one piece."""
    if len(parts) == 1:
        return parts[0]
    index: dict[str, int] = {}
    counts: Counter[str] = Counter()
    word_ids, offsets, base = [], [np.zeros(1, np.int64)], 0
    for part in parts:
        own = [index.setdefault(word, len(index) + FIRST_WORD) for word in part.words]
        word_ids.append(np.array([0, UNKNOWN_WORD, *own], np.int32)[part.word_ids])
        counts.update(part.counts)
        offsets.append(part.offsets[1:] + base)
        base += len(part.token_ids)
    return EncodedTexts(
        np.concatenate(offsets),
        np.concatenate([part.token_ids for part in parts]),
        np.concatenate([part.segment_ids for part in parts]),
        np.concatenate(word_ids),
        list(index),
        counts,
    )


def build_features(encoded: EncodedTexts, vocabulary: Sequence[str]) -> pa.Table:
    """Lays the encoded texts into an Arrow table, with word ids of the run's vocabulary.

    Args:
        encoded: The texts.
        vocabulary: Kept words; word i takes id i + 2, every other word id 1.

    Returns:
        A row per text: token_ids list<int32>, segment_ids list<int8>, word_ids list<int32>.
    """
    kept = {word: number for number, word in enumerate(vocabulary, start=FIRST_WORD)}
    renumbered = np.array(
        [0, UNKNOWN_WORD, *(kept.get(word, UNKNOWN_WORD) for word in encoded.words)], np.int32
    )
    word_ids = renumbered[encoded.word_ids] if len(encoded.word_ids) else np.zeros_like(encoded.token_ids)

    def ragged(values: np.ndarray) -> pa.Array:
        return pa.LargeListArray.from_arrays(pa.array(encoded.offsets), pa.array(values))

    return pa.table(
        {
            "token_ids": ragged(encoded.token_ids),
            "segment_ids": ragged(encoded.segment_ids),
            "word_ids": ragged(word_ids),
        }
    )
