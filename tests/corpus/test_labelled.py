import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from text_files import write_csv, write_jsonl

from raytrain.characters import without_unseen
from raytrain.corpus.labelled import read_corpus
from raytrain.errors import CorpusError
from raytrain.files.encodings import DROPPABLE

SHARED = Path(__file__).parents[3] / "shared/data"
GOOD = [("甲店很好", "好"), ("乙店不好", "坏"), ("丙店也好", "好"), ("丁店也坏", "坏")]


def problems_of(path, *args, **kwargs):
    with pytest.raises(CorpusError) as caught:
        read_corpus(path, *(args or (["text"], "label")), **kwargs)
    return caught.value.problems


def test_corpus_has_texts_label_indices_and_row_numbers(tmp_path):
    corpus = read_corpus(write_csv(tmp_path / "a.csv", GOOD), ["text"], "label")
    assert corpus.num_rows == 4
    assert corpus.labels == ["坏", "好"]
    assert corpus.table.schema == pa.schema({"id": pa.int64(), "text": pa.string(), "label": pa.int32()})
    assert corpus.table.to_pydict() == {
        "id": [0, 1, 2, 3],
        "text": [text for text, _ in GOOD],
        "label": [1, 0, 1, 0],
    }


def test_ids_pairs_and_groups(tmp_path):
    rows = [("n7", "问一", "答一", 1, "甲"), ("n8", "问二", "答二", 0, "乙")] * 2
    rows = [(f"{row[0]}-{i}", *row[1:]) for i, row in enumerate(rows)]
    path = write_csv(tmp_path / "a.csv", rows, ("no", "q", "a", "y", "shop"))
    corpus = read_corpus(path, ["q", "a"], "y", id="no", group="shop")
    assert corpus.table.column_names == ["id", "text", "text_pair", "label", "group"]
    assert corpus.table.to_pylist()[1] == {
        "id": "n8-1",
        "text": "问二",
        "text_pair": "答二",
        "label": 0,
        "group": "乙",
    }


def test_texts_are_kept_as_they_are(tmp_path):
    texts = ["　前后有空 ", "两行\n文字", "a\tb", "数字１"]
    corpus = read_corpus(write_csv(tmp_path / "a.csv", zip(texts, "0101", strict=True)), ["text"], "label")
    assert corpus.table["text"].to_pylist() == texts


def test_numbers_are_texts_too(tmp_path):
    rows = [{"text": text, "label": i % 2} for i, text in enumerate([12, 1.5, "字", "词"])]
    corpus = read_corpus(write_jsonl(tmp_path / "a.jsonl", rows), ["text"], "label")
    assert corpus.table["text"].to_pylist() == ["12", "1.5", "字", "词"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["10", "9", "-3", "0"], [-3, 0, 9, 10]),
        (["10", "9", "01"], ["01", "10", "9"]),
        (["1", "0", "无"], ["0", "1", "无"]),
        ([" 是", "否　"], ["否", "是"]),
        (["-0", "0"], ["-0", "0"]),
        (["1.0", "0.0"], ["0.0", "1.0"]),
        (["１", "２"], ["１", "２"]),
    ],
)
def test_labels_are_integers_where_all_are_and_sorted(tmp_path, labels, expected):
    path = write_csv(tmp_path / "a.csv", [(f"第{i}句", label) for i, label in enumerate(labels * 2)])
    corpus = read_corpus(path, ["text"], "label")
    assert corpus.labels == expected
    named = [str(corpus.labels[index]) for index in corpus.table["label"].to_pylist()]
    assert named == [label.strip() for label in labels * 2]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([1, 0], [0, 1]), ([1.0, 0.0], [0, 1]), ([True, False], ["false", "true"]), (["1", 0], [0, 1])],
)
def test_labels_of_json_values(tmp_path, labels, expected):
    rows = [{"text": f"第{i}句", "label": label} for i, label in enumerate(labels * 2)]
    assert read_corpus(write_jsonl(tmp_path / "a.jsonl", rows), ["text"], "label").labels == expected


@pytest.mark.parametrize("kind", [pa.int64(), pa.int8(), pa.float64(), pa.string(), pa.large_string()])
def test_labels_of_parquet_values(tmp_path, kind):
    labels = pa.array([2, 1, 2, 1]).cast(kind)
    pq.write_table(pa.table({"text": ["甲", "乙", "丙", "丁"], "label": labels}), tmp_path / "a.parquet")
    assert read_corpus(tmp_path / "a.parquet", ["text"], "label").labels == [1, 2]


def test_dictionary_labels_of_parquet(tmp_path):
    labels = pa.array(["好", "坏", "好", "坏"]).dictionary_encode()
    pq.write_table(pa.table({"text": ["甲", "乙", "丙", "丁"], "label": labels}), tmp_path / "a.parquet")
    assert read_corpus(tmp_path / "a.parquet", ["text"], "label").labels == ["坏", "好"]


def test_float_labels_with_nan_are_integers_and_missing(tmp_path):
    table = pa.table({"text": ["甲", "乙", "丙", "丁", "戊"], "label": [1.0, 0.0, float("nan"), 1.0, 0.0]})
    pq.write_table(table, tmp_path / "a.parquet")
    problems = problems_of(tmp_path / "a.parquet")
    assert len(problems) == 1
    assert "row 3, column label: expected a label, found an empty one" in problems[0]
    corpus = read_corpus(tmp_path / "a.parquet", ["text"], "label", drop=["missing_label"])
    assert (corpus.labels, corpus.dropped) == ([0, 1], {"missing_label": 1})


@pytest.mark.parametrize("label", [1.5, [[1]], {"a": 1}])
def test_labels_of_other_types_are_refused(tmp_path, label):
    rows = [{"text": t, "label": y} for t, y in [*GOOD, ("戊", label)]]
    (problem,) = problems_of(write_jsonl(tmp_path / "a.jsonl", rows))
    assert f"row 5, column label: expected a label, found {label!r}" in problem


@pytest.mark.parametrize("text", [True, ["字"], {}])
def test_texts_of_other_types_are_refused(tmp_path, text):
    rows = [{"text": t, "label": y} for t, y in [*GOOD, (text, "好")]]
    (problem,) = problems_of(write_jsonl(tmp_path / "a.jsonl", rows))
    assert f"row 5, column text: expected a text, found {text!r}" in problem


@pytest.mark.parametrize("text", ["", " ", "　", "\t\n 　", None])
def test_empty_text_names_its_row_and_how_to_drop_it(tmp_path, text):
    rows = [{"text": t, "label": y} for t, y in [*GOOD, (text, "好")]]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    (problem,) = problems_of(path)
    assert problem == (
        f"{path}, row 5, column text: expected a text, found an empty one; fill it in, "
        "or drop such rows with data.drop=[empty_text]"
    )


@pytest.mark.parametrize("pair", [("", "乙"), ("甲", " ")])
def test_either_text_of_a_pair_may_be_the_empty_one(tmp_path, pair):
    rows = [("甲", "乙", 0), ("丙", "丁", 1)] * 2 + [(*pair, 1)]
    path = write_csv(tmp_path / "a.csv", rows, ("q", "a", "label"))
    (problem,) = problems_of(path, ["q", "a"], "label")
    assert f"row 6, column {'qa'[pair.index(min(pair))]}" in problem


@pytest.mark.parametrize("label", ["", "  ", None])
def test_missing_label(tmp_path, label):
    rows = [{"text": t, "label": y} for t, y in [*GOOD, ("戊", label)]]
    (problem,) = problems_of(write_jsonl(tmp_path / "a.jsonl", rows))
    assert "row 5, column label: expected a label" in problem


@pytest.mark.parametrize("column", ["id", "group"])
def test_missing_id_or_group_cannot_be_dropped(tmp_path, column):
    rows = [(*row, key) for row, key in zip(GOOD, ["a", "b", " ", "d"], strict=True)]
    path = write_csv(tmp_path / "a.csv", rows, ("text", "label", "key"))
    (problem,) = problems_of(path, ["text"], "label", **{column: "key"}, drop=DROPPABLE)
    article = "an" if column == "id" else "a"
    assert f"row 4, column key: expected {article} {column}, found an empty one; fill it in" in problem
    assert "data.drop" not in problem


def test_rare_class_is_named_with_its_count(tmp_path):
    path = write_csv(tmp_path / "a.csv", [*GOOD, ("戊", "难说")])
    (problem,) = problems_of(path)
    assert "at least 2 rows of each class, one per fold, found 1 of '难说'" in problem
    assert "data.drop=[rare_class]" in problem


def test_classes_are_counted_before_other_refusals_and_after_dropping(tmp_path):
    path = write_csv(tmp_path / "a.csv", [*GOOD, ("戊", "难说"), ("", "难说")])
    assert len(problems_of(path)) == 1
    (problem,) = problems_of(path, drop=["empty_text"])
    assert "found 1 of '难说'" in problem
    corpus = read_corpus(path, ["text"], "label", drop=["empty_text", "rare_class"])
    assert corpus.dropped == {"empty_text": 1, "rare_class": 1}
    assert corpus.labels == ["坏", "好"]


def test_duplicate_ids_name_both_rows(tmp_path):
    rows = [(*row, key) for row, key in zip(GOOD, "abca", strict=True)]
    path = write_csv(tmp_path / "a.csv", rows, ("text", "label", "no"))
    (problem,) = problems_of(path, ["text"], "label", id="no")
    assert "row 5, column no: expected each id once, found 'a' in row 2 too" in problem


def test_first_of_duplicate_ids_stays(tmp_path):
    rows = [(*row, key) for row, key in zip(GOOD * 2, "abcdabcd", strict=True)]
    path = write_csv(tmp_path / "a.csv", [("", "好", "a"), *rows], ("text", "label", "no"))
    corpus = read_corpus(path, ["text"], "label", id="no", drop=["duplicate_id", "empty_text"])
    assert corpus.table["id"].to_pylist() == ["a", "b", "c", "d"]
    assert corpus.table["text"].to_pylist() == [text for text, _ in GOOD]
    assert corpus.dropped == {"duplicate_id": 4, "empty_text": 1}


def test_integer_ids_become_strings(tmp_path):
    table = pa.table({"text": ["甲", "乙", "丙", "丁"], "label": [0, 1] * 2, "id": [7, 8, 9, 10]})
    pq.write_table(table, tmp_path / "a.parquet")
    corpus = read_corpus(tmp_path / "a.parquet", ["text"], "label", id="id")
    assert corpus.table["id"].to_pylist() == ["7", "8", "9", "10"]


def test_one_class_alone(tmp_path):
    (problem,) = problems_of(write_csv(tmp_path / "a.csv", [("甲", 1), ("乙", 1)]))
    assert "expected two classes or more, found '1' alone" in problem
    assert read_corpus(tmp_path / "a.csv", ["text"], "label", least_classes=1).labels == [1]


def test_one_class_left_after_dropping(tmp_path):
    path = write_csv(tmp_path / "a.csv", [("甲", 1), ("乙", 1), ("丙", 0)])
    (problem,) = problems_of(path, drop=["rare_class"])
    assert "found '1' alone" in problem


def test_nothing_left_after_dropping(tmp_path):
    path = write_csv(tmp_path / "a.csv", [("", 1), ("", 0)])
    (problem,) = problems_of(path, drop=["empty_text"])
    assert "found none after dropping {'empty_text': 2}" in problem


def test_dropping_malformed_rows_does_not_shift_row_numbers(tmp_path):
    rows = [GOOD[0], ("多", "了", "一个"), GOOD[1], ("", "好"), *GOOD[2:]]
    path = write_csv(tmp_path / "a.csv", rows)
    corpus = read_corpus(path, ["text"], "label", drop=["malformed_row", "empty_text"])
    assert corpus.table["id"].to_pylist() == [0, 2, 4, 5]
    assert corpus.dropped == {"empty_text": 1, "malformed_row": 1}


def test_row_with_two_faults_is_dropped_once(tmp_path):
    path = write_csv(tmp_path / "a.csv", [*GOOD, ("", "")])
    corpus = read_corpus(path, ["text"], "label", drop=["missing_label", "empty_text"])
    assert corpus.dropped == {"empty_text": 1}


def test_everything_wrong_is_in_one_error(tmp_path):
    path = tmp_path / "a.csv"
    lines = ["no,text,label", "a,甲,好", "a,乙,坏", "c,,好", "d,丁,", "e,戊,坏,多", "f,己,难说"]
    path.write_bytes("\n".join(lines).encode() + b"\xff\n")
    problems = problems_of(path, ["text"], "label", id="no", group="店")
    wanted = [
        "column 店: expected a column",
        "at least 2 rows of each class",
        "row 3, column no: expected each id once",
        "row 4, column text: expected a text",
        "row 5, column label: expected a label",
        "row 6: expected 3 fields",
        "row 7: expected UTF-8",
    ]
    assert all(any(words in problem for problem in problems) for words in wanted)
    assert "难说" in str(problems)


def test_whole_file_problems_come_first(tmp_path):
    problems = problems_of(write_csv(tmp_path / "a.csv", [*GOOD, *[("", "好")] * 60, ("戊", "难说")]))
    assert "难说" in problems[0]
    assert len(problems) == 61


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_missing_column_is_one_problem_not_one_a_row(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "csv":
        write_csv(path, GOOD)
    else:
        write_jsonl(path, [{"text": t, "label": y} for t, y in GOOD])
    (problem,) = problems_of(path, ["review"], "label", drop=["empty_text"])
    assert "column review: expected a column of this name, found 'text', 'label'" in problem


@pytest.mark.parametrize("content", ["", "text,label\n"])
def test_empty_file(tmp_path, content):
    (tmp_path / "a.csv").write_text(content)
    (problem,) = problems_of(tmp_path / "a.csv")
    assert "expected rows, found" in problem


def test_missing_file(tmp_path):
    with pytest.raises(CorpusError, match=r"absent\.csv"):
        read_corpus(tmp_path / "absent.csv", ["text"], "label")


def test_gb18030_equals_utf8_but_for_the_hash(tmp_path):
    plain = write_csv(tmp_path / "a.csv", GOOD)
    (tmp_path / "b.csv").write_bytes(plain.read_bytes().decode().encode("gb18030"))
    one, other = (read_corpus(tmp_path / name, ["text"], "label") for name in ("a.csv", "b.csv"))
    assert one.table.equals(other.table)
    assert one.sha256 == hashlib.sha256(plain.read_bytes()).hexdigest() != other.sha256


@pytest.mark.skipif(not (SHARED / "ced_rumors.csv").exists(), reason="the data set is not beside the project")
def test_rumour_data_set():
    corpus = read_corpus(SHARED / "ced_rumors.csv", ["text"], "label", num_folds=10)
    summary = corpus.summary()
    assert summary["rows"] == 3387
    assert summary["labels"] == [{"label": 0, "rows": 1849}, {"label": 1, "rows": 1538}]
    assert summary["duplicate_texts"] == 70


def test_times_stand_beside_the_rows_that_stay(tmp_path):
    rows = [("好", 1, "2012/3/4 5:06"), ("", 1, "何时"), ("坏", 0, "2011-01-01"), ("中", 2, "2013-01-01")] * 2
    path = write_csv(tmp_path / "a.csv", [*rows, ("孤", 9, "2014-01-01")], ("text", "label", "发布"))
    dropped = ["empty_text", "rare_class"]
    corpus = read_corpus(path, ["text"], "label", drop=dropped, time="发布")
    days = [str(day)[:10] for day in corpus.table["time"].to_pylist()]
    assert days == ["2012-03-04", "2011-01-01", "2013-01-01"] * 2 and corpus.num_rows == 6


def test_what_is_wrong_with_times_is_told_with_all_else(tmp_path):
    rows = [("好", 1, "1"), ("", 0, "2012-03-04"), ("坏", 0, ""), ("中", 1, "昨天")]
    path = write_csv(tmp_path / "a.csv", rows, ("text", "label", "发布"))
    problems = problems_of(path, ["text"], "label", time="发布")
    assert len(problems) == 4
    times = [problem for problem in problems if "column 发布" in problem]
    assert "found 1 that are empty (row 4: '')" in times[0] and "no time (row 5: '昨天')" in times[1]
    assert "one kind, found 1 as numbers (row 2: '1'); 1 as dates and times (row 3: '2012-03-04')" in times[2]
    assert "row 3, column text" in problems[-1]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_missing_column_of_times_is_one_problem(tmp_path, suffix):
    rows, path = [("好", 1), ("坏", 0)] * 2, tmp_path / f"a.{suffix}"
    if suffix == "csv":
        write_csv(path, rows)
    else:
        lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
        path.write_text("\n".join(lines), encoding="utf-8")
    [problem] = problems_of(path, ["text"], "label", time="发布")
    assert "expected a column of this name" in problem


def test_months_beside_which_none_is_a_number_are_told(tmp_path):
    rows = [(f"店{i}", "好坏"[i % 2], f"2012.{i + 5}") for i in range(6)]
    path = write_csv(tmp_path / "a.csv", rows, ("text", "label", "发布"))
    corpus = read_corpus(path, ["text"], "label", time="发布")
    assert corpus.table["time"].to_pylist() == sorted(corpus.table["time"].to_pylist())
    assert ["months of a year" in line for line in corpus.reading] == [True]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("1", "1.0"), ("A", "Ａ"), ("Good", "good"), ("true", "1"), ("好", "好\u200b"), ("好", "好\x08")),
        *(("好", "好\u034f"), ("❤", "❤\ufe0f")),
    ],
)
def test_two_spellings_of_a_label_are_told_beside_each_other(tmp_path, one, other):
    labels = [one, one, one, other, other, "坏", "坏"]
    path = write_csv(tmp_path / "a.csv", [(f"店{i}", label) for i, label in enumerate(labels)])
    [problem] = problems_of(path)
    spell = ascii if without_unseen(other) != other else repr
    assert f"{spell(one)} (3 rows), {spell(other)} (2 rows)" in problem


def test_labels_that_differ_otherwise_are_several(tmp_path):
    labels = ["1", "1.5", "-1", "10"] * 2
    path = write_csv(tmp_path / "a.csv", [(f"店{i}", label) for i, label in enumerate(labels)])
    assert len(read_corpus(path, ["text"], "label").labels) == 4


def test_an_encoding_that_was_found_is_told(tmp_path):
    path = tmp_path / "x.csv"
    text = "text,label\n" + "房間很乾淨，服務熱情,好\n味道奇怪，品質很差，退貨了,壞\n" * 4
    path.write_text(text, "cp950")
    assert ["Big5" in line for line in read_corpus(path, ["text"], "label").reading] == [True]
    path.write_text(text, "utf-8")
    assert read_corpus(path, ["text"], "label").reading == ()


@pytest.mark.parametrize(
    ("labels", "names", "told"),
    [
        (["1", "1", "1.0", "0", "0.0", "0"], [0, 1], "the label '1' is also spelt '1.0'"),
        (["好", "好\u200b", "好", "坏", "坏", "坏"], ["坏", "好"], "also spelt '\\u597d\\u200b'"),
        (["❤", "❤\ufe0f", "❤", "坏", "坏", "坏"], ["❤", "坏"], r"'\u2764' is also spelt '\u2764\ufe0f'"),
        (["pos", "Pos", "POS", "pos", "neg", "neg"], ["neg", "pos"], "is also spelt 'POS', 'Pos'"),
    ],
)
def test_labels_that_look_alike_are_merged_where_that_is_wanted(tmp_path, labels, names, told):
    path = write_csv(tmp_path / "a.csv", [(f"店{i}", label) for i, label in enumerate(labels)])
    corpus = read_corpus(path, ["text"], "label", merge_labels=True)
    assert corpus.labels == names and corpus.num_rows == 6
    assert sorted(corpus.table["label"].to_pylist()) in ([0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1])
    assert any(told in line for line in corpus.reading)


def test_where_no_labels_look_alike_merging_changes_nothing(tmp_path):
    path = write_csv(tmp_path / "a.csv", [(f"店{i}", i % 2) for i in range(6)])
    assert read_corpus(path, ["text"], "label", merge_labels=True) == read_corpus(path, ["text"], "label")


def several(tmp_path, labels, **options):
    rows = [{"text": f"文{row}", "label": label} for row, label in enumerate(labels)]
    return problems_of(write_jsonl(tmp_path / "a.jsonl", rows), **options)


def test_lists_of_labels_are_one_problem(tmp_path):
    (problem,) = several(tmp_path, [["好"], ["好", "快"], ["快"], ["好", "快"], ["慢"]])
    assert "row 2, column label: expected one label, found ['好', '快']" in problem
    assert "a text has one label here" in problem and problem.endswith("(the first of 2 such rows)")


def test_rare_labels_that_join_others_are_one_problem(tmp_path):
    labels = ["好", "快", "好|快", "慢|好", "慢", "好", "快", "慢"]
    (problem,) = several(tmp_path, labels)
    assert "row 3, column label: expected one label, found '好|快', several joined by '|'" in problem
    assert "the first of 2 such rows" in problem


def test_labels_that_join_others_and_are_classes_are_told(tmp_path):
    rows = [{"text": f"文{row}", "label": ("好", "快", "好,快")[row % 3]} for row in range(9)]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    [line] = read_corpus(path, ["text"], "label").reading
    assert "'好,快' (3 rows) are several, joined by ','" in line


def test_columns_of_labels_are_named_where_the_label_column_is_missing(tmp_path):
    rows = [
        {"text": "甲", "好": 1, "快": 0, "慢": 0, "n": 3},
        {"text": "乙", "好": 0, "快": 1, "慢": 0, "n": 1},
    ]
    (problem,) = problems_of(write_jsonl(tmp_path / "a.jsonl", rows))
    assert "if '好', '快', '慢' are a label each: a text has one label here" in problem


def test_a_label_of_which_nothing_can_be_seen_is_missing_and_no_class(tmp_path):
    rows = [("甲", "x"), ("乙", "y"), ("丙", "\u200b"), ("\u200b", "x")] * 3
    path = write_csv(tmp_path / "a.csv", rows, ("text", "label"))
    with pytest.raises(CorpusError) as raised:
        read_corpus(path, ["text"], "label")
    assert ["expected a label" in line for line in raised.value.problems] == [True, False] * 3
    corpus = read_corpus(path, ["text"], "label", drop=["empty_text", "missing_label"])
    assert corpus.labels == ["x", "y"] and corpus.dropped == {"empty_text": 3, "missing_label": 3}


def test_rows_of_parquet_with_a_time_out_of_range_may_be_dropped_and_shift_no_ids(tmp_path):
    texts, labels = zip(*GOOD * 2, strict=True)
    times = pa.array([0, 2**60, 1, 2, 3, 2**60, 4, 5], pa.timestamp("us"))
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": texts, "label": labels, "at": times}), path)
    problems = problems_of(path, ["text"], "label", time="at")
    assert ["row 2, column at" in line for line in problems] == [True, False]
    assert all("mend it, or drop such rows with data.drop=[malformed_row]" in line for line in problems)
    corpus = read_corpus(path, ["text"], "label", time="at", drop=["malformed_row"])
    assert corpus.table["id"].to_pylist() == [0, 2, 3, 4, 6, 7] and corpus.dropped == {"malformed_row": 2}
    assert corpus.table["time"].null_count == 0
