from math import log

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from raytrain.matching import words as module
from raytrain.matching.words import WordSearch, bm25, terms_of

CANDIDATES = ["退款三天到账", "怎么申请退货", "", "发票可以开吗", "怎么申请退货"]
EVERY = slice(None)


def test_terms_are_characters_pairs_and_words():
    [terms, none] = terms_of(["退款 ＷＩ", ""])
    assert terms == ["退", "款", "w", "i", "退款", "wi", "退款 ", "wi "] and none == []


def test_weights_are_those_of_the_formula():
    counts = csr_matrix(np.float32([[2, 0, 1], [0, 0, 1]]))
    found = bm25(counts).toarray()
    lengths = [0.25 + 0.75 * 3 / 2, 0.25 + 0.75 * 1 / 2]
    assert found[0, 0] == pytest.approx(log(1 + 1.5 / 1.5) * 2 * 2.2 / (2 + 1.2 * lengths[0]), rel=1e-6)
    assert found[1, 2] == pytest.approx(log(1 + 0.5 / 2.5) * 2.2 / (1 + 1.2 * lengths[1]), rel=1e-6)
    assert found[1, 0] == 0 and counts.toarray().max() == 2


@pytest.mark.parametrize("at_once", [1, 6, 10**6])
def test_what_shares_words_is_found_and_equal_texts_in_order(monkeypatch, at_once):
    monkeypatch.setattr(module, "_BLOCK_SCORES", at_once)
    search = WordSearch(CANDIDATES, ["退货在哪申请", "开发票", "𠮷", ""])
    found = search.find(EVERY, 3)
    assert found.rows[0].tolist() == [1, 4, 0] and found.rows[1, 0] == 3
    assert found.rows[2:].tolist() == [[0, 1, 2]] * 2 and not found.scores[2:].any()
    assert search.find(slice(1, 2), 9).rows.shape == (1, 5)


def test_candidates_without_any_term_are_found_in_order():
    assert WordSearch(["", " "], ["好"]).find(EVERY, 2).rows.tolist() == [[0, 1]]
