import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.keywords.held import find_words, given_keywords, interleave, join_ranked
from raytrain.keywords.textrank import rank_texts
from raytrain.text.words import build_segmenter

TEXTS = ["网传明天停水，停水三天", "记者核实，停水不是真的", "", "iPhone店今天停水", "网传记者来了"]
PAIRS = ["停水！", "", "记者停水", "。", "网传"]
KEPT = {"停水": 1, "记者": 0, "iphone": 0, "没有的词": 1}
PARTS = ["网传", "停水", "记者", "核实", "明天", "我", "爱", "，"]
rows_of = st.lists(st.lists(st.sampled_from(PARTS), max_size=12).map("".join), min_size=2, max_size=8)


def counted_plainly(texts, pairs, kept):
    segmenter, table = build_segmenter(), np.zeros((len(texts), 2))
    for row, parts in enumerate(zip(texts, pairs, strict=True) if pairs else ([text] for text in texts)):
        for part in parts:
            for word in segmenter.cut(part):
                if word.lower() in kept:
                    table[row, kept[word.lower()]] += 1
    return table


@pytest.mark.parametrize("pairs", [None, PAIRS])
def test_kept_words_are_counted_by_class_in_each_text(pairs):
    held = find_words(TEXTS, pairs, list(KEPT), None)
    counts = held.count(held.classes_of(KEPT), 2)
    assert counts.dtype == np.float32 and counts.sum() > 5
    assert counts.tolist() == counted_plainly(TEXTS, pairs, KEPT).tolist()


def test_words_far_beyond_the_encoder_s_end_count_too():
    held = find_words(["天" * 5000 + "停水"], None, ["停水"], None)
    assert held.count(np.array([0]), 1).tolist() == [[1.0]]


def test_words_that_are_not_kept_do_not_count():
    held = find_words(TEXTS, None, ["停水", "记者"], None)
    assert held.count(np.array([-1, 0]), 2).tolist() == counted_plainly(TEXTS, None, {"记者": 0}).tolist()


def test_no_texts_have_no_counts():
    held = find_words([], None, ["停水"], None)
    assert held.count(np.array([0]), 2).shape == (0, 2)
    assert join_ranked([rank_texts([])], 1, 5).held.count(np.zeros(0, int), 2).shape == (0, 2)


def test_kept_words_and_their_classes_are_each_other_s_inverse():
    held = find_words(TEXTS, None, ["停水", "记者", "网传"], None)
    assert held.classes_of(held.kept(np.array([1, -1, 0]))).tolist() == [1, -1, 0]


def test_a_person_s_choice_is_every_fold_s():
    keywords = given_keywords(TEXTS, None, KEPT, None)
    for rows in (np.array([0]), np.array([3, 4])):
        assert keywords.held.kept(keywords.choose(rows, np.zeros(5, int), 2)) == KEPT


def in_pieces(texts, pairs, cuts, num_words=3):
    parts, bounds = interleave(texts, pairs), [0, *sorted(cuts), len(interleave(texts, pairs))]
    ranked = [rank_texts(parts[a:b]) for a, b in itertools.pairwise(bounds)]
    return join_ranked(ranked, 2 if pairs else 1, num_words)


def plain_choices(keywords, rows, labels):
    """Of which texts each word is a keyword, by class."""
    counts = Counter()
    for row in rows:
        a, b = keywords.keyword_bounds[row : row + 2]
        counts.update((keywords.held.words[n], labels[row]) for n in keywords.keywords[a:b])
    return counts


@settings(max_examples=60)
@given(rows_of, st.data())
def test_pieces_of_a_corpus_are_joined_to_the_whole(texts, data):
    pairs = data.draw(st.none() | st.just(texts[::-1]))
    cuts = data.draw(st.lists(st.integers(0, len(texts)), max_size=3))
    labels = np.array(data.draw(st.lists(st.integers(0, 1), min_size=len(texts), max_size=len(texts))))
    rows = np.arange(len(texts))
    whole, joined = in_pieces(texts, pairs, []), in_pieces(texts, pairs, cuts)
    assert plain_choices(whole, rows, labels) == plain_choices(joined, rows, labels)
    own = [keywords.choose(rows, labels, 2) for keywords in (whole, joined)]
    assert whole.held.kept(own[0]) == joined.held.kept(own[1])
    assert whole.held.count(own[0], 2).tolist() == joined.held.count(own[1], 2).tolist()


def telling_corpus(num_rows=40):
    """Texts of class 0 say 网传停水, those of class 1 记者核实."""
    labels = np.arange(num_rows) % 2
    return ["明天记者核实" if label else "明天网传停水" for label in labels], labels


def test_the_words_that_tell_are_chosen():
    texts, labels = telling_corpus()
    keywords = in_pieces(texts, None, [])
    chosen = keywords.held.kept(keywords.choose(np.arange(len(texts)), labels, 2))
    assert chosen == {"网传": 0, "停水": 0, "记者": 1, "核实": 1}


@settings(max_examples=60)
@given(rows_of, st.data())
def test_choice_knows_nothing_of_the_rows_held_out(texts, data):
    """Other texts and labels there, and the same words are chosen."""
    known, labels = telling_corpus()
    other = data.draw(st.lists(st.sampled_from(PARTS), min_size=len(texts), max_size=len(texts)))
    held_out = data.draw(st.lists(st.integers(0, 1), min_size=len(texts), max_size=len(texts)))
    rows = np.arange(len(known))
    choices = []
    for hidden, own in ((texts, held_out), (other, [1 - label for label in held_out])):
        keywords = in_pieces([*known, *hidden], None, [])
        choices.append(keywords.held.kept(keywords.choose(rows, np.append(labels, own), 2)))
    assert choices[0] == choices[1] and choices[0]


def test_choice_follows_the_labels_of_the_rows_it_learns_from():
    texts, labels = telling_corpus()
    keywords = in_pieces(texts, None, [])
    rows = np.arange(20)
    before = keywords.choose(rows, labels, 2)
    assert not np.array_equal(before, keywords.choose(rows, 1 - labels, 2))


def test_no_more_words_of_a_class_are_chosen_than_asked():
    texts, labels = telling_corpus()
    keywords = in_pieces(texts, None, [], num_words=1)
    assert sorted(keywords.held.kept(keywords.choose(np.arange(40), labels, 2)).values()) == [0, 1]
