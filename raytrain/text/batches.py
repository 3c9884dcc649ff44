"""Ragged features to padded batches of like lengths."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

# Lengths are padded to multiples of this: few distinct shapes, little padding.
BUCKET = 16
_TOKENS_AT_ONCE = 1 << 14
COMPILED_LENGTHS = 4  # XLA compiles a step for each
# Of filled batches: whatever the corpus, the same few. What is longer gets all positions that there are.
FILLED_LENGTHS = (16, 32, 48, 64, 96, 128, 192, 256, 384)


class FeatureRows:
    """Random access to the features table of `text.encode.build_features`, without copying it.

    Args:
        table: The features.
        hidden_states: (num_tokens, hidden_size) float16, a frozen encoder's output for the same tokens
            in the same order, or None where the model has its encoder within.
        keyword_counts: (num_rows, num_classes) float32, or None where no head reads them.

    Attributes:
        lengths: (num_rows,) tokens per row.
    """

    def __init__(
        self,
        table: pa.Table,
        hidden_states: np.ndarray | None = None,
        keyword_counts: np.ndarray | None = None,
    ):
        columns = {name: _whole(table[name]) for name in table.column_names}
        self._values = {name: column.values.to_numpy() for name, column in columns.items()}
        if hidden_states is not None:
            del self._values["segment_ids"]  # only an encoder reads them
            self._values["hidden_states"] = hidden_states
        self.offsets = columns["token_ids"].offsets.to_numpy()
        self.lengths = np.diff(self.offsets)
        self._keyword_counts = keyword_counts

    def __len__(self) -> int:
        return len(self.lengths)

    def has_finite_states(self) -> bool:
        """Whether the hidden states, where there are any, hold neither NaN nor infinity; reads them all."""
        states = self._values.get("hidden_states", np.zeros((0, 1), np.float16))
        parts = range(0, len(states), _TOKENS_AT_ONCE)
        return all(np.isfinite(states[start : start + _TOKENS_AT_ONCE]).all() for start in parts)

    def collate(self, rows: Sequence[int] | np.ndarray, length: int | None = None) -> dict[str, np.ndarray]:
        """Pads the rows with 0 to a common length.

        Args:
            rows: Row indices.
            length: None for a multiple of `BUCKET`, but no more than the longest row of all: the encoder may
                have no positions beyond that.

        Returns:
            token_ids, segment_ids and word_ids, each (len(rows), length) int32; with hidden states
            token_ids, word_ids and hidden_states, (len(rows), length, hidden_size) float32. Where there
            are any, keyword_counts, (len(rows), num_classes) float32.
        """
        batch = {name: self.pad(values, rows, length) for name, values in self._values.items()}
        if self._keyword_counts is not None:
            batch["keyword_counts"] = self._keyword_counts[rows]
        return batch

    def pad(
        self, values: np.ndarray, rows: Sequence[int] | np.ndarray, length: int | None = None
    ) -> np.ndarray:
        """Lays the rows of something ragged, with a value a token of the features, as `collate` does.

        Args:
            values: (num_tokens, …).
            rows: Row indices.
            length: As in `collate`.

        Returns:
            (len(rows), length, …); int32, of vectors float32.
        """
        lengths = self.lengths[rows]
        padded = length or int(min(-(-lengths.max() // BUCKET) * BUCKET, self.lengths.max()))
        kind = np.float32 if values.ndim > 1 else np.int32
        laid = np.zeros((len(rows), padded, *values.shape[1:]), kind)
        for row, size, padded_row in zip(rows, lengths, laid, strict=True):
            padded_row[:size] = values[self.offsets[row] : self.offsets[row + 1]]
        return laid


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece; combine_chunks would copy even a single chunk."""
    if column.num_chunks == 1:
        return column.chunk(0)
    combined = column.combine_chunks()
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) else combined


def choose_lengths(lengths: np.ndarray, most: int = COMPILED_LENGTHS) -> np.ndarray:
    """To which few lengths batches are padded where each of them costs a compilation.

    Args:
        lengths: (num_rows,) tokens of every row of the corpus.
        most: How many at most.

    Returns:
        Quantiles of the lengths, ascending, the longest last; each a multiple of `BUCKET` or the longest.
    """
    quantiles = np.quantile(lengths, np.arange(1, most + 1) / most, method="inverted_cdf")
    return np.unique(np.minimum(-(-quantiles.astype(int) // BUCKET) * BUCKET, lengths.max()))


def plan_epoch(
    rows: np.ndarray, lengths: np.ndarray, batch_size: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Deals rows into shuffled batches of like lengths; every row comes exactly once.

    Rows are shuffled, then ordered by length bucket (stably, so that within a bucket the order stays
    random), cut into batches, and the batches shuffled.

    Args:
        rows: Row indices to deal.
        lengths: (num_rows,) tokens of every row of the corpus.
        batch_size: Rows per batch; one batch may be smaller.
        rng: Source of the shuffles.

    Returns:
        Arrays of row indices.
    """
    shuffled = rng.permutation(rows)
    ordered = shuffled[np.argsort(-(-lengths[shuffled] // BUCKET), kind="stable")]
    batches = [ordered[start : start + batch_size] for start in range(0, len(ordered), batch_size)]
    return [batches[index] for index in rng.permutation(len(batches))]


def sequential_batches(
    rows: np.ndarray, lengths: np.ndarray, batch_size: int, max_tokens: int | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Deals rows into batches by falling length, for prediction.

    Args:
        rows: Row indices to deal.
        lengths: (num_rows,) tokens of every row of the corpus.
        batch_size: Most rows of a batch.
        max_tokens: Most tokens of a batch of several rows, with padding; None sets no bound.

    Yields:
        (positions, row indices); positions undo the order.
    """
    order = np.argsort(-lengths[rows], kind="stable")
    start = 0
    while start < len(order):
        padded = -(-int(lengths[rows[order[start]]]) // BUCKET) * BUCKET
        size = batch_size if max_tokens is None else min(batch_size, max(1, max_tokens // padded))
        positions = order[start : start + size]
        yield positions, rows[positions]
        start += size


def filled_batches(
    rows: np.ndarray, lengths: np.ndarray, batch_size: int | None, max_tokens: int, max_length: int
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """As `sequential_batches`, in few shapes, where each of them costs a compilation.

    Args:
        rows: Row indices to deal.
        lengths: (num_rows,) tokens of every row of the corpus.
        batch_size: Most rows of a batch; None sets no bound.
        max_tokens: Most tokens of a batch of several rows, with padding.
        max_length: Most tokens of a row.

    Yields:
        (positions, row indices, length to pad to). Batches of a length have as many rows each; what is
        missing of the last is filled with its first, so that there may be more rows than positions.
    """
    order = np.argsort(-lengths[rows], kind="stable")
    fitting = [*(length for length in FILLED_LENGTHS if length < max_length), max_length]
    start = 0
    while start < len(order):
        length = fitting[np.searchsorted(fitting, lengths[rows[order[start]]])]
        size = max(1, max_tokens // length)
        size = min(size, batch_size or size)
        positions = order[start : start + size]
        batch = rows[positions]
        yield positions, np.concatenate([batch, np.repeat(batch[:1], size - len(batch))]), length
        start += size
