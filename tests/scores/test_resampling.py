import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.scores.classes import bootstrap_interval
from raytrain.scores.resampling import LEAST, MOST, draw_counts, num_resamples


@given(groups=st.lists(st.integers(-3, 5), min_size=1, max_size=30), seed=st.integers(0, 99))
def test_rows_that_belong_together_are_drawn_together_and_as_many_groups_as_there_are(groups, seed):
    groups = np.array(groups)
    for counts in draw_counts(len(groups), 3, seed, groups):
        drawn = {number: set(counts[groups == number].tolist()) for number in groups.tolist()}
        assert all(len(found) == 1 for found in drawn.values())
        assert sum(found.pop() for found in drawn.values()) == len(drawn)


@given(num_rows=st.integers(1, 50), seed=st.integers(0, 99))
def test_rows_that_stand_alone_are_drawn_as_without_groups(num_rows, seed):
    alone = np.arange(num_rows) * 7 - 3
    for one, other in zip(draw_counts(num_rows, 3, seed), draw_counts(num_rows, 3, seed, alone), strict=True):
        assert one.sum() == num_rows and np.array_equal(one, other)


def test_copies_of_rows_make_no_interval_narrower():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    proba = np.clip(rng.normal(0.4 + 0.2 * labels, 0.3), 0.01, 0.99)
    proba = np.stack([1 - proba, proba], axis=1)
    once = bootstrap_interval(labels, proba, 3, resamples=200)
    copied = np.repeat(labels, 5), np.repeat(proba, 5, axis=0)
    together = bootstrap_interval(*copied, 3, resamples=200, groups=np.repeat(np.arange(60), 5))
    for name, ends in once.items():
        assert together[name] == pytest.approx(ends), name
    lower, upper = bootstrap_interval(*copied, 3, resamples=200)["accuracy"]
    assert upper - lower < 0.6 * (once["accuracy"][1] - once["accuracy"][0])


def test_the_more_a_resample_costs_the_fewer_are_taken():
    assert [num_resamples(size, 10_000) for size in (1, 20, 1000)] == [MOST, 500, LEAST]
    assert num_resamples(1, 10_000, most=5) == 5
    assert num_resamples(0, 10_000) == MOST
