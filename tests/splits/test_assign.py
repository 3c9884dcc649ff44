import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from raytrain.errors import CorpusError
from raytrain.splits.assign import assign_folds


def labels_of(*counts):
    return np.repeat(np.arange(len(counts)), counts)


some_labels = st.lists(st.integers(5, 30), min_size=2, max_size=4).flatmap(
    lambda counts: st.permutations(list(labels_of(*counts))).map(np.array)
)


@settings(max_examples=40)
@given(some_labels, st.integers(2, 5), st.integers(1, 3), st.integers(0, 2**31 - 20_000))
def test_each_row_is_valid_in_one_fold_of_each_repeat(labels, num_folds, repeats, seed):
    assigned = assign_folds(labels, num_folds, repeats, seed)
    assert assigned.shape == (repeats, len(labels))
    assert assigned.dtype == np.int32
    for folds in assigned:
        assert sorted(np.unique(folds)) == list(range(num_folds))


@settings(max_examples=40)
@given(some_labels, st.integers(2, 5), st.integers(0, 1000))
def test_each_class_is_spread_evenly(labels, num_folds, seed):
    (folds,) = assign_folds(labels, num_folds, 1, seed)
    for label in np.unique(labels):
        counts = np.bincount(folds[labels == label], minlength=num_folds)
        assert counts.max() - counts.min() <= 1
    sizes = np.bincount(folds)
    assert sizes.max() - sizes.min() <= len(np.unique(labels))


def test_the_seed_decides():
    labels = labels_of(40, 60)
    first = assign_folds(labels, 5, 2, seed=7)
    assert np.array_equal(first, assign_folds(labels, 5, 2, seed=7))
    assert not np.array_equal(first, assign_folds(labels, 5, 2, seed=8))


def test_repeats_differ():
    first, second, third = assign_folds(labels_of(40, 60), 5, 3, seed=7)
    assert not np.array_equal(first, second)
    assert not np.array_equal(second, third)


def test_more_repeats_keep_the_earlier_ones():
    labels = labels_of(40, 60)
    assert np.array_equal(assign_folds(labels, 5, 3, seed=7)[:2], assign_folds(labels, 5, 2, seed=7))


def test_no_global_generator_is_used_or_moved():
    state = np.random.get_state()[1].copy()
    assign_folds(labels_of(20, 20), 4, 2, seed=3)
    assert np.array_equal(state, np.random.get_state()[1])


@settings(max_examples=40)
@given(st.data(), st.integers(2, 4), st.integers(0, 1000))
def test_groups_never_straddle_folds(data, num_folds, seed):
    num_groups = data.draw(st.integers(3 * num_folds, 6 * num_folds))
    groups = np.array([f"店{i}" for i in range(num_groups) for _ in range(data.draw(st.integers(1, 4)))])
    labels = np.array(data.draw(st.lists(st.integers(0, 1), min_size=len(groups), max_size=len(groups))))
    try:
        assigned = assign_folds(labels, num_folds, 2, seed, groups)
    except CorpusError:  # so uneven that a fold is empty or lacks a class: tested below
        return
    for folds in assigned:
        for group in np.unique(groups):
            assert len(np.unique(folds[groups == group])) == 1


def test_even_groups_can_be_folded():
    labels = np.tile([0, 1], 30)
    groups = np.repeat([f"用户{i}" for i in range(20)], 3)
    (folds,) = assign_folds(labels, 5, 1, 0, groups)
    assert sorted(np.bincount(folds)) == [12] * 5


some_groups = some_labels.flatmap(
    lambda labels: st.tuples(
        st.just(labels),
        st.lists(st.integers(0, 40), min_size=len(labels), max_size=len(labels)).map(np.array),
    )
)


@settings(max_examples=60)
@given(some_groups, st.integers(2, 4), st.integers(0, 1000))
def test_rows_that_stand_alone_level_what_groups_left_uneven(labels_and_groups, num_folds, seed):
    """Groups of half of the rows at most, as many rows beside them that stand alone."""
    labels, groups = labels_and_groups
    labels, groups = np.tile(labels, 2), np.concatenate([groups, np.arange(len(labels)) + 100])
    (folds,) = assign_folds(labels, num_folds, 1, seed, groups, with_every_class=False)
    assert set(folds.tolist()) == set(range(num_folds))
    for group in np.unique(groups):
        assert len(set(folds[groups == group].tolist())) == 1
    for label in np.unique(labels):
        counts = np.bincount(folds[labels == label], minlength=num_folds)
        largest = max(np.bincount(groups[labels == label]))
        assert counts.max() - counts.min() <= max(1, largest)


@settings(max_examples=40)
@given(some_labels, st.integers(2, 5), st.integers(0, 1000))
def test_groups_of_one_row_each_are_folded_as_if_there_were_none(labels, num_folds, seed):
    names = np.array([f"用户{row}" for row in range(len(labels))], object)
    expected = assign_folds(labels, num_folds, 2, seed)
    assert np.array_equal(assign_folds(labels, num_folds, 2, seed, names), expected)
    splitter = StratifiedKFold(num_folds, shuffle=True, random_state=seed)
    for fold, (_, valid) in enumerate(splitter.split(labels, labels)):
        assert (expected[0, valid] == fold).all()


def test_groups_are_folded_by_seed_and_repeats_differ():
    labels, groups = labels_of(40, 60), np.arange(100) // 2
    folds = assign_folds(labels, 5, 2, 7, groups)
    assert np.array_equal(folds, assign_folds(labels, 5, 2, 7, groups))
    assert not np.array_equal(folds[0], folds[1])
    assert not np.array_equal(folds, assign_folds(labels, 5, 2, 8, groups))


def unevenness(folds, labels, num_folds):
    counts = [np.bincount(folds[labels == label], minlength=num_folds) for label in np.unique(labels)]
    return np.mean([own.std() / own.mean() for own in counts])


@pytest.mark.parametrize(
    ("sizes", "share"),
    [((2, 6), 0.15), ((2, 9), 1.0), ((20, 80), 1.0), ((2, 100), 0.8)],
    ids=["few duplicates", "groups alone", "large groups", "groups of all sizes"],
)
def test_folds_are_as_even_as_scikit_learns(sizes, share):
    ours, theirs = [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        groups, row = np.arange(1000), 0
        labels = rng.integers(0, 3, 1000)
        while row < share * 1000:
            size = int(rng.integers(*sizes))
            groups[row : row + size] = row
            labels[row : row + size] = np.where(rng.random() < 0.8, labels[row], labels[row : row + size])
            row += size
        (folds,) = assign_folds(labels, 5, 1, seed, groups)
        ours.append(unevenness(folds, labels, 5))
        splitter = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        for fold, (_, valid) in enumerate(splitter.split(labels, labels, groups)):
            folds[valid] = fold
        theirs.append(unevenness(folds, labels, 5))
    assert np.mean(ours) <= 1.05 * np.mean(theirs)


def test_too_few_groups():
    with pytest.raises(CorpusError, match=r"at least 3 groups.*found 2"):
        assign_folds(labels_of(6, 6), 3, 1, 0, np.array(["甲", "乙"] * 6))


def test_too_few_rows():
    with pytest.raises(CorpusError, match=r"at least 5 rows.*found 4"):
        assign_folds(np.zeros(4, int), 5, 1, 0)


def test_a_class_within_one_group_is_missing_from_training():
    labels = np.array([0] * 20 + [1] * 5)
    groups = np.array([f"g{i}" for i in range(20)] + ["只有一家"] * 5)
    with pytest.raises(CorpusError) as caught:
        assign_folds(labels, 3, 1, 0, groups)
    assert any("training rows lack a class" in problem for problem in caught.value.problems)
    (folds,) = assign_folds(labels, 3, 1, 0, groups, with_every_class=False)
    assert len(set(folds[20:].tolist())) == 1
