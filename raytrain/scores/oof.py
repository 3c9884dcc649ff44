"""What fold models said of rows they had not seen, put together and held against the truth, by task."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raytrain.errors import ArtifactError
from raytrain.scores.classes import METRICS, bootstrap_interval, score_proba
from raytrain.storage.files import read_parquet

_ROUNDED = 1e-5  # what float32 may make of a probability
Parts = Mapping[str, Sequence[pa.Table]]  # architecture to its folds' oof.parquet


def assemble_oof(
    parts: Iterable[tuple[np.ndarray, np.ndarray]], num_rows: int, num_classes: int
) -> np.ndarray:
    """Lays the folds' probabilities on their rows; repeats are averaged.

    Args:
        parts: (row indices, (rows, num_classes) probabilities) of each fold run.
        num_rows: Rows of the corpus.
        num_classes: Number of labels.

    Returns:
        (num_rows, num_classes), NaN where no fold covered the row.
    """
    total = np.zeros((num_rows, num_classes))
    counts = np.zeros(num_rows)
    for rows, proba in parts:
        total[rows] += proba
        counts[rows] += 1
    with np.errstate(invalid="ignore"):
        return total / counts[:, None]


def mean_oof(oof: dict[str, np.ndarray]) -> np.ndarray:
    """Averages architectures, each (num_rows, num_classes); a row counts where any of them covered it."""
    stacked = np.stack(list(oof.values()))
    covered = np.isfinite(stacked)
    counts = covered.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.where(covered, stacked, 0).sum(axis=0) / np.where(counts, counts, np.nan)


def oof_table(
    ids: pa.Array,
    folds: np.ndarray,
    label_names: Sequence[Any],
    labels: np.ndarray,
    oof: Mapping[str, np.ndarray],
    whole: np.ndarray,
    decisions: np.ndarray | None = None,
) -> pa.Table:
    """oof.parquet: id, fold (of repeat 0), label, proba_<label>… of the whole, then per architecture.

    A single architecture has no columns of its own, unless the whole says something else.

    Args:
        ids: (num_rows,) ids.
        folds: (repeats, num_rows) assigned folds.
        label_names: The labels in order.
        labels: (num_rows,) label indices.
        oof: Architecture to (num_rows, num_classes).
        whole: Their mean, as of `mean_oof`, or what they were fused to.
        decisions: (num_rows,) label indices, where they are not the most probable ones.
    """
    columns: dict[str, Any] = {
        "id": ids,
        "fold": pa.array(folds[0], pa.int32()),
        "label": pa.array([label_names[index] for index in labels]),
    }
    for index, name in enumerate(label_names):
        columns[f"proba_{name}"] = pa.array(whole[:, index])
    if decisions is not None:
        said = pa.array([label_names[index] for index in decisions])
        columns["decision"] = pc.if_else(np.isfinite(whole).all(axis=1), said, None)
    if len(oof) > 1 or not all(np.array_equal(own, whole, equal_nan=True) for own in oof.values()):
        for architecture, proba in oof.items():
            for index, name in enumerate(label_names):
                columns[f"{architecture}_proba_{name}"] = pa.array(proba[:, index])
    return pa.table(columns)


def proba_of(table: pa.Table, label_names: Iterable[Any], prefix: str = "") -> np.ndarray:
    """(num_rows, num_classes) of the columns `proba_<label>`, NaN in all of a row that no fold covered.

    Raises:
        KeyError: One is missing.
        ValueError: One holds what is no probability.
    """
    names = [f"{prefix}proba_{name}" for name in label_names]
    kinds = {name: table.schema.field(name).type for name in names}
    if strange := [name for name, kind in kinds.items() if not pa.types.is_floating(kind)]:
        raise ValueError(f"expected probabilities in {', '.join(strange)}, found {kinds[strange[0]]}")
    proba = np.stack([table[name].to_numpy() for name in names], axis=1)
    is_sound = ((proba >= 0) & (proba <= 1 + _ROUNDED)).all(axis=1) | np.isnan(proba).all(axis=1)
    if not is_sound.all():
        row = int(is_sound.argmin())
        found = ", ".join(f"{value:g}" for value in proba[row].tolist()[:9])
        raise ValueError(f"expected probabilities from 0 to 1, found {found} in row {row + 1}")
    return proba


def read_oof_table(
    where: str, data: bytes, label_names: Sequence[Any], ids: pa.Array, path: str
) -> np.ndarray:
    """What the whole ensemble says in an oof.parquet.

    Args:
        where: The file's place, for messages.
        data: Its bytes.
        label_names: The labels in order.
        ids: (num_rows,) those that it must be of.
        path: Of the corpus that has these.

    Returns:
        (num_rows, num_classes) probabilities, NaN of rows that no fold covered.

    Raises:
        ArtifactError: It cannot be read, or is of other rows.
    """
    try:
        table = read_parquet(data)
        proba = proba_of(table, label_names)
        same = table["id"].combine_chunks().equals(ids)
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise ArtifactError(f"{where} is damaged: {error!r}") from error
    if not same:
        raise ArtifactError(f"{where} was written for other rows: expected the ids of {path}, found others")
    return proba


def fold_table(rows: np.ndarray, proba: np.ndarray, ids: pa.Array) -> pa.Table:
    """A fold's oof.parquet: row, id and a probability a label.

    Args:
        rows: (num_valid,) rows of the corpus.
        proba: (num_valid, num_classes).
        ids: (num_rows,) ids of the whole corpus.
    """
    columns = {"row": pa.array(rows, pa.int64()), "id": ids.take(pa.array(rows))}
    columns |= {f"proba_{index}": pa.array(proba[:, index]) for index in range(proba.shape[1])}
    return pa.table(columns)


def score_oof(
    labels: np.ndarray,
    oof: np.ndarray,
    seed: int,
    decisions: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> dict[str, Any]:
    """Scores of the rows that folds covered, with their 95 % bootstrap interval.

    Args:
        labels: (num_rows,) label indices.
        oof: (num_rows, num_classes), NaN where no fold covered the row.
        seed: Of the bootstrap.
        decisions: (num_rows,) label indices; None takes the most probable.
        groups: (num_rows,) integers, equal ones of rows that belong together; None: each stands alone.
    """
    covered = np.isfinite(oof).all(axis=1)
    labels, oof = labels[covered], oof[covered]
    decisions, groups = (None if part is None else part[covered] for part in (decisions, groups))
    intervals = bootstrap_interval(labels, oof, seed, decisions=decisions, groups=groups)
    return {
        "rows": len(labels),
        "oof": score_proba(labels, oof, decisions),
        "interval": {name: [lower, upper] for name, (lower, upper) in intervals.items()},
    }


def score_folds(
    fold_metrics: Sequence[dict[str, float]], names: Sequence[str] = METRICS
) -> dict[str, dict[str, float]]:
    """Mean and sample standard deviation over fold runs of every metric of these names; NaN that of one."""
    values = {name: np.array([metrics[name] for metrics in fold_metrics]) for name in names}
    return {
        "mean": {name: float(value.mean()) for name, value in values.items()},
        "sd": {
            name: float(value.std(ddof=1)) if len(value) > 1 else float("nan")
            for name, value in values.items()
        },
    }


def score_baseline(
    labels: np.ndarray, folds: np.ndarray, oof: np.ndarray, seed: int, groups: np.ndarray | None = None
) -> dict[str, Any]:
    """A baseline's scores in the shape that architectures have; rows of no fold, below 0, do not count."""
    numbers = np.unique(folds[folds >= 0])
    metrics = [score_proba(labels[folds == fold], oof[folds == fold]) for fold in numbers]
    return {**score_folds(metrics), **score_oof(labels, oof, seed, groups=groups)}
