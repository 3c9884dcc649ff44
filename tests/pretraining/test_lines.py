"""Files of texts as one stream, and which of them are held back."""

import gzip
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import silent_stages

from raytrain.errors import CorpusError, TimeBudgetError
from raytrain.pretraining import lines as module
from raytrain.pretraining.lines import HeldBack, counted_lines, iter_lines, open_sources, texts_of

LINES = ["网传停水", "", "  ", "记者核实", "网传停水"]


def write(directory, name, lines=LINES, column="text"):
    path = directory / name
    plain = "\n".join(lines).encode()
    rows = "\n".join([f"id,{column}", *(f"{i},{line}" for i, line in enumerate(lines))]).encode()
    if ".parquet" in name:
        pq.write_table(pa.table({column: lines}), path)
    elif name.endswith(".xz"):
        path.write_bytes(lzma.compress(plain))
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(rows))
    else:
        path.write_bytes(plain if ".txt" in name else rows)
    return str(path)


@pytest.mark.parametrize("name", ["a.txt", "a.txt.xz", "a.csv", "a.csv.gz", "a.parquet"])
def test_texts_come_in_their_order_without_empty_ones(tmp_path, name):
    [source] = sources = open_sources([write(tmp_path, name)], "text")
    assert source.num_texts == 3
    assert list(iter_lines(sources)) == ["网传停水", "记者核实", "网传停水"]


def test_the_column_is_of_tables_alone(tmp_path):
    paths = [write(tmp_path, "a.txt", ["甲"]), write(tmp_path, "b.csv", ["乙"], "review")]
    texts = texts_of(open_sources(paths, "review"))
    assert list(texts.lines()) == list(texts.lines()) == ["甲", "乙"]
    assert texts.count == 2 and [told["texts"] for told in texts.told] == [1, 1]
    assert len(set(texts.hashes.values())) == 2


def test_all_that_is_wrong_with_all_files_is_told_at_once(tmp_path):
    paths = [str(tmp_path / "absent.txt"), write(tmp_path, "b.csv", ["乙"], "review"), "c.docx"]
    with pytest.raises(CorpusError) as raised:
        open_sources(paths, "text")
    told = str(raised.value)
    assert all(part in told for part in ("absent.txt", "'review'", "c.docx"))


def test_files_without_a_text_are_refused(tmp_path):
    with pytest.raises(CorpusError, match="found none that is not empty"):
        open_sources([write(tmp_path, "a.txt", ["", " "])], "text")


@given(st.lists(st.text("甲乙丙 ", min_size=1), max_size=30), st.floats(0, 0.99))
def test_equal_texts_fall_alike_whatever_blanks_are_around_them(texts, share):
    held = HeldBack(share, 1000, len(texts))
    assert all((f" {text}\n" in held) == (text in held) for text in texts)


def test_about_as_many_are_held_back_as_asked_and_no_more_than_the_most():
    texts = [f"第{number}条" for number in range(4000)]
    assert sum(text in HeldBack(0.1, 4000, 4000) for text in texts) == pytest.approx(400, abs=80)
    assert sum(text in HeldBack(0.1, 100, 4000) for text in texts) == pytest.approx(100, abs=40)
    assert not any(text in HeldBack(0.0, 100, 4000) for text in texts)


def test_a_vocabulary_is_counted_in_sight_and_within_the_budget(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "COUNTED", 2)
    sources = open_sources([write(tmp_path, "a.txt", ["停水"] * 5)], "text")
    stages = silent_stages()
    assert list(counted_lines(sources, stages)) == ["停水"] * 5
    stages.deadline = 0.0
    with pytest.raises(TimeBudgetError, match="counting the vocabulary, 2 of 5 texts"):
        list(counted_lines(sources, stages))
