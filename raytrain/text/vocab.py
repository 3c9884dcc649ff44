"""A vocabulary, how texts are folded for it, and the files in which it lies on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WORD_PIECES, SENTENCE_PIECES = "vocab.txt", "spiece.model"  # what transformers calls their files
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True)
class Folding:
    """What becomes of a text before its tokens are looked up.

    Attributes:
        lower: Capitals become small letters.
        strip_accents: Characters fall into their parts, and accents go.
        splits_chinese: Each Chinese character is a word of its own; of SentencePiece it says nothing.
    """

    lower: bool = True
    strip_accents: bool = True
    splits_chinese: bool = True

    def __str__(self) -> str:
        """What is kept that the usual folding does not keep, `` where nothing is."""
        kept = {"capitals": self.lower, "accents": self.strip_accents, "Chinese words": self.splits_chinese}
        return " and ".join(name for name, is_folded in kept.items() if not is_folded)


LOWERED = Folding()


@dataclass(frozen=True)
class Vocab:
    """A vocabulary and its folding, which belong together: with another one the ids are another text's.

    Attributes:
        tokens: WordPiece's, token i with id i; or the bytes of a SentencePiece model.
        folding: What becomes of a text before they are looked up in it.
    """

    tokens: Sequence[str] | bytes
    folding: Folding = LOWERED

    def __post_init__(self) -> None:
        if not isinstance(self.tokens, bytes):  # so that it can be a key
            object.__setattr__(self, "tokens", tuple(self.tokens))


def parse_vocab(name: str, data: bytes, folding: Folding = LOWERED) -> Vocab:
    """Reads a vocabulary: of a *.model the bytes, else each line as one token, its number the line's.

    This is the rule of transformers' `load_vocab`: a line ends at LF, CR or both and at nothing else, blanks
    belong to the token, and a line without a token counts. Of the same token twice the later has the id
    (`text.wordpiece.build_tokenizer`). It differs in two things, which move no id: a byte order mark is no
    part of the first token, and blank lines at the end are no tokens.

    Args:
        name: The file's name.
        data: Its content.
        folding: Of the texts that are looked up in it.

    Raises:
        UnicodeDecodeError: It is not UTF-8.
    """
    if name.endswith(".model"):
        return Vocab(data, folding)
    text = data.decode("utf-8").lstrip("\ufeff")
    return Vocab(text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n"), folding)


def vocab_file(vocab: Vocab) -> tuple[str, bytes]:
    """The name and the content of the file that holds a vocabulary's tokens, as `parse_vocab` reads it.

    >>> vocab_file(Vocab(["[PAD]", "好"]))[0]
    'vocab.txt'
    """
    if isinstance(vocab.tokens, bytes):
        return SENTENCE_PIECES, vocab.tokens
    return WORD_PIECES, "".join(f"{token}\n" for token in vocab.tokens).encode()


def tokenizer_config(vocab: Vocab) -> dict[str, Any]:
    """What transformers reads of a tokenizer_config.json: its class, and the folding."""
    folding = vocab.folding
    said: dict[str, Any] = {"do_lower_case": folding.lower}
    if isinstance(vocab.tokens, bytes):
        said |= {} if folding.strip_accents else {"keep_accents": True}
        return {**said, "tokenizer_class": "AlbertTokenizer"}
    said |= {} if folding.strip_accents == folding.lower else {"strip_accents": folding.strip_accents}
    said |= {} if folding.splits_chinese else {"tokenize_chinese_chars": False}
    return {**said, "tokenizer_class": "BertTokenizer"}
