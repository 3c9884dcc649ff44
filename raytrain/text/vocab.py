"""A vocabulary as it lies on disk, read and written."""

from collections.abc import Sequence

# WordPiece's tokens, token i with id i; or the bytes of a SentencePiece model.
Vocab = Sequence[str] | bytes

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def parse_vocab(name: str, data: bytes) -> Vocab:
    """Reads a vocabulary: of a *.model the bytes, else each line as one token, its number the line's.

    This is the rule of transformers' `load_vocab`: a line ends at LF, CR or both and at nothing else, blanks
    belong to the token, and a line without a token counts. Of the same token twice the later has the id
    (`text.wordpiece.build_tokenizer`). It differs in two things, which move no id: a byte order mark is no
    part of the first token, and blank lines at the end are no tokens.

    Args:
        name: The file's name.
        data: Its content.

    Raises:
        UnicodeDecodeError: It is not UTF-8.
    """
    if name.endswith(".model"):
        return data
    text = data.decode("utf-8").lstrip("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")


def vocab_file(vocab: Vocab) -> tuple[str, bytes]:
    """The name and the content of the file that holds a vocabulary, as `parse_vocab` reads it.

    >>> vocab_file(["[PAD]", "好"])[0]
    'vocab.txt'
    """
    if isinstance(vocab, bytes):
        return "spiece.model", vocab
    return "vocab.txt", "".join(f"{token}\n" for token in vocab).encode()
