import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.errors import CorpusError
from raytrain.splits.by_time import assign_by_time, check_by_time, deal_again
from raytrain.splits.folds import NO_FOLD, Folds

some_times = st.lists(st.integers(0, 25), min_size=3, max_size=60).map(np.array)


@settings(max_examples=200)
@given(some_times, st.integers(2, 6))
def test_each_fold_is_judged_by_what_came_after_all_that_it_learns_from(times, num_folds):
    if len(np.unique(times)) <= num_folds:
        with pytest.raises(CorpusError):
            assign_by_time(times, num_folds)
        return
    valid = assign_by_time(times, num_folds)
    folds = Folds(valid[None], np.arange(len(times)))
    assert set(valid.tolist()) == {NO_FOLD, *range(num_folds)}
    for fold in range(num_folds):
        is_train, is_valid = folds.is_train(0, fold), folds.is_valid(0, fold)
        assert times[is_train].max() < times[is_valid].min()
        assert set(np.unique(times[is_train])) | set(np.unique(times[times >= times[is_valid].min()])) == set(
            times
        )
    for time in np.unique(times):
        assert len(set(valid[times == time].tolist())) == 1


@given(st.integers(2, 9), st.data())
def test_blocks_of_different_times_are_as_even_as_can_be(num_folds, data):
    num_rows = data.draw(st.integers(num_folds + 1, 80))
    times = np.array(data.draw(st.permutations(range(num_rows))))
    sizes = np.bincount(assign_by_time(times, num_folds) + 1)
    assert len(sizes) == num_folds + 1 and sizes.max() - sizes.min() <= 1


few_times = st.lists(st.sampled_from([1, 1, 1, 2, 3, 8, 30, 90]), min_size=4, max_size=10)


@settings(max_examples=300)
@given(few_times, st.integers(2, 4))
def test_no_block_is_needlessly_small(counts, num_folds):
    if len(counts) <= num_folds:
        return
    sizes = np.bincount(assign_by_time(np.repeat(np.arange(len(counts)), counts), num_folds) + 1)
    ends = np.concatenate([[0], np.cumsum(counts)])
    least = max(
        np.diff(ends[[0, *cuts, len(counts)]]).min()
        for cuts in itertools.combinations(range(1, len(counts)), num_folds)
    )
    assert len(sizes) == num_folds + 1 and sizes.sum() == sum(counts)
    assert sizes.min() >= min(sum(counts) / (2 * len(sizes)), least)
    for place, cut in enumerate(
        np.cumsum(sizes)[:-1]
    ):  # beside a time of many rows no cut lies better elsewhere
        ours = sizes[place] ** 2 + sizes[place + 1] ** 2
        first, last = cut - sizes[place], cut + sizes[place + 1]
        moved = [(end - first) ** 2 + (last - end) ** 2 for end in ends if first < end < last]
        assert max(counts) <= sum(counts) / len(sizes) or ours == min(moved)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([90, *[1] * 100], [90, 25, 25, 25, 25]),
        ([*[1] * 100, 90], [25, 25, 25, 25, 90]),
        ([*[1] * 50, 90, *[1] * 50], [25, 25, 90, 25, 25]),
        ([1, 90, *[1] * 99], [91, 25, 25, 25, 24]),
        ([40, 1, 80, *[1] * 69], [41, 80, 23, 23, 23]),
        ([57, *[1] * 133], [57, 33, 33, 33, 34]),
        ([*[1] * 200_000, 180_000, *[1] * 200_000], [100_000, 100_000, 180_000, 100_000, 100_000]),
    ],
    ids=["at first", "at last", "in the midst", "after a single one", "near another", "barely", "of many"],
)
def test_beside_a_time_of_many_rows_blocks_are_even(counts, expected):
    sizes = np.bincount(assign_by_time(np.repeat(np.arange(len(counts)), counts), 4) + 1)
    assert np.abs(sizes - expected).max() <= 1


@given(st.lists(st.integers(10, 20), min_size=30, max_size=60), st.integers(2, 4))
def test_times_of_few_rows_are_cut_nearest_to_even_shares(counts, num_folds):
    sizes = np.bincount(assign_by_time(np.repeat(np.arange(len(counts)), counts), num_folds) + 1)
    ends = np.cumsum(counts)
    wanted = np.arange(1, num_folds + 1) * ends[-1] / (num_folds + 1)
    assert np.cumsum(sizes)[:-1].tolist() == [min(ends, key=lambda end: abs(end - at)) for at in wanted]


@given(some_times, st.integers(2, 4), st.randoms())
def test_the_order_in_the_file_does_not_matter(times, num_folds, random):
    if len(np.unique(times)) <= num_folds:
        return
    order = np.array(random.sample(range(len(times)), len(times)))
    assert np.array_equal(assign_by_time(times[order], num_folds), assign_by_time(times, num_folds)[order])


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0] * 8 + [1, 2, 3], [-1] * 8 + [0, 1, 2]),
        ([0, 1, 2] + [3] * 8, [-1, 0, 1] + [2] * 8),
        ([0, 1] + [2] * 8 + [3], [-1, 0] + [1] * 8 + [2]),
        ([0, 0, 1, 1, 2, 2, 3, 3], [-1, -1, 0, 0, 1, 1, 2, 2]),
    ],
    ids=["at first", "at last", "in the midst", "even"],
)
def test_a_time_of_many_rows_leaves_no_block_empty(times, expected):
    assert assign_by_time(np.array(times), 3).tolist() == expected


def test_dates_are_cut_as_numbers_are():
    dates = np.array(["2012-03-04", "2011-01-01", "2013-05-06"], "datetime64[us]")
    assert assign_by_time(dates, 2).tolist() == [0, -1, 1]


def test_too_few_different_times():
    with pytest.raises(CorpusError, match=r"at least 4 different times.*found 3; use fewer folds"):
        assign_by_time(np.array([1, 2, 3, 3, 3]), 3)


# ── enough to learn from ───────────────────────────────────────────────────────────────────────────


def folds_of(valid, groups=None):
    return Folds(np.array([valid]), np.arange(len(valid)) if groups is None else np.array(groups))


def problems_of(folds, labels):
    with pytest.raises(CorpusError, match="the rows cannot be folded by time") as caught:
        check_by_time(folds, None if labels is None else np.array(labels), ["假", "真", "疑"])
    return caught.value.problems


def test_folds_that_lack_a_class_are_named_with_it():
    problems = problems_of(folds_of([-1, -1, 0, 0, 1]), [0, 0, 0, 1, 2])
    assert problems[0].startswith("fold 0 learns from the 2 rows before it: ")
    assert problems[0].endswith("found none of '真', '疑'") and problems[1].endswith("found none of '疑'")
    assert "use fewer folds" in problems[-1] and len(problems) == 3


def test_folds_with_every_class_before_them_are_good():
    check_by_time(folds_of([-1, -1, -1, 0, 1]), np.array([0, 1, 2, 0, 0]), ["假", "真", "疑"])


def test_what_belongs_to_valid_rows_is_missing_from_what_is_learned():
    problems = problems_of(folds_of([-1, -1, -1, 0], [0, 1, 2, 2]), [0, 1, 2, 2])
    told = "fold 0 learns from the 2 rows before it, without 1 of groups that it is judged by: "
    assert problems[0] == f"{told}expected rows of each class, found none of '疑'"


def test_a_fold_of_which_all_earlier_rows_are_left_out_has_nothing_to_learn_from():
    problems = problems_of(folds_of([-1, -1, 0], [5, 5, 5]), None)
    assert "learns from the 0 rows before it, without 2 of" in problems[0] and "one at least" in problems[0]


def test_a_tagger_needs_no_class_in_each_fold():
    check_by_time(folds_of([-1, 0, 1]), None, ["O", "B-LOC", "I-LOC"])


# ── the same at random ─────────────────────────────────────────────────────────────────────────────

LABELS = np.random.default_rng(0).integers(0, 2, 90)
GROUPS = np.where(np.arange(90) % 5 == 0, np.arange(90) // 20, np.arange(90) + 10)
IN_TIME = Folds(assign_by_time(np.random.default_rng(1).permutation(90), 4)[None], GROUPS)


def test_random_folds_cover_the_same_rows_and_learn_from_as_many():
    valid, is_train = deal_again(IN_TIME, LABELS, 7)
    assert np.array_equal(valid >= 0, IN_TIME.covered) and not np.array_equal(valid, IN_TIME.valid[0])
    sizes = np.bincount(valid[valid >= 0], minlength=4)
    assert sizes.max() - sizes.min() <= 2
    found, wanted = is_train.sum(axis=1).tolist(), IN_TIME.train_masks().sum(axis=1).tolist()
    assert found[:3] == wanted[:3]
    apart = ~np.isin(GROUPS, GROUPS[valid == 3])  # the last one's groups leave one too few
    assert found[3] == apart.sum() == wanted[3] - 1


def test_random_folds_learn_from_no_group_that_they_are_judged_by():
    valid, is_train = deal_again(IN_TIME, LABELS, 7)
    for fold in range(4):
        assert not set(GROUPS[is_train[fold]]) & set(GROUPS[valid == fold])
        assert set(LABELS[is_train[fold]]) == {0, 1}
    assert (is_train & (valid > np.arange(4)[:, None])).any()  # later rows, too


def test_few_rows_to_learn_from_hold_each_class():
    labels = np.array([0, 1] + [0] * 28)
    folds = Folds(np.repeat([-1, 0, 1], [2, 14, 14])[None], np.arange(30))
    for seed in range(9):
        _, is_train = deal_again(folds, labels, seed)
        assert set(labels[is_train[0]]) == {0, 1} and is_train[0].sum() == 2


def test_random_folds_follow_from_the_seed():
    one, same, other = (deal_again(IN_TIME, LABELS, seed) for seed in (7, 7, 8))
    assert np.array_equal(one[0], same[0]) and np.array_equal(one[1], same[1])
    assert not np.array_equal(one[0], other[0])
