import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.matching import nearest as module
from raytrain.matching.nearest import VectorSearch, nearest, to_length_one

DIRECTIONS = {"东": [1, 0], "东北": [1, 1], "北": [0, 1], "西": [-1, 0]}
EVERY = slice(None)


def embed(texts):
    assert len(set(texts)) == len(texts)
    return np.array([DIRECTIONS[text] for text in texts], np.float32)


@settings(max_examples=50)
@given(st.integers(0, 9999), st.integers(1, 60), st.integers(1, 9), st.integers(1, 9), st.integers(1, 70))
def test_any_blocks_find_what_the_whole_product_holds(seed, num_candidates, most, queries_at_once, block):
    rng = np.random.default_rng(seed)
    # Small integers, whose products are exact and often equal.
    queries, candidates = (rng.integers(-2, 3, (n, 3)).astype(np.float32) for n in (7, num_candidates))
    found = nearest(queries, candidates, most, queries_at_once, block)
    products = queries @ candidates.T
    expected = np.argsort(-products, axis=1, kind="stable")[:, :most]
    np.testing.assert_array_equal(found.rows, expected)
    np.testing.assert_array_equal(found.scores, np.take_along_axis(products, expected, axis=1))


@pytest.mark.parametrize(("queries_at_once", "block"), [(1, 7), (5, 64), (200, 1000)])
def test_vectors_of_any_numbers_are_found_alike_in_any_blocks(queries_at_once, block):
    rng = np.random.default_rng(1)
    queries, candidates = (to_length_one(rng.normal(size=(n, 24))) for n in (20, 300))
    candidates[200:] = candidates[:100]
    found = nearest(queries, candidates, 10, queries_at_once, block)
    expected = nearest(queries, candidates, 10)
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.scores, expected.scores)
    exact = queries.astype(np.float64) @ candidates.astype(np.float64).T
    np.testing.assert_array_equal(found.rows[:, 0], exact[:, :200].argmax(axis=1))  # its double comes later


def test_candidates_are_found_by_their_cosine():
    search = VectorSearch(embed, ["西", "东北", "北", "东"], ["东", "北"], whiten=False)
    found = search.find(EVERY, 2)
    assert found.rows.tolist() == [[3, 1], [2, 1]]
    np.testing.assert_allclose(found.scores, [[1, 0.5**0.5]] * 2, rtol=1e-6)
    assert search.find(slice(1, 2), 9).rows.tolist() == [[2, 1, 0, 3]]


def test_equal_texts_are_embedded_once_and_found_in_order(monkeypatch):
    monkeypatch.setattr(module, "CHUNK_TEXTS", 2)
    done = []
    search = VectorSearch(embed, ["北", "东", "北", "东", "西"], ["东", "北", "东"], True, done.append)
    assert sum(done) == 8 and len(done) == 2
    found = search.find(EVERY, 2)
    assert found.rows.tolist() == [[1, 3], [0, 2], [1, 3]]
    np.testing.assert_allclose(found.scores, 1, rtol=1e-6)


def test_whitening_takes_away_what_all_texts_share():
    vectors = {"甲": [100, 1, 0.1], "乙": [100, -1, 0.1], "丙": [100, 0, -0.1]}

    def far_off(texts):
        return np.array([vectors[text] for text in texts], np.float32)

    plain, white = (
        VectorSearch(far_off, ["甲", "乙", "丙"], ["甲"], whiten).find(EVERY, 3) for whiten in (0, 1)
    )
    assert plain.scores.min() > 0.99 and white.scores.max() > 0.99 and white.scores.min() < 0
    assert white.rows[0, 0] == plain.rows[0, 0] == 0


def test_vectors_that_do_not_differ_are_found_in_order():
    found = VectorSearch(embed, ["东", "东"], ["东"], whiten=True).find(EVERY, 2)
    assert found.rows.tolist() == [[0, 1]] and found.scores.tolist() == [[1, 1]]


def test_a_vector_of_zeros_is_like_none():
    assert to_length_one(np.zeros((1, 3))).tolist() == [[0, 0, 0]]
