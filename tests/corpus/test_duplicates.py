import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.corpus import duplicates
from raytrain.corpus.duplicates import NGRAM, THRESHOLD, find_duplicates, find_equal, join_groups

# Few characters, so that some texts are alike; also what normalising changes, and code points of every size.
some_texts = st.lists(st.text("天地玄黄aAＡ \0\u3000𠀀", max_size=12), max_size=30)
longer_texts = st.lists(st.text("天地", min_size=4, max_size=30), max_size=25)
CHARACTERS = [chr(code) for code in range(0x4E00, 0x4E00 + 2000)]


def made_up(count, length, seed=0):
    rng = random.Random(seed)
    return ["".join(rng.choices(CHARACTERS, k=length)) for _ in range(count)]


def changed(text, place):
    """The text with another character there, which no other text has."""
    return f"{text[:place]}々{text[place + 1 :]}"


def ngrams(text):
    return {text[i : i + NGRAM] for i in range(len(text) - NGRAM + 1)} or {text}


def similarity(one, other):
    return len(ngrams(one) & ngrams(other)) / len(ngrams(one) | ngrams(other))


def connected(size, edges):
    """The first number of each one's component, found one edge after another."""
    groups = list(range(size))
    for one, other in edges:
        low, high = sorted((groups[one], groups[other]))
        groups = [low if group == high else group for group in groups]
    return groups


@given(some_texts)
def test_equal_texts_are_together_and_the_first_row_names_their_group(texts):
    groups = find_duplicates([texts])
    assert groups.dtype == np.int64 and len(groups) == len(texts)
    for row, text in enumerate(texts):
        assert groups[row] == groups[texts.index(text)] <= row
        assert groups[groups[row]] == groups[row]


@given(longer_texts)
def test_a_group_is_connected_by_similar_texts(texts):
    """What is far is never together; of what is similar, that few are missed is tested below."""
    pairs = [
        pair
        for pair in itertools.combinations(range(len(texts)), 2)
        if similarity(texts[pair[0]], texts[pair[1]]) >= THRESHOLD
    ]
    true, groups = connected(len(texts), pairs), find_duplicates([texts])
    for group in set(groups.tolist()):
        assert len({true[row] for row in np.flatnonzero(groups == group)}) == 1


@given(longer_texts.flatmap(lambda texts: st.tuples(st.just(texts), st.permutations(range(len(texts))))))
def test_the_order_of_the_rows_does_not_matter(texts_and_order):
    texts, order = texts_and_order
    groups, moved = find_duplicates([texts]), find_duplicates([[texts[row] for row in order]])
    before = [groups[row] for row in order]
    assert [before.index(group) for group in before] == moved.tolist()


def test_texts_that_differ_in_a_character_are_found():
    texts = made_up(300, 60)
    copies = [changed(text, 5 + row % 50) for row, text in enumerate(texts)]
    assert find_duplicates([texts + copies]).tolist() == [*range(300), *range(300)]


def test_few_are_missed_at_the_threshold():
    """Two characters changed in 56: a similarity of 48 in 60."""
    texts = made_up(500, 56)
    copies = [changed(changed(text, 15), 35) for text in texts]
    assert similarity(texts[0], copies[0]) == THRESHOLD
    groups = find_duplicates([texts + copies])
    assert (groups[500:] == groups[:500]).mean() > 0.99


def test_texts_that_differ_more_are_not_found():
    texts = made_up(500, 50)
    copies = [changed(changed(text, 15), 35) for text in texts]
    assert find_duplicates([texts + copies]).tolist() == list(range(1000))


@pytest.mark.parametrize(("threshold", "groups"), [(0.8, [0, 0]), (0.81, [0, 1])])
def test_the_threshold_itself_is_enough(threshold, groups):
    """Four of five n-grams are common."""
    assert find_duplicates([["abcdef", "abcdefg"]], threshold).tolist() == groups


@pytest.mark.parametrize(
    ("one", "other"),
    [("今天 停水", "今天停水\n"), ("ＡＢＣ１２３", "abc123"), ("Straße", "STRASSE"), ("好", "好　")],
)
def test_case_width_and_blanks_do_not_count(one, other):
    assert find_duplicates([[one, other]]).tolist() == [0, 0]


@pytest.mark.parametrize("char", ["\u200b", "\ufeff", "\xad", "\u200d", "\0", "\x08", "\ufe0f"])
def test_what_cannot_be_seen_does_not_count(char):
    """A tokenizer drops it, so that a model reads the same text."""
    copies = [f"转发微博{char}", f"转{char}发 微博", char]
    assert find_duplicates([["转发微博", *copies]]).tolist() == [0, 0, 0, 3]
    assert find_equal([["转发微博", *copies]]).tolist() == [0, 0, 0, 3]
    assert find_duplicates([["好", f"好{char}吗"], ["吗", ""]]).tolist() == [0, 1]


def test_short_texts_are_alike_where_they_are_equal():
    assert find_duplicates([["", "好", "好的", "好", "的好", "好的", "", "好的呀"]]).tolist() == [
        *(0, 1, 2, 1, 4, 2, 0, 7)
    ]


def test_halves_of_characters_and_large_code_points_are_characters():
    assert find_duplicates([["\ud800天地玄", "\U0010ffff天地玄", "\ud800天地玄"]]).tolist() == [0, 1, 0]


def test_no_texts():
    assert find_duplicates([[]]).tolist() == []


def test_pairs_are_alike_where_both_texts_are():
    first = ["明天停水吗", "明天停水吗", "明天停水吗", "明天停水", "明天停水吗"]
    second = ["是真的", "不知道", "是真的", "吗是真的", "是真的 "]
    assert find_duplicates([first, second]).tolist() == [0, 1, 0, 3, 0]


def test_chains_are_one_group():
    """The ends of the chain have little in common."""
    [text] = made_up(1, 80)
    chain = [text[start : start + 60] for start in range(0, 20, 4)]
    assert similarity(chain[0], chain[-1]) < 0.7
    assert set(find_duplicates([chain]).tolist()) == {0}


def test_many_equal_texts_are_one():
    assert set(find_duplicates([["今天全城停水，请转告"] * 100_000]).tolist()) == {0}


@pytest.mark.parametrize("place", [0, 30, 59])
def test_many_texts_of_one_bucket_are_one_group(place):
    """More than are compared with each other one by one."""
    [text] = made_up(1, 60)
    texts = [text[:place] + char + text[place + 1 :] for char in CHARACTERS]
    assert set(find_duplicates([texts]).tolist()) == {0}


def test_copies_are_found_among_texts_of_one_template():
    texts = [f"{own}本条信息来自网络，请大家相互转告，注意安全" for own in made_up(500, 30)]
    copies = [changed(text, 20) for text in texts]
    groups = find_duplicates([texts + copies])
    assert groups[:500].tolist() == list(range(500))
    assert (groups[500:] == np.arange(500)).mean() > 0.98


def test_chunks_do_not_matter(monkeypatch):
    texts = made_up(60, 40)
    texts += [changed(text, 20) for text in texts[:30]] + ["天地" * 3000]
    groups = find_duplicates([texts])
    monkeypatch.setattr(duplicates, "_CHUNK", 50)
    monkeypatch.setattr(duplicates, "_COMPARED", 50)
    assert np.array_equal(find_duplicates([texts]), groups) and len(set(groups.tolist())) == 61


@given(st.lists(st.tuples(st.sampled_from("甲乙丙丁"), st.integers(0, 5)), max_size=15))
def test_joined_groups_hold_whole_groups_of_both_kinds(rows):
    shops, numbers = np.array([shop for shop, _ in rows], object), np.array([n for _, n in rows], int)
    same = [
        (one, other)
        for one, other in itertools.combinations(range(len(rows)), 2)
        if rows[one][0] == rows[other][0] or rows[one][1] == rows[other][1]
    ]
    assert join_groups(shops, numbers).tolist() == connected(len(rows), same)


@given(some_texts)
def test_equal_texts_are_one_group_and_so_they_are_among_near_duplicates(texts):
    groups = find_equal([texts])
    assert groups.tolist() == [
        next(i for i, other in enumerate(texts) if key_of(other) == key_of(text)) for text in texts
    ]
    near = find_duplicates([texts])
    assert (near[groups] == near).all()


def key_of(text):
    return duplicates._normalise(text)


def test_of_pairs_both_texts_must_be_equal():
    assert find_equal([["天", "天", "Ａ", "a"], ["地", "玄", "黄", "黄 "]]).tolist() == [0, 1, 2, 2]
