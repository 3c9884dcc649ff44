from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.characters import is_blank
from raytrain.corpus.cells import (
    check_cells,
    iter_tables,
    named_columns,
    numbered_rows,
    refuse,
    repeated_id,
    table_schema,
    told_once,
)
from raytrain.errors import CorpusError
from raytrain.files.encodings import Problem
from raytrain.files.reading import AS_FOUND, Reading

COLUMNS = {"id": "编号", "text": "标题", "label": "类别"}


@pytest.mark.parametrize(
    ("texts", "id", "expected"),
    [
        (["正文"], None, {"text": "正文"}),
        (["a", "b"], "k", {"id": "k", "text": "a", "text_pair": "b"}),
        (["a", "a"], None, {"text": "a", "text_pair": "a"}),
        (["a"], "", {"text": "a"}),
    ],
)
def test_our_names_lead_to_the_files_columns(texts, id, expected):
    assert named_columns(texts, id) == expected


def test_rows_without_ids_are_numbered_by_integers():
    assert table_schema({"text": "a"}) == pa.schema({"id": pa.int64(), "text": pa.string()})
    assert table_schema(COLUMNS).field("id").type == pa.string()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=12), st.integers(1, 5))
def test_tables_hold_all_rows_in_order_and_only_the_last_is_smaller(texts, size):
    rows = ({"id": number, "text": text} for number, text in enumerate(texts))
    tables = list(iter_tables(rows, table_schema({"text": "a"}), size))
    assert [text for table in tables for text in table["text"].to_pylist()] == texts
    assert [number for table in tables for number in table["id"].to_pylist()] == list(range(len(texts)))
    assert all(table.num_rows == size for table in tables[:-1])
    assert not tables or 0 < tables[-1].num_rows <= size


def test_tables_are_made_as_they_are_asked_for():
    drawn = []
    rows = ({"text": drawn.append(number) or "x"} for number in range(100))
    next(iter_tables(rows, pa.schema({"text": pa.string()}), 3))
    assert drawn == [0, 1, 2]


def test_rows_that_cannot_be_read_keep_their_numbers(tmp_path):
    """Leaving them out must not shift the ids of those behind."""
    path = tmp_path / "a.csv"
    path.write_text("text,label\n一,1\n二,2,3\n三\n四,4\n", encoding="utf-8")
    problems = []
    found = [
        (row, number, values["text"])
        for row, number, values in numbered_rows(path, {"text": "text", "label": "label"}, problems)
    ]
    malformed = [problem.row for problem in problems if problem.kind == "malformed_row"]
    assert [(row, number) for row, number, _ in found] == [
        (row, row - 2) for row in range(2, 6) if row not in malformed
    ]
    assert malformed and found[-1] == (5, 3, "四")


def test_what_a_reader_finds_wrong_with_cells_shifts_no_number(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text\n一\n""\n三\n', encoding="utf-8")
    problems, numbers = [], []
    for row, number, values in numbered_rows(path, {"text": "text"}, problems):
        numbers.append(number)
        problems += check_cells(row, values, {"text": "text"})[1]
    assert numbers == list(range(len(numbers))) and [p.kind for p in problems] == ["empty_text"]


def cells_of(text="好", label="1", id="a"):
    return check_cells(7, {"编号": id, "标题": text, "类别": label}, COLUMNS)


@given(st.text().filter(lambda text: not is_blank(text)))
def test_a_text_stays_as_it_is_and_a_label_loses_blanks_at_its_ends(value):
    cells, problems = cells_of(text=value, label=value, id=value)
    assert problems == []
    assert cells == {"id": value, "text": value, "label": value.strip()}


@pytest.mark.parametrize(
    ("value", "as_text", "as_key"),
    [
        (3, "3", "3"),
        (-0.0, "-0.0", "0"),
        (2.0, "2.0", "2"),
        (10**30, "1" + "0" * 30, "1" + "0" * 30),
        (1.5, "1.5", None),
        (float("inf"), "inf", None),
        (Decimal("1.50"), "1.50", None),
        (Decimal("3"), "3", "3"),
        (Decimal("3.00"), "3.00", "3"),
        (Decimal("-0"), "-0", "0"),
        (Decimal("1E+3"), "1E+3", "1000"),
        (Decimal("Infinity"), "Infinity", None),
        (True, None, "true"),
        (False, None, "false"),
        (b"x", None, None),
        ({"a": 1}, None, None),
    ],
)
def test_numbers_are_texts_and_whole_ones_are_labels_and_ids(value, as_text, as_key):
    for cell, noun, expected in ((0, "text", as_text), (1, "label", as_key), (2, "id", as_key)):
        cells, problems = cells_of(**{noun: value})
        assert cells[noun] == (expected or ""), cell
        assert [problem.kind for problem in problems] == ([] if expected else ["wrong_type"])


@pytest.mark.parametrize("value", [0.5, Decimal("0.5"), b"1"])
def test_what_is_no_whole_number_is_told_what_would_be_a_label_and_an_id(value):
    _, [of_id, of_label] = cells_of(label=value, id=value)
    for problem in (of_id, of_label):
        assert f"found {value!r}; write it as a string or a whole number" in problem.message


@given(st.text().filter(lambda text: not is_blank(text)))
def test_a_group_loses_blanks_at_its_ends(value):
    """Else one author's texts were in two folds."""
    cells, problems = check_cells(2, {"作者": f" {value}\t"}, {"group": "作者"})
    assert (cells, problems) == ({"group": value.strip()}, [])


@pytest.mark.parametrize(("value", "expected"), [(["x"], "x"), ([1], "1"), ([True], "true")])
def test_a_list_of_one_label_is_that_label_but_no_text_and_no_id(value, expected):
    cells, problems = cells_of(text=value, label=value, id=value)
    assert cells == {"text": "", "label": expected, "id": ""}
    assert [(problem.kind, problem.column) for problem in problems] == [
        ("wrong_type", "编号"),
        ("wrong_type", "标题"),
    ]


def test_a_list_of_no_label_is_a_missing_one_and_of_two_several():
    for value, kind in (([], "missing_label"), ([None], "missing_label"), (["x", "y"], "several_labels")):
        cells, [problem] = cells_of(label=value)
        assert cells["label"] == "" and problem.kind == kind


def test_of_one_kind_each_key_is_told_once_with_its_rows():
    problems = [Problem("x", row, None, message) for row, message in enumerate("abab")]
    told = told_once([Problem("y", 0, None, "a"), *problems], "x", lambda problem: problem.message)
    assert [(one.kind, one.row) for one in told] == [("y", 0), ("x", 0), ("x", 1)]
    assert told[1].message == "a (the first of 2 such rows)"


@pytest.mark.parametrize("value", [None, "", " \t", "\u3000", float("nan")])
def test_nothing_but_blanks_is_empty(value):
    _, problems = cells_of(text=value, label=value, id=value)
    assert [(p.kind, p.row, p.column) for p in problems] == [
        ("missing_id", 7, "编号"),
        ("empty_text", 7, "标题"),
        ("missing_label", 7, "类别"),
    ]
    assert "expected an id, found an empty one" in str(problems[0])
    assert "expected a label" in str(problems[2])


@pytest.mark.parametrize("name", ["text", "label", "group", "id"])
def test_what_cannot_be_seen_is_an_empty_cell_too(name):
    cells, [problem] = check_cells(2, {"a": "\u200b \ufeff"}, {name: "a"})
    assert cells == {name: "\u200b \ufeff" if name == "text" else ""}
    assert problem.kind == ("empty_text" if name == "text" else f"missing_{name}")
    assert r"only what cannot be seen, '\u200b \ufeff'" in problem.message


def test_what_cannot_be_seen_stays_in_a_cell_that_holds_more():
    assert check_cells(
        2, {"a": "好\u200b", "b": "\u200b"}, {"text": "a", "text_pair": "b"}, ("text_pair",)
    ) == (
        {"text": "好\u200b", "text_pair": "\u200b"},
        [],
    )


def test_an_empty_text_is_no_problem_where_it_may_be():
    columns = {"text": "a", "text_pair": "b"}
    cells, problems = check_cells(2, {"a": None, "b": " "}, columns, may_be_empty=("text",))
    assert cells == {"text": "", "text_pair": " "}
    assert [(problem.kind, problem.column) for problem in problems] == [("empty_text", "b")]


def test_a_column_that_the_file_lacks_was_told_before():
    assert check_cells(2, {"标题": "好"}, COLUMNS) == ({"id": "", "text": "好", "label": ""}, [])


def test_a_long_value_of_a_wrong_type_is_shown_in_part():
    _, [problem] = cells_of(text=["很长" * 500])
    assert "expected a text, found ['很长很长" in problem.message and len(problem.message) < 150
    assert "write it as a string or a number" in problem.message


def problems_of(problems, drop=None):
    with pytest.raises(CorpusError) as caught:
        refuse("a.csv: no", "a.csv", problems, drop)
    assert caught.value.summary == "a.csv: no"
    return caught.value.problems


def test_nothing_wrong_is_no_error():
    refuse("a.csv: no", "a.csv", [], "data.drop=[{}]")


def test_problems_of_the_whole_file_come_first_then_row_by_row():
    told = problems_of(
        [
            Problem("x", 9, None, "nine"),
            Problem("x", 2, "b", "two, b"),
            Problem("x", None, None, "whole"),
            Problem("x", 2, "a", "two, a"),
        ]
    )
    assert told == [
        "a.csv: whole",
        "a.csv, row 2, column b: two, b",
        "a.csv, row 2, column a: two, a",
        "a.csv, row 9: nine",
    ]


def test_a_column_that_no_row_has_is_one_problem():
    told = problems_of(
        [
            Problem("empty_text", 1, "text", "empty"),
            Problem("empty_text", 2, "text", "empty"),
            Problem("missing_label", 2, "label", "missing"),
            Problem("missing_column", None, "text", "no such column"),
        ]
    )
    assert told == ["a.csv, column text: no such column", "a.csv, row 2, column label: missing"]


@pytest.mark.parametrize(
    ("reading", "drop"),
    [
        (None, ""),
        (AS_FOUND, "data.drop=[empty_text]"),
        (Reading(by_flags=True), "--drop empty_text"),
    ],
)
def test_leaving_rows_out_is_advised_where_that_is_a_remedy(reading, drop):
    problems = [Problem("empty_text", 1, "text", "x"), Problem("wrong_type", 1, "text", "y")]
    told = problems_of(problems, reading)
    advice = drop and f", or drop such rows with {drop}"
    assert told == [f"a.csv, row 1, column text: x{advice}", "a.csv, row 1, column text: y"]


def test_an_id_that_comes_again_names_both_rows():
    problem = repeated_id("甲", 12, "编号", 3)
    assert (problem.kind, problem.row, problem.column) == ("duplicate_id", 12, "编号")
    assert "'甲' in row 3" in problem.message
