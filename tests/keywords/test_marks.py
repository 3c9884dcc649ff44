import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.errors import CorpusError
from raytrain.keywords.marks import extend_dictionary, read_kept_words
from raytrain.text.words import build_segmenter

LABELS = ["真", "假"]


def write(tmp_path, *rows, header="word,count,keep,class", encoding="utf-8-sig"):
    path = tmp_path / "candidates.csv"
    path.write_text("\n".join([header, *rows, ""]), encoding=encoding)
    return path


def problems_of(path, labels=LABELS):
    with pytest.raises(CorpusError, match=r"words\.keywords") as caught:
        read_kept_words(path, labels)
    return caught.value.problems


@pytest.mark.parametrize("mark", ["x", "X", "1", "1.0", "yes", "TRUE", " y ", "✓", "是"])
def test_marked_words_are_kept_with_their_class(tmp_path, mark):
    path = write(tmp_path, f"网传,3,{mark},假", "核实,2,,", "记者,2,,真", f"Vlog,9,{mark},真")
    assert read_kept_words(path, LABELS) == {"网传": 1, "vlog": 0}


@pytest.mark.parametrize("mark", ["", "0", "0.0", "no", "FALSE", "否"])
def test_words_marked_otherwise_are_not_kept(tmp_path, mark):
    assert read_kept_words(write(tmp_path, f"甲,3,{mark},假", "乙,3,x,真"), LABELS) == {"乙": 0}


def test_a_file_as_a_spreadsheet_saves_it_is_read(tmp_path):
    path = write(tmp_path, "网传,3.0,TRUE,1.0", "核实,2.0,,", encoding="gb18030")
    assert read_kept_words(path, [0, 1]) == {"网传": 1}


@pytest.mark.parametrize("word", ["007", "3.10", "1e5", "202601011234567890"])
def test_what_keeps_a_spreadsheet_from_rewriting_a_word_and_its_class_is_none_of_theirs(tmp_path, word):
    path = write(tmp_path, f"'{word},3,x,'{word}", f"网传,3,x,{word}")
    assert read_kept_words(path, ["1", word]) == {word: 1, "网传": 1}


def test_a_class_that_is_written_like_a_number_stays_itself(tmp_path):
    assert read_kept_words(write(tmp_path, "网传,3,x,1.0"), ["1.0", "2.0"]) == {"网传": 0}


@pytest.mark.parametrize(
    ("rows", "row", "words"),
    [
        (["网传,3,x,"], 2, "expected a class for every kept word"),
        (["核实,3,x,真", "网传,3,x,谣言"], 3, "found '谣言'"),
        (["网传,3,maybe,假"], 2, "expected x or nothing, found 'maybe'"),
        (["网传,3,x,假", "核实,2,,", "网传,1,x,真"], 4, "another in row 2"),
        ([",3,x,假"], 2, "expected a word"),
        (["明天 停水,3,x,假"], 2, "is cut at its blank"),
    ],
)
def test_each_mistake_is_told_with_its_row(tmp_path, rows, row, words):
    [problem] = problems_of(write(tmp_path, *rows))
    assert f"candidates.csv, row {row}" in problem and words in problem


def test_all_mistakes_are_told_at_once(tmp_path):
    path = write(tmp_path, "网传,3,x,", "核实,3,x,谣言", "记者,3,?,真")
    problems = problems_of(path)
    assert [problem.partition("row ")[2][0] for problem in problems] == ["2", "3", "4"]


@pytest.mark.parametrize("column", ["word", "keep", "class"])
def test_a_missing_column_is_named_with_what_was_likely_meant(tmp_path, column):
    header = "word,count,keep,class".replace(column, f"{column}s")
    [problem] = problems_of(write(tmp_path, "网传,3,x,假", header=header))
    assert f"column {column}:" in problem and f"did you mean '{column}s'" in problem


def test_a_file_without_marks_is_refused(tmp_path):
    [problem] = problems_of(write(tmp_path, "网传,3,,", "核实,2,,"))
    assert "mark some" in problem


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"absent\.csv"):
        read_kept_words(tmp_path / "absent.csv", LABELS)


def cut(words, text, user_dict=None):
    return list(build_segmenter(extend_dictionary(user_dict, words)).cut(text))


chinese_words = st.text("网传明天停水研究生命起源的人石景山万达不是家人中国", min_size=1, max_size=6)
mixed_words = st.text("网传明天停水T恤卡拉oK+5", min_size=1, max_size=6).map(str.lower)


@settings(max_examples=12)  # each loads jieba's dictionary
@given(st.lists(chinese_words | mixed_words, min_size=5, max_size=20, unique=True))
def test_a_kept_word_is_never_cut_whatever_else_is_kept(words):
    segmenter = build_segmenter(extend_dictionary("石景山 99\n人 0\n", words))
    for word in words:
        assert list(segmenter.cut(word)) == [word]
        assert list(segmenter.cut(f"，{word}。")) == ["，", word, "。"]


def test_a_kept_word_with_letters_is_whole_however_they_are_written():
    assert cut(["t恤衫", "卡拉ok厅"], "T恤衫和t恤衫在卡拉OK厅") == ["T恤衫", "和", "t恤衫", "在", "卡拉OK厅"]


def test_kept_letters_do_not_cut_longer_words_of_letters():
    assert cut(["app", "a", "5g"], "application和app和5G") == ["application", "和", "app", "和", "5G"]


def test_a_kept_word_does_not_take_the_characters_of_its_neighbours():
    assert cut(["和服"], "产品和服务") == ["产品", "和", "服务"]


def test_the_user_dictionary_stays():
    words = cut(["明天停水"], "网传石景山万达明天停水", user_dict="石景山万达 3 ns")
    assert words[-2:] == ["石景山万达", "明天停水"]


@pytest.mark.parametrize("words", [[], ["好"], ["app", "x"]])
def test_words_that_are_never_cut_anyway_leave_the_dictionary_as_it_is(words):
    assert extend_dictionary(None, words) is None
    assert extend_dictionary("石景山 3\n", words) == "石景山 3\n"


def test_the_dictionary_does_not_depend_on_the_order_of_the_words():
    words = ["明天停水", "停水", "t恤"]
    assert extend_dictionary(None, words) == extend_dictionary(None, words[::-1])


def test_what_is_told_of_a_file_names_no_key_of_another_file(tmp_path):
    path = write(tmp_path, '"网"传,3,x,真')
    [problem] = problems_of(path)
    assert "not closed or not doubled" in problem and "data.quoting" not in problem
