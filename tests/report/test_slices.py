import json
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_run import write_run
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import make_rows, silent_stages, write_csv

from raytrain.errors import ConfigError, InputError
from raytrain.report import slices
from raytrain.report.facts import read_facts
from raytrain.report.slices import (
    MOST_VALUES,
    Slice,
    keyword_slices,
    length_slices,
    read_values,
    slices_section,
    value_slices,
)
from raytrain.storage.directory import Directory


def read(run):
    return read_facts(Directory(run), silent_stages())


def with_sources(num_rows=60):
    return [row | {"source": f"<来源 {i % 3}>"} for i, row in enumerate(make_rows(num_rows))]


def moved_to(path, facts):
    """The run as if its corpus had lain elsewhere."""
    data = facts.config.data.model_copy(update={"path": str(path)})
    return type(facts)(**(vars(facts) | {"config": facts.config.model_copy(update={"data": data})}))


@pytest.mark.parametrize(
    ("rows", "right", "ends"), [(10, 0, (0.0, 0.2775)), (10, 10, (0.7225, 1.0)), (100, 50, (0.4038, 0.5962))]
)
def test_the_interval_is_wilsons(rows, right, ends):
    assert Slice("a", rows, right).interval == pytest.approx(ends, abs=1e-4)


def test_an_empty_slice_has_no_score():
    assert np.isnan(Slice("a", 0, 0).accuracy) and np.isnan(Slice("a", 0, 0).interval).all()


@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=60))
def test_every_row_is_in_one_quarter_of_the_lengths(rows):
    lengths, is_right = (np.array(part) for part in zip(*rows, strict=True))
    found = length_slices(lengths, is_right)
    assert 1 <= len(found) <= 4
    assert sum(one.rows for one in found) == len(rows)
    assert sum(one.right for one in found) == is_right.sum()
    assert all(one.rows for one in found)


def test_lengths_are_told_from_the_shortest_to_the_longest():
    found = length_slices(np.array([3, 3, 5, 8, 9, 12, 40, 41]), np.ones(8, bool))
    assert [one.name for one in found] == [
        "3 characters",
        "4–8 characters",
        "9–12 characters",
        "13–41 characters",
    ]


def test_rare_values_are_together():
    values = [str(number // 2) for number in range(2 * MOST_VALUES)] + ["x", "y", "z"]
    found = value_slices(values, np.ones(len(values), bool))
    assert len(found) == MOST_VALUES + 1
    assert found[-1] == Slice("3 other values", 3, 3)


def test_texts_that_hold_a_keyword():
    texts, is_right = ["网传停水", "AI 停电", "ai"], np.array([True, False, True])
    found = keyword_slices(texts, ["停水", "没有"], None, is_right)
    assert found == [Slice("停水", 1, 1)]


def test_a_keyword_is_a_word_and_not_a_part_of_others():
    """As the heads count it."""
    texts, is_right = ["产品和服务都好", "她穿和服来了", "和服和和服"], np.array([True, False, True])
    assert keyword_slices(texts, ["和服"], None, is_right) == [Slice("和服", 2, 1)]


def test_a_column_is_read_by_id(tmp_path):
    rows = with_sources()
    facts = read(write_run(tmp_path, rows))
    assert read_values(facts, "source") == [row["source"] for row in rows]


def test_a_column_is_read_by_number_where_there_is_no_id(tmp_path):
    rows = [row | {"id": number} for number, row in enumerate(with_sources())]
    facts = read(write_run(tmp_path, rows, data__id=None))
    assert read_values(facts, "source") == [row["source"] for row in rows]


def test_a_column_that_is_not_there_is_told(tmp_path):
    facts = read(write_run(tmp_path))
    with pytest.raises(
        ConfigError, match=r"--slice sauce: expected a column of .*found 'id', 'text', 'label'"
    ):
        read_values(facts, "sauce")


def test_rows_that_are_gone_are_told(tmp_path):
    rows = with_sources()
    facts = read(write_run(tmp_path, rows))
    path = tmp_path / "corpus.csv"
    path.write_text("".join(path.read_text("utf-8").splitlines(keepends=True)[:-5]), "utf-8")
    with pytest.raises(InputError, match="lacks 5 of the run's rows"):
        read_values(facts, "source")


def test_slices_are_told_with_small_ones_marked(tmp_path):
    facts = read(write_run(tmp_path, with_sources()))
    told = slices_section(facts, facts.said, ("source",))
    assert "Length of the text" in told and "&lt;来源 0&gt;" in told and "keyword" not in told
    assert told.count(" few rows") >= 3


def test_keywords_are_those_that_the_folds_counted(tmp_path, monkeypatch):
    facts = read(write_run(tmp_path, words__keywords="auto"))
    monkeypatch.setattr(slices, "load_ensemble", lambda location: location)
    words = SimpleNamespace(all_keywords=["一"], user_dict=None)
    monkeypatch.setattr(slices, "read_words", lambda ensemble: words)
    told = slices_section(facts, facts.said, ())
    assert "Texts with a keyword" in told and ">一</bdi>" in told


def test_without_texts_there_are_no_slices(tmp_path):
    run = write_run(tmp_path)
    (tmp_path / "corpus.csv").unlink()
    facts = read(run)
    assert slices_section(facts, facts.said, ()) is None


def test_json_ids_are_matched_as_the_corpus_has_them(tmp_path):
    """Whole floats are integers there."""
    run = write_run(tmp_path, [row | {"id": str(number)} for number, row in enumerate(with_sources())])
    facts = read(run)
    path = tmp_path / "corpus.jsonl"
    rows = [row | {"id": float(i), "source": f"s{i}"} for i, row in enumerate(make_rows(60))]
    lines = [json.dumps(row) for row in rows]
    path.write_text("\n".join(lines), "utf-8")
    assert read_values(moved_to(path, facts), "source") == [f"s{i}" for i in range(60)]


def test_a_row_that_was_dropped_says_nothing_of_a_later_one_with_its_id(tmp_path):
    rows = with_sources()
    dropped = {"id": rows[7]["id"], "text": "", "label": rows[7]["label"], "source": "dropped"}
    unlabelled = {**rows[9], "label": "", "source": "dropped"}
    facts = read(write_run(tmp_path, rows))
    write_csv(tmp_path / "corpus.csv", [dropped, unlabelled, *rows, rows[3] | {"source": "repeated"}])
    assert read_values(facts, "source") == [row["source"] for row in rows]


def test_decimal_ids_are_matched_as_the_corpus_has_them(tmp_path):
    """Such as those of a database's numeric column."""
    facts = read(write_run(tmp_path, [row | {"id": str(i)} for i, row in enumerate(with_sources())]))
    rows = [row | {"id": Decimal(f"{i}.00"), "source": f"s{i}"} for i, row in enumerate(make_rows(60))]
    path = tmp_path / "corpus.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    assert read_values(moved_to(path, facts), "source") == [f"s{i}" for i in range(60)]
