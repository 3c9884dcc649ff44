import functools
import os
import subprocess
import sys
from collections import Counter

import jieba
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.errors import CorpusError
from raytrain.text.words import (
    build_segmenter,
    dictionary_notes,
    select_words,
)


def write(path, data):
    path.write_bytes(data)
    return str(path)


@pytest.fixture
def small_jieba(tmp_path, monkeypatch):
    """Gives jieba a dictionary of a few words, for loading its own takes a second."""
    path = write(tmp_path / "small.txt", "石 9 n\n石景山 9 ns\n万达 9 n\n在 9 p\n等 9 v\n".encode())
    monkeypatch.setattr("raytrain.text.words.jieba.Tokenizer", functools.partial(jieba.Tokenizer, path))


def test_user_word_is_not_cut():
    text = "我在石景山万达等你"
    assert list(build_segmenter("石景山万达\n").cut(text)) == ["我", "在", "石景山万达", "等", "你"]


@pytest.mark.parametrize(
    "line", ["石景山万达", "石景山万达 1000", "石景山万达 1000 ns", "石景山万达 ns", "\ufeff 石景山万达\t9 "]
)
def test_forms_of_a_dictionary_line(small_jieba, line):
    assert "石景山万达" not in list(build_segmenter().cut("在石景山万达等"))
    assert "石景山万达" in list(build_segmenter(f"\n{line}\r\n\n").cut("在石景山万达等"))


def test_bad_dictionary_lines_are_all_named(small_jieba):
    with pytest.raises(CorpusError) as caught:
        build_segmenter("甲乙 3 n\n丙丁 三 n\n\n戊 1 n 多余\n")
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["line 2", "line 4"]


def test_jieba_of_others_and_ours_share_no_words():
    text = "他爱吃糖葫芦串儿"
    jieba.add_word(text, 10**6)
    try:
        assert jieba.lcut(text) == [text]
        ours = list(build_segmenter("葫芦串儿 1000000").cut(text))
        assert "葫芦串儿" in ours and text not in ours
    finally:
        jieba.del_word(text)
    assert "葫芦串儿" not in jieba.lcut(text)


@pytest.fixture
def no_segmenter_yet():
    build_segmenter.cache_clear()
    yield
    build_segmenter.cache_clear()


@pytest.fixture
def home(tmp_path, monkeypatch, small_jieba, no_segmenter_yet):
    """A home for caches, and a temp directory in which nothing is to lie."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("RAYTRAIN_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not (tmp_path / "xdg").exists()


def test_jieba_s_cache_lies_in_raytrain_home(home):
    words = list(build_segmenter().cut("在石景山等"))
    [cache] = (home / "jieba").iterdir()
    assert cache.suffix == ".cache"
    assert (home / "jieba").stat().st_mode & 0o777 == 0o700
    build_segmenter.cache_clear()
    assert list(build_segmenter().cut("在石景山等")) == words == ["在", "石景山", "等"]


def in_the_way(home, monkeypatch):
    home.write_text("")


def read_only(home, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)


def without_home(home, monkeypatch):
    monkeypatch.setenv("RAYTRAIN_HOME", "~nobody-of-this-name/own")


@pytest.mark.parametrize("obstacle", [in_the_way, read_only, without_home])
def test_jieba_goes_on_without_a_cache(home, monkeypatch, capfd, obstacle):
    obstacle(home, monkeypatch)
    assert list(build_segmenter("山万\n").cut("在石景山万达等")) == ["在", "石景山", "万达", "等"]
    assert list(build_segmenter().cut("在石景山等")) == ["在", "石景山", "等"]
    assert not list(home.glob("jieba/*"))
    assert capfd.readouterr() == ("", "")


def test_processes_that_start_at_once_share_one_cache(home, tmp_path):
    program = """
import functools, sys, jieba
from raytrain.text.words import build_segmenter
jieba.Tokenizer = functools.partial(jieba.Tokenizer, sys.argv[1])
print(*build_segmenter().cut("在石景山等"))
"""
    command = [sys.executable, "-c", program, str(tmp_path / "small.txt")]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp"), "PYTHONIOENCODING": "utf-8"}
    runs = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        for _ in range(3)
    ]
    assert [run.communicate(timeout=60)[0].split() for run in runs] == [["在", "石景山", "等"]] * 3
    assert [path.suffix for path in (home / "jieba").iterdir()] == [".cache"]


def test_words_that_are_never_found_are_named_with_their_line(small_jieba, no_segmenter_yet):
    notes = dictionary_notes("玛丽·居里 9\n石万 99\n石景山等 0\n甲乙 90\n丙丁 90\n甲乙丙丁 1\nleap motion\n")
    assert len(notes) == 2
    assert notes[0].startswith("words.user_dict, line 7: read as the word 'leap motion'")
    assert "'甲乙丙丁' (line 6)" in notes[1] and "石万" not in notes[1] and "石景山等" not in notes[1]
    assert dictionary_notes(None) == dictionary_notes("石景山等你\n") == []


def test_words_are_kept_by_count_then_by_themselves():
    counts = Counter({"店": 2, "好吃": 5, "一": 1, "不": 2, "贵": 3})
    assert select_words(counts, 2) == ["好吃", "贵", "不", "店"]


def test_rare_words_are_kept_where_they_have_a_vector():
    assert select_words(Counter({"店": 1, "好": 1, "贵": 3}), 2, has_vector=["店", "无关"]) == ["贵", "店"]


@given(
    st.dictionaries(st.text("甲乙丙", min_size=1, max_size=3), st.integers(1, 9)),
    st.integers(1, 9),
    st.randoms(),
)
def test_selection_does_not_depend_on_the_order_of_counting(counts, min_count, random):
    shuffled = dict(random.sample(list(counts.items()), len(counts)))
    assert select_words(Counter(shuffled), min_count) == select_words(Counter(counts), min_count)
