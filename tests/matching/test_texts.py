import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from text_files import write, write_csv, write_jsonl

from raytrain.errors import ConfigError, CorpusError, InputError
from raytrain.matching.texts import Problems, Texts, check_truth, read_texts


def test_texts_are_read_with_ids_and_right_candidates(tmp_path):
    rows = [{"问": "甲", "号": 7, "答": 3}, {"问": " ", "号": 8, "答": None}]
    texts = read_texts(write_jsonl(tmp_path / "q.jsonl", rows), "问", "号", "答")
    assert texts == Texts(["7", "8"], ["甲", " "], ["3", ""]) and texts.num_empty == 1
    plain = read_texts(write(tmp_path / "c.txt", "天\n地\n"), "text")
    assert plain == Texts([0, 1], ["天", "地"], None)


def test_whole_numbers_of_a_column_with_empty_cells_are_ids(tmp_path):
    """Such a column is one of floats in Parquet."""
    table = pa.table({"text": ["甲", "乙", "丙"], "right": pa.array([12, None, 3], pa.float64())})
    pq.write_table(table, tmp_path / "q.parquet")
    queries = read_texts(tmp_path / "q.parquet", "text", truth="right")
    assert queries.right == ["12.0", "", "3.0"]
    check_truth(queries, Texts(["12", " 3"], ["答", "复"]), "q.parquet", "right")


def test_ids_that_end_like_whole_numbers_are_found_as_they_stand(tmp_path):
    """Such as of sections and versions."""
    queries = read_texts(
        write_csv(tmp_path / "q.csv", [("甲", "1.0")], ("text", "right")), "text", truth="right"
    )
    check_truth(queries, Texts(["1.0", "1.1", "2.0"], [*"abc"]), "q.csv", "right")
    with pytest.raises(CorpusError, match=r"no candidate has: '1\.0'"):
        check_truth(queries, Texts(["1.1", "2.0"], [*"ab"]), "q.csv", "right")


def test_what_is_wrong_with_a_file_is_told(tmp_path):
    path = write_csv(tmp_path / "q.csv", [("a", "b")])
    with pytest.raises(CorpusError) as caught:
        read_texts(path, "问", truth="答")
    assert len(caught.value.problems) == 2
    with pytest.raises(CorpusError, match="BIO"):
        read_texts(tmp_path / "q.bio", "text", truth="答")


@pytest.mark.parametrize(
    ("right", "told"),
    [(["", ""], "found none"), (["0", "5"], "no candidate has: '5'"), ([*"123456789"], "4 more")],
)
def test_right_candidates_must_be_there(right, told):
    queries = Texts([*range(len(right))], ["问"] * len(right), right)
    with pytest.raises(CorpusError, match=told):
        check_truth(queries, Texts([0], ["答"]), "q.csv", "答")
    check_truth(Texts([0], ["问"], ["0"]), Texts([0], ["答"]), "q.csv", "答")


def test_problems_are_told_together():
    problems = Problems()
    problems.refuse("nothing")
    with problems.of():
        raise CorpusError("x", ["q.csv: one", "q.csv: two"])
    with problems.of("--label"):
        raise ConfigError("wrong", ["why"])
    with pytest.raises(InputError) as caught:
        problems.refuse("nothing can be matched")
    assert caught.value.problems == ["q.csv: one", "q.csv: two", "--label: wrong; why"]
