"""Which rows are valid in which fold, at random: stratified, and groups kept together."""

import numpy as np
from sklearn.model_selection import StratifiedKFold

from raytrain.errors import CorpusError


def assign_folds(
    labels: np.ndarray,
    num_folds: int,
    repeats: int,
    seed: int,
    groups: np.ndarray | None = None,
    with_every_class: bool = True,
) -> np.ndarray:
    """Assigns every row to one valid fold per repeat, stratified by label and shuffled by seed.

    Where no group has two rows, the folds are those without groups.

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
    if counts.get("groups") == num_rows:
        groups = None
    for repeat in range(repeats):
        if groups is not None:
            assigned[repeat] = deal_rows(labels, groups, num_folds, np.random.default_rng(seed + repeat))
            continue
        splitter = StratifiedKFold(n_splits=num_folds, shuffle=True, random_state=seed + repeat)
        for fold, (_, valid) in enumerate(splitter.split(np.zeros(num_rows), labels)):
            assigned[repeat, valid] = fold
    problems = _uneven(assigned, labels if with_every_class else np.zeros(num_rows), num_folds)
    if problems:
        raise CorpusError("the rows cannot be folded", problems)
    return assigned


def deal_rows(labels: np.ndarray, groups: np.ndarray, num_folds: int, rng: np.random.Generator) -> np.ndarray:
    """Assigns groups of two rows and more, the largest first; rows that stand alone then level the folds.

    scikit-learn's StratifiedGroupKFold weighs every row that stands alone, too: minutes for a million.

    Args:
        labels: (num_rows,) label indices, or other strata; of each there may be less than a row per fold.
        groups: (num_rows,) values; equal values never straddle folds.
        num_folds: How many folds.
        rng: Decides what is not decided by balance.

    Returns:
        (num_rows,) int32.
    """
    classes = np.unique(labels, return_inverse=True)[1].reshape(-1)
    _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    numbers = numbers.reshape(-1)
    folds = np.full(len(labels), -1, np.int32)
    of_class = np.bincount(classes)
    held = np.zeros((len(of_class), num_folds), np.int64)  # rows of each class in each fold
    together = np.flatnonzero(sizes[numbers] > 1)
    own = np.unique(numbers[together], return_inverse=True)[1].reshape(-1)
    folds[together] = _place_groups(own, classes[together], of_class, held, rng)[own]
    alone = rng.permutation(np.flatnonzero(folds < 0))
    for kind in range(len(held)):
        rows = alone[classes[alone] == kind]
        added = _level(held[kind], len(rows), held.sum(axis=0) + rng.random(num_folds))
        held[kind] += added
        folds[rows] = np.repeat(np.arange(num_folds, dtype=np.int32), added)
    return folds


def _place_groups(
    groups: np.ndarray,
    classes: np.ndarray,
    of_class: np.ndarray,
    held: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Chooses the fold of each group so that the sum of squared shares of each class grows the least.

    Args:
        groups: (n,) group numbers from 0 on.
        classes: (n,) class numbers.
        of_class: (num_classes,) rows of each class in all, of which shares are taken.
        held: (num_classes, num_folds) rows of each class in each fold; the groups' are added.
        rng: Decides between groups of one size.

    Returns:
        (num_groups,) int32.
    """
    weights = 1.0 / of_class**2.0
    sizes = np.bincount(groups)
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    by_group = np.argsort(groups, kind="stable")
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    chosen = np.zeros(len(sizes), np.int32)
    totals = held.sum(axis=0)
    for group in order.tolist():
        own = np.bincount(classes[by_group[bounds[group] : bounds[group + 1]]], minlength=len(held))
        cost = (weights * own) @ held
        fold = int(np.lexsort((totals, cost))[0])
        held[:, fold] += own
        totals[fold] += sizes[group]
        chosen[group] = fold
    return chosen


def _level(held: np.ndarray, extra: int, preference: np.ndarray) -> np.ndarray:
    """How many of `extra` rows each fold gets, so that all hold as nearly the same as can be.

    Args:
        held: (num_folds,) what each has.
        extra: What there is to give.
        preference: (num_folds,) the folds of the least numbers get what is left over.

    Returns:
        (num_folds,) int64.
    """
    lowest = np.sort(held)
    level = int(((extra + np.cumsum(lowest)) // np.arange(1, len(held) + 1)).min())
    added = np.maximum(level - held, 0)
    at_level = np.flatnonzero(held + added == level)
    left_over = at_level[np.argsort(preference[at_level])][: extra - int(added.sum())]
    added[left_over] += 1
    return added


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
