"""Which tokens of a batch are to be told, and what stands in their places. NumPy alone.

Whole words are chosen (Cui et al. 2021, for Chinese), or one to four of them together as in their MacBERT;
of their tokens 80 % become [MASK], 10 % any other, 10 % stay (Devlin et al. 2019).
"""

from dataclasses import dataclass

import numpy as np

from raytrain.pretraining.pieces import BEGINS, SpecialIds
from raytrain.pretraining.settings import MaskSettings

NGRAM_SHARES = (0.4, 0.3, 0.2, 0.1)  # of one to four words: Cui et al. 2021, section 3.2
MASKED, DRAWN = 0.8, 0.1


@dataclass(frozen=True)
class MaskedBatch:
    """A batch whose masked tokens are to be told.

    Attributes:
        token_ids: (rows, length) int32, with the masks.
        positions: (rows, K) int32; where tokens are to be told, then 0.
        targets: (rows, K) int32; these tokens, then 0.
    """

    token_ids: np.ndarray
    positions: np.ndarray
    targets: np.ndarray

    def rows(self, rows: np.ndarray) -> "MaskedBatch":
        """Some rows of it."""
        return MaskedBatch(self.token_ids[rows], self.positions[rows], self.targets[rows])


def most_told(length: int, rate: float) -> int:
    """How many tokens of a sequence are told at most."""
    return max(1, round(length * rate))


def mask_batch(
    sequences: np.ndarray, settings: MaskSettings, special: SpecialIds, rng: np.random.Generator
) -> MaskedBatch:
    """Masks a batch.

    Args:
        sequences: (rows, length) uint32 of `pieces.encode_lines`, packed.
        settings: Which tokens.
        special: The special tokens, none of which is masked.
        rng: Where the choice is drawn from.

    Returns:
        Of each row the share `rate` of its tokens, as near as whole words come to it from below, but one
        token at least where there is any; fewer where a row has no words that small.
    """
    ids = (sequences & ~BEGINS).astype(np.int32)
    told = _choose(sequences, ids, settings, special, rng)
    most = most_told(ids.shape[1], settings.rate)
    # Chosen places first, in their order.
    order = np.argsort(~told, axis=1, kind="stable")[:, :most]
    is_told = np.take_along_axis(told, order, axis=1)
    targets = np.where(is_told, np.take_along_axis(ids, order, axis=1), 0)
    kind = rng.random(ids.shape)
    drawn = special.drawn[rng.integers(0, len(special.drawn), ids.shape)]
    replaced = np.where(kind < MASKED, special.mask, np.where(kind < MASKED + DRAWN, drawn, ids))
    return MaskedBatch(
        np.where(told, replaced, ids).astype(np.int32),
        np.where(is_told, order, 0).astype(np.int32),
        targets.astype(np.int32),
    )


def _choose(
    sequences: np.ndarray,
    ids: np.ndarray,
    settings: MaskSettings,
    special: SpecialIds,
    rng: np.random.Generator,
) -> np.ndarray:
    """(rows, length) bool: the tokens to be told.

    Words come in a random order; each is taken where its row has room for it, with the words behind it where
    several go together. All rows take their next word at once.
    """
    words = _Words(sequences, ids, special)
    rows = np.arange(len(ids))
    budget = np.clip(np.round(words.num_tokens * settings.rate), 1, most_told(ids.shape[1], settings.rate))
    order = np.argsort(np.where(words.sizes > 0, rng.random(words.sizes.shape), 2.0), axis=1, kind="stable")
    runs = np.ones(words.sizes.shape, np.int64)
    if settings.ngrams:
        runs = 1 + rng.choice(len(NGRAM_SHARES), words.sizes.shape, p=NGRAM_SHARES)
    taken, used = np.zeros(words.sizes.shape, bool), np.zeros(len(ids))
    longest = int(runs.max(initial=1))
    for rank in range(words.sizes.shape[1]):
        first = order[:, rank]
        goes_on, size, run = np.ones(len(ids), bool), np.zeros(len(ids)), []
        for offset in range(longest):
            word = np.minimum(first + offset, words.sizes.shape[1] - 1)
            fits = goes_on & (offset < runs[rows, first]) & (first + offset < words.sizes.shape[1])
            goes_on = fits & (words.sizes[rows, word] > 0) & ~taken[rows, word]
            size += np.where(goes_on, words.sizes[rows, word], 0)
            run.append((word, goes_on))
        has_room = (size > 0) & (used + size <= budget)
        used += np.where(has_room, size, 0)
        for word, belongs in run:
            taken[rows, word] |= belongs & has_room
        if (used >= budget).all():
            break
    return words.lay(taken)


class _Words:
    """The words of a batch: word j of a row is its jth, special tokens are words of size 0.

    Attributes:
        sizes: (rows, most words) int64 tokens of each that may be told; 0 of special ones and beyond the end.
        num_tokens: (rows,) that may be told.
    """

    def __init__(self, sequences: np.ndarray, ids: np.ndarray, special: SpecialIds):
        self._may = ~np.isin(ids, special.never_told)
        # A special token is a word of its own, and what stands behind it begins one.
        begins = (sequences & BEGINS).astype(bool) | ~self._may
        begins[:, 1:] |= ~self._may[:, :-1]
        begins[:, 0] = True
        self._word_of = np.cumsum(begins, axis=1) - 1
        width = int(self._word_of.max(initial=0)) + 1
        flat = self._word_of + np.arange(len(ids))[:, None] * width
        counts = np.bincount(flat.ravel(), weights=self._may.ravel(), minlength=len(ids) * width)
        self.sizes = counts.astype(np.int64).reshape(len(ids), width)
        self.num_tokens = self._may.sum(axis=1)

    def lay(self, taken: np.ndarray) -> np.ndarray:
        """(rows, length) bool: the tokens of the words that were taken."""
        return np.take_along_axis(taken, self._word_of, axis=1) & self._may
