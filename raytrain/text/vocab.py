"""A vocabulary as it lies on disk, read and written."""

from collections.abc import Sequence

# WordPiece's tokens, token i with id i; or the bytes of a SentencePiece model.
Vocab = Sequence[str] | bytes

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def parse_vocab(name: str, data: bytes) -> Vocab:
    """Reads a vocabulary: of a *.model the bytes, else the first word of each line.

    Args:
        name: The file's name.
        data: Its content.

    Raises:
        UnicodeDecodeError: It is not UTF-8.
    """
    if name.endswith(".model"):
        return data
    lines = data.decode("utf-8").replace("\r\n", "\n").rstrip("\n").split("\n")
    return [(line.split() or [line])[0] for line in lines]


def vocab_file(vocab: Vocab) -> tuple[str, bytes]:
    """The name and the content of the file that holds a vocabulary, as `parse_vocab` reads it.

    >>> vocab_file(["[PAD]", "好"])[0]
    'vocab.txt'
    """
    if isinstance(vocab, bytes):
        return "spiece.model", vocab
    return "vocab.txt", "".join(f"{token}\n" for token in vocab).encode()
