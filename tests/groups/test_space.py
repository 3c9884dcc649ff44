import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from raytrain.groups.space import HeldWords, join_spaces

TEXTS = ["记者核实消息", "记者核实传言", "记者到现场核实", "早餐好吃", "早餐凉了", "早餐很丰盛", "啊", ""]


def test_words_of_two_characters_and_more_are_counted_in_each_text():
    held = HeldWords(TEXTS)
    assert {"记者", "核实", "早餐"} <= set(held.words)
    assert all(len(word) > 1 for word in held.words)
    counts = held.counts.toarray()
    for row, text in enumerate(TEXTS):
        for column, word in enumerate(held.words):
            assert counts[row, column] <= text.count(word)
    assert counts[:, held.words.index("记者")].tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    assert not counts[6:].any()


def test_texts_that_share_words_lie_near_each_other():
    vectors = HeldWords(TEXTS).vectors(seed=0)
    lengths = np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(lengths, [1] * 6 + [0] * 2, atol=1e-6)
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.9 and abs(cosines[0, 3]) < 0.1 and cosines[3, 4] > 0.9


def test_texts_without_words_that_recur_have_no_directions():
    assert HeldWords(["", "啊", "早餐"]).vectors(seed=0).shape == (3, 0)


@given(st.integers(1, 8), st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(0, 9))
def test_each_part_has_the_same_say(num_texts, sizes, seed):
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=(num_texts, size)) for size in sizes]
    parts = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
    joined = join_spaces([*parts, np.zeros((num_texts, 0))])
    expected = np.mean([part @ part.T for part in parts], axis=0)
    np.testing.assert_allclose(joined @ joined.T, expected, atol=1e-5)
