import itertools

import pyarrow as pa
import pytest
from text_files import write, write_csv, write_jsonl

from raytrain.corpus.unlabelled import count_texts, iter_texts, read_unlabelled
from raytrain.errors import CorpusError


def test_texts_to_predict_come_in_order_with_empty_ones(tmp_path):
    rows = [{"id": 3, "text": "甲"}, {"id": 3, "text": None}, {"id": 1}, {"id": 2, "text": " "}]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    tables = list(iter_texts(path, ["text"], id="id", batch_rows=3))
    assert [table.num_rows for table in tables] == [3, 1]
    assert pa.concat_tables(tables).to_pydict() == {"id": ["3", "3", "1", "2"], "text": ["甲", "", "", " "]}
    assert count_texts(path, ["text"], id="id") == (4, 3)


def test_pairs_to_predict(tmp_path):
    path = write_csv(tmp_path / "a.csv", [("甲", ""), ("乙", "丙")], ("q", "a"))
    (table,) = iter_texts(path, ["q", "a"])
    assert table.schema == pa.schema({"id": pa.int64(), "text": pa.string(), "text_pair": pa.string()})
    assert table.to_pydict() == {"id": [0, 1], "text": ["甲", "乙"], "text_pair": ["", "丙"]}
    assert count_texts(path, ["q", "a"]) == (2, 1)


def test_a_plain_text_file_can_be_predicted(tmp_path):
    (tmp_path / "a.txt").write_text("甲\n\n乙\n", encoding="utf-8")
    assert count_texts(tmp_path / "a.txt", ["text"]) == (3, 1)


def test_a_text_of_which_nothing_can_be_seen_counts_as_empty_and_stays_as_it_is(tmp_path):
    path = write(tmp_path / "a.txt", "甲\n\u200b\n乙\u200b\n")
    assert count_texts(path, ["text"]) == (3, 1)
    assert read_unlabelled(str(path), ["text"])[0] == ["甲", "乙\u200b"]
    (table,) = iter_texts(path, ["text"])
    assert table["text"].to_pylist() == ["甲", "\u200b", "乙\u200b"]


def test_texts_to_predict_stream(tmp_path):
    # The end of the file is damaged, so a reader that ran ahead to it would refuse it at once.
    path = write_csv(tmp_path / "a.csv", [["句子"]] * 1000 + [["多", "了"]], ["text"])
    tables = iter_texts(path, ["text"], batch_rows=10)
    assert all(table.num_rows == 10 for table in itertools.islice(tables, 5))
    with pytest.raises(CorpusError):
        list(tables)


def test_texts_to_predict_are_refused_with_all_problems(tmp_path):
    rows = [{"id": 1, "text": ["甲"]}, {"text": "乙"}, {"id": 3, "text": "丙"}]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    with pytest.raises(CorpusError) as caught:
        count_texts(path, ["text"], id="id")
    assert [problem.split(": ")[0] for problem in caught.value.problems] == [
        f"{path}, row 1, column text",
        f"{path}, row 2, column id",
    ]
    assert "data.drop" not in str(caught.value)
    with pytest.raises(CorpusError):
        next(iter_texts(path, ["text"], id="id"))


@pytest.mark.parametrize("content", ["", "text\n", "other\n甲\n"])
def test_texts_to_predict_without_rows_or_column_are_refused(tmp_path, content):
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    for read in (count_texts, lambda *args: list(iter_texts(*args))):
        with pytest.raises(CorpusError):
            read(tmp_path / "a.csv", ["text"])


def test_texts_to_predict_are_read_with_or_without_tags(tmp_path):
    path = write(tmp_path / "a.bio", "我\n在\n\n  O\n北 B-LOC\n")
    [table] = iter_texts(path, ["text"])
    assert table["text"].to_pylist() == ["我在", " 北"]
    assert count_texts(path, ["text"]) == (2, 0)


def test_other_files_to_predict_are_read_as_ever(tmp_path):
    path = write(tmp_path / "a.txt", "我在\n\n北京\n")
    [table] = iter_texts(path, ["text"])
    assert table["text"].to_pylist() == ["我在", "", "北京"]
    assert count_texts(path, ["text"]) == (3, 1)


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_bio_without_sentences_is_refused(tmp_path, content):
    with pytest.raises(CorpusError) as caught:
        count_texts(write(tmp_path / "a.bio", content), ["text"])
    assert "expected sentences, found none" in str(caught.value)


@pytest.mark.parametrize("line", ["我 爱 北京\n", "我,O\n北,B-LOC\n", "今天天气很好\n"])
def test_bio_of_another_form_is_refused_once_as_texts_to_predict(tmp_path, line):
    path = write(tmp_path / "a.bio", line * 40)
    for read in (count_texts, lambda *args: list(iter_texts(*args))):
        with pytest.raises(CorpusError) as caught:
            read(path, ["text"])
        [problem] = caught.value.problems
        assert "row 1: expected a character" in problem and "of " in problem


@pytest.mark.parametrize(
    "tag", ["None", "OUT", "unk", "无", "其他", "<pad>", "PN", "人名", "PN O", "r 代词 B-X"]
)
def test_whatever_stands_behind_the_characters_is_not_read(tmp_path, tag):
    path = write(tmp_path / "a.bio", f"我 {tag}\n  {tag}\n好 {tag}\n\n啊 {tag}\n")
    [table] = iter_texts(path, ["text"])
    assert table["text"].to_pylist() == ["我 好", "啊"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("中华人民共和国\n成立\n", "中华人民共和国成立"),
        ("中华人民共和国 B-ORG\n", "中华人民共和国"),
        ("北京 NR\n欢迎 VV\n你 PN\n", "北京欢迎你"),
        ("第一、\n好\n", "第一、好"),
        ("北\n北 _\n北 LOC-B\nIBM\nt.cn/a\nhello O\n", "北北北IBMt.cn/ahello"),
        ("我爱 北京\n", "我爱"),
        ("售价\n50\n元\n20\n", "售价50元20"),
        ("我 r O\n", "我"),
    ],
)
def test_words_may_stand_in_the_place_of_characters(tmp_path, content, text):
    path = write(tmp_path / "a.bio", content)
    [table] = iter_texts(path, ["text"])
    assert table["text"].to_pylist() == [text]


@pytest.mark.parametrize(
    "content",
    [
        "我 爱 北京\n",
        "我\n今天 天气 好\n",
        "a b\nc d e\n",
        "a b c\nd e\n",
        "北;B-LOC\n好\n",
        "今天天气很好\n",
        "你好。\n是的。\n",
        "好，的\n我\n是\n",
        "好，的 正面\n我\n是\n",
        "今天天气很好 正面\n这家店很不错 负面\n",
    ],
)
def test_lines_that_are_no_characters_are_refused_as_texts_to_predict(tmp_path, content):
    path = write(tmp_path / "a.bio", content)
    for read in (count_texts, lambda *args: list(iter_texts(*args))):
        with pytest.raises(CorpusError, match="expected a character, a blank and its tag"):
            read(path, ["text"])
