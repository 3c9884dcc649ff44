"""Each format's rows, read from lines."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from text_files import places

from raytrain.files.formats import (
    BATCH_ROWS,
    SHOWN_COLUMNS,
    iter_jsonl,
    iter_parquet,
    iter_txt,
    json_object,
)
from raytrain.files.separated import iter_csv

# Nul and surrogates are in no text.
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


def lines_of(text):
    return io.StringIO(text, newline="")  # line ends as they are


def read_csv(text, columns=("text",), delimiter=","):
    problems = []
    return list(iter_csv(lines_of(text), delimiter, list(columns), problems)), problems


def read_jsonl(text, columns=("text",)):
    problems = []
    return list(iter_jsonl(lines_of(text), list(columns), problems)), problems


def read_parquet(path, table, columns=("text",)):
    problems = []
    pq.write_table(table, path, row_group_size=2000)
    return list(iter_parquet(path, list(columns), problems)), problems


# ── JSON Lines ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "line", ["{", "[1]", "好", "3", "NaN", '{"text": "\\ud83d"}', "[" * 100_000, '{"text": "甲"} {}']
)
def test_malformed_json_line_costs_no_other(line):
    rows, problems = read_jsonl(f'{{"text": "甲"}}\n{line}\n\n{{"text": "乙"}}\n')
    assert places(problems) == [("malformed_row", 2)]
    assert rows == [(1, {"text": "甲"}), (4, {"text": "乙"})]


@pytest.mark.parametrize(
    "value", ['"\\ud800"', '["\\ud800"]', '[{"label": ["a", "x\\udfff"]}]', '{"\\ud800": 1}', '[["\\ud83d"]]']
)
def test_half_a_character_is_told_with_its_column_however_deep(value):
    rows, [problem] = read_jsonl(f'{{"text": "好", "label": {value}}}\n', ["text", "label"])
    assert rows == [] and (problem.kind, problem.row, problem.column) == ("malformed_row", 1, "label")
    assert "half of one" in problem.message


def test_pairs_of_halves_are_characters():
    assert read_jsonl('{"text": ["\\ud83d\\ude00"]}\n') == ([(1, {"text": ["😀"]})], [])


def test_half_a_character_in_a_column_that_is_not_wanted_does_not_matter():
    assert read_jsonl('{"text": "甲", "other": "\\ud83d"}\n') == ([(1, {"text": "甲"})], [])


def test_json_row_without_the_key_is_none():
    rows, problems = read_jsonl('{"text": "甲"}\n{"label": 1}\n')
    assert problems == [] and rows[1] == (2, {"text": None})


def test_blank_lines_alone_are_an_empty_file():
    rows, problems = read_jsonl("\n \n\t\n")
    assert rows == [] and places(problems) == [("empty_file", None)]


@pytest.mark.parametrize(
    "line", ['{"text": "甲", "text": "乙"}', '{"text": "甲", "spans": [{"a": 1, "a": 1}]}']
)
def test_a_key_that_is_there_twice_costs_its_row(line):
    rows, [problem] = read_jsonl(f'{{"text": "甲", "spans": []}}\n{line}\n', ["text", "spans"])
    assert rows == [(1, {"text": "甲", "spans": []})] and places([problem]) == [("malformed_row", 2)]
    assert "each key once" in problem.message


def test_a_key_that_is_there_twice_in_a_column_that_is_not_wanted_does_not_matter():
    line = '{"text": "a", "label": 1, "meta": {"x": 1, "x": 2}}\n'
    assert read_jsonl(line, ["text", "label"]) == ([(1, {"text": "a", "label": 1})], [])
    _, [problem] = read_jsonl(line, ["text", "meta"])
    assert problem.column == "meta"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(characters, max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(characters, max_size=3), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.text(characters, max_size=3), json_values, max_size=4), st.booleans())
def test_any_object_is_read_from_its_line(record, ensure_ascii):
    assert json_object(json.dumps(record, ensure_ascii=ensure_ascii)) == (record, "")


# ── Parquet ────────────────────────────────────────────────────────────────────────────────────────


def test_parquet_reads_the_wanted_columns_with_their_types(tmp_path):
    table = pa.table({"text": ["甲", "乙", "丙"], "label": [1, None, 2], "other": [0.5] * 3})
    rows, problems = read_parquet(tmp_path / "a.parquet", table, ["label", "text"])
    assert problems == []
    assert rows[1] == (2, {"label": None, "text": "乙"})
    assert [row for row, _ in rows] == [1, 2, 3]


def test_parquet_strings_that_are_not_utf8_name_their_row(tmp_path):
    values = ["好".encode()] * (BATCH_ROWS + 3)
    values[1] = values[BATCH_ROWS + 1] = b"\xff"
    table = pa.table({"text": pa.array(values, pa.binary()).view(pa.string())})
    rows, problems = read_parquet(tmp_path / "a.parquet", table)
    assert places(problems) == [("encoding", 2), ("encoding", BATCH_ROWS + 2)]
    assert [row for row, _ in rows] == list(range(1, BATCH_ROWS + 4))
    replaced = [row for row, values in rows if values["text"] == "\N{REPLACEMENT CHARACTER}"]
    assert replaced == [2, BATCH_ROWS + 2]
    assert rows[-1][1] == {"text": "好"}


@pytest.mark.parametrize(
    ("number", "kind"),
    [(2**30, pa.date32()), (2**60, pa.timestamp("us")), (-(2**60), pa.timestamp("ms"))],
)
def test_parquet_dates_out_of_range_name_their_row_and_column(tmp_path, number, kind):
    table = pa.table({"text": ["甲", "乙", "丙"], "time": pa.array([0, number, None], kind)})
    rows, [problem] = read_parquet(tmp_path / "a.parquet", table, ["text", "time"])
    assert (problem.kind, problem.row, problem.column) == ("malformed_row", 2, "time")
    assert str(number) in problem.message and [row for row, _ in rows] == [1, 3]


def test_a_parquet_row_with_several_values_out_of_range_is_one_problem(tmp_path):
    times = pa.array([0, 2**60, 0, 2**60], pa.timestamp("us"))
    rows, problems = read_parquet(tmp_path / "a.parquet", pa.table({"a": times, "b": times}), ["a", "b"])
    assert places(problems) == [("malformed_row", 2), ("malformed_row", 4)]
    assert [row for row, _ in rows] == [1, 3]


def test_parquet_without_rows_is_empty(tmp_path):
    table = pa.table({"text": pa.array([], pa.string())})
    rows, problems = read_parquet(tmp_path / "a.parquet", table)
    assert rows == [] and places(problems) == [("empty_file", None)]


# ── columns ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("read", "data"),
    [(read_csv, "texts,label\n甲,1\n"), (read_jsonl, '{"texts": "甲", "label": 1}\n')],
)
def test_missing_column_names_what_is_there(read, data):
    _, problems = read(data, ["text", "label"])
    assert [(p.kind, p.column) for p in problems] == [("missing_column", "text")]
    assert "'texts', 'label'" in problems[0].message
    assert "did you mean 'texts'?" in problems[0].message


@pytest.mark.parametrize("name", [" TEXT ", "Text"])
def test_another_case_or_blanks_around_a_column_are_what_was_meant(name):
    _, [problem] = read_csv(f"{name},label\n甲,1\n")
    assert f"did you mean {name!r}?" in problem.message


@pytest.mark.parametrize("read", [read_csv, read_jsonl])
def test_of_very_many_columns_not_all_are_shown(read):
    names = [f"c{number}" for number in range(SHOWN_COLUMNS + 5)]
    header, values = ",".join(names), ",".join("1" * len(names))
    text = f"{header}\n{values}\n" if read is read_csv else json.dumps(dict.fromkeys(names, 1)) + "\n"
    _, [problem] = read(text)
    assert problem.kind == "missing_column" and "name one of them" in problem.message
    assert f"'{names[SHOWN_COLUMNS - 1]}'" in problem.message
    assert f"'{names[SHOWN_COLUMNS]}'" not in problem.message


def test_missing_column_of_parquet_leaves_the_others(tmp_path):
    rows, problems = read_parquet(tmp_path / "a.parquet", pa.table({"label": [1]}), ["text", "label"])
    assert rows == [(1, {"label": 1})]
    assert [(p.kind, p.column) for p in problems] == [("missing_column", "text")]


def test_txt_has_the_column_text_alone():
    problems = []
    assert list(iter_txt(lines_of("甲\r\n乙"), ["text", "label"], problems)) == [
        (1, {"text": "甲"}),
        (2, {"text": "乙"}),
    ]
    assert [(p.kind, p.column) for p in problems] == [("missing_column", "label")]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_wanted_column_that_is_there_twice(tmp_path, kind):
    if kind == "csv":
        rows, problems = read_csv("text,text,x,x\n甲,乙,1,1\n")
    else:
        table = pa.table([["甲"], ["乙"], [1], [1]], names=["text", "text", "x", "x"])
        rows, problems = read_parquet(tmp_path / "a.parquet", table)
    assert [(p.kind, p.column) for p in problems] == [("duplicate_column", "text")]
    assert all("text" not in values for _, values in rows)
