import numpy as np

from raytrain.groups.find import Found
from raytrain.groups.space import HeldWords
from raytrain.groups.tell import tell_groups

TEXTS = ["记者核实消息", "记者核实消息", "记者到现场核实", "早餐好吃", "早餐凉了", "早餐很丰盛", "别的"]
LIKENESS = np.array([0.9, 0.9, 0.4, 0.7, 0.8, 0.1, 0], np.float32)
FOUND = Found(np.array([0, 0, 0, 1, 1, 1, -1]), LIKENESS, {})


def test_each_group_has_its_words_and_its_typical_and_odd_texts():
    first, second = tell_groups(TEXTS, HeldWords(TEXTS), FOUND)
    assert (first.number, first.size, second.size) == (0, 3, 3)
    assert set(first.words[:2]) == {"记者", "核实"} and second.words[0] == "早餐"
    assert first.typical == [0, 2]  # the copy is told once
    assert second.typical == [4, 3, 5] and second.odd == []
    assert first.name.startswith(first.words[0])


def test_the_least_like_are_the_odd_ones():
    texts = [f"第{number}条消息" for number in range(12)]
    found = Found(np.zeros(12, int), np.linspace(1, 0, 12).astype(np.float32), {})
    [group] = tell_groups(texts, HeldWords(texts), found)
    assert group.typical == [0, 1, 2, 3, 4] and group.odd == [11, 10, 9]
    assert group.words == [] and group.name == "group 0"  # of one group alone no word tells
