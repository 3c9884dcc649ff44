"""Cells as a spreadsheet leaves them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.files.spreadsheets import find_named, protect_cell, restore_cell


@given(st.text("=+-@'\t\r\n＝a好0123456789.eE/ ", max_size=20))
def test_a_protected_cell_is_no_formula_and_is_restored_exactly(cell):
    protected = protect_cell(cell)
    assert restore_cell(protected) == cell
    assert not protected.startswith(("=", "+", "@", "\t", "\r", "\n", "＝"))
    if protected.startswith("-"):
        float(protected)


LONG = [
    "123456789012",
    "1700000000000",
    "1.1234567891",
    "0.00001",
]  # shown and saved by powers of ten, or cut
LIKE_NUMBERS = [
    *LONG,
    "20260101123456789",
    "007",
    "1e5",
    "3.10",
    "1.0",
    "-0",
    "123456789012.3456",
    "1-2",
    "3/4",
]


@pytest.mark.parametrize("cell", [*LIKE_NUMBERS, "+86", "-x", "'a"])
def test_what_a_spreadsheet_would_rewrite_is_protected(cell):
    assert protect_cell(cell) == f"'{cell}"


@pytest.mark.parametrize(
    "cell", ["", "0", "12", "-1", "0.9865", "row-3", "2540_Ah", "好", "12345678901", "-0.0001", "3.141592653"]
)
def test_other_cells_stay_as_they_are(cell):
    assert protect_cell(cell) == cell


@pytest.mark.parametrize("cell", ["'3.10", "3.10"])
def test_a_name_is_found_with_its_apostrophe_and_without(cell):
    assert find_named(cell, {"3.10": 1, "3.1": 2}) == 1


@pytest.mark.parametrize(("cell", "found"), [("1.0", 0), ("TRUE", 1), ("True", None), ("2", None)])
def test_a_name_is_found_that_a_spreadsheet_wrote_as_a_number_or_boolean(cell, found):
    assert find_named(cell, {"1": 0, "true": 1}) == found
