"""SentencePiece with character offsets, as ALBERT reads it."""

import functools
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sentencepiece import SentencePieceProcessor

from raytrain.errors import CheckpointError
from raytrain.text.ragged import bounds_of
from raytrain.text.vocab import LOWERED, Folding
from raytrain.text.wordpiece import Tokens

_BLANK = "▁"  # SentencePiece writes a space so
_DOTTED = "İ"  # whose lower case is two characters
PAD, SPECIAL_PIECES = "<pad>", ("[CLS]", "[SEP]")


class SentencePieceTokenizer:
    """Tokenizes as ALBERT's tokenization.py does (github.com/google-research/albert).

    Args:
        model: A serialized SentencePiece model, such as 30k-clean.model.
        folding: What becomes of a text before; ALBERT v1 and v2 were trained on texts in lower case.

    Raises:
        CheckpointError: It is none, or lacks a special piece.
    """

    def __init__(self, model: bytes, folding: Folding = LOWERED):
        self._folding = folding
        self._processor = SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model)
        except RuntimeError as error:
            problem = "expected a serialized model, found other bytes"
            raise CheckpointError("the SentencePiece model cannot be used", [problem]) from error
        missing = [piece for piece in SPECIAL_PIECES if self.token_to_id(piece) is None]
        problems = [f"expected the piece {piece}, found none" for piece in missing]
        if self._processor.IdToPiece(0) != PAD:
            problems.append(f"expected {PAD} as piece 0, found {self._processor.IdToPiece(0)}")
        if problems:
            raise CheckpointError("the SentencePiece model cannot be used", problems)

    def __len__(self) -> int:
        return int(self._processor.GetPieceSize())

    def token_to_id(self, token: str) -> int | None:
        """The number of a piece, or None."""
        number = int(self._processor.PieceToId(token))
        return None if number == self._processor.unk_id() and token != "<unk>" else number

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Gives the tokens of the texts, without special ones; offsets are those of the texts as given."""
        folded = [fold(text, self._folding) for text in texts]
        encoded = self._processor.encode(
            [text for text, _ in folded], return_type="offset_mapping", num_threads=1
        )
        rows = [list(self._pieces(*parts, one)) for parts, one in zip(folded, encoded, strict=True)]
        flat = np.array([piece for row in rows for piece in row], np.int64).reshape(-1, 3)
        bounds = bounds_of(np.array([len(row) for row in rows], np.int64))
        return Tokens(bounds, flat[:, 0], flat[:, 1], flat[:, 2])

    def _pieces(
        self, folded: str, origin: list[int], encoded: dict[str, Any]
    ) -> Iterator[tuple[int, int, int]]:
        """(id, begin, end) of each piece, as places in the text that was folded."""
        for number, piece, (begin, end) in zip(
            encoded["ids"], encoded["pieces"], encoded["offsets"], strict=True
        ):
            while begin < end and folded[begin] == " ":
                begin += 1
            spans = [(number, begin, end)]
            if len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit():
                spans = list(self._split_number(piece, begin))
            for part, start, stop in spans:
                yield part, origin[start], origin[stop - 1] + 1 if stop > start else origin[start]

    def _split_number(self, piece: str, begin: int) -> Iterator[tuple[int, int, int]]:
        """A number with a comma behind it falls into the number's own pieces and the comma."""
        digits = piece[:-1].replace(_BLANK, "")
        parts = self._processor.encode(digits, return_type=str)
        if not piece.startswith(_BLANK):
            parts = parts[1:] if parts[0] == _BLANK else [parts[0].removeprefix(_BLANK), *parts[1:]]
        for part in [*parts, piece[-1]]:
            size = len(part.replace(_BLANK, ""))
            yield self._processor.PieceToId(part), begin, begin + size
            begin += size


def fold(text: str, folding: Folding = LOWERED) -> tuple[str, list[int]]:
    """Blanks to single spaces; compatibility decomposition without accents and lower case, where asked for.

    Returns:
        The folded text, and for each of its characters, and for its end, the place in `text`.
    """
    folded: list[str] = []
    origin: list[int] = []
    blank = -1
    for place, char in enumerate(text):
        if char.isspace():
            blank = place if blank < 0 else blank
            continue
        if blank >= 0 and folded:
            folded.append(" ")
            origin.append(blank)
        blank = -1
        kept = _decompose(char) if folding.strip_accents else char
        if folding.lower and kept == _DOTTED:
            kept = kept.lower()
        folded.append(kept)
        origin.extend([place] * len(kept))
    # Of the whole, because a capital sigma's lower case depends on what follows; nothing but İ grows by it.
    whole = "".join(folded)
    return whole.lower() if folding.lower else whole, [*origin, len(text)]


@functools.lru_cache(maxsize=1 << 16)
def _decompose(char: str) -> str:
    return "".join(part for part in unicodedata.normalize("NFKD", char) if not unicodedata.combining(part))
