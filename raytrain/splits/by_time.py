"""Folds by time: each is judged by rows that were written after those that it learns from."""

from collections.abc import Sequence

import numpy as np

from raytrain.errors import CorpusError
from raytrain.splits.assign import deal_rows
from raytrain.splits.folds import NO_FOLD, Folds

_REFUSED = "the rows cannot be folded by time"


def assign_by_time(times: np.ndarray, num_folds: int) -> np.ndarray:
    """Cuts rows in the order of time into a block that is in no fold, and one for each fold.

    Blocks are as nearly of one size as can be where equal times never straddle them and none is empty. Each
    fold learns from all blocks before its own, as scikit-learn's TimeSeriesSplit has it: random folds are too
    easy where topics change (Mu et al. 2023, arXiv 2302.03147, of rumours).

    Args:
        times: (num_rows,) numbers or datetime64.
        num_folds: How many folds.

    Returns:
        (num_rows,) int32, the fold in which each row is valid; `NO_FOLD` of the first block.

    Raises:
        CorpusError: There are fewer different times than blocks.

    Example:
        >>> assign_by_time(np.array([2024, 2021, 2023, 2022, 2023, 2021]), 2).tolist()
        [1, -1, 0, 0, 0, -1]
    """
    num_blocks = num_folds + 1
    distinct, numbers, counts = np.unique(times, return_inverse=True, return_counts=True)
    if len(distinct) < num_blocks:
        problem = (
            f"expected at least {num_blocks} different times, one per fold and one before them; found "
            f"{len(distinct)}; use fewer folds, or a column of finer times"
        )
        raise CorpusError(_REFUSED, [problem])
    cuts = np.concatenate([[0], _cut(np.cumsum(counts), num_blocks), [len(distinct)]])
    block_of = np.repeat(np.arange(num_blocks, dtype=np.int32), np.diff(cuts))
    return block_of[numbers.reshape(-1)] + np.int32(NO_FOLD)


def _cut(ends: np.ndarray, num_blocks: int) -> np.ndarray:
    """(num_blocks - 1,) how many different times lie before each cut, the nearest to even shares.

    Args:
        ends: (num_times,) how many rows have each time or an earlier one.
        num_blocks: How many blocks are to be.
    """
    wanted = np.arange(1, num_blocks) * (ends[-1] / num_blocks)
    after = np.minimum(np.searchsorted(ends, wanted), len(ends) - 1)
    before = np.maximum(after - 1, 0)
    is_nearer = np.abs(ends[before] - wanted) <= np.abs(ends[after] - wanted)
    cuts = np.where(is_nearer, before, after) + 1
    # A time of many rows takes the place of several cuts, which then move behind it, or before it at the end.
    steps = np.arange(num_blocks - 1)
    cuts = np.maximum.accumulate(cuts - steps) + steps
    return np.minimum(cuts, len(ends) - num_blocks + 1 + steps)


def check_by_time(folds: Folds, labels: np.ndarray | None, names: Sequence[int | str]) -> None:
    """Refuses folds in time that have too little to learn from.

    Args:
        folds: In time.
        labels: (num_rows,) label indices, each of which a fold must learn; None of a tagger.
        names: The labels in order.

    Raises:
        CorpusError: Naming each such fold, and the classes that it lacks.
    """
    problems = []
    for fold in range(folds.num_folds):
        is_train = folds.is_train(0, fold)
        num_left_out = folds.num_left_out(0, fold)
        told = f", without {num_left_out:,} of groups that it is judged by" if num_left_out else ""
        where = f"fold {fold} learns from the {int(is_train.sum()):,} rows before it{told}"
        if not is_train.any():
            problems.append(f"{where}: expected one at least; use fewer folds")
        elif labels is not None:
            counts = np.bincount(labels[is_train], minlength=len(names))
            absent = ", ".join(repr(str(names[index])) for index in np.flatnonzero(counts == 0).tolist())
            if absent:
                problems.append(f"{where}: expected rows of each class, found none of {absent}")
    if problems:
        advice = "use fewer folds, so that the first learns from more; or folds at random, folds.time=null"
        raise CorpusError(_REFUSED, [*problems, advice])


def deal_again(folds: Folds, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Folds at random of the rows that folds in time are judged by, each with as many rows to learn from.

    So nothing but the order in time tells the two apart: neither the rows that are scored nor how much is
    learned from.

    Args:
        folds: In time.
        labels: (num_rows,) label indices, over which the folds are stratified.
        seed: Of the shuffles.

    Returns:
        (num_rows,) int32, the fold in which each row is valid; and (num_folds, num_rows) bool, whether each
        learns from the row: drawn from all that are not of a group that it is judged by, each class at
        least once; where these are fewer than in time, all of them.
    """
    rng = np.random.default_rng(seed)
    groups = folds.groups if folds.groups is not None else np.arange(len(labels))
    covered = np.flatnonzero(folds.covered)
    valid = np.full(len(labels), NO_FOLD, np.int32)
    valid[covered] = deal_rows(labels[covered], groups[covered], folds.num_folds, rng)
    is_train = np.zeros((folds.num_folds, len(labels)), bool)
    for fold in range(folds.num_folds):
        others = rng.permutation(np.flatnonzero(~np.isin(groups, groups[valid == fold])))
        first = np.unique(labels[others], return_index=True)[1]
        order = np.concatenate([others[first], np.delete(others, first)])
        is_train[fold, order[: folds.is_train(0, fold).sum()]] = True
    return valid, is_train
