"""Tokens of texts packed into sequences of one length: [CLS] text [SEP] text [SEP] … and padding.

Short texts share a sequence, and attend to each other there, as in RoBERTa's FULL-SENTENCES (Liu et al. 2019,
section 4.2): padding costs as much as text. A text begins where another has ended, never in the middle of a
sequence's first word, so that an encoder sees beginnings as it will when it reads texts for itself.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from raytrain.pretraining.pieces import BEGINS, SpecialIds

OPEN = 64  # sequences that wait for texts that fit


class Packer:
    """Lays texts into sequences, each into the one with the least room among those where it fits.

    Args:
        length: Tokens of a sequence.
        special: The special tokens.

    Attributes:
        num_tokens: Of texts, laid so far.
    """

    def __init__(self, length: int, special: SpecialIds):
        self._length, self._special = length, special
        self._open: list[list[np.ndarray]] = []
        self._room = np.zeros(0, np.int64)
        self.num_tokens = 0

    def add(self, tokens: np.ndarray) -> Iterator[np.ndarray]:
        """Takes a text's tokens, of which a long one's are cut; yields what sequences are full by then.

        Args:
            tokens: (n,) uint32.

        Yields:
            (length,) uint32.
        """
        most = self._length - 2
        self.num_tokens += len(tokens)
        for start in range(0, len(tokens), most):
            yield from self._place(tokens[start : start + most])

    def _place(self, piece: np.ndarray) -> Iterator[np.ndarray]:
        needed = len(piece) + 1
        fitting = np.flatnonzero(self._room >= needed)
        if len(fitting):
            place = int(fitting[np.argmin(self._room[fitting])])
        else:
            if len(self._open) == OPEN:
                yield self._close(int(np.argmin(self._room)))
            self._open.append([])
            self._room = np.append(self._room, self._length - 1)
            place = len(self._open) - 1
        self._open[place].append(piece)
        self._room[place] -= needed
        if self._room[place] < 2:  # nothing fits any more
            yield self._close(place)

    def _close(self, place: int) -> np.ndarray:
        pieces = self._open.pop(place)
        self._room = np.delete(self._room, place)
        sep = np.array([self._special.sep], np.uint32) | BEGINS
        parts = [np.array([self._special.cls], np.uint32) | BEGINS]
        for piece in pieces:
            parts += [piece, sep]
        laid = np.full(self._length, self._special.pad, np.uint32)
        joined = np.concatenate(parts)
        laid[: len(joined)] = joined
        return laid

    def finish(self) -> Iterator[np.ndarray]:
        """Yields what is left."""
        while self._open:
            yield self._close(0)


def pack(texts: Iterable[np.ndarray], length: int, special: SpecialIds) -> np.ndarray:
    """(num_sequences, length) uint32 of all texts at once."""
    packer = Packer(length, special)
    rows = [row for tokens in texts for row in packer.add(tokens)]
    rows += packer.finish()
    return np.stack(rows) if rows else np.zeros((0, length), np.uint32)
