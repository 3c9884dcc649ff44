"""Texts to ragged ids in Arrow: encoded once, shared by every fold."""

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import jieba
import numpy as np
import pyarrow as pa

from raytrain.text.ragged import bounds_of, ranges
from raytrain.text.segmentation import cut_texts
from raytrain.text.sentencepiece import SentencePieceTokenizer
from raytrain.text.vocab import Vocab
from raytrain.text.wordpiece import WordPieceTokenizer, build_tokenizer
from raytrain.text.words import FIRST_WORD, UNKNOWN_WORD, build_segmenter

# Below this many texts other processes cost more than they save: each loads jieba's dictionary anew.
PARALLEL_TEXTS = 100_000


def tokenizer_of(vocab: Vocab) -> WordPieceTokenizer | SentencePieceTokenizer:
    """WordPiece or SentencePiece. Raises CheckpointError where a special token is missing."""
    if isinstance(vocab, bytes):
        return SentencePieceTokenizer(vocab)
    return WordPieceTokenizer(build_tokenizer(vocab))


_tokenizer = functools.lru_cache(maxsize=2)(tokenizer_of)  # as for `text.segmentation.cutter_of`


def shared_tokenizer(vocab: Vocab) -> WordPieceTokenizer | SentencePieceTokenizer:
    """`tokenizer_of`, built once in a process."""
    return _tokenizer(vocab if isinstance(vocab, bytes) else tuple(vocab))


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


def truncated_lengths(
    first: int | np.ndarray, second: int | np.ndarray, room: int
) -> tuple[np.ndarray, np.ndarray]:
    """How many tokens each text of a pair keeps: the longer loses one at a time, as in bert4keras.

    On a tie the first loses.

    Args:
        first: Tokens of the first text, or (n,) of n pairs.
        second: Tokens of the second.
        room: How many the two may keep together.
    """
    half = room // 2
    kept = np.minimum(first, np.maximum(room - second, half))
    return kept, np.minimum(second, room - kept)


def encode_texts(
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    vocab: Vocab,
    maxlen: int,
    with_words: bool,
    user_dict: str | None = None,
) -> EncodedTexts:
    """Encodes texts as [CLS] text [SEP], pairs as [CLS] text [SEP] second [SEP].

    Args:
        texts: The texts.
        pairs: The second texts, or None.
        vocab: The encoder's vocabulary; which tokenizer reads it, follows from its type.
        maxlen: Longest result in tokens; longer texts lose their end.
        with_words: Whether to segment by jieba and give each token the id of the word that covers
            its first character.
        user_dict: Text of a jieba dictionary.
    """
    tokenizer = shared_tokenizer(vocab)
    parts = list(texts) if pairs is None else [part for row in zip(texts, pairs, strict=True) for part in row]
    tokens = tokenizer.tokenize(parts)
    sizes = np.diff(tokens.bounds)
    if pairs is None:
        kept = np.minimum(sizes, maxlen - 2)
    else:
        kept = np.stack(truncated_lengths(sizes[::2], sizes[1::2], maxlen - 3), axis=1).ravel()
    second = np.arange(len(parts)) % 2 == 1 if pairs is not None else np.zeros(len(parts), bool)
    # Behind a text stands [SEP], before the first of a row [CLS].
    laid = bounds_of(kept + np.where(second, 1, 2))
    from_, to = ranges(tokens.bounds[:-1], kept), ranges(laid[:-1] + ~second, kept)
    token_ids = np.full(laid[-1], tokenizer.token_to_id("[SEP]"), np.int32)
    token_ids[laid[:-1][~second]] = tokenizer.token_to_id("[CLS]")
    token_ids[to] = tokens.ids[from_]
    segment_ids = np.repeat(second.astype(np.int8), np.diff(laid))
    offsets = laid if pairs is None else laid[::2]
    if not with_words:
        return EncodedTexts(offsets, token_ids, segment_ids, np.zeros(0, np.int32))
    # What lies behind the last kept token is not read by the model, so it is not segmented either.
    last = tokens.bounds[:-1] + kept - 1
    seen = np.zeros(len(parts), np.int64)
    seen[kept > 0] = tokens.ends[last[kept > 0]]
    words, counts, word_of_char = segment_texts(
        [part[:end] for part, end in zip(parts, seen.tolist(), strict=True)], build_segmenter(user_dict)
    )
    word_ids = np.full(laid[-1], UNKNOWN_WORD, np.int32)
    word_ids[to] = word_of_char[tokens.begins[from_] + np.repeat(bounds_of(seen + 1)[:-1], kept)]
    return EncodedTexts(offsets, token_ids, segment_ids, word_ids, words, counts)


def segment_texts(
    texts: Sequence[str], segmenter: jieba.Tokenizer
) -> tuple[list[str], Counter[str], np.ndarray]:
    """Cuts the texts into words, numbered from 2 in order of first sight, blanks with the unknown word.

    Returns:
        The words, how often each occurs, and (characters,) the number of the word on each character of
        the texts, which have one character more behind each.
    """
    cut = cut_texts(texts, segmenter)
    numbers = np.where(cut.numbers < 0, UNKNOWN_WORD, cut.numbers + FIRST_WORD)
    counts = np.bincount(numbers, minlength=len(cut.words) + FIRST_WORD)[FIRST_WORD:]
    counted = Counter(dict(zip(cut.words, counts.tolist(), strict=True)))
    return cut.words, counted, np.repeat(numbers, cut.sizes)


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
