import random

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from raytrain.suspects import neighbours
from raytrain.suspects.neighbours import find_neighbours

CHARACTERS = [chr(code) for code in range(0x4E00, 0x4E00 + 60)]


def made_up(count, seed=0):
    rng = random.Random(seed)
    return ["".join(rng.choices(CHARACTERS, k=rng.randrange(1, 20))) for _ in range(count)]


def plainly(texts, rows, most):
    """Every cosine by scikit-learn; of equally near texts the first."""
    framed = [f"\1{text}\1" for text in texts]
    weights = TfidfVectorizer(
        analyzer="char", ngram_range=(2, 2), sublinear_tf=True, lowercase=False
    ).fit_transform(framed)
    cosines = (weights[rows] @ weights.T).toarray()
    cosines[np.arange(len(rows)), rows] = -1
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :most]
    return order, np.take_along_axis(cosines, order, axis=1)


@pytest.mark.parametrize("pairs", [neighbours._CHUNK_PAIRS, 100])
def test_the_nearest_are_those_of_scikit_learn_in_whatever_chunks(monkeypatch, pairs):
    monkeypatch.setattr(neighbours, "_CHUNK_PAIRS", pairs)
    texts, rows = made_up(200), np.array([5, 0, 199, 77])
    nearest, cosines = find_neighbours([texts], rows, 3)
    expected, similar = plainly(texts, rows, 3)
    np.testing.assert_allclose(cosines, np.maximum(similar, 0), atol=1e-5)
    assert nearest[similar > 0].tolist() == expected[similar > 0].tolist()


def test_texts_are_counted_in_chunks_of_characters(monkeypatch):
    texts, rows = made_up(100), np.arange(0, 100, 9)
    whole = find_neighbours([texts], rows, 2)
    monkeypatch.setattr(neighbours, "_CHUNK_CHARACTERS", 50)
    for one, other in zip(whole, find_neighbours([texts], rows, 2), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_an_equal_text_is_as_near_as_can_be_and_none_is_its_own_neighbour():
    texts = ["今天停水", "明天停电了", "今天 停水", "今天停水啊", "ＡＢ"]
    nearest, cosines = find_neighbours([texts], np.array([0, 2, 4]), 3)
    assert nearest[0, :2].tolist() == [2, 3] and nearest[1, :2].tolist() == [0, 3]
    assert cosines[0, 0] == pytest.approx(1) and cosines.max() <= 1
    assert nearest[2].tolist() == [-1, -1, -1] and cosines[2].tolist() == [0, 0, 0]


def test_a_single_character_has_neighbours():
    nearest, _ = find_neighbours([["好", "坏", "好", "好的"]], np.array([0]), 2)
    assert nearest.tolist() == [[2, 3]]


def test_of_pairs_both_texts_count():
    columns = [["今天停水", "今天停水", "今天停水"], ["真的吗", "是的", "真的吗？"]]
    nearest, _ = find_neighbours(columns, np.array([0]), 1)
    assert nearest.tolist() == [[2]]


def test_nobody_who_is_asked_about_has_no_neighbours():
    nearest, cosines = find_neighbours([["今天", "明天"]], np.zeros(0, int), 3)
    assert nearest.shape == cosines.shape == (0, 3)
    nearest, _ = find_neighbours([["今天"]], np.array([0]), 2)
    assert nearest.tolist() == [[-1, -1]]
