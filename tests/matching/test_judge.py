import numpy as np
import pytest

from raytrain.errors import ConfigError
from raytrain.matching import judge as module
from raytrain.matching.best import Found
from raytrain.matching.judge import Judge, match_label

CANDIDATES = ["甲", "乙乙", "丙丙丙", "丁丁"]


def longer_is_truer(firsts, seconds):
    """Of each pair that both are as long is certain; the order of the two shows."""
    return np.array(
        [len(second) / 4 if first == "问" else 0.5 for first, second in zip(firsts, seconds, strict=True)]
    )


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_the_most_probable_comes_first_and_of_equal_ones_what_was_found_before(monkeypatch, at_once):
    monkeypatch.setattr(module, "PAIRS_AT_ONCE", at_once)
    found = Found(np.array([[0, 3, 1, 2], [3, 2, 1, 0]]), np.zeros((2, 4), np.float32))
    ordered = Judge(longer_is_truer, CANDIDATES).order(["问", "另"], found)
    assert ordered.rows.tolist() == [[2, 3, 1, 0], [3, 2, 1, 0]]
    np.testing.assert_allclose(ordered.scores, [[0.75, 0.5, 0.5, 0.25], [0.5] * 4])


@pytest.mark.parametrize(
    ("labels", "asked", "index"),
    [
        ([0, 1], None, 1),
        (["0", "1"], "0", 0),
        (["False", "True"], None, 1),
        (["否", "是"], None, 1),
        (["是", "否"], None, 0),
        (["no", "yes"], None, 1),
        (["a", "b", "c"], "c", 2),
    ],
)
def test_the_label_of_a_match_is_told_or_plain(labels, asked, index):
    assert match_label(labels, asked) == index


@pytest.mark.parametrize(
    ("labels", "asked", "told"),
    [(["a", "b"], None, "has a, b"), ([0, 1, 2], None, "has 0, 1, 2"), ([0, 1], "2", "one of 0, 1; found 2")],
)
def test_a_label_that_is_not_plain_is_asked_for(labels, asked, told):
    with pytest.raises(ConfigError, match=told):
        match_label(labels, asked)
