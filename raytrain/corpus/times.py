"""When rows were written: a column of numbers, or of dates and times as files have them."""

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa

from raytrain.files.encodings import Problem

_SHOWN = 3  # rows that are named; the others are counted
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")
_MOST_DIGITS = 18  # of an integer that 64 bits hold
# 2012/3/4, 2012.03.04 5:06, 2012年3月4日 5时6分, 2012年3月4日 05:06:07.
_WRITTEN = re.compile(
    r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?"
    r"(?:[T\s]*(\d{1,2})\s*[:：时点]\s*(\d{1,2})\s*(?:[:：分]\s*(?:(\d{1,2})\s*秒?)?)?)?"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Weibo's interface: Tue May 31 17:46:55 +0800 2011.
_WEIBO = re.compile(
    rf"[A-Z][a-z]{{2}} ({'|'.join(_MONTHS)}) +(\d{{1,2}}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d) (\d{{4}})"
)
# 2012.9 and 2012.10, which as numbers were in the wrong order: 2012.10 is 2012.1.
_MONTH = re.compile(r"((?:19|20)\d\d)\.(\d{1,2})", re.ASCII)
_NUMBERS, _DATES, _ZONED = "as numbers", "as dates and times", "with a time zone"
_UNREADABLE = "that are no time"
_FILL_IN = "fill them in, or leave these rows out of the file"
_ADVICE = "write all as numbers, or all as 2012-03-04 05:06:07"


def read_times(values: Sequence[tuple[int, Any]], column: str) -> tuple[pa.Array | None, list[Problem]]:
    """Reads a column of times.

    All are numbers, which grow with time, or all are dates, with a time of the day or without it (then
    midnight), and either all with a time zone or none. What is read is ISO 8601, 2012/3/4 5:06,
    2012年3月4日 5时6分, and what Weibo's interface writes. Numbers that are months of years throughout, and
    in the wrong order as numbers (2012.9, 2012.10), are the first days of these.

    Args:
        values: The number of each row, as in `Problem`, and what stands in it.
        column: Name of the column.

    Returns:
        (len(values),) int64, float64 or timestamps in microseconds, None where something is wrong; and that.
    """
    read = _read_month if _are_months(values) else _read_time
    times: list[Any] = []
    rows: dict[str, list[tuple[int, Any]]] = {}
    for row, value in values:
        kind, time = read(value)
        times.append(time)
        rows.setdefault(kind, []).append((row, value))
    problems = []
    for kind, noun, advice in (("", "that are empty", _FILL_IN), (_UNREADABLE, _UNREADABLE, _ADVICE)):
        if own := rows.pop(kind, []):
            message = f"expected a time in each row, found {_told(own, noun)}; {advice}"
            problems.append(Problem("bad_time", None, column, message))
    if len(rows) > 1:
        found = "; ".join(_told(own, kind) for kind, own in rows.items())
        message = f"expected times of one kind, found {found}; {_ADVICE}"
        problems.append(Problem("bad_time", None, column, message))
    if problems or not rows:
        return None, problems
    [kind] = rows
    if kind != _NUMBERS:
        return pa.array(times, pa.timestamp("us", "UTC" if kind == _ZONED else None)), []
    if all(isinstance(time, int) for time in times):
        return pa.array(times, pa.int64()), []
    return pa.array([float(time) for time in times], pa.float64()), []


def times_lines(values: Sequence[tuple[int, Any]], column: str) -> list[str]:
    """What is to be said of how a column of times was read, of what `read_times` is given, a line each."""
    if not _are_months(values):
        return []
    remedy = "where these are numbers, write 2012.100"
    return [f"{column}: read as months of a year: 2012.10 is the tenth month of 2012; {remedy}"]


def _are_months(values: Sequence[tuple[int, Any]]) -> bool:
    """Whether all are months of years as strings, and some stand behind the ninth."""
    found = [_MONTH.fullmatch(value.strip()) if isinstance(value, str) else None for _, value in values]
    months = [match[2] for match in found if match is not None]
    return (
        len(months) == len(values)
        and all(1 <= int(month) <= 12 for month in months)
        and any(int(month) > 9 for month in months)
    )


def _read_month(value: str) -> tuple[str, datetime]:
    year, month = value.split(".")
    return _DATES, datetime(int(year), int(month), 1)


def _told(rows: Sequence[tuple[int, Any]], what: str) -> str:
    """How many rows there are, and the first of them."""
    shown = ", ".join(f"row {row}: {value!r:.40}" for row, value in rows[:_SHOWN])
    return f"{len(rows):,} {what} ({shown}{', …' if len(rows) > _SHOWN else ''})"


def _read_time(value: Any) -> tuple[str, Any]:
    """The kind of a value, "" of an empty one, and what it says."""
    value = value.strip() if isinstance(value, str) else value
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return "", None
    try:
        value = _parse(value) if isinstance(value, str) else value
        if isinstance(value, datetime):
            return (_DATES, value) if value.tzinfo is None else (_ZONED, value.astimezone(UTC))
        if isinstance(value, date):
            return _DATES, datetime(value.year, value.month, value.day)
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            number = value if isinstance(value, int) and abs(value) < 10**_MOST_DIGITS else float(value)
            return (_NUMBERS, number) if math.isfinite(number) else (_UNREADABLE, None)
    except (ValueError, OverflowError):
        pass
    return _UNREADABLE, None


def _parse(text: str) -> int | float | datetime:
    """What a string says. Raises ValueError where it says no time."""
    if _NUMBER.fullmatch(text):
        return int(text) if re.fullmatch(rf"[+-]?\d{{1,{_MOST_DIGITS}}}", text) else float(text)
    return _parse_weibo(text) or _parse_written(text) or datetime.fromisoformat(text)


def _parse_weibo(text: str) -> datetime | None:
    if (match := _WEIBO.fullmatch(text)) is None:
        return None
    month, day, hour, minute, second, sign, hours, minutes, year = match.groups()
    zone = timezone(timedelta(hours=int(hours), minutes=int(minutes)) * (1 if sign == "+" else -1))
    clock = int(hour), int(minute), int(second)
    return datetime(int(year), _MONTHS.index(month) + 1, int(day), *clock, tzinfo=zone)


def _parse_written(text: str) -> datetime | None:
    if (match := _WRITTEN.fullmatch(text)) is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
    return datetime(year, month, day, hour, minute, second)
