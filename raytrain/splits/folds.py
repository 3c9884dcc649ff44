"""Which rows each fold is judged by and which it learns from; kept in a file, and read back on resume."""

import functools
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from raytrain.errors import ArtifactError
from raytrain.storage.files import parquet_bytes, read_parquet

NO_FOLD = -1  # of rows that are learned from alone: the first in time
UNLABELLED = -2  # of texts that have no label, which may be learned with what a fold says of them


@dataclass(frozen=True)
class Folds:
    """The folds of each repeat: at random, or one behind the other in time.

    Of folds at random each learns from the rows of all others. In time each learns from what lies before it
    and is in no fold or an earlier one, but from no row of a group that it is judged by, too.

    Attributes:
        valid: (repeats, num_rows) int32, the fold in which each row is valid; `NO_FOLD` or `UNLABELLED`: in
            none.
        groups: (num_rows,) int64 from 0 on, equal ones of rows that belong together: at random they are in
            one fold. None: each row stands alone, and the folds are at random.
    """

    valid: np.ndarray
    groups: np.ndarray | None = None

    @functools.cached_property
    def in_time(self) -> bool:
        """Whether the folds follow each other in time: then the first rows are in none of them."""
        return self.groups is not None and bool((self.valid == NO_FOLD).any())

    @property
    def num_folds(self) -> int:
        """One at least: where no row is valid, it learns from all."""
        return max(int(self.valid.max(initial=-1)) + 1, 1)

    @property
    def covered(self) -> np.ndarray:
        """(num_rows,) bool, whether a fold is judged by the row."""
        return self.valid[0] >= 0

    def is_valid(self, repeat: int, fold: int) -> np.ndarray:
        """(num_rows,) bool, whether the fold is judged by the row."""
        return self.valid[repeat] == fold

    def is_train(self, repeat: int, fold: int) -> np.ndarray:
        """(num_rows,) bool, whether the fold learns from the row."""
        own = self.valid[repeat]
        if not self.in_time:
            return (own != fold) & (own != UNLABELLED)
        return self._is_before(repeat, fold) & ~self._belongs(repeat, fold)

    def train_masks(self) -> np.ndarray:
        """(num_folds, num_rows) bool, `is_train` of each fold of the first repeat."""
        return np.stack([self.is_train(0, fold) for fold in range(self.num_folds)])

    def num_left_out(self, repeat: int, fold: int) -> int:
        """How many rows lie before the fold and are not learned from, for one of their group is valid."""
        if not self.in_time:
            return 0
        return int((self._is_before(repeat, fold) & self._belongs(repeat, fold)).sum())

    def _is_before(self, repeat: int, fold: int) -> np.ndarray:
        own = self.valid[repeat]
        return (own < fold) & (own != UNLABELLED)

    def _belongs(self, repeat: int, fold: int) -> np.ndarray:
        """Which rows are of a group that has a valid one."""
        assert self.groups is not None
        is_judged = np.zeros(int(self.groups.max(initial=-1)) + 1, bool)
        is_judged[self.groups[self.is_valid(repeat, fold)]] = True
        return is_judged[self.groups]

    def with_unlabelled(self, count: int) -> "Folds":
        """The same with so many texts behind all others that have no label."""
        valid = np.pad(self.valid, ((0, 0), (0, count)), constant_values=UNLABELLED)
        # Their group does not matter, for they are in no fold and before none.
        groups = None if self.groups is None else np.pad(self.groups, (0, count))
        return replace(self, valid=valid, groups=groups)


def learn_all(num_rows: int) -> Folds:
    """Folds of which none is judged by a row: the first learns from all of them."""
    return Folds(np.full((1, num_rows), NO_FOLD, np.int32))


def write_folds(folds: Folds, ids: pa.Array) -> bytes:
    """Returns folds.parquet: columns id, fold, repeat, and group; one row per corpus row and repeat."""
    repeats, num_rows = folds.valid.shape
    columns = {
        "id": pa.concat_arrays([ids] * repeats),
        "fold": pa.array(folds.valid.reshape(-1), pa.int32()),
        "repeat": pa.array(np.repeat(np.arange(repeats, dtype=np.int32), num_rows)),
    }
    if folds.groups is not None:
        columns["group"] = pa.array(np.tile(folds.groups, repeats), pa.int64())
    return parquet_bytes(pa.table(columns))


def read_folds(data: bytes, ids: pa.Array) -> Folds:
    """Reads folds.parquet back.

    Raises:
        ArtifactError: It is not readable, or its ids are not the corpus's in the corpus's order.
    """
    try:
        table = read_parquet(data).combine_chunks()
        repeats = int(table["repeat"].to_numpy().max()) + 1
        same = table["id"].combine_chunks().equals(pa.concat_arrays([ids] * repeats))
        assigned = np.asarray(table["fold"].to_numpy())
        groups = table["group"].to_numpy()[: len(ids)] if "group" in table.column_names else None
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise ArtifactError(f"folds.parquet is damaged: {error}; delete the run to start anew") from error
    if not same:
        raise ArtifactError(
            "folds.parquet was written for other rows; choose another name, or delete the run"
        )
    return Folds(assigned.reshape(repeats, len(ids)), groups)
