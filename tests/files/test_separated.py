"""Fields between separators, with quotes around them or without."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_files import places

from raytrain.files.reading import AS_FOUND, Reading
from raytrain.files.separated import csv_records, iter_csv

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")  # these are in no text


NAMED = Reading(columns=("text", "label"))


def lines_of(text):
    return io.StringIO(text, newline="")  # line ends as they are


def read_csv(text, columns=("text",), delimiter=",", is_quoted=True, reading=AS_FOUND):
    problems = []
    rows = iter_csv(lines_of(text), delimiter, list(columns), problems, is_quoted, reading)
    return list(rows), problems


def test_rows_are_numbered_by_the_line_at_which_they_start():
    rows, problems = read_csv('text,label\n"甲\n乙",1\n\n"丙,""丁""\r\n",0\n戊,1\n')
    assert problems == []
    assert rows == [(2, {"text": "甲\n乙"}), (5, {"text": '丙,"丁"\r\n'}), (7, {"text": "戊"})]


@settings(max_examples=100)
@given(
    st.lists(st.lists(st.text(characters, max_size=6), min_size=2, max_size=3), max_size=5),
    st.sampled_from(",\t"),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_any_fields_come_back_with_the_line_at_which_they_start(records, delimiter, line_end):
    stream, expected = io.StringIO(newline=""), []
    quoting = csv.QUOTE_MINIMAL if line_end == "\r\n" else csv.QUOTE_ALL  # Python 3.12 quotes no other end
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
    for record in records:
        expected.append((len(list(lines_of(stream.getvalue()))) + 1, record))
        writer.writerow(record)
    problems = []
    assert list(csv_records(lines_of(stream.getvalue()), delimiter, problems)) == expected
    assert problems == []


BAD_LINES = ["多,一,个", "少", '"没有关上,1', '"多余"的引号,1', '"', '""",1']


@pytest.mark.parametrize("line", BAD_LINES)
def test_malformed_csv_row_costs_no_other_row(line):
    rows, problems = read_csv(f'text,label\n甲,1\n{line}\n乙,0\n"丙",1\n')
    assert places(problems) == [("malformed_row", 3)]
    assert rows == [(2, {"text": "甲"}), (4, {"text": "乙"}), (5, {"text": "丙"})]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["甲,1", "乙,0", *BAD_LINES[:3]]), min_size=1, max_size=7))
def test_each_malformed_csv_row_is_told_once_and_every_other_is_read(lines):
    rows, problems = read_csv("".join(f"{line}\n" for line in ["text,label", *lines]))
    bad = [("malformed_row", row) for row, line in enumerate(lines, 2) if line in BAD_LINES]
    assert places(problems) == bad
    assert rows == [(row, {"text": line[0]}) for row, line in enumerate(lines, 2) if line not in BAD_LINES]


def test_field_longer_than_the_csv_module_allows_by_default():
    assert read_csv(f"text\n{'长' * 200_000}\n") == ([(2, {"text": "长" * 200_000})], [])


def test_header_with_an_open_quote_is_no_droppable_row():
    rows, problems = read_csv('"text,label\n甲,1\n乙,0\n')
    assert rows == [] and places(problems) == [("malformed_header", 1)]


@pytest.mark.parametrize(("text", "found"), [("\n\n", "blank lines alone"), ("text,label\n", "a header and")])
def test_csv_without_rows_is_empty_and_says_what_is_there(text, found):
    rows, [problem] = read_csv(text)
    assert rows == [] and problem.kind == "empty_file" and found in problem.message


def test_malformed_rows_alone_are_no_empty_file_too():
    rows, problems = read_csv("text,label\n甲\n")
    assert rows == [] and places(problems) == [("malformed_row", 2)]


# ── without a header, and with another separator ───────────────────────────────────────────────────


def test_said_columns_are_those_of_the_first_row_too():
    rows, problems = read_csv("好\t1\n坏\t0\n", ["label", "text"], "\t", reading=NAMED)
    assert rows == [(1, {"label": "1", "text": "好"}), (2, {"label": "0", "text": "坏"})] and not problems


def test_said_columns_that_the_file_names_itself_are_refused():
    _, [problem] = read_csv("text,label\n好,1\n", reading=NAMED)
    assert problem.row == 1 and "data.columns=[text,label]" in problem.message


def test_rows_of_another_size_than_the_said_columns_are_told():
    _, [problem] = read_csv("好,1\n坏\n", reading=NAMED)
    assert problem.row == 2 and "2 fields as in data.columns=[text,label], found 1" in problem.message


@pytest.mark.parametrize(
    ("delimiter", "other", "name", "remedy"),
    [
        (",", "\t", "tabs", "end its name in .tsv"),
        ("\t", ",", "commas", "end its name in .csv"),
        (",", ";", "semicolons", "write commas"),
        ("\t", "|", "bars", "write tabs"),
    ],
)
def test_another_separator_than_the_suffix_says_is_told_once(delimiter, other, name, remedy):
    text = f"text{other}label\n好{other}1\n"
    _, [problem] = read_csv(text, ["text", "label"], delimiter)
    assert problem.kind == "separator" and f"found {name}" in problem.message and remedy in problem.message


def test_a_column_may_be_called_by_what_separates_elsewhere():
    rows, problems = read_csv("a;b\n好\n", ["a;b"])
    assert rows == [(2, {"a;b": "好"})] and not problems


@pytest.mark.parametrize("by_flags", [False, True])
def test_a_missing_column_may_be_one_of_a_file_without_a_header(by_flags):
    _, [problem] = read_csv("好,1\n坏,0\n", reading=Reading(by_flags=by_flags))
    assert ("--columns …" if by_flags else "data.columns=[…]") in problem.message


def test_without_quoting_a_field_too_many_is_no_matter_of_quotes():
    _, [problem] = read_csv("text,label\n好,坏,1\n", is_quoted=False, reading=Reading(quoting="none"))
    assert "data.quoting=csv" in problem.message and problem.kind == "malformed_row"


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("is_quoted", [True, False])
def test_a_header_once_more_is_no_row(mark, is_quoted):
    rows, [problem] = read_csv(f"text,label\n甲,1\n{mark}text,label\n乙,0\n", is_quoted=is_quoted)
    assert [row for row, _ in rows] == [2, 4] and places([problem]) == [("malformed_row", 3)]
    assert "the header once more" in problem.message


def test_a_text_alone_may_be_its_column_s_name():
    assert read_csv("text\n甲\ntext\n") == ([(2, {"text": "甲"}), (3, {"text": "text"})], [])


@pytest.mark.parametrize("is_quoted", [True, False])
def test_a_single_column_s_name_behind_the_mark_of_a_joined_file_is_its_header(is_quoted):
    rows, [problem] = read_csv("text\n甲\n\ufefftext\n\ufeff乙\n", is_quoted=is_quoted)
    assert rows == [(2, {"text": "甲"}), (4, {"text": "乙"})]
    assert problem.row == 3 and "the header once more" in problem.message


def test_a_mark_before_a_quote_is_taken_off_and_one_within_quotes_is_none():
    rows, problems = read_csv('text,label\n\ufeff"甲\n\ufeff乙",1\n"\ufeff丙",\ufeff0\n', ["text", "label"])
    assert problems == []
    assert rows == [
        (2, {"text": "甲\n\ufeff乙", "label": "1"}),
        (4, {"text": "\ufeff丙", "label": "\ufeff0"}),
    ]
