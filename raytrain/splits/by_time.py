"""Folds by time: each is judged by rows that were written after those that it learns from."""

import itertools
from collections.abc import Sequence

import numpy as np

from raytrain.errors import CorpusError
from raytrain.splits.assign import deal_rows
from raytrain.splits.folds import NO_FOLD, Folds

_REFUSED = "the rows cannot be folded by time"


def assign_by_time(times: np.ndarray, num_folds: int) -> np.ndarray:
    """Cuts rows in the order of time into a block that is in no fold, and one for each fold.

    Blocks are nearly of one size, as far as equal times, which never straddle them, let them: none has less
    than half an even share unless each way to cut leaves one as small. Each fold learns from all blocks
    before its own, as scikit-learn's TimeSeriesSplit has it: random folds are too easy where topics change
    (Mu et al. 2023, arXiv 2302.03147, of rumours).

    Args:
        times: (num_rows,) numbers or datetime64.
        num_folds: How many folds.

    Returns:
        (num_rows,) int32, the fold in which each row is valid; `NO_FOLD` of the first block.

    Raises:
        CorpusError: There are fewer different times than blocks.

    Example:
        >>> assign_by_time(np.array([2024, 2021, 2023, 2022, 2023, 2021]), 2).tolist()
        [1, -1, 1, 0, 1, -1]
    """
    num_blocks = num_folds + 1
    distinct, numbers, counts = np.unique(times, return_inverse=True, return_counts=True)
    if len(distinct) < num_blocks:
        problem = (
            f"expected at least {num_blocks} different times, one per fold and one before them; found "
            f"{len(distinct)}; use fewer folds, or a column of finer times"
        )
        raise CorpusError(_REFUSED, [problem])
    places = _cut(np.concatenate([[0], np.cumsum(counts)]), num_blocks)
    block_of = np.repeat(np.arange(num_blocks, dtype=np.int32), np.diff(places))
    return block_of[numbers.reshape(-1)] + np.int32(NO_FOLD)


def _cut(bounds: np.ndarray, num_blocks: int) -> np.ndarray:
    """(num_blocks + 1,) places of the blocks' ends among the bounds, the nearest to even shares.

    Where a time has more rows than a share, or a block has not half of one, they are spread anew: a time of
    many rows swallows several cuts, and were these moved behind it, blocks of hardly any rows were left.

    Args:
        bounds: (num_times + 1,) how many rows lie before each time, and all.
        num_blocks: How many blocks are to be.
    """
    places = _spread(bounds, 0, len(bounds) - 1, num_blocks)
    share, least = bounds[-1] / num_blocks, np.diff(bounds[places]).min()
    if np.diff(bounds).max() <= share <= 2 * least:
        return places
    return _even_out(bounds, _cut_by_least(bounds, num_blocks))


def _spread(bounds: np.ndarray, first: int, last: int, num_blocks: int) -> np.ndarray:
    """The places nearest to even shares between two; several may be one."""
    wanted = np.linspace(bounds[first], bounds[last], num_blocks + 1)[1:-1]
    after = np.searchsorted(bounds, wanted)
    is_nearer = wanted - bounds[after - 1] <= bounds[after] - wanted
    return np.concatenate([[first], np.where(is_nearer, after - 1, after), [last]])


def _cut_by_least(bounds: np.ndarray, num_blocks: int) -> np.ndarray:
    """As `_cut`, where the smallest block is as large as can be, and the first ones no larger than needed."""

    def cut(least: int) -> list[int]:
        """The first places behind so many rows each; past the end where there are not enough."""
        places = [0]
        while len(places) <= num_blocks and places[-1] < len(bounds):
            places.append(int(np.searchsorted(bounds, bounds[places[-1]] + least)))
        return places

    fits, too_many = 1, int(bounds[-1]) // num_blocks + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if cut(middle)[-1] < len(bounds):
            fits = middle
        else:
            too_many = middle
    return np.array([*cut(fits)[:-1], len(bounds) - 1])


def _even_out(bounds: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Spreads blocks that lie side by side evenly wherever that makes them more even, until none is left.

    Their smallest gets no smaller, and the sum of their squared sizes gets less each time.
    """
    places, is_done = places.copy(), False
    while not is_done:
        is_done = True
        for first, last in itertools.combinations(range(len(places)), 2):
            old = places[first : last + 1]
            new = _spread(bounds, old[0], old[-1], last - first)
            sizes, before = np.diff(bounds[new]), np.diff(bounds[old])
            if sizes.min() >= before.min() and (sizes**2).sum() < (before**2).sum():
                places[first : last + 1], is_done = new, False
    return places


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
