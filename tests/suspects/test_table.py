import csv
import io

import numpy as np
import pyarrow as pa
import pytest

from raytrain.corpus.corpus import Corpus
from raytrain.suspects.ranking import Ranking
from raytrain.suspects.table import (
    LONGEST_TEXT,
    build_table,
    csv_bytes,
    shown_text,
)

TEXTS = ["今天停水", "=HYPERLINK(1)", "今天 停水", "第一行\r\n“第二行”,"]
RANKING = Ranking(
    np.array([2, 1]), np.array([-0.8, 0.2]), np.array([[True, True, False], [False, True, False]])
)
PROBA = np.array([[0.5, 0.5], [0.6, 0.4], [0.1, 0.9], [0.5, 0.5]])


def corpus_of(ids=("a", "b", "-c", "d"), labels=("假", "真"), **columns):
    table = {"id": pa.array(ids), "text": TEXTS, **columns, "label": pa.array([0, 0, 0, 1], pa.int32())}
    return Corpus(pa.table(table), list(labels), "a" * 64, "a.csv", {})


def rows_of(table):
    text = csv_bytes(table).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_row_tells_label_what_is_said_why_and_what_is_near():
    table = build_table(corpus_of(), PROBA, RANKING)
    first, second = table.to_pylist()
    near = first.pop("neighbours")
    assert first == {
        "id": "-c",
        "text": "今天 停水",
        "label": "假",
        "says": "真",
        "proba_label": 0.1,
        "proba_says": 0.9,
        "reasons": ["confident", "conflict"],
    }
    assert near == [{"id": "a", "label": "假", "similarity": pytest.approx(1)}]
    assert (second["says"], second["reasons"], second["neighbours"]) == ("假", ["conflict"], [])


def test_the_file_is_utf_8_with_its_mark_and_has_an_empty_column_to_fill_in():
    table = build_table(corpus_of(), PROBA, RANKING)
    assert csv_bytes(table).startswith(b"\xef\xbb\xbfid,text,label,says,")
    first, second = rows_of(table)
    assert list(first)[-1] == "new_label" and first["new_label"] == ""
    assert (first["proba_label"], first["reasons"]) == ("0.1000", "confident conflict")
    assert (first["id"], first["neighbours"]) == ("'-c", "a (假, 1.00)")
    assert second["text"] == "'=HYPERLINK(1)"


def test_pairs_and_numbers_are_told_as_they_are():
    corpus = corpus_of(ids=(0, 1, 2, 3), labels=(-1, 1), text_pair=["甲", "乙", "丙", "丁"])
    first, second = rows_of(build_table(corpus, PROBA, RANKING))
    assert (first["id"], first["text_pair"], first["label"], first["says"]) == ("2", "丙", "-1", "1")
    assert (second["id"], second["text_pair"]) == ("1", "乙")


def test_without_suspects_there_is_a_header_alone():
    none = RANKING.first(0)
    table = build_table(corpus_of(), PROBA, none)
    assert table.num_rows == 0 and rows_of(table) == []
    assert table.schema == build_table(corpus_of(), PROBA, RANKING).schema


def test_of_texts_of_more_than_two_gibibytes_some_are_taken(monkeypatch):
    """33 chunks of 64 MiB, which are one in memory; joined they are more than an array of strings holds."""
    texts = pa.chunked_array([pa.array(["好", "x" * (64 << 20)])] * 33)
    with pytest.raises(pa.ArrowInvalid, match="offset overflow"):
        texts.combine_chunks()
    columns = {"id": pa.array(range(66)), "text": texts, "label": pa.array([0] * 66, pa.int32())}
    monkeypatch.setattr("raytrain.suspects.table._neighbours", lambda corpus, rows: pa.nulls(len(rows)))
    ranking = Ranking(np.array([64, 0]), RANKING.proba, RANKING.reasons)
    table = build_table(Corpus(pa.table(columns), ["假"], "a" * 64, "a.csv", {}), np.ones((66, 1)), ranking)
    assert table.select(["id", "text"]).to_pylist() == [{"id": 64, "text": "好"}, {"id": 0, "text": "好"}]


def test_a_text_is_cut_to_what_a_cell_holds():
    whole, long = "好" * LONGEST_TEXT, "好" * (LONGEST_TEXT + 1)
    assert shown_text(whole) == whole
    assert shown_text(long) == f"{whole[:-1]}…" and shown_text(shown_text(long)) == shown_text(long)
