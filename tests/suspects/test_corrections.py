import csv
import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from tiny_run import write_csv

from raytrain.corpus.corpus import Corpus
from raytrain.errors import CorpusError
from raytrain.suspects.corrections import correct_labels, count_marked
from raytrain.suspects.ranking import Ranking
from raytrain.suspects.table import build_table, csv_bytes

TEXTS = ["今天停水", "=1+1", "明天\r\n停电🙂", "第四条", "'第五条", "第六条"]


def corpus_of(labels=("假", "真", "不明"), ids=("a", "b", "007", "d", "-e", "f")):
    columns = {"id": pa.array(ids), "text": TEXTS, "label": pa.array([0, 0, 1, 1, 2, 2], pa.int32())}
    return Corpus(pa.table(columns), list(labels), "a" * 64, "a.csv", {"empty_text": 1})


def written(tmp_path, marks, corpus=None, encoding="utf-8-sig", columns=None, name="suspects.csv"):
    """A run's file of all rows, filled in by id, as a spreadsheet in some encoding leaves it."""
    corpus = corpus_of() if corpus is None else corpus
    size = corpus.num_rows
    everyone = Ranking(np.arange(size), np.zeros(size), np.ones((size, 3), bool))
    table = build_table(corpus, np.full((size, len(corpus.labels)), 1 / 3), everyone)
    path = tmp_path / name
    path.write_bytes(csv_bytes(table))
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row, key in zip(rows, corpus.table["id"].to_pylist(), strict=True):
        row["new_label"] = marks.get(key, "")
    columns = columns or list(rows[0])
    with path.open("w", encoding=encoding, errors="replace", newline="") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def corrected(path, corpus=None, num_folds=1, has_ids=True):
    return correct_labels(corpus or corpus_of(), [path], num_folds, has_ids)


def problems_of(path, corpus=None, **options):
    with pytest.raises(CorpusError) as caught:
        corrected(path, corpus, **options)
    assert caught.value.summary == "data.labels: these new labels cannot be used"
    return caught.value.problems


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gbk", "utf-16"])
def test_new_labels_come_back_whatever_the_spreadsheet_made_of_the_file(tmp_path, encoding):
    """GBK has no emoji; ids and texts have apostrophes where they would be rewritten."""
    path = written(tmp_path, {"b": "真", "007": " 假 ", "-e": "不明"}, encoding=encoding)
    corpus = corrected(path)
    assert corpus.table["label"].to_pylist() == [0, 1, 0, 1, 2, 2]
    assert corpus.table["judged"].to_pylist() == [False, True, True, False, True, False]
    assert corpus.changed_labels == 2 and corpus.dropped == {"empty_text": 1}
    assert corpus.summary()["changed_labels"] == 2


def test_a_corpus_that_nobody_corrected_says_nothing_of_it():
    assert "changed_labels" not in corpus_of().summary()


def test_drop_leaves_rows_out(tmp_path):
    corpus = corrected(written(tmp_path, {"a": "drop", "f": "真"}))
    assert corpus.table["id"].to_pylist() == ["b", "007", "d", "-e", "f"]
    assert corpus.table["label"].to_pylist() == [0, 1, 1, 2, 1]
    assert corpus.dropped == {"by_hand": 1, "empty_text": 1} and corpus.changed_labels == 1
    assert corpus.table["judged"].to_pylist() == [False, False, False, False, True]


def test_drop_is_a_label_where_one_has_that_name(tmp_path):
    own = corpus_of(labels=("假", "真", "drop"))
    corpus = corrected(written(tmp_path, {"a": "drop"}, own), own)
    assert corpus.num_rows == 6 and corpus.table["label"][0].as_py() == 2
    [problem] = problems_of(written(tmp_path, {"a": "Drop!"}, own), own)
    assert "expected one of 假, 真, drop; found 'Drop!'" in problem


@pytest.mark.parametrize(("mark", "label"), [("1.0", 1), ("-1", 0), ("2", 2)])
def test_labels_that_are_numbers_may_come_back_as_floats(tmp_path, mark, label):
    own = corpus_of(labels=(-1, 1, 2))
    assert corrected(written(tmp_path, {"a": mark}, own), own).table["label"][0].as_py() == label


@pytest.mark.parametrize(
    "labels", [("false", "true", "x"), ("False", "True", "x"), ("FALSE", "TRUE", "true")]
)
def test_booleans_may_come_back_in_capitals(tmp_path, labels):
    own = corpus_of(labels=labels)
    assert corrected(written(tmp_path, {"a": "TRUE"}, own), own).table["label"][0].as_py() == 1
    assert corrected(written(tmp_path, {"d": "FALSE"}, own), own).table["label"][3].as_py() == 0


@pytest.mark.parametrize("size", [29_999, 30_000, 30_001, 40_000])
@pytest.mark.parametrize("begin", ["@", "=", "+", "-", "'", "''=", "\r\n'", "好"])
def test_texts_that_a_cell_does_not_hold_are_known_again(tmp_path, size, begin):
    text = begin + "".join(chr(0x4E00 + place % 5000) for place in range(size - len(begin)))
    own = corpus_of()
    own = dataclasses.replace(own, table=own.table.set_column(1, "text", pa.array([text, *TEXTS[1:]])))
    assert corrected(written(tmp_path, {"a": "真"}, own), own).changed_labels == 1
    whole = write_csv(tmp_path / "whole.csv", [{"id": "a", "text": text, "new_label": "真"}])
    assert corrected(whole, own).changed_labels == 1
    other = write_csv(tmp_path / "other.csv", [{"id": "a", "text": text[:20_000], "new_label": "真"}])
    assert "expected the text of this id" in problems_of(other, own)[0]


def test_row_numbers_need_the_texts(tmp_path):
    own = corpus_of(ids=(0, 1, 2, 3, 5, 9))
    path = written(tmp_path, {9: "真"}, own)
    assert corrected(path, own, has_ids=False).table["label"].to_pylist() == [0, 0, 1, 1, 2, 1]
    bare = written(tmp_path, {9: "真"}, own, columns=["id", "new_label"])
    [problem] = problems_of(bare, own, has_ids=False)
    assert "column text: expected a column of this name" in problem


def test_ids_of_their_own_need_no_texts(tmp_path):
    path = written(tmp_path, {"f": "真"}, columns=["id", "new_label"])
    assert corrected(path).table["label"].to_pylist() == [0, 0, 1, 1, 2, 1]


def test_a_file_of_another_corpus_is_told_by_row(tmp_path):
    other = corpus_of()
    texts = pa.array([*TEXTS[:3], "别的一条", *TEXTS[4:]])
    other = dataclasses.replace(other, table=other.table.set_column(1, "text", texts))
    path = written(tmp_path, {"a": "真", "d": "假"}, other)
    [problem] = problems_of(path)
    assert problem.startswith(f"{path}, row 6, column text: expected the text of this id in a.csv, '第四条'")
    assert "another corpus?" in problem


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    one = write_csv(
        tmp_path / "one.csv",
        [
            {"id": "a", "new_label": "真"},
            {"id": "x", "new_label": "真"},
            {"id": "b", "new_label": "真的"},
            {"id": "d", "new_label": ""},
            {"id": "nobody", "new_label": ""},
        ],
    )
    two = write_csv(
        tmp_path / "two.csv",
        [
            {"id": "a", "new_label": "不明"},
            {"id": "f", "new_label": "谣言"},
            {"id": "f", "new_label": "drop"},
        ],
    )
    with pytest.raises(CorpusError) as caught:
        correct_labels(corpus_of(), [one, two], 1, True)
    unknown, unlike, second, unlabelled = caught.value.problems
    assert unknown.startswith(f"{one}, row 3, column id: expected an id of a.csv, found 'x'")
    assert unlike.startswith(f"{one}, row 4, column new_label: expected one of 假, 真, 不明, or drop")
    assert "found '真的'; did you mean '真'?" in unlike
    assert second == (
        f"{two}, row 2, column new_label: expected one new label of each row, "
        f"found another in {one}, row 2; keep one"
    )
    assert "found '谣言'; a new class needs rows of its own" in unlabelled


def test_the_same_label_twice_is_no_problem(tmp_path):
    one = written(tmp_path, {"a": "真"}, name="one.csv")
    two = written(tmp_path, {"a": "真", "b": "真"}, name="two.csv")
    corpus = correct_labels(corpus_of(), [one, two], 0, True)
    assert corpus.table["label"].to_pylist()[:2] == [1, 1] and corpus.changed_labels == 2


@pytest.mark.parametrize("marks", [{"a": "真", "b": "真"}, {"a": "drop", "b": "drop"}])
def test_each_class_keeps_a_row_per_fold(tmp_path, marks):
    [problem] = problems_of(written(tmp_path, marks))
    assert problem.startswith("expected at least 1 rows of each class, one per fold, found 0 of '假'")


def test_a_file_that_says_nothing_is_an_error(tmp_path):
    [problem] = problems_of(written(tmp_path, {}))
    assert "column new_label: expected a new label in some row, found none" in problem


def test_a_file_without_its_columns_is_an_error(tmp_path):
    path = write_csv(tmp_path / "a.csv", [{"id": "a", "label": "真"}])
    [problem] = problems_of(path)
    assert "column new_label: expected a column of this name" in problem
    path = write_csv(tmp_path / "b.csv", [{"key": "a", "new_label": "真"}])
    [problem] = problems_of(path)
    assert "column id: expected a column of this name" in problem


def test_marks_are_counted(tmp_path):
    assert count_marked(written(tmp_path, {"a": "真", "b": " "})) == 1
    empty = tmp_path / "none.csv"
    empty.write_text("id,new_label\n")
    assert count_marked(empty) == 0
    with pytest.raises(CorpusError, match="is no file of suspects"):
        count_marked(write_csv(tmp_path / "texts.csv", [{"id": "a", "text": "b"}]))


def test_blanks_at_an_ids_ends_do_not_matter(tmp_path):
    own = corpus_of(ids=("a ", "b", "007", "d", "-e", "f"))
    assert corrected(written(tmp_path, {"a ": "真"}, own), own).changed_labels == 1


def test_ids_that_differ_by_blanks_alone_are_two_rows(tmp_path):
    """Predictions carry ids back as they are, and so do files of suspects."""
    own = corpus_of(ids=("7", "7 ", "007", "d", "-e", "f"))
    changed = corrected(written(tmp_path, {"7": "真", "7 ": "不明"}, own), own, num_folds=0)
    assert changed.table["label"].to_pylist() == [1, 2, 1, 1, 2, 2]
    assert corrected(written(tmp_path, {"7": "真"}, own), own).table["label"].to_pylist() == [
        1,
        0,
        1,
        1,
        2,
        2,
    ]


def test_an_id_that_may_be_one_of_two_is_told(tmp_path):
    own = corpus_of(ids=("7 ", " 7", "007", "d", "-e", "f"))
    [problem] = problems_of(write_csv(tmp_path / "a.csv", [{"id": "7", "new_label": "真"}]), own)
    assert "column id: expected an id of a.csv, found '7'" in problem


def test_all_files_that_cannot_be_read_are_told_with_the_key_and_all_else(tmp_path):
    wrong = written(tmp_path, {"a": "没有"})
    (tmp_path / "b.xlsx").write_bytes(b"PK")
    paths = [str(tmp_path / "none.csv"), str(tmp_path / "b.xlsx"), str(wrong)]
    with pytest.raises(CorpusError) as raised:
        correct_labels(corpus_of(), paths, 2, True)
    assert raised.value.summary.startswith("data.labels: ")
    missing, other, unknown = raised.value.problems
    assert paths[0] in missing and "cannot tell the format" in other and "没有" in unknown


def test_what_is_told_of_a_file_names_no_key_of_another_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('id,new_label\na,1\nb,"x"y\n', encoding="utf-8")
    problems = problems_of(path)
    assert any("not closed or not doubled" in problem for problem in problems)
    assert all("data.quoting" not in problem for problem in problems)
    with pytest.raises(CorpusError, match="not closed") as caught:
        count_marked(path)
    assert "data.quoting" not in str(caught.value)
