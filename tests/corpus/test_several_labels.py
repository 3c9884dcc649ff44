import pytest

from raytrain.corpus.several_labels import find_joined, indicators


@pytest.mark.parametrize(
    ("names", "mark", "joined"),
    [
        (["a", "b", "a|b"], "'|'", ["a|b"]),
        (["a", "b", "b、 a", "c、a"], "'、'", ["b、 a", "c、a"]),
        (["a,b", "b,c", "c"], "','", ["a,b", "b,c"]),
        (["['a', 'b']", "['a']"], "a list", ["['a', 'b']"]),
        (["科技|手机", "科技|电脑", "科技"], "", []),
        (["a|", "a", "|"], "", []),
        (["[a", "b]", "[x]", "1.0"], "", []),
        ([], "", []),
    ],
)
def test_labels_that_join_others_are_found(names, mark, joined):
    assert find_joined(dict.fromkeys(names, 1)) == (mark, joined)


def test_columns_of_zeros_and_ones_say_which_labels_a_text_has():
    rows = [{"a": "0", "b": 1, "c": "0", "n": "2"}, {"a": "1", "b": 0, "c": "0", "n": "1"}]
    assert indicators(rows) == ["a", "b", "c"]
    assert indicators([{"a": "0", "c": "0"}, {"a": "1", "c": "0"}]) == indicators([]) == []
