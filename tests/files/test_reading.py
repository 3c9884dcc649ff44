"""What is said of a file goes before what is found in it."""

import pytest
from text_files import kinds, write_bytes

from raytrain.corpus.labelled import read_corpus
from raytrain.corpus.unlabelled import count_texts, iter_texts
from raytrain.errors import CorpusError
from raytrain.files.reading import AS_FOUND, Reading, without_keys
from raytrain.files.tables import iter_rows, read_column_names
from raytrain.files.told import reading_lines

TRADITIONAL = "房間很乾淨，服務熱情\n味道奇怪，品質很差，退貨了\n" * 4
LEADING_QUOTES = 'text\tlabel\n"好，很好\t1\n坏，很坏"\t0\n' * 1


def texts(path, reading=AS_FOUND):
    return [
        text for table in iter_texts(path, ["text"], reading=reading) for text in table["text"].to_pylist()
    ]


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [
        ("UTF8", "utf-8-sig"),
        ("GBK", "gb18030"),
        ("gb2312", "gb18030"),
        ("Big5", "cp950"),
        ("Shift-JIS", "cp932"),
        ("utf-16", "utf-16"),
        (None, None),
    ],
)
def test_an_encoding_is_the_one_that_holds_what_its_name_promises(encoding, codec):
    assert Reading(encoding).codec == codec


def test_a_said_encoding_is_taken_where_another_would_be_found(tmp_path):
    path = write_bytes(tmp_path / "a.txt", TRADITIONAL.encode("big5"))
    assert texts(path) == texts(path, Reading("big5")) == TRADITIONAL.splitlines()
    assert texts(path, Reading("gbk")) == TRADITIONAL.encode("big5").decode("gb18030").splitlines()
    assert "Big5" in reading_lines(path)[0] and reading_lines(path, Reading("big5")) == []


@pytest.mark.parametrize("said", ["utf-8", "utf-16"])
def test_a_said_encoding_that_it_is_not_is_one_problem(tmp_path, said):
    path = write_bytes(tmp_path / "a.txt", TRADITIONAL.encode("big5") + b"\xff")
    with pytest.raises(CorpusError, match=f"expected {said}, as --encoding {said} says") as caught:
        count_texts(path, ["text"], reading=Reading(said, by_flags=True))
    assert len(caught.value.problems) == 1


def test_quoting_is_as_said(tmp_path):
    path = write_bytes(tmp_path / "a.tsv", LEADING_QUOTES)
    assert texts(path) == ['"好，很好', '坏，很坏"'] == texts(path, Reading(quoting="none"))
    assert texts(path, Reading(quoting="csv")) == ["好，很好\t1\n坏，很坏"]


def test_a_said_quoting_is_not_told(tmp_path):
    path = write_bytes(tmp_path / "a.tsv", LEADING_QUOTES)
    assert "--quoting csv" in reading_lines(path, Reading(by_flags=True))[0]
    assert reading_lines(path, Reading(quoting="none")) == []


def test_rows_that_look_swallowed_are_read_where_quoting_is_said(tmp_path):
    data = 'text,label\n"好,1\n坏",1\n很好,1\n很坏,0\n'
    path = write_bytes(tmp_path / "a.csv", data)
    problems = []
    list(iter_rows(path, ["text"], problems))
    assert kinds(problems) == ["quoting"] and "data.quoting=none" in problems[0].message
    assert texts(path, Reading(quoting="csv"))[0] == "好,1\n坏"


@pytest.mark.parametrize("suffix", [".txt", ".tsv"])
def test_columns_are_as_said(tmp_path, suffix):
    path, reading = (
        write_bytes(tmp_path / f"a{suffix}", "1\t好\n\n0\t坏\n"),
        Reading(columns=("label", "text")),
    )
    assert read_column_names(path, reading) == ["label", "text"]
    assert texts(path, reading) == ["好", "坏"]


def test_lines_of_fields_are_no_texts_unless_that_is_said(tmp_path):
    path = write_bytes(tmp_path / "a.txt", "好\t1\n坏\t0\n\n")
    with pytest.raises(CorpusError, match="--columns text,label") as caught:
        count_texts(path, ["text"], reading=Reading(by_flags=True))
    assert len(caught.value.problems) == 1
    with pytest.raises(CorpusError) as caught:
        read_corpus(path, ["text"], "label")  # nor is anything said of a missing label or empty lines
    assert len(caught.value.problems) == 1
    assert texts(path, Reading(columns=("text",))) == ["好\t1", "坏\t0", ""]


@pytest.mark.parametrize("data", ["好\t1\n坏\n", "好\t1\t2\n坏\t1\n", "好\t1\n", "好\n"])
def test_texts_with_a_tab_here_and_there_are_texts(tmp_path, data):
    assert texts(write_bytes(tmp_path / "a.txt", data)) == data.splitlines()


def test_rows_over_lines_that_might_be_rows_are_told(tmp_path):
    path = write_bytes(tmp_path / "a.csv", 'a,text\n甲,"好\n乙,坏"\n丙,很好\n')
    assert texts(path) == ["好\n乙,坏", "很好"]
    [line] = reading_lines(path)
    assert "1 row, the first in line 2" in line and "data.quoting=none" in line
    assert reading_lines(write_bytes(path, 'a,text\n甲,"好\n坏"\n丙,很好\n')) == []


def test_sound_texts_whose_lines_look_like_rows_are_read_and_told(tmp_path):
    path = write_bytes(tmp_path / "a.csv", 'text,label\n"味道好,便宜\n环境好,安静\n下次再来",正面\n差,负面\n')
    assert texts(path) == ["味道好,便宜\n环境好,安静\n下次再来", "差"]
    assert "1 row, the first in line 2" in reading_lines(path)[0]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("Müller ist größer,gut\n".encode("latin-1"), "save it as UTF-8"),
        ("房间很干净，服务热情\n\ue001\ue002\n".encode("gb18030"), "save it as UTF-8"),
        ("房间很干净，服务热情\na\0b\n".encode("gb18030"), "if it is text, save it as UTF-8"),
        ("好\t1\n坏\t0\n".encode(), "found 1 tab in every line"),
    ],
)
def test_what_is_told_without_keys_is_whole(tmp_path, data, told):
    problems = []
    list(iter_rows(write_bytes(tmp_path / "a.txt", data), ["text"], problems))
    assert without_keys(problems[0].message).endswith(f"; {told}" if told.endswith("8") else told)


def test_quotes_that_are_taken_off_a_tsv_are_told(tmp_path):
    path = write_bytes(tmp_path / "a.tsv", 'a\ttext\n甲\t"好"\n乙\t坏\n')
    assert texts(path) == ["好", "坏"] and "data.quoting=none keeps them" in reading_lines(path)[0]
    assert texts(path, Reading(quoting="none")) == ['"好"', "坏"]


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (
            "read as Big5; if they are wrong, say so with data.encoding=NAME, or save it",
            "read as Big5; if they are wrong, save it",
        ),
        ('write a quote as "", or say data.quoting=none', 'write a quote as ""'),
        (
            "found rows; say data.quoting=none, where they are right say data.quoting=csv, or save as .jsonl",
            "found rows; save as .jsonl",
        ),
        ("quotes are read as characters; data.quoting=csv takes them off", "quotes are read as characters"),
        (
            "found it; name one of them; if that line is a row, say data.columns=[…]",
            "found it; name one of them",
        ),
        (
            "found tabs; where they part fields, name them with data.columns=[text,label]; "
            "where each line is a text as it is, say data.columns=[text]",
            "found tabs",
        ),
        (
            "found 0x00; if it is text, say data.encoding=NAME, or save it as UTF-8",
            "found 0x00; if it is text, save it as UTF-8",
        ),
        (
            "found one, or another; mend it, or leave it out",
            "found one, or another; mend it, or leave it out",
        ),
    ],
)
def test_of_a_file_beside_the_corpus_no_key_of_the_corpus_is_told(line, kept):
    assert without_keys(line) == kept
