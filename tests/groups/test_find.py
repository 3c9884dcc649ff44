import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from raytrain.groups import find
from raytrain.groups.find import compare_numbers, find_groups


def blobs(num_groups, size=60, seed=0, spread=0.1):
    """Vectors about as many middles, and which each is about."""
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(num_groups, 12))
    truth = np.repeat(np.arange(num_groups), size + np.arange(num_groups))
    vectors = middles[truth] + rng.normal(0, spread, (len(truth), 12))
    return vectors.astype(np.float32), truth


@pytest.mark.parametrize("num_groups", [2, 5])
def test_the_number_is_that_on_which_halves_agree(num_groups):
    vectors, truth = blobs(num_groups)
    found = find_groups(vectors)
    assert found.num_groups == num_groups and found.stability[num_groups] == max(found.stability.values())
    assert adjusted_rand_score(truth, found.groups) == 1


def test_groups_are_numbered_by_falling_size_and_likeness_is_to_their_mean():
    vectors, _ = blobs(3)
    found = find_groups(vectors, num_groups=3)
    assert np.bincount(found.groups).tolist() == [62, 61, 60] and found.stability == {}
    own = vectors[found.groups == 1]
    mean = own.mean(axis=0)
    cosines = own @ mean / np.linalg.norm(own, axis=1) / np.linalg.norm(mean)
    np.testing.assert_allclose(found.likeness[found.groups == 1], cosines, rtol=1e-5)


def test_dense_places_are_found_and_what_lies_between_is_in_none():
    vectors, truth = blobs(3, spread=0.05)
    scattered = np.random.default_rng(1).normal(0, 3, (40, 12)).astype(np.float32)
    found = find_groups(np.concatenate([vectors, scattered]), "hdbscan", least_size=20)
    assert found.num_groups == 3
    inside = found.groups[: len(truth)]
    assert (inside >= 0).mean() > 0.8 and (found.groups[len(truth) :] < 0).mean() > 0.8
    assert adjusted_rand_score(truth[inside >= 0], inside[inside >= 0]) == 1
    assert (found.likeness[found.groups < 0] == 0).all()


def test_of_more_texts_than_are_compared_the_rest_follows_its_neighbours(monkeypatch):
    vectors, truth = blobs(3, spread=0.05)
    monkeypatch.setattr(find, "DENSE_TEXTS", 90)
    found = find_groups(vectors, "hdbscan", least_size=10)
    is_in = found.groups >= 0
    assert found.num_groups == 3 and is_in.mean() > 0.8
    assert adjusted_rand_score(truth[is_in], found.groups[is_in]) == 1


def test_small_batches_find_the_same_groups(monkeypatch):
    vectors, truth = blobs(4)
    monkeypatch.setattr(find, "AT_ONCE", 50)
    assert adjusted_rand_score(truth, find_groups(vectors, num_groups=4).groups) == 1


def test_more_groups_than_texts_that_differ_are_refused():
    with pytest.raises(ValueError, match="4 or more, found 2"):
        find_groups(np.repeat(np.eye(2, dtype=np.float32), 5, axis=0), num_groups=4)


@pytest.mark.parametrize(("different", "num_groups"), [(10, 10), (2, 2)])
def test_no_more_groups_are_tried_than_texts_that_differ(different, num_groups):
    vectors, _ = blobs(different, size=1, spread=1)
    found = find_groups(np.repeat(vectors[:different], 400 // different, axis=0))
    assert found.num_groups == num_groups and max(found.stability) == num_groups


def test_texts_that_are_all_the_same_have_no_groups():
    with pytest.raises(ValueError, match="2 or more, found 1"):
        find_groups(np.ones((40, 3), np.float32))


@given(st.integers(4, 40), st.integers(0, 3))
def test_few_texts_have_few_numbers_to_try(size, seed):
    vectors = np.random.default_rng(seed).normal(size=(size, 3)).astype(np.float32)
    tried = compare_numbers(vectors, seed, size)
    assert 2 in tried and max(tried) <= max(2, size // 10)
    assert all(-1 <= value <= 1 for value in tried.values())


def test_texts_that_differ_are_looked_for_to_the_end():
    vectors, _ = blobs(3)
    same_first = np.concatenate([np.repeat(vectors[:1], 1200, axis=0), vectors])
    assert find_groups(same_first, num_groups=3).num_groups == 3
    with pytest.raises(ValueError, match="3 or more, found 1"):
        find_groups(same_first[:1200], num_groups=3)


@pytest.mark.parametrize("size", [2, 3])
def test_of_very_few_texts_the_number_of_groups_is_to_be_said(size):
    vectors, _ = blobs(4, size=1)
    with pytest.raises(ValueError, match="say how many groups"):
        find_groups(vectors[:size])
    assert find_groups(vectors[:size], num_groups=2).num_groups == 2
