"""Which tokens of texts an encoder reads, and in which rows: what is kept of long ones, how they are cut."""

from dataclasses import dataclass

import numpy as np

from raytrain.text.ragged import bounds_of, ranges
from raytrain.text.wordpiece import Tokens

OVERLAP = 0.25  # share of a window that the next one reads again, for what it needs to see around a cut


def truncated_lengths(
    first: int | np.ndarray, second: int | np.ndarray, room: int
) -> tuple[np.ndarray, np.ndarray]:
    """How many tokens each text of a pair keeps: the longer loses one at a time, as in bert4keras.

    On a tie the first loses.

    Args:
        first: Tokens of the first text, or (n,) of n pairs.
        second: Tokens of the second.
        room: How many the two may keep together.
    """
    half = room // 2
    kept = np.minimum(first, np.maximum(room - second, half))
    return kept, np.minimum(second, room - kept)


def most_tokens(room: int, windows: int) -> int:
    """How many tokens of a text so many windows hold, each of `room`."""
    return room + (windows - 1) * _stride(room)


def _stride(room: int) -> int:
    """How far a window of `room` tokens may begin behind the one before."""
    return max(1, room - int(room * OVERLAP))


@dataclass(frozen=True)
class KeptEnds:
    """How many tokens texts keep at their beginning and at their end; all others lie between these.

    Attributes:
        heads: (num_texts,) int64; all of a text that is kept whole.
        tails: (num_texts,) int64.
    """

    heads: np.ndarray
    tails: np.ndarray

    def select(self, tokens: Tokens) -> Tokens:
        """Of the texts' tokens those that are kept."""
        starts = np.stack([tokens.bounds[:-1], tokens.bounds[1:] - self.tails], axis=1)
        kept = ranges(starts.ravel(), np.stack([self.heads, self.tails], axis=1).ravel())
        bounds = bounds_of(self.heads + self.tails)
        return Tokens(bounds, tokens.ids[kept], tokens.begins[kept], tokens.ends[kept])

    def characters_left_out(self, kept: Tokens) -> tuple[np.ndarray, np.ndarray]:
        """The stretch of each text before its kept end of which no token is kept.

        Args:
            kept: Of `select`.

        Returns:
            (num_texts,) the places in the text where it begins and ends; both 0 where there is none.
        """
        cut = np.flatnonzero(self.tails)
        starts, ends = np.zeros_like(self.tails), np.zeros_like(self.tails)
        first_of_tail = kept.bounds[:-1][cut] + self.heads[cut]
        has_head = self.heads[cut] > 0
        last_of_head = first_of_tail[has_head] - 1
        # A token that stands for nothing has the word that it stands before.
        starts[cut[has_head]] = np.maximum(kept.ends[last_of_head], kept.begins[last_of_head] + 1)
        # Two tokens may be pieces of one character.
        ends[cut] = np.maximum(kept.begins[first_of_tail], starts[cut])
        return starts, ends


def choose_ends(sizes: np.ndarray, rooms: int | np.ndarray, truncate: str) -> KeptEnds:
    """Chooses what texts keep.

    Args:
        sizes: (num_texts,) tokens of each text.
        rooms: Most tokens that a text may keep; of all, or (num_texts,) of each.
        truncate: Of a longer text `head` keeps the beginning, `tail` the end, `head_tail` a quarter of
            the room from the beginning and the rest from the end: 128 and 382 of 510 in Sun et al. 2019,
            "How to Fine-Tune BERT for Text Classification?".
    """
    rooms = np.broadcast_to(rooms, sizes.shape)
    heads = {"head": rooms, "tail": np.zeros_like(rooms), "head_tail": -(-rooms // 4)}[truncate]
    is_longer = sizes > rooms
    return KeptEnds(np.where(is_longer, heads, sizes), np.where(is_longer, rooms - heads, 0))


def cut_rows(sizes: np.ndarray, room: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cuts texts of more than `room` tokens into windows of `room`, spread evenly.

    Args:
        sizes: (num_texts,) tokens of each text.
        room: Most tokens of a window.

    Returns:
        Three of (num_windows,) int64, windows of a text side by side: the text that each is of, which of
        the text's tokens stands first in it, and how many stand in it.
    """
    beyond = np.maximum(sizes - room, 0)
    counts = 1 + -(-beyond // _stride(room))
    rows = np.repeat(np.arange(len(sizes)), counts)
    number = ranges(np.zeros_like(counts), counts)
    firsts = number * beyond[rows] // np.maximum(counts[rows] - 1, 1)
    return rows, firsts, np.minimum(sizes[rows], room)


@dataclass(frozen=True)
class TextRows:
    """Of which text each row of the features is.

    Attributes:
        rows: (num_rows,) int64; the text that a row is of, those of a text side by side, no text without.
    """

    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def of_texts(self, rows: np.ndarray) -> np.ndarray:
        """The texts that some rows are of, in order; all rows of a text are given or none."""
        return np.unique(self.rows[rows])

    def shares(self, counting: np.ndarray | None = None) -> np.ndarray:
        """(num_rows,) what each weighs, so that all texts weigh the same.

        Args:
            counting: (num_texts,) True of those whose rows weigh 1 on average; None of all.
        """
        counts = np.bincount(self.rows)
        per_text = counts if counting is None else counts[counting]
        return per_text.sum() / max(len(per_text), 1) / counts[self.rows]

    def pool(self, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The mean of each text's rows.

        Args:
            rows: (n,) rows in order, all of a text or none.
            values: (n, …) what is said of each.

        Returns:
            (number of `of_texts`, …) in their order.
        """
        _, first, counts = np.unique(self.rows[rows], return_index=True, return_counts=True)
        return np.add.reduceat(values, first) / counts.reshape(-1, *[1] * (values.ndim - 1))
