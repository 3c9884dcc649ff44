"""WordPiece with character offsets, equal to transformers' BertTokenizer."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordPiece

from raytrain.errors import CheckpointError
from raytrain.text.ragged import bounds_of, integers, number, ranges
from raytrain.text.vocab import SPECIAL_TOKENS, Vocab

# The blocks that BERT's tokenizer sets apart as single characters (google-research/bert, tokenization.py), as
# the library has them: there the first 256 characters of extension E are none of them.
_CJK = (
    "\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b73f\U0002b740-\U0002b81f"
    "\U0002b920-\U0002ceaf\uf900-\ufaff\U0002f800-\U0002fa1f"
)
_IS_CJK = re.compile(f"[{_CJK}]")

# Where BERT's tokenizer surely splits, whatever stands beside. Each of these decomposes to itself or another.
_PUNCTUATION = r"!-/:-@\[-`{-~，。！？、：；（）《》【】“”‘’…—"
_PIECE, _PIECE_BESIDE_CHINESE = (
    re.compile(rf"[{split} \n\r\t]|[^{split} \n\r\t]+") for split in (_PUNCTUATION, _PUNCTUATION + _CJK)
)
MOST_TOKENS = 100_000  # of a vocabulary that is counted: BERT's Chinese one has 21,128
MOST_COUNTED = 1 << 20
_LONGEST_WORD = 100  # what is longer is unknown


@dataclass(frozen=True)
class Tokens:
    """The tokens of many texts.

    Attributes:
        bounds: (num_texts + 1,) int64; text i has tokens bounds[i]:bounds[i + 1].
        ids: (num_tokens,) int64.
        begins: (num_tokens,) int64; the place in its text of the token's first character.
        ends: (num_tokens,) int64; the place behind its last.
    """

    bounds: np.ndarray
    ids: np.ndarray
    begins: np.ndarray
    ends: np.ndarray


def build_tokenizer(vocab: Vocab) -> Tokenizer:
    """Builds a WordPiece tokenizer; token i of the vocabulary has id i.

    Special tokens are not looked for in a text: one that holds `[SEP]` holds a word in brackets, as with
    `split_special_tokens=True` of transformers.

    Raises:
        CheckpointError: The vocabulary lacks one of [PAD], [UNK], [CLS], [SEP].
    """
    ids = {token: index for index, token in enumerate(_tokens(vocab))}
    missing = [token for token in SPECIAL_TOKENS[:4] if token not in ids]
    if missing:
        raise CheckpointError(
            "the vocabulary cannot be used",
            [f"expected the token {token}, one a line; found {len(ids)} others" for token in missing],
        )
    tokenizer = Tokenizer(WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=_LONGEST_WORD))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=vocab.folding.splits_chinese,
        strip_accents=vocab.folding.strip_accents,
        lowercase=vocab.folding.lower,
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _tokens(vocab: Vocab) -> Sequence[str]:
    if isinstance(vocab.tokens, bytes):
        raise TypeError("expected WordPiece's tokens, found a SentencePiece model")
    return vocab.tokens


class WordPieceTokenizer:
    """Tokenizes many texts at once with a tokenizer of `build_tokenizer`."""

    def __init__(self, vocab: Vocab):
        self._tokenizer = build_tokenizer(vocab)
        self._piece = _PIECE_BESIDE_CHINESE if vocab.folding.splits_chinese else _PIECE

    def token_to_id(self, token: str) -> int | None:
        """The number of a token, or None."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Gives the tokens of the texts, without special ones.

        Each distinct character or word is read once: texts consist of few thousands of them.
        """
        found = self._piece.findall("\n".join(texts))
        pieces, which = number(found)
        encodings = [self._tokenizer.encode(piece, add_special_tokens=False) for piece in pieces]
        sizes = integers(map(len, encodings))
        tokens = ranges((np.cumsum(sizes) - sizes)[which], sizes[which])
        spans = integers(chain.from_iterable(chain.from_iterable(part.offsets for part in encodings)))
        spans = spans.reshape(-1, 2)[tokens]
        spans += np.repeat(bounds_of(integers(map(len, pieces))[which])[:-1], sizes[which])[:, None]
        places = bounds_of(integers(len(text) + 1 for text in texts))
        bounds = np.searchsorted(spans[:, 0], places)
        spans -= np.repeat(places[:-1], np.diff(bounds))[:, None]
        ids = integers(chain.from_iterable(part.ids for part in encodings))
        return Tokens(bounds, ids[tokens], spans[:, 0], spans[:, 1])


def build_vocab(texts: Iterable[str], min_count: int = 2, word_count: int = 5) -> list[str]:
    """Makes a WordPiece vocabulary of the corpus for an encoder that has none.

    Args:
        texts: The corpus's texts.
        min_count: Rarer characters are left to [UNK].
        word_count: Words of letters and digits at least this frequent become tokens of their own;
            rarer ones fall into their characters.

    Returns:
        The special tokens, then at most `MOST_TOKENS` tokens by falling count; ties by the token itself.
        Where there are more than `MOST_COUNTED` distinct words, those that are rare so far are forgotten
        from time to time, their characters not.
    """
    splitter = build_tokenizer(Vocab(SPECIAL_TOKENS))
    words: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    most = MOST_COUNTED
    for text in texts:
        pieces = splitter.pre_tokenizer.pre_tokenize_str(splitter.normalizer.normalize_str(text))
        words.update(piece for piece, _ in pieces)
        if len(words) > most:  # links and names of users are without end
            rare = [word for word, count in words.items() if count < word_count]
            _count_characters(rare, words, tokens)
            for word in rare:
                del words[word]
            most = max(MOST_COUNTED, 2 * len(words))  # frequent ones stay: not to look at all for each text
    _count_characters(words, words, tokens)
    for word, count in words.items():
        if len(word) > 1 and count >= word_count and not _IS_CJK.search(word):
            tokens[word] += count
    kept = [token for token, count in tokens.items() if count >= min_count and token not in SPECIAL_TOKENS]
    return [*SPECIAL_TOKENS, *sorted(kept, key=lambda token: (-tokens[token], token))[:MOST_TOKENS]]


def _count_characters(words: Iterable[str], counts: Mapping[str, int], tokens: Counter[str]) -> None:
    """Adds the characters of words to the tokens, as often as the words are counted."""
    for word in words:
        for position, char in enumerate(word):
            tokens[char if position == 0 else f"##{char}"] += counts[word]
