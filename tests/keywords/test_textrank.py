import csv
from pathlib import Path

import jieba.analyse
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jieba.posseg import POSTokenizer, pair

from raytrain.errors import InputError
from raytrain.keywords.textrank import PER_TEXT, WINDOW, parse_tags, rank_texts
from raytrain.text.words import build_segmenter

RUMORS = Path(__file__).parents[3] / "shared/data/ced_rumors.csv"
TEXTS = [
    "网传明天停水，快转给家人！停水三天，家人注意",
    "我爱我家，我家爱我",
    "iPhone手机好，IPHONE手机贵",
    "好",
    "",
    " \n，。！",
    "the cat is on the mat 猫在the垫子上",
]
PARTS = [*"我家爱水停网传天的，。! \n😀a1", "停水", "家人", "App", "手机"]
texts_of = st.lists(st.lists(st.sampled_from(PARTS), max_size=20).map("".join), max_size=4)


class PlainTextRank(jieba.analyse.TextRank):
    """jieba's own, text by text, with words of any length in lower case."""

    def __init__(self, segmenter, tags=()):
        super().__init__()
        self.span, self.tags, self.tokenizer = WINDOW, tags, self
        self.cutter = POSTokenizer(segmenter) if tags else segmenter

    def cut(self, text):
        for word in self.cutter.cut(text):
            yield pair(word.word.lower(), word.flag) if self.tags else pair(word.lower(), "")

    def pairfilter(self, wp):
        is_word = any(map(str.isalnum, wp.word)) and wp.word not in self.stop_words
        return is_word and (not self.tags or wp.flag in self.tags)


def keywords_of(ranked):
    bounds = ranked.keyword_bounds
    return [
        [ranked.words[n] for n in ranked.keywords[bounds[i] : bounds[i + 1]]] for i in range(len(bounds) - 1)
    ]


def held_by(ranked):
    bounds = ranked.held_bounds
    return [[ranked.words[n] for n in ranked.held[bounds[i] : bounds[i + 1]]] for i in range(len(bounds) - 1)]


def assert_as_jieba(texts, user_dict=None, tags=()):
    plain = PlainTextRank(build_segmenter(user_dict), tags)
    expected = [plain.textrank(text, topK=PER_TEXT) for text in texts]
    assert keywords_of(rank_texts(texts, user_dict, tags)) == expected
    return expected


def test_keywords_are_those_of_jieba():
    assert any(assert_as_jieba(TEXTS))


@settings(max_examples=200)
@given(texts_of)
def test_keywords_of_odd_texts_are_those_of_jieba(texts):
    assert_as_jieba(texts)


def test_keywords_with_a_user_dictionary_are_those_of_jieba():
    assert "明天停水" in assert_as_jieba(TEXTS, "明天停水\n")[0]


def test_keywords_of_some_parts_of_speech_are_those_of_jieba():
    nouns = assert_as_jieba(["北京大学食堂吃饭吃饭", *TEXTS], tags=("n", "nt", "ns"))
    assert set(nouns[0]) == {"北京大学", "食堂"}


def test_keywords_of_real_posts_are_those_of_jieba():
    if not RUMORS.exists():
        pytest.skip(f"{RUMORS} is not here")
    with RUMORS.open(encoding="utf-8", newline="") as file:
        assert_as_jieba([row["text"] for row in csv.DictReader(file)][:300])


def test_words_of_any_length_are_keywords_and_marks_are_not():
    [keywords] = keywords_of(rank_texts(["你爱他！停水，他等你"]))
    assert {"你", "爱", "他"} <= set(keywords) <= {"你", "爱", "他", "等"}


def test_held_words_are_the_text_s_in_lower_case_with_repetitions():
    assert held_by(rank_texts(["iPhone手机好，IPHONE 手机", "，"])) == [
        ["iphone", "手机", "好", "iphone", "手机"],
        [],
    ]


@settings(max_examples=50)
@given(texts_of)
def test_texts_are_ranked_each_by_itself(texts):
    together = rank_texts(texts)
    alone = [rank_texts([text]) for text in texts]
    assert keywords_of(together) == [row for one in alone for row in keywords_of(one)]
    assert held_by(together) == [row for one in alone for row in held_by(one)]


def test_no_more_than_ten_keywords_each_once():
    text = "的了是在和有就都也很" * 2 + "而但或与及着过吗呢吧"
    ranked = rank_texts([text])
    assert len(ranked.keywords) == len(np.unique(ranked.keywords)) == PER_TEXT


def test_words_at_which_jieba_cuts_have_the_dictionarys_tag():
    ranked = rank_texts(["物理学家玛丽·居里", "物理学家居里"], "玛丽·居里 9999 nr\n", ("n", "nr"))
    first, second = (set(words) for words in keywords_of(ranked))
    assert first == {"物理学家", "玛丽·居里"} and "玛丽·居里" not in second


@pytest.mark.parametrize(("text", "tags"), [("n", ["n"]), ("n, v ns", ["n", "v", "ns"])])
def test_tags_are_read(text, tags):
    assert parse_tags(text) == tags


@pytest.mark.parametrize("text", ["", " , ", "名词", "n;v"])
def test_what_is_no_tag_is_refused(text):
    with pytest.raises(InputError, match="n,v,ns"):
        parse_tags(text)
