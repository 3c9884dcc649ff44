import numpy as np
import pytest

from raytrain.matching.best import Found
from raytrain.matching.fused import FirstStage, fuse


def found(*rows):
    rows = np.array(rows)
    return Found(rows, np.ones(rows.shape, np.float32))


class Fixed:
    def __init__(self, *rows):
        self.rows, self.asked = rows, []

    def find(self, part, most):
        self.asked.append(most)
        return found(*self.rows[part]).cut(most)


def test_ranks_are_summed_and_ties_fall_to_the_first_candidate():
    fused = fuse([found([4, 2, 7]), found([2, 9, 4])], 3)
    assert fused.rows.tolist() == [[2, 4, 9]]
    np.testing.assert_allclose(fused.scores, [[1 / 62 + 1 / 61, 1 / 61 + 1 / 63, 1 / 62]], rtol=1e-6)
    assert fuse([found([5, 1]), found([1, 5])], 2).rows.tolist() == [[1, 5]]


def test_several_searches_are_told_apart_and_fused():
    words, vectors = Fixed([3, 1, 2], [1, 2, 3]), Fixed([3, 2, 1], [2, 1, 3])
    stages = FirstStage({"vectors": vectors, "words": words}).find(slice(0, 2), 2)
    assert list(stages) == ["vectors", "words", "both"]
    assert stages["words"].rows.tolist() == [[3, 1], [1, 2]] and stages["both"].rows.tolist() == [
        [3, 1],
        [1, 2],
    ]
    assert words.asked == vectors.asked == [100]


def test_a_search_alone_is_the_answer():
    search = Fixed([3, 1, 2])
    stages = FirstStage({"words": search}).find(slice(0, 1), 2)
    assert list(stages) == ["words"] and stages["words"].rows.tolist() == [[3, 1]] and search.asked == [2]


@pytest.mark.parametrize("depth", [101, 250])
def test_more_than_the_least_depth_is_fused_where_more_is_asked_for(depth):
    search = Fixed([1])
    FirstStage({"vectors": search, "words": search}).find(slice(0, 1), depth)
    assert search.asked == [depth] * 2


def test_what_has_nothing_in_common_with_a_query_has_no_rank():
    nothing = Found(np.array([[0, 1, 2]]), np.zeros((1, 3), np.float32))
    vectors = found([700, 0, 5])
    assert fuse([vectors, nothing], 3).rows.tolist() == [[700, 0, 5]]
    some = Found(np.array([[5, 1, 2]]), np.array([[3.0, 0, 0]], np.float32))
    assert fuse([vectors, some], 2).rows.tolist() == [[5, 700]]
