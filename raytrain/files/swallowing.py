"""Fields over several lines of a file of separated fields: texts, or rows that a quote has swallowed."""

import enum
from dataclasses import dataclass, field

KNOWN_VALUES = 10_000  # of each column; labels are fewer
CLOSED_ROWS = 20  # sound rows, from which on a column of few values hardly has others
ROWS_A_VALUE = 5  # of such a column, at least


class Fit(enum.IntEnum):
    """How well values fit in columns of sound rows."""

    NOT = 0  # a word where all are numbers, a Chinese one where all are ASCII
    HARDLY = 1  # none of the few values that a column has
    PERHAPS = 2
    WELL = 3  # as in another row, or a number where all are


@dataclass
class Known:
    """What the rows hold in each column, where they surely are rows."""

    values: list[set[str]] = field(default_factory=list)
    natures: list[int] = field(default_factory=list)
    num_rows: int = 0

    def add(self, fields: list[str]) -> None:
        """Adds a row; what is over several lines may be no field, and is left out."""
        if not self.values:
            self.values, self.natures = [set() for _ in fields], [0] * len(fields)
        self.num_rows += 1
        for place, value in enumerate(fields[: len(self.values)]):
            if "\n" not in value and "\r" not in value:
                self.natures[place] = max(self.natures[place], _nature(value))
                if len(self.values[place]) < KNOWN_VALUES:
                    self.values[place].add(value)

    def fit(self, values: dict[int, str]) -> Fit:
        """How well values by their columns fit; one that is known outdoes others that are new."""
        found = [self._fit(place, value) for place, value in values.items()] or [Fit.PERHAPS]
        return Fit.WELL if Fit.NOT not in found and Fit.WELL in found else min(found)

    def _fit(self, place: int, value: str) -> Fit:
        known = self.values[place] if self.values else set()
        if not known:
            return Fit.PERHAPS
        if value in known:
            return Fit.WELL
        if _nature(value) > self.natures[place]:
            return Fit.NOT
        if self.num_rows >= CLOSED_ROWS and self.num_rows >= ROWS_A_VALUE * len(known):
            return Fit.HARDLY
        return Fit.WELL if self.natures[place] == 0 else Fit.PERHAPS


def _nature(value: str) -> int:
    """0 of a number, 1 of ASCII, 2 of what else there is."""
    return 0 if not value or value.isdecimal() else 1 if value.isascii() else 2


@dataclass(frozen=True)
class TallField:
    """A field over several lines that may be rows.

    Had a quote at a text's beginning and another at the end of a text further down taken in what lies between
    them, then the last line and the fields behind it were a whole row, and so were lines above it.

    Attributes:
        row: Line at which its record begins.
        last_row: Line at which its record ends.
        parts: Of each line but blank ones, the values within the field by their columns, without the text's
            own column, which tells nothing; None of a line that has too few fields for a row, or too many.
    """

    row: int
    last_row: int
    parts: list[dict[int, str] | None]

    def is_swallowed(self, known: Known, has_proper_quotes: bool) -> bool | None:
        """Whether its lines are rows; None where they might be, though it is more likely a text.

        Args:
            known: What rows hold.
            has_proper_quotes: Whether quotes enclose separators elsewhere, as those that enclose fields do.
        """
        fits = [None if part is None else known.fit(part) for part in self.parts]
        if Fit.NOT in (fits[0], fits[-1]):
            return False
        if Fit.WELL in fits:
            if None not in fits:
                return True
            telling = [fit for fit, part in zip(fits, self.parts, strict=True) if part]
            return not has_proper_quotes and 2 * telling.count(Fit.WELL) > len(telling)
        if Fit.NOT in fits or Fit.HARDLY in fits or None in fits:
            return False
        # Chinese texts have one comma in line after line; as many as three columns need, hardly.
        are_wide = any(part is not None and len(part) > 1 for part in self.parts)
        return True if len(fits) > 2 and are_wide and not has_proper_quotes else None


def tall_fields(row: int, fields: list[str], delimiter: str) -> list[TallField]:
    """The fields of a record that may have swallowed rows.

    Args:
        row: Line at which the record begins.
        fields: Read with quoting.
        delimiter: Between them.
    """
    lines = [value.replace("\r\n", "\n").replace("\r", "\n").split("\n") for value in fields]
    last_row = row + sum(len(found) - 1 for found in lines)
    tall = []
    for place, found in enumerate(lines):
        if len(found) > 1:
            parts = _parts(found, place, len(fields), delimiter)
            if parts[-1] is not None and any(part is not None for part in parts[:-1]):
                tall.append(TallField(row, last_row, parts))
    return tall


def _parts(lines: list[str], place: int, num_fields: int, delimiter: str) -> list[dict[int, str] | None]:
    """As `TallField` keeps them of a field in this place."""
    parts: list[dict[int, str] | None] = []
    for number, line in enumerate(lines):
        before = place if number == 0 else 0
        after = num_fields - 1 - place if number == len(lines) - 1 else 0
        if not line and not before and not after:
            continue
        values = line.split(delimiter)
        is_whole = before + len(values) + after == num_fields
        columns = enumerate(values, before)
        parts.append({column: value for column, value in columns if column != place} if is_whole else None)
    return parts or [None]
