"""WordPiece with character offsets, equal to bert4keras's Tokenizer, without importing TensorFlow."""

import re
from collections import Counter
from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordPiece

from raytrain.errors import CheckpointError

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

# The blocks that BERT's tokenizer sets apart as single characters (google-research/bert, tokenization.py).
_CJK = (
    "\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b73f\U0002b740-\U0002b81f"
    "\U0002b820-\U0002ceaf\uf900-\ufaff\U0002f800-\U0002fa1f"
)
_IS_CJK = re.compile(f"[{_CJK}]")


def build_tokenizer(vocab: Sequence[str]) -> Tokenizer:
    """Builds a lower-casing WordPiece tokenizer; token i of `vocab` has id i.

    The steps are those of bert4keras's `Tokenizer(do_lower_case=True)`, one rule each: lower case,
    decompose, blanks to spaces, accents and control characters out, then single CJK characters and
    punctuation. The library's own BERT normalizer differs on private-use and unassigned characters.

    Raises:
        CheckpointError: The vocabulary lacks one of [PAD], [UNK], [CLS], [SEP].
    """
    ids = {token: index for index, token in enumerate(vocab)}
    missing = [token for token in SPECIAL_TOKENS[:4] if token not in ids]
    if missing:
        raise CheckpointError(
            "the vocabulary cannot be used",
            [f"expected the token {token}, one a line; found {len(vocab)} others" for token in missing],
        )
    # bert4keras gives up on words beyond 200 characters.
    tokenizer = Tokenizer(WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=200))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Lowercase(),
            normalizers.NFD(),
            normalizers.Replace(Regex(r"[\n\r\t\p{Z}]"), " "),
            normalizers.Replace(Regex(r"[\p{Mn}\p{Cc}\p{Cf}\ufffd]"), ""),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(" ", "removed"),
            pre_tokenizers.Split(Regex(rf"[!-/:-@\[-`{{-~\p{{P}}{_CJK}]"), "isolated"),
        ]
    )
    return tokenizer


def build_vocab(texts: Sequence[str], min_count: int = 2, word_count: int = 5) -> list[str]:
    """Makes a WordPiece vocabulary of the corpus for an encoder that has none.

    Args:
        texts: The corpus's texts.
        min_count: Rarer characters are left to [UNK].
        word_count: Words of letters and digits at least this frequent become tokens of their own;
            rarer ones fall into their characters.

    Returns:
        The special tokens, then tokens by falling count; ties by the token itself.
    """
    splitter = build_tokenizer(SPECIAL_TOKENS)
    words: Counter[str] = Counter()
    for text in texts:
        pieces = splitter.pre_tokenizer.pre_tokenize_str(splitter.normalizer.normalize_str(text))
        words.update(piece for piece, _ in pieces)
    tokens: Counter[str] = Counter()
    for word, count in words.items():
        if len(word) > 1 and count >= word_count and not _IS_CJK.search(word):
            tokens[word] += count
        for position, char in enumerate(word):
            tokens[char if position == 0 else f"##{char}"] += count
    kept = [token for token, count in tokens.items() if count >= min_count and token not in SPECIAL_TOKENS]
    return [*SPECIAL_TOKENS, *sorted(kept, key=lambda token: (-tokens[token], token))]
