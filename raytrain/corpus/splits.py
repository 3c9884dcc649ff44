"""Which rows are valid in which fold: assigned once, before training, and read back on resume."""

import numpy as np
import pyarrow as pa
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from raytrain.errors import ArtifactError, CorpusError
from raytrain.storage.files import parquet_bytes, read_parquet


def assign_folds(
    labels: np.ndarray,
    num_folds: int,
    repeats: int,
    seed: int,
    groups: np.ndarray | None = None,
    with_every_class: bool = True,
) -> np.ndarray:
    """Assigns every row to one valid fold per repeat, stratified by label and shuffled by seed.

    Args:
        labels: (num_rows,) label indices, or other strata.
        num_folds: Folds of a repeat.
        repeats: How often the rows are folded; repeat r shuffles with seed + r.
        seed: Base seed.
        groups: (num_rows,) values; equal values never straddle folds.
        with_every_class: Whether each class must be among every fold's training rows.

    Returns:
        (repeats, num_rows) int32, the fold in which the row is valid.

    Raises:
        CorpusError: Fewer rows or groups than folds, or groups so uneven that a fold stays empty or its
            training rows lack a class.
    """
    num_rows = len(labels)
    assigned = np.full((repeats, num_rows), -1, np.int32)
    counts = {"rows": num_rows} | ({"groups": len(np.unique(groups))} if groups is not None else {})
    for noun, count in counts.items():
        if count < num_folds:
            problem = f"expected at least {num_folds} {noun}, one per fold; found {count}; use fewer folds"
            raise CorpusError("the rows cannot be folded", [problem])
    for repeat in range(repeats):
        kind = StratifiedKFold if groups is None else StratifiedGroupKFold
        splitter = kind(n_splits=num_folds, shuffle=True, random_state=seed + repeat)
        for fold, (_, valid) in enumerate(splitter.split(np.zeros(num_rows), labels, groups)):
            assigned[repeat, valid] = fold
    problems = _uneven(assigned, labels if with_every_class else np.zeros(num_rows), num_folds)
    if problems:
        raise CorpusError("the rows cannot be folded", problems)
    return assigned


def _uneven(assigned: np.ndarray, labels: np.ndarray, num_folds: int) -> list[str]:
    problems = []
    for repeat, folds in enumerate(assigned):
        for fold in range(num_folds):
            where = f"repeat {repeat}, fold {fold}"
            if not (folds == fold).any():
                problems.append(f"{where}: no row is valid; use fewer folds, or smaller groups")
            elif len(np.unique(labels[folds != fold])) < len(np.unique(labels)):
                problems.append(f"{where}: its training rows lack a class; use fewer folds or other groups")
    return problems


def write_folds(assigned: np.ndarray, ids: pa.Array) -> bytes:
    """Returns folds.parquet: columns id, fold, repeat; one row per corpus row and repeat."""
    repeats, num_rows = assigned.shape
    table = pa.table(
        {
            "id": pa.concat_arrays([ids] * repeats),
            "fold": pa.array(assigned.reshape(-1), pa.int32()),
            "repeat": pa.array(np.repeat(np.arange(repeats, dtype=np.int32), num_rows)),
        }
    )
    return parquet_bytes(table)


def read_folds(data: bytes, ids: pa.Array) -> np.ndarray:
    """Reads folds.parquet back to (repeats, num_rows).

    Raises:
        ArtifactError: It is not readable, or its ids are not the corpus's in the corpus's order.
    """
    try:
        table = read_parquet(data).combine_chunks()
        repeats = int(table["repeat"].to_numpy().max()) + 1
        same = table["id"].combine_chunks().equals(pa.concat_arrays([ids] * repeats))
        assigned = np.asarray(table["fold"].to_numpy())
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise ArtifactError(f"folds.parquet is damaged: {error}; delete the run to start anew") from error
    if not same:
        raise ArtifactError(
            "folds.parquet was written for other rows; choose another name, or delete the run"
        )
    return assigned.reshape(repeats, len(ids))
