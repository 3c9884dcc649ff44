"""Texts to ragged ids in Arrow: encoded once, shared by every fold."""

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import jieba
import numpy as np
import pyarrow as pa

from raytrain.text.ragged import bounds_of, ranges
from raytrain.text.rows import KeptEnds, choose_ends, cut_rows, most_tokens, truncated_lengths
from raytrain.text.sentencepiece import SentencePieceTokenizer
from raytrain.text.vocab import Vocab
from raytrain.text.wordpiece import Tokens, WordPieceTokenizer
from raytrain.text.words import FIRST_WORD, UNKNOWN_WORD, SegmentedTexts, build_segmenter, segment_texts

# Below this many texts other processes cost more than they save: each loads jieba's dictionary anew.
PARALLEL_TEXTS = 100_000


def tokenizer_of(vocab: Vocab) -> WordPieceTokenizer | SentencePieceTokenizer:
    """WordPiece or SentencePiece. Raises CheckpointError where a special token is missing."""
    if isinstance(vocab.tokens, bytes):
        return SentencePieceTokenizer(vocab.tokens, vocab.folding)
    return WordPieceTokenizer(vocab)


def count_tokens(vocab: Vocab) -> int:
    """How many ids a vocabulary has. Raises CheckpointError where it is no SentencePiece model."""
    tokens = vocab.tokens
    return len(SentencePieceTokenizer(tokens)) if isinstance(tokens, bytes) else len(tokens)


shared_tokenizer = functools.lru_cache(maxsize=2)(tokenizer_of)  # as for `text.segmentation.cutter_of`


@dataclass(frozen=True)
class EncodedTexts:
    """Texts as ragged ids.

    Attributes:
        offsets: (num_rows + 1,) int64; row i holds tokens offsets[i]:offsets[i + 1].
        token_ids: (num_tokens,) int32.
        segment_ids: (num_tokens,) int8; 1 on the second text of a pair and its [SEP].
        word_ids: (num_tokens,) int32, ids into `words` + 2; empty where words were not asked for.
        rows: (num_rows,) int64; the text that each row is of, as in `text.rows.TextRows`.
        words: The words met, in order of first sight.
        counts: How often each word occurs, once a text in whichever rows.
        num_cut: How many texts are longer than what is kept of them.
    """

    offsets: np.ndarray
    token_ids: np.ndarray
    segment_ids: np.ndarray
    word_ids: np.ndarray
    rows: np.ndarray
    words: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    num_cut: int = 0

    @property
    def num_texts(self) -> int:
        """Of how many texts the rows are; each has one at least."""
        return int(self.rows[-1]) + 1 if len(self.rows) else 0


def encode_texts(
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    vocab: Vocab,
    maxlen: int,
    with_words: bool,
    user_dict: str | None = None,
    truncate: str = "head",
    windows: int = 1,
) -> EncodedTexts:
    """Encodes texts as [CLS] text [SEP], pairs as [CLS] text [SEP] second [SEP].

    Args:
        texts: The texts.
        pairs: The second texts, or None.
        vocab: The encoder's vocabulary, by whose folding the texts are read.
        maxlen: Longest row in tokens.
        with_words: Whether to segment by jieba and give each token the id of the word that covers
            its first character.
        user_dict: Text of a jieba dictionary.
        truncate: What is kept of a text that is longer than its rows, as in `text.rows.choose_ends`; of a
            pair each text keeps so much of its own share.
        windows: Most rows of a text, overlapping ones, in which its kept tokens stand; a pair has one.
    """
    tokenizer = shared_tokenizer(vocab)
    parts = list(texts) if pairs is None else [part for row in zip(texts, pairs, strict=True) for part in row]
    tokens = tokenizer.tokenize(parts)
    sizes = np.diff(tokens.bounds)
    if pairs is None:
        rooms = np.full(len(parts), most_tokens(maxlen - 2, windows))
    else:
        rooms = np.stack(truncated_lengths(sizes[::2], sizes[1::2], maxlen - 3), axis=1).ravel()
    ends = choose_ends(sizes, rooms, truncate)
    kept = ends.select(tokens)
    segmented = _segment_kept(parts, kept, ends, build_segmenter(user_dict)) if with_words else None
    cut = cut_rows(np.diff(kept.bounds), maxlen - 2)
    encoded = lay_rows(tokenizer, kept, cut, segmented, in_pairs=pairs is not None)
    is_cut = np.diff(kept.bounds) < sizes
    return replace(encoded, num_cut=int((is_cut if pairs is None else is_cut[::2] | is_cut[1::2]).sum()))


def lay_rows(
    tokenizer: WordPieceTokenizer | SentencePieceTokenizer,
    tokens: Tokens,
    cut: tuple[np.ndarray, np.ndarray, np.ndarray],
    segmented: SegmentedTexts | None,
    in_pairs: bool = False,
) -> EncodedTexts:
    """Lays tokens into rows, between [CLS] and [SEP].

    Args:
        tokenizer: Which has made them.
        tokens: Of the texts.
        cut: Which of them stand in which row, as of `text.rows.cut_rows`.
        segmented: The texts' words; None gives the tokens none.
        in_pairs: Whether every two texts, which are not cut, stand in one row.
    """
    texts, firsts, sizes = cut
    is_second = (texts % 2 == 1) & in_pairs
    # Behind a text stands [SEP], before the first of a row [CLS].
    laid = bounds_of(sizes + np.where(is_second, 1, 2))
    from_, to = ranges(tokens.bounds[texts] + firsts, sizes), ranges(laid[:-1] + ~is_second, sizes)
    token_ids = np.full(laid[-1], tokenizer.token_to_id("[SEP]"), np.int32)
    token_ids[laid[:-1][~is_second]] = tokenizer.token_to_id("[CLS]")
    token_ids[to] = tokens.ids[from_]
    segment_ids = np.repeat(is_second.astype(np.int8), np.diff(laid))
    offsets, rows = (laid[::2], texts[::2] // 2) if in_pairs else (laid, texts)
    if segmented is None:
        return EncodedTexts(offsets, token_ids, segment_ids, np.zeros(0, np.int32), rows)
    word_ids = np.full(laid[-1], UNKNOWN_WORD, np.int32)
    word_ids[to] = segmented.numbers[tokens.begins[from_] + np.repeat(segmented.starts[texts], sizes)]
    return EncodedTexts(offsets, token_ids, segment_ids, word_ids, rows, segmented.words, segmented.counts)


def _segment_kept(
    parts: Sequence[str], kept: Tokens, ends: KeptEnds, segmenter: jieba.Tokenizer
) -> SegmentedTexts:
    """Segments texts as far as tokens of them are kept.

    What lies behind the last of these is not read by the model, so it is not segmented either. What lies
    before it is, for a word needs to be seen with what stands beside; but words of which nothing is kept do
    not count.
    """
    has_any = np.diff(kept.bounds) > 0
    seen = np.zeros(len(parts), np.int64)
    seen[has_any] = kept.ends[kept.bounds[1:][has_any] - 1]
    unread = None
    if ends.tails.any():
        from_, to = ends.characters_left_out(kept)
        unread = ranges(bounds_of(seen + 1)[:-1] + from_, to - from_)
    return segment_texts(
        [part[:end] for part, end in zip(parts, seen.tolist(), strict=True)], segmenter, unread
    )


def join_encoded(parts: Sequence[EncodedTexts]) -> EncodedTexts:
    """Joins consecutive pieces of a corpus; the result is that of encoding it in one piece."""
    if len(parts) == 1:
        return parts[0]
    index: dict[str, int] = {}
    counts: Counter[str] = Counter()
    word_ids, rows, num_texts = [], [], 0
    offsets, base = [np.zeros(1, np.int64)], 0
    for part in parts:
        own = [index.setdefault(word, len(index) + FIRST_WORD) for word in part.words]
        word_ids.append(np.array([0, UNKNOWN_WORD, *own], np.int32)[part.word_ids])
        counts.update(part.counts)
        offsets.append(part.offsets[1:] + base)
        base += len(part.token_ids)
        rows.append(part.rows + num_texts)
        num_texts += part.num_texts
    return EncodedTexts(
        np.concatenate(offsets),
        np.concatenate([part.token_ids for part in parts]),
        np.concatenate([part.segment_ids for part in parts]),
        np.concatenate(word_ids),
        np.concatenate(rows),
        list(index),
        counts,
        sum(part.num_cut for part in parts),
    )


def number_words(vocabulary: Sequence[str]) -> dict[str, int]:
    """The id of each kept word: word i takes i + 2."""
    return {word: number for number, word in enumerate(vocabulary, start=FIRST_WORD)}


def build_features(encoded: EncodedTexts, vocabulary: Sequence[str] | Mapping[str, int]) -> pa.Table:
    """Lays the encoded texts into an Arrow table, with word ids of the run's vocabulary.

    Args:
        encoded: The texts.
        vocabulary: Kept words, or what `number_words` made of them, once for many calls; every other word
            takes id 1.

    Returns:
        A row of each of theirs: token_ids list<int32>, segment_ids list<int8>, word_ids list<int32>.
    """
    kept = vocabulary if isinstance(vocabulary, Mapping) else number_words(vocabulary)
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
