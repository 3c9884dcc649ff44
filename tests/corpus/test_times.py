from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.corpus.times import read_times, times_lines

CHINA = timezone(timedelta(hours=8))


def read(*values):
    times, problems = read_times(list(enumerate(values, 2)), "发布")
    assert problems == []
    return times


def problems_of(*values):
    times, problems = read_times(list(enumerate(values, 2)), "发布")
    assert times is None and all(problem.column == "发布" for problem in problems)
    return [problem.message for problem in problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2012-03-04", datetime(2012, 3, 4)),
        ("2012-03-04 05:06:07", datetime(2012, 3, 4, 5, 6, 7)),
        ("2012-03-04T05:06", datetime(2012, 3, 4, 5, 6)),
        (" 2012-03-04T05:06:07.123456 ", datetime(2012, 3, 4, 5, 6, 7, 123456)),
        ("20120304T050607", datetime(2012, 3, 4, 5, 6, 7)),
        ("2012/3/4", datetime(2012, 3, 4)),
        ("2012/3/4 5:06", datetime(2012, 3, 4, 5, 6)),
        ("2012.03.04 05:06:07", datetime(2012, 3, 4, 5, 6, 7)),
        ("2012年3月4日", datetime(2012, 3, 4)),
        ("2012年3月4日 05:06", datetime(2012, 3, 4, 5, 6)),
        ("2012年3月4日5时6分7秒", datetime(2012, 3, 4, 5, 6, 7)),
        ("2012年3月4日 5点6分", datetime(2012, 3, 4, 5, 6)),
    ],
)
def test_dates_as_files_write_them(text, expected):
    assert read(text).to_pylist() == [expected]


@pytest.mark.parametrize(
    "text", ["2012-03-04T05:06:07+08:00", "Sun Mar 04 05:06:07 +0800 2012", "2012-03-03T21:06:07Z"]
)
def test_times_of_a_zone_are_one_moment(text):
    assert read(text).to_pylist() == [datetime(2012, 3, 4, 5, 6, 7, tzinfo=CHINA)]


def test_values_of_parquet_files():
    assert read(date(2012, 3, 4), datetime(2012, 3, 4, 5)).type == pa.timestamp("us")
    assert read(datetime(2012, 3, 4, tzinfo=CHINA)).to_pylist() == [datetime(2012, 3, 3, 16, tzinfo=UTC)]
    assert read(3, 2.5, Decimal("4")).to_pylist() == [3.0, 2.5, 4.0]


@pytest.mark.parametrize("values", [["2012.9", "2012.10", "2012.1"], ["2012.09", " 2012.10", "2012.01"]])
def test_months_of_a_year_are_no_fractions_of_it(values):
    """As a number, October is January, and folds by time learn from what came later."""
    assert read(*values).to_pylist() == [datetime(2012, month, 1) for month in (9, 10, 1)]
    [line] = times_lines(list(enumerate(values, 2)), "发布")
    assert (
        line.startswith("发布: read as months of a year: 2012.10 is the tenth month") and "2012.100" in line
    )


@pytest.mark.parametrize(
    "values",
    [
        ["2012.9", "2012.1"],
        ["2012.10", "2012.25"],
        ["2012.10", "2012.0"],
        ["2012.10", "2012"],
        ["1.10", "1.9"],
        [2012.9, 2012.12],
        ["2012.9", 2012.12],
        ["2012.10", "2012.100"],
    ],
)
def test_other_numbers_are_numbers(values):
    assert read(*values).to_pylist() == [float(value) for value in values]
    assert times_lines(list(enumerate(values, 2)), "发布") == []


def test_nothing_is_to_be_said_of_no_times():
    assert times_lines([], "") == []


@given(st.lists(st.integers(-(10**18) + 1, 10**18 - 1), min_size=1, max_size=20))
def test_integers_are_exact(numbers):
    assert read(*map(str, numbers)).to_pylist() == read(*numbers).to_pylist() == numbers


@given(st.lists(st.datetimes(), min_size=1, max_size=20))
def test_what_iso_format_writes_is_read(moments):
    assert read(*(moment.isoformat() for moment in moments)).to_pylist() == moments


def test_numbers_too_long_for_an_integer_are_about_right():
    assert read("1" * 30, "1").to_pylist() == [float("1" * 30), 1.0]
    assert read("1.5", "-2", "1e3").to_pylist() == [1.5, -2.0, 1000.0]


@pytest.mark.parametrize(
    "value",
    [
        "昨天",
        "12:30",
        "2012-13-01",
        "2012年2月30日",
        "1e999",
        "9" * 5000,
        True,
        [1],
        "0001-01-01T00:00:00+08:00",
        "Sun Foo 04 05:06:07 +0800 2012",
        "Sun Mar 04 05:06:07 +9900 2012",
        Decimal("sNaN"),
        10**400,
    ],
)
def test_what_is_no_time_is_named_with_its_row(value):
    [message] = problems_of("2012-03-04", value)
    assert "found 1 that are no time (row 3: " in message and "2012-03-04 05:06:07" in message


def test_empty_cells_are_named():
    [message] = problems_of("1", "", None, " ", float("nan"))
    assert "found 4 that are empty (row 3: '', row 4: None, row 5: ' ', …); fill them in" in message


@pytest.mark.parametrize("other", ["2012-03-04", "2012-03-04T05:06:07Z"])
def test_mixed_kinds_are_one_error_that_names_rows_and_values(other):
    [message] = problems_of("7", "8", other)
    assert "expected times of one kind, found 2 as numbers (row 2: '7', row 3: '8'); 1 " in message
    assert f"(row 4: {other!r})" in message


def test_times_with_and_without_a_zone_are_mixed():
    [message] = problems_of("2012-03-04", "2012-03-04T05:06:07Z")
    assert "1 as dates and times (row 2" in message and "1 with a time zone (row 3" in message


def test_no_column_is_no_problem():
    assert read_times([], "") == (None, [])
