"""Texts to tokens, and where among these a word begins."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raytrain.errors import CheckpointError
from raytrain.text.encode import count_tokens, shared_tokenizer
from raytrain.text.ragged import bounds_of
from raytrain.text.segmentation import cut_texts
from raytrain.text.vocab import Vocab
from raytrain.text.words import build_segmenter

BEGINS = np.uint32(1 << 31)  # set in a token's id where a word begins
_UNKNOWN = ("[UNK]", "<unk>")


@dataclass(frozen=True)
class SpecialIds:
    """Tokens that stand for no text.

    Attributes:
        pad: 0.
        cls: Begins a sequence.
        sep: Ends each text of it.
        mask: Stands where a token is to be told.
        never_told: (n,) ids of all of them, and of the unknown token.
        drawn: (m,) ids of the others, one of which stands in a masked token's place now and then.
    """

    cls: int
    sep: int
    mask: int
    never_told: np.ndarray
    drawn: np.ndarray
    pad: int = 0


@dataclass(frozen=True)
class Encoding:
    """How texts become sequences.

    Attributes:
        vocab: The encoder's.
        special: Its special tokens.
        length: Of a sequence.
        with_words: Whether jieba says where words begin; otherwise each token is one.
    """

    vocab: Vocab
    special: SpecialIds
    length: int
    with_words: bool


def special_ids(vocab: Vocab) -> SpecialIds:
    """The special tokens of an encoder's vocabulary.

    Raises:
        CheckpointError: It has no [MASK].
    """
    tokenizer = shared_tokenizer(vocab)
    found = {name: tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]", "[MASK]", *_UNKNOWN)}
    cls, sep, mask = (found[name] for name in ("[CLS]", "[SEP]", "[MASK]"))
    if cls is None or sep is None or mask is None:
        problem = "expected the token [MASK], found none: nothing can be masked"
        raise CheckpointError("the vocabulary cannot be pre-trained with", [problem])
    never = np.unique([0, *(number for number in found.values() if number is not None)])
    drawn = np.setdiff1d(np.arange(count_tokens(vocab)), never)
    if not isinstance(tokens := vocab.tokens, bytes):  # places that Google left for others
        drawn = drawn[[not tokens[number].startswith("[unused") for number in drawn]]
    return SpecialIds(cls, sep, mask, never, drawn if len(drawn) else never)


def encode_lines(texts: Sequence[str], vocab: Vocab, with_words: bool) -> tuple[np.ndarray, np.ndarray]:
    """Gives the texts' tokens, without special ones.

    Args:
        texts: The texts.
        vocab: The encoder's vocabulary.
        with_words: Whether jieba says where words begin; otherwise each token is one.

    Returns:
        (num_texts + 1,) bounds; and (num_tokens,) uint32 ids, with `BEGINS` set where a word begins. A token
        belongs to the word that covers its first character.
    """
    tokens = shared_tokenizer(vocab).tokenize(texts)
    begins = np.ones(len(tokens.ids), bool)
    if with_words and len(tokens.ids):
        cut = cut_texts(texts, build_segmenter(None))
        word_at = np.repeat(np.arange(len(cut.sizes)), cut.sizes)
        text_starts = bounds_of([len(text) + 1 for text in texts])[:-1]
        words = word_at[np.repeat(text_starts, np.diff(tokens.bounds)) + tokens.begins]
        begins[1:] = words[1:] != words[:-1]  # behind each text stands a line end, a word of its own
    return tokens.bounds, tokens.ids.astype(np.uint32) | np.where(begins, BEGINS, np.uint32(0))
