import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from raytrain.keywords.association import log_odds, pick_words

counts_of = st.integers(2, 4).flatmap(
    lambda width: st.integers(2, 6).flatmap(
        lambda height: arrays(np.int64, (height, width), elements=st.integers(0, 30))
    )
)


def by_the_formula(counts, word, label):
    """Monroe, Colaresi and Quinn's score of one word, in plain numbers."""
    num_classes = len(counts[0])
    prior = [sum(row) / num_classes for row in counts]
    inside, n = counts[word][label], sum(row[label] for row in counts)
    outside, m = sum(counts[word]) - inside, sum(map(sum, counts)) - n
    a, a0 = prior[word], sum(prior)
    delta = math.log((inside + a) / (n + a0 - inside - a)) - math.log((outside + a) / (m + a0 - outside - a))
    return delta / math.sqrt(1 / (inside + a) + 1 / (outside + a))


def test_score_is_the_formula_s():
    counts = [[9, 1, 0], [2, 2, 2], [0, 5, 20], [1, 0, 0]]
    expected = [[by_the_formula(counts, word, label) for label in range(3)] for word in range(4)]
    np.testing.assert_allclose(log_odds(np.array(counts)), expected, rtol=1e-12)


@given(counts_of)
def test_scores_are_finite_and_those_of_two_classes_mirror_each_other(counts):
    scores = log_odds(counts)
    assert np.isfinite(scores).all()
    assert not scores[counts.sum(axis=1) == 0].any()
    if counts.shape[1] == 2:
        np.testing.assert_allclose(scores[:, 0], -scores[:, 1], atol=1e-9)


@given(counts_of, st.randoms(use_true_random=False))
def test_a_word_s_score_does_not_depend_on_the_order_of_words(counts, random):
    order = random.sample(range(len(counts)), len(counts))
    np.testing.assert_allclose(log_odds(counts[order]), log_odds(counts)[order], atol=1e-9)


def test_more_of_a_class_tells_more_of_it():
    scores = log_odds(np.array([[10, 10], [20, 10], [40, 10], [100, 140]]))[:, 0]
    assert scores[0] < scores[1] < scores[2]


def test_a_rare_word_tells_less_than_a_frequent_one_of_the_same_share():
    scores = log_odds(np.array([[3, 0], [30, 0], [100, 133]]))[:, 0]
    assert 0 < scores[0] < scores[1]


def test_the_most_telling_words_of_each_class_are_picked():
    words, counts = ["甲", "乙", "丙", "丁", "戊"], np.array([[50, 0], [30, 0], [0, 30], [0, 50], [40, 40]])
    assert pick_words(words, counts, 1).tolist() == [0, -1, -1, 1, -1]
    assert pick_words(words, counts, 9).tolist() == [0, 0, 1, 1, -1]


def test_of_two_that_tell_alike_the_first_by_its_characters_is_picked():
    counts = np.array([[30, 0], [30, 0], [0, 60]])
    assert pick_words(["a", "b", "c"], counts, 1).tolist() == [0, -1, 1]
    assert pick_words(["b", "a", "c"], counts, 1).tolist() == [-1, 0, 1]


@pytest.mark.parametrize("counts", [np.zeros((0, 2)), np.zeros((2, 2)), np.array([[3, 0], [1, 2]]) * 0])
def test_where_nothing_was_counted_nothing_is_picked(counts):
    assert (pick_words(["甲", "乙"][: len(counts)], counts, 5) == -1).all()
