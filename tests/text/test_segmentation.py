import csv
import itertools
from pathlib import Path

import jieba
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jieba import finalseg

from raytrain.text.dictionary import CUT_AS_JIEBA
from raytrain.text.segmentation import Cutter, cut_text, cut_texts
from raytrain.text.words import build_segmenter

RUMORS = Path(__file__).parents[3] / "shared/data/ced_rumors.csv"
USER_DICT = (
    "天气很好 100000\n生僻字𠀀\n好，的 99999\n很好吃的店啊 3\nabc1\n的人 0\n我们 0 r\n气\n囧囧囧\nC++ 9\n"
)
# Words and names of the dictionary, characters that begin no word, and what jieba sets apart.
MIXED = (
    *"的人我们天气很好吃店啊中国大学生前来应聘石景山万达囧丶呀哈龘𠀀㐀鿿\u9fd5\u9fd6豈かガ한ß",
    *"aZé09+#&._%-，。！？：“”…@/~[] \t\u3000\u200b\u00a0\x1c\x85😀\u200d\u0301Ａ０",
    *(
        "\r\n",
        "天气很好",
        "天气很",
        "中华人民共和国",
        "研究生命起源",
        "哈哈哈",
        "布布布丶",
        "3.14%",
        "C++",
        "abc1",
    ),
)
odd_texts = st.lists(st.sampled_from(MIXED) | st.characters(exclude_categories=["Cs"]), max_size=30).map(
    "".join
)
rare_runs = st.text("囧丶龘布呀哈喃晗篱阿王佐佑袏祐\u9fd5天a1.%", max_size=12)


@pytest.fixture(scope="module")
def plain():
    segmenter = build_segmenter()
    return segmenter, Cutter(segmenter)


@pytest.fixture(scope="module")
def with_user_dict():
    segmenter = build_segmenter(USER_DICT)
    return segmenter, Cutter(segmenter)


def cut(cutter, text):
    begins = np.flatnonzero(cutter.word_starts(f"{text}\n")).tolist()
    assert begins[-1] == len(text)
    return [text[i:j] for i, j in itertools.pairwise(begins)]


def jieba_words(segmenter, text):
    """Of blanks, whether one is two characters does not matter: they are no words."""
    with pytest.MonkeyPatch.context() as patch:  # jieba forces words apart in all its tokenizers
        patch.setattr(finalseg, "Force_Split_Words", set(getattr(segmenter, "words_apart", ())))
        return [part for word in segmenter.cut(text) for part in (word if word.isspace() else [word])]


@settings(max_examples=500)
@given(text=odd_texts)
def test_cut_of_odd_texts_is_jieba_s(plain, text):
    segmenter, cutter = plain
    assert cut(cutter, text) == jieba_words(segmenter, text)


@settings(max_examples=500)
@given(text=odd_texts)
def test_cut_with_a_user_dictionary_is_jieba_s(with_user_dict, text):
    """Where no word stands that holds a character at which jieba cuts first."""
    assume("好，的" not in text)
    segmenter, cutter = with_user_dict
    assert cut(cutter, text) == jieba_words(segmenter, text)


@settings(max_examples=500)
@given(text=rare_runs)
def test_ties_of_the_hidden_markov_model_fall_as_in_jieba(plain, text):
    segmenter, cutter = plain
    assert cut(cutter, text) == jieba_words(segmenter, text)


@settings(max_examples=100)
@given(texts=st.lists(odd_texts.map(lambda text: text.replace("\r", "")), max_size=5))
def test_texts_do_not_reach_into_each_other(plain, texts):
    _, cutter = plain
    together = cutter.word_starts("".join(f"{text}\n" for text in texts))
    alone = [cutter.word_starts(f"{text}\n") for text in texts]
    assert together.tolist() == [start for starts in alone for start in starts.tolist()]


@pytest.mark.parametrize("size", [255, 256, 1000])
def test_long_runs(plain, size):
    segmenter, cutter = plain
    for unit in ("哈", "囧丶", "天气很好", "a1", "中a"):
        text = (unit * size)[:size]
        assert cut(cutter, text) == jieba_words(segmenter, text)


def test_words_of_frequency_0_are_apart(plain):
    assert cut(plain[1], "王小佑说") == ["王小佑", "说"]
    segmenter = build_segmenter("王小佑 0\n")
    assert cut(Cutter(segmenter), "王小佑说") == jieba_words(segmenter, "王小佑说") == [*"王小佑说"]


def test_words_that_others_force_apart_are_not(plain, monkeypatch):
    segmenter, cutter = plain
    monkeypatch.setattr(finalseg, "Force_Split_Words", {"王小佑"})
    assert jieba.lcut("王小佑说") == [*"王小佑说"]
    assert cut(cutter, "王小佑说") == cut(Cutter(segmenter), "王小佑说") == ["王小佑", "说"]


def test_our_words_apart_are_not_forced_on_others():
    assert build_segmenter("王小佑 0\n甲乙 0\n").words_apart == {"王小佑", "甲乙"}
    assert jieba.lcut("王小佑说") == ["王小佑", "说"]


def test_cut_texts_are_their_words_in_lower_case_without_blanks(plain):
    texts = ["", "我们 在iPhone店", " \n", "天气很好，天气很好\n我们"]
    cut_ = cut_texts(texts, plain[0])
    for i, text in enumerate(texts):
        numbers = cut_.numbers[cut_.bounds[i] : cut_.bounds[i + 1]]
        assert numbers[-1] == -1
        words = [cut_.words[number] for number in numbers if number >= 0]
        assert words == [word.lower() for word in jieba_words(plain[0], text) if not word.isspace()]
    assert cut_.sizes.sum() == sum(len(text) + 1 for text in texts)


@given(text=odd_texts)
def test_one_text_is_cut_as_it_stands(with_uncommon_words, text):
    """As all of them are, the dictionary's words at which jieba cuts among them."""
    segmenter, cutter = with_uncommon_words
    assert cut_text(text, segmenter) == cut(cutter, text)
    assert "".join(cut_text(text, segmenter)) == text


def test_no_texts_have_no_words(plain):
    cut_ = cut_texts([], plain[0])
    assert (cut_.words, len(cut_.numbers), cut_.bounds.tolist()) == ([], 0, [0])


def test_dictionary_of_a_few_words(tmp_path):
    path = tmp_path / "small.txt"
    path.write_text("石 9 n\n石景山 9 ns\n万达 1 n\n在 9 p\n天地玄黄 2\n", encoding="utf-8")
    segmenter = jieba.Tokenizer(str(path))
    segmenter.tmp_dir = str(tmp_path)
    cutter = Cutter(segmenter)
    for text in ("我在石景山万达", "天地玄", "天地玄黄", "天", "石景", "万", "", "。"):
        assert cut(cutter, text) == jieba_words(segmenter, text)


def test_cut_of_real_posts_is_jieba_s(plain):
    if not RUMORS.exists():
        pytest.skip(f"{RUMORS} is not here")
    segmenter, cutter = plain
    with RUMORS.open(encoding="utf-8", newline="") as file:
        text = "\n".join(row["text"] for row in csv.DictReader(file))
    assert cut(cutter, text) == jieba_words(segmenter, text)


UNCOMMON = (
    "玛丽·居里",
    "《三体》",
    "β受体阻滞剂",
    "C/C++",
    "leap motion",
    "Edu Trust认证",
    "·甲",
    "甲·乙·丙",
)


@pytest.fixture(scope="module")
def with_uncommon_words():
    segmenter = build_segmenter("".join(f"{word} 9999 nz\r\n" for word in UNCOMMON))
    return segmenter, Cutter(segmenter)


@pytest.mark.parametrize("word", UNCOMMON)
def test_a_word_of_characters_at_which_jieba_cuts_is_found(with_uncommon_words, word):
    segmenter, cutter = with_uncommon_words
    assert cut(cutter, f"，{word}。") == ["，", word, "。"]
    assert word not in jieba_words(segmenter, f"，{word}。")
    assert cut(cutter, f"，{word[:-1]}。") == jieba_words(segmenter, f"，{word[:-1]}。")


@settings(max_examples=300)
@given(odd_texts, st.lists(st.sampled_from([*UNCOMMON, *"·《》β/ C甲"]), max_size=6))
def test_texts_without_such_a_word_are_cut_as_by_jieba(with_uncommon_words, text, parts):
    segmenter, cutter = with_uncommon_words
    text = "".join(parts[:3]) + text + "".join(parts[3:])
    words = cut(cutter, text)
    assert "".join(words) == text
    if not any(word in text for word in UNCOMMON):
        assert words == jieba_words(segmenter, text)


def test_a_dictionary_of_an_older_artifact_finds_none_of_them(with_uncommon_words):
    segmenter = build_segmenter(f"{CUT_AS_JIEBA}玛丽·居里 9999\nleap motion\n")
    assert segmenter.uncommon_words == frozenset() and segmenter.FREQ["leap"] > 0
    assert cut(Cutter(segmenter), "玛丽·居里") == ["玛丽", "·", "居里"]


def test_uncommon_words_that_are_to_be_apart_are_not_found():
    segmenter = build_segmenter("玛丽·居里 0\n")
    assert cut(Cutter(segmenter), "玛丽·居里") == ["玛丽", "·", "居里"]
