"""Parts of the rows that a model may be worse at: by length, by keyword, by a column of the corpus."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raytrain.config.schema import Config
from raytrain.corpus.cells import check_cells, named_columns, numbered_rows
from raytrain.ensemble.artifact import load_ensemble
from raytrain.ensemble.words import read_words
from raytrain.errors import ConfigError, InputError
from raytrain.files.encodings import Problem
from raytrain.files.reading import Reading
from raytrain.files.tables import read_column_names
from raytrain.keywords.held import find_words
from raytrain.report.facts import Facts, Said
from raytrain.report.markup import Child, Markup, element, paragraph, percent, table, told

SMALL = 30  # rows below which a slice's score says little
MOST_VALUES = 20  # of a column
MOST_KEYWORDS = 20


@dataclass(frozen=True)
class Slice:
    """Some of the rows.

    Attributes:
        name: What they have alike.
        rows: How many.
        right: How many of these are right.
    """

    name: str
    rows: int
    right: int

    @property
    def accuracy(self) -> float:
        return self.right / self.rows if self.rows else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Of the accuracy, 95 %, by Wilson (1927): sound for few rows and for shares near 0 and 1."""
        if not self.rows:
            return float("nan"), float("nan")
        z, n, share = 1.959964, self.rows, self.accuracy
        center, spread = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
        scale = 1 + z**2 / n
        return max(0.0, float((center - spread) / scale)), min(1.0, float((center + spread) / scale))


def take(name: str, mask: np.ndarray, is_right: np.ndarray) -> Slice:
    """The slice of some rows, by a (num_rows,) bool each."""
    return Slice(name, int(mask.sum()), int(is_right[mask].sum()))


def length_slices(lengths: np.ndarray, is_right: np.ndarray) -> list[Slice]:
    """Quarters of the rows by their length in characters; fewer where many are as long."""
    ends = np.unique(np.quantile(lengths, [0.25, 0.5, 0.75, 1.0], method="lower"))
    found, before = [], int(lengths.min()) - 1
    for end in ends.astype(int).tolist():
        name = f"{before + 1:,}–{end:,} characters" if end > before + 1 else f"{end:,} characters"
        found.append(take(name, (lengths > before) & (lengths <= end), is_right))
        before = end
    return found


def value_slices(values: Sequence[str], is_right: np.ndarray) -> list[Slice]:
    """One for each of the most frequent values, the others in one."""
    names, places, counts = np.unique(np.array(values, object), return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    found = [take(str(names[place]), places == place, is_right) for place in order[:MOST_VALUES]]
    if len(order) > MOST_VALUES:
        others = np.isin(places, order[MOST_VALUES:])
        found.append(take(f"{len(order) - MOST_VALUES:,} other values", others, is_right))
    return found


def keyword_slices(
    texts: Sequence[str], words: Sequence[str], user_dict: str | None, is_right: np.ndarray
) -> list[Slice]:
    """The texts that hold each of the most frequent keywords, as the heads count them: as words, by jieba."""
    held = find_words(texts, None, words, user_dict)
    rows = np.repeat(np.arange(len(texts)), np.diff(held.bounds))
    counts = np.bincount(held.held, minlength=len(words))
    frequent = np.argsort(-counts, kind="stable")[:MOST_KEYWORDS]
    return [
        take(words[word], np.isin(np.arange(len(texts)), rows[held.held == word]), is_right)
        for word in frequent.tolist()
        if counts[word]
    ]


def slices_section(facts: Facts, said: Said, columns: Sequence[str]) -> Markup | None:
    """Accuracy of each slice; None where there are no texts to slice by."""
    if facts.texts is None:
        return None
    own = [facts.texts[row] for row in said.rows.tolist()]
    lengths = np.array([sum(map(len, parts)) for parts in own])
    tables = [_table("Length of the text", length_slices(lengths, said.is_right), said)]
    if facts.config.words.keywords is not None:
        words = read_words(load_ensemble(f"{facts.run}/ensemble"))
        joined = [" ".join(parts) for parts in own]
        found = keyword_slices(joined, words.all_keywords, words.user_dict, said.is_right)
        tables.append(_table("Texts with a keyword", found, said))
    for column in columns:
        values = read_values(facts, column)
        found = value_slices([values[row] for row in said.rows.tolist()], said.is_right)
        tables.append(_table(told(column, 40), found, said))
    note = (
        "Accuracy of some of the rows, with Wilson's 95 % interval; marked where the interval leaves out the "
        f"accuracy of all rows, {percent(said.is_right.mean())}. Of many slices one in twenty is marked by "
        "chance."
    )
    return element("section", element("h2", "Slices"), paragraph(note, class_="note"), tables, id="slices")


def _table(title: Child, slices: Sequence[Slice], said: Said) -> Markup:
    rows: list[list[Child]] = []
    whole = float(said.is_right.mean())
    for one in slices:
        lower, upper = one.interval
        is_small = one.rows < SMALL
        mark = "bad" if upper < whole else "good" if lower > whole else None
        rows.append(
            [
                [told(one.name, 60), element("small", " few rows") if is_small else None],
                f"{one.rows:,}",
                element("td", percent(one.accuracy), class_=None if is_small else mark),
                f"{percent(lower)} – {percent(upper)}",
            ]
        )
    header = [title, "rows", "accuracy", "95 % interval"]
    return table(header, rows, "accuracy by slice", "numbers")


def read_values(facts: Facts, column: str) -> list[str]:
    """A column of the corpus's file, by row of oof.parquet.

    Raises:
        ConfigError: The file has no such column.
    """
    data = facts.config.data
    known = read_column_names(data.path, Reading.of(data))
    if column not in known:
        names = ", ".join(map(repr, known)) or "none"
        raise ConfigError(f"--slice {column}: expected a column of {data.path}, found {names}")
    values: dict[int | str, str] = {}
    for id, cells in _usable_rows(facts.config, column):
        value = cells.get(column)
        values.setdefault(id, "" if value is None else str(value))
    lacking = sum(id not in values for id in facts.ids)
    if lacking:
        raise InputError(f"--slice {column}: {data.path} lacks {lacking:,} of the run's rows")
    return [values[id] for id in facts.ids]


def _usable_rows(config: Config, column: str) -> Iterator[tuple[int | str, dict[str, Any]]]:
    """Yields the rows that the corpus may have kept, each by its id there: of rows with one id the first.

    A row that the run dropped says nothing of a later one that has its id.
    """
    data, group = config.data, config.folds.group
    columns = named_columns(data.text_columns, data.id) | {"label": data.label}
    columns |= {"group": group} if group else {}
    problems: list[Problem] = []
    read = columns | {"value": column}
    for row, number, values in numbered_rows(data.path, read, problems, Reading.of(data)):
        cells, wrong = check_cells(row, values, columns)
        if not wrong:
            yield cells.get("id", number), values
