"""More labels than the one that a text has: lists of them, names joined by a mark, columns of 0 and 1."""

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

KIND = "several_labels"
ADVICE = (
    "a text has one label here: keep the main one, name each combination as one class, or train a run for "
    "each label with a column that says whether a text has it"
)
_MARKS = "|,，、;；"
_LISTED = re.compile(r"\[.*\]", re.DOTALL)


def lone_label(value: Any) -> Any:
    """Of a list its only label, or None where it is empty; any other value as it is."""
    if not isinstance(value, list) or len(value) > 1:
        return value
    return value[0] if value else None


def too_many(value: Sequence[Any]) -> str:
    """What is wrong with a list of labels."""
    return f"expected one label, found {list(value)!r:.60}; {ADVICE}"


def find_joined(class_rows: Mapping[str, int]) -> tuple[str, list[str]]:
    """Labels that are several others, joined by a mark.

    That a mark joins labels is told by one of them whose parts are all labels by themselves, or by a part
    that stands first in one and later in another: names of levels (`科技、手机`) do neither.

    Args:
        class_rows: Rows of each label.

    Returns:
        What joins them, and all that it joins, those of most rows first; both empty where there are none.
    """
    names = sorted(class_rows, key=lambda name: (-class_rows[name], name))
    listed = [name for name in names if len(_as_list(name)) > 1]
    if listed:
        return "a list", listed
    for mark in _MARKS:
        parts = {name: [part.strip() for part in name.split(mark)] for name in names if mark in name}
        parts = {name: own for name, own in parts.items() if all(own)}
        leading = {own[0] for own in parts.values()}
        if any(set(own) <= class_rows.keys() or leading.intersection(own[1:]) for own in parts.values()):
            return repr(mark), list(parts)
    return "", []


def _as_list(name: str) -> Sequence[Any]:
    """What a label that is written as a list holds; else nothing."""
    if not _LISTED.fullmatch(name):
        return ()
    try:
        held = ast.literal_eval(name)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ()
    return held if isinstance(held, list) else ()


def indicators(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns that say of a label each whether a text has it: of 0 and 1 alone, two at least of both.

    Args:
        rows: Values of some rows by column.
    """
    held = {column: {str(row.get(column)).strip() for row in rows} for column in (rows[0] if rows else ())}
    columns = [column for column, values in held.items() if values <= {"0", "1"}]
    return columns if sum(len(held[column]) == 2 for column in columns) > 1 else []
