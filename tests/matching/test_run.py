import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from raytrain.errors import InputError
from raytrain.matching import run as module
from raytrain.matching.fused import FirstStage
from raytrain.matching.judge import Judge
from raytrain.matching.measures import Measures
from raytrain.matching.outputs import COLUMNS
from raytrain.matching.run import match_texts, write_matches
from raytrain.matching.texts import Texts
from raytrain.matching.words import WordSearch

CANDIDATES = Texts([*"abcd"], ["退款三天到账", "怎么申请退货，好", "发票可以开吗", ""])
QUERIES = Texts([5, 6, 7], ["退款", "发票\n", "退货"], ["a", "c", "b"])
FIRST = FirstStage({"words": WordSearch(CANDIDATES.texts, QUERIES.texts)})


def likes_the_last(firsts, seconds):
    return np.array([CANDIDATES.texts.index(text) / 10 for text in seconds])


def read(path):
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return [dict(row) for row in csv.DictReader(stream)]
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_matches_are_written_query_by_query_best_first(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(module, "QUERIES_AT_ONCE", 2)
    path = tmp_path / f"matches{suffix}"
    assert list(write_matches(str(path), QUERIES, CANDIDATES, FIRST, None, 2, 3)) == [2, 3]
    rows = read(path)
    assert [tuple(row) for row in rows] == [COLUMNS] * 6
    assert [str(row["query_id"]) for row in rows] == [*"556677"]
    assert [int(row["rank"]) for row in rows] == [1, 2] * 3
    assert [row["candidate_id"] for row in rows][::2] == [*"acb"]
    assert rows[2]["query"] == "发票\n" and rows[2]["candidate"] == "发票可以开吗"
    assert float(rows[0]["score"]) > float(rows[1]["score"]) > 0


def test_ids_and_texts_are_safe_in_a_spreadsheet(tmp_path):
    """It would compute one and drop the zeros of the other."""
    queries, candidates = Texts(["=1+1"], ["-退款"]), Texts(["007"], ["退款"])
    first = FirstStage({"words": WordSearch(candidates.texts, queries.texts)})
    for suffix, mark in ((".csv", "'"), (".jsonl", ""), (".parquet", "")):
        path = tmp_path / f"m{suffix}"
        list(write_matches(str(path), queries, candidates, first, None, 1, 1))
        (row,) = read(path)
        told = [row[name] for name in ("query_id", "candidate_id", "query", "candidate")]
        assert told == [f"{mark}=1+1", f"{mark}007", f"{mark}-退款", "退款"]


def test_what_was_found_is_judged_and_each_stage_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PAIRS_AT_ONCE", 4)
    path, measures = tmp_path / "m.jsonl", Measures(QUERIES, CANDIDATES)
    judge = Judge(likes_the_last, CANDIDATES.texts)
    told = list(write_matches(str(path), QUERIES, CANDIDATES, FIRST, judge, 1, 3, measures))
    assert told == [1, 2, 3]
    assert [(row["candidate_id"], row["score"]) for row in read(path)] == [("c", 0.2)] * 3
    table = measures.table((3,))
    assert [list(column.cells) for column in table.columns][:2] == [
        ["words", "reranked"],
        ["1.0000", "0.3333"],
    ]


def test_a_failure_leaves_nothing(tmp_path):
    def fails(firsts, seconds):
        raise RuntimeError("gone")

    judge = Judge(fails, CANDIDATES.texts)
    with pytest.raises(RuntimeError):
        list(write_matches(str(tmp_path / "m.csv"), QUERIES, CANDIDATES, FIRST, judge, 1, 3))
    assert not list(tmp_path.iterdir())


def first_letters(texts):
    """退 to the right, 发 upwards, all else away from both."""
    places = {"退": (1.0, 0.0), "发": (0.0, 1.0)}
    return np.array([places.get(text[:1], (-1.0, -1.0)) for text in texts])


@pytest.mark.parametrize("by", [{}, {"embed": first_letters}, {"embed": first_letters, "words": False}])
def test_from_python_places_and_scores_come_back(by):
    found = match_texts(QUERIES.texts, CANDIDATES.texts, 2, **by)
    assert found.rows.shape == found.scores.shape == (3, 2)
    assert found.rows[:2, 0].tolist() == [0, 2]
    assert (np.diff(found.scores) <= 0).all()


def test_from_python_a_judge_has_the_last_word(monkeypatch):
    monkeypatch.setattr(module, "PAIRS_AT_ONCE", 4)
    found = match_texts(QUERIES.texts, CANDIDATES.texts, 1, judge=likes_the_last, rerank=3)
    assert found.rows.tolist() == [[2]] * 3
    np.testing.assert_allclose(found.scores, 0.2, rtol=1e-6)


def test_from_python_all_that_is_wrong_is_told_at_once():
    with pytest.raises(InputError) as raised:
        match_texts(iter([]), np.array([]), top=0, words=False)
    assert raised.value.problems == [
        "queries: expected texts, found none",
        "candidates: expected texts, found none",
        "top: expected 1 or more, found 0",
        "expected embed, or words=True: something by which candidates are found",
    ]
