import numpy as np
import pytest
from rich.console import Console

from raytrain.errors import InputError
from raytrain.keywords.candidates import Candidates
from raytrain.keywords.report import check_picture, draw_candidates, find_chinese_font, top_tables

needs_font = pytest.mark.skipif(find_chinese_font() is None, reason="no font with Chinese characters is here")


def candidates_of(words, scores, labels):
    scores = np.array(scores, float).reshape(len(words), len(labels))
    counts = np.arange(len(words), 0, -1)
    by_class = np.zeros(scores.shape, int)
    return Candidates(words, counts, by_class, counts[:, None], scores, labels, ["train"])


SCORES = [[3, -3], [-2, 2], [1, -1], [-0.5, 0.5]]
TWO = candidates_of(["网传", "记者", "停水", "$x$ [b]"], SCORES, ["谣言", "真"])


def printed(tables):
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(*tables)
    return console.export_text()


def test_table_has_the_words_of_each_class_by_falling_association():
    lines = printed(top_tables(TWO)).splitlines()
    assert lines[0].split() == ["谣言", "真"]
    assert lines[1].split() == ["1", "网传", "3.0", "记者", "2.0"]
    assert lines[2].split() == ["2", "停水", "1.0", "$x$", "[b]", "0.5"]


def test_table_has_no_more_words_than_asked():
    assert "停水" not in printed(top_tables(TWO, 1))


def test_many_classes_are_spread_over_tables():
    words = [f"词{i}" for i in range(12)]
    tables = top_tables(candidates_of(words, np.eye(12), [f"c{i}" for i in range(12)]))
    text = printed(tables)
    assert len(tables) == 3 and all(f"{word}  1.0" in text for word in words)


def test_table_without_classes_has_counts():
    text = printed(top_tables(candidates_of(["网传", "停水"], [], [])))
    assert [line.split() for line in text.splitlines()[1:3]] == [["1", "网传", "2"], ["2", "停水", "1"]]


@needs_font
@pytest.mark.parametrize(("name", "begin"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml")])
@pytest.mark.parametrize(
    "candidates",
    [TWO, candidates_of(["网传"], [], []), candidates_of([], [], [0, 1]), candidates_of(["𠮷野"], [], [])],
    ids=["classes", "none", "no words", "a character of few fonts"],
)
def test_picture_is_drawn(tmp_path, name, begin, candidates, recwarn):
    assert draw_candidates(candidates, tmp_path / name) is None
    assert (tmp_path / name).read_bytes().startswith(begin)
    assert not [str(w.message) for w in recwarn if "missing from" in str(w.message)]


@needs_font
def test_found_font_has_chinese_characters():
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    path = font_manager.findfont(find_chinese_font(), fallback_to_default=False)
    assert all(FT2Font(path).get_char_index(ord(char)) for char in "网传谣言")


def test_without_a_font_there_is_no_picture_but_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr("raytrain.keywords.report.font_manager.findSystemFonts", lambda: [])
    why = draw_candidates(TWO, tmp_path / "a.png")
    assert "no font with Chinese characters" in why and "fonts-noto-cjk" in why
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_fonts_are_passed_over(tmp_path, monkeypatch):
    (tmp_path / "broken.ttf").write_bytes(b"nothing")
    monkeypatch.setattr(
        "raytrain.keywords.report.font_manager.findSystemFonts", lambda: [str(tmp_path / "broken.ttf")]
    )
    assert find_chinese_font() is None


def test_other_kinds_of_pictures_are_refused():
    check_picture("a.svg")
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        check_picture("a.pdf")
