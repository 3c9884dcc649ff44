"""Cells of files that a person opens in a spreadsheet: kept from being rewritten, and read once they were."""

import re
from collections.abc import Mapping

_BEGINS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# What a spreadsheet saves as it stands: longer and smaller numbers it shows, and saves, by powers of ten.
_PLAIN_NUMBER = re.compile(r"(?!-0$)-?(?!0\.0000)(?=.{1,11}$)(0|[1-9][0-9]*)(\.[0-9]*[1-9])?")
_LIKE_NUMBER = re.compile(r"[0-9][0-9eE+\-/:.,% ]*")


def protect_cell(cell: str) -> str:
    """The cell so that no spreadsheet computes or rewrites it; `restore_cell` gives it back.

    Example:
        >>> protect_cell("=1+1"), protect_cell("-1"), protect_cell("3.10"), protect_cell("20260101123456789")
        ("'=1+1", '-1', "'3.10", "'20260101123456789")
    """
    return f"'{cell}" if cell.startswith("'") or _is_rewritten(cell) else cell


def restore_cell(cell: str) -> str:
    """What `protect_cell` was given."""
    return cell.removeprefix("'")


def find_named(cell: str, known: Mapping[str, int]) -> int | None:
    """What a cell names, whatever a spreadsheet made of it: true and True as TRUE. None: nothing known."""
    booleans = (cell.lower(), cell.capitalize()) if cell in ("TRUE", "FALSE") else ()
    for name in (cell, restore_cell(cell), cell.removesuffix(".0"), *booleans):
        if name in known:
            return known[name]
    return None


def _is_rewritten(cell: str) -> bool:
    """Whether a spreadsheet takes a cell for a formula, or for a date or number that it writes otherwise."""
    if _PLAIN_NUMBER.fullmatch(cell):
        return False
    return cell.startswith(_BEGINS_FORMULA) or _LIKE_NUMBER.fullmatch(cell) is not None
