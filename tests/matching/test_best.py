import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.matching.best import Best, best_of, joined


def sorted_whole(scores, most):
    """By a stable sort of all: of equal scores the lowest columns."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :most]
    return order, np.take_along_axis(scores, order, axis=1)


def best_in_blocks(scores, most, size):
    best = Best(len(scores), most)
    for first in range(0, scores.shape[1], size):
        best.add(scores[:, first : first + size], first)
    return best.found()


@settings(max_examples=50)
@given(st.integers(0, 9999), st.integers(1, 40), st.integers(1, 12), st.integers(1, 45))
def test_blocks_give_what_a_sort_of_all_gives(seed, columns, most, size):
    rng = np.random.default_rng(seed)
    scores = rng.choice([-1.5, -0.25, -0.0, 0.0, 1e-30, 0.5, 3e20], (3, columns)).astype(np.float32)
    found = best_in_blocks(scores, most, size)
    rows, values = sorted_whole(scores, most)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.scores, values)


def test_any_floats_keep_their_order():
    scores = np.random.default_rng(0).normal(0, 1e3, (2, 500)).astype(np.float32)
    found = best_in_blocks(scores, 500, 77)
    np.testing.assert_array_equal(found.scores, -np.sort(-scores, axis=1))
    np.testing.assert_array_equal(np.take_along_axis(scores, found.rows, axis=1), found.scores)


def test_of_equal_scores_the_first_candidates_are_kept_though_they_came_late():
    found = best_of(np.float32([[1, 2, 1, 2]]), np.array([[9, 8, 3, 5]]), 3)
    assert found.rows.tolist() == [[5, 8, 3]] and found.scores.tolist() == [[2, 2, 1]]


def test_pieces_are_laid_end_to_end_and_cut():
    piece = best_in_blocks(np.float32([[1, 3, 2]]), 3, 2)
    both = joined([piece, piece]).cut(2)
    assert both.rows.tolist() == [[1, 2]] * 2 and both.scores.tolist() == [[3, 2]] * 2
