import numpy as np
import pytest

from raytrain.report import words
from raytrain.report.words import MOST_CHARACTERS, MOST_WORDS, weigh_words


def cut(text):
    """Words of two characters."""
    return [text[place : place + 2] for place in range(0, len(text), 2)]


class Counting:
    """Says of class 1 how much of a text is 坏; remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, texts, pairs):
        self.asked.append((texts, pairs))
        whole = texts if pairs is None else [a + b for a, b in zip(texts, pairs, strict=True)]
        share = np.array([text.count("坏") / 10 for text in whole])
        return np.stack([1 - share, share], axis=1)


def test_a_word_counts_by_what_falls_without_it():
    predict = Counting()
    [found, other] = weigh_words(predict, cut, [("坏坏好好坏人",), ("好好",)], [1, 0])
    assert found.probability == pytest.approx(0.3)
    [part] = found.parts
    assert [word for word, _ in part] == ["坏坏", "好好", "坏人"]
    assert [effect for _, effect in part] == pytest.approx([0.2, 0.0, 0.1])
    assert other.parts == ((("好好", 0.0),),) and other.probability == 1
    assert len(predict.asked) == 1, "all variants in one call"
    assert predict.asked[0][0] == ["坏坏好好坏人", "好好", "好好坏人", "坏坏坏人", "坏坏好好", ""]


def test_punctuation_is_left_in():
    [found] = weigh_words(Counting(), cut, [("坏坏，。好好",)], [1])
    assert [effect is None for _, effect in found.parts[0]] == [False, True, False]
    assert (found.num_tried, found.is_cut) == (2, False)


def test_both_texts_of_a_pair_are_tried():
    predict = Counting()
    [found] = weigh_words(predict, cut, [("坏坏好好", "好坏")], [1])
    assert [[effect for _, effect in part] for part in found.parts] == [
        pytest.approx([0.2, 0.0]),
        pytest.approx([0.1]),
    ]
    assert predict.asked[0][1] == ["好坏", "好坏", "好坏", ""]


def test_a_part_whose_end_is_not_shown_says_so():
    long, short = "，" * MOST_CHARACTERS + "坏", "好" * MOST_CHARACTERS
    [found] = weigh_words(Counting(), cut, [(long, short)], [1])
    assert found.is_cut and found.parts[0][-1] == ("…", None)
    assert ["".join(word for word, _ in part) for part in found.parts] == [f"{long[:-1]}…", short]


def test_work_is_bounded():
    text = "坏好" * (MOST_WORDS + 5)
    [found] = weigh_words(Counting(), cut, [(text,)], [1])
    assert found.num_tried == MOST_WORDS and found.is_cut
    assert "".join(word for word, _ in found.parts[0]) == text


def test_of_a_long_text_the_rest_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(words, "MOST_CHARACTERS", 4)
    predict = Counting()
    [found] = weigh_words(predict, cut, [("坏坏好好尾巴",)], [1])
    assert found.is_cut and [word for word, _ in found.parts[0]] == ["坏坏", "好好", "…"]
    assert predict.asked[0][0] == ["坏坏好好尾巴", "好好尾巴", "坏坏尾巴"]
