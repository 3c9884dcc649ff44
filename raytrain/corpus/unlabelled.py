"""Texts to predict or to look at, streamed in the order of their file; what is known of them is not read."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from raytrain.characters import is_blank
from raytrain.corpus.cells import (
    FEW,
    TEXTS,
    check_cells,
    iter_tables,
    named_columns,
    numbered_rows,
    refuse,
    remedy_of,
    table_schema,
    told_once,
)
from raytrain.errors import CorpusError
from raytrain.files.bio import EXPECTED, JOINED, TAG, bio_lines, first_field, is_bio, split_line, wrong_line
from raytrain.files.encodings import Problem
from raytrain.files.formats import BATCH_ROWS
from raytrain.files.reading import AS_FOUND, Reading

# What stands where a tag does, so that a long piece before it is a word.
_TAGGED = re.compile(rf"\S+\s+{TAG}\s*")
_IDEOGRAPH = re.compile(r"[\u3400-\u9fff]")
_SENTENCE = re.compile(r"[\u3400-\u9fff][，。！？；：、][\u3400-\u9fff]")
# What words are now and then, and sentences nearly always.
_LONG = re.compile(r"[\u3400-\u9fff]{5}|[\u3400-\u9fff][，。！？；：、]|[，。！？；：、][\u3400-\u9fff]")
LONG_SHARE = 0.5
Unlabelled = tuple[list[str], list[str]]  # texts, and of pairs the second ones, else the same


def iter_texts(
    path: str | Path,
    text_columns: Sequence[str],
    id: str | None = None,
    batch_rows: int = BATCH_ROWS,
    reading: Reading = AS_FOUND,
) -> Iterator[pa.Table]:
    """Streams over texts to predict, in the order of the file.

    Args:
        path: A file that `files.tables.iter_rows` reads, or `.bio`, which has no columns: its texts are
            numbered.
        text_columns: One column, or two for a text pair. A missing text is an empty one.
        id: The id column; None numbers the rows from 0. Ids may recur.
        batch_rows: Rows of each table but the last.
        reading: What is said of the file.

    Yields:
        Tables of id, text and, for pairs, text_pair, typed as in `Corpus`.

    Raises:
        CorpusError: At the first table before whose end something is wrong; `count_texts` tells all.
    """
    columns = _columns(path, text_columns, id)
    problems: list[Problem] = []
    for table in iter_tables(
        _unlabelled_rows(path, columns, problems, reading), table_schema(columns), batch_rows
    ):
        _refuse_texts(path, problems)
        yield table
    _refuse_texts(path, problems)


def read_unlabelled(path: str, columns: Sequence[str], reading: Reading = AS_FOUND) -> Unlabelled:
    """The texts of a file, and of pairs their second ones; not where one is empty."""
    tables = iter_texts(path, columns, reading=reading)
    rows = [[table[name].to_pylist() for name in table.column_names if name != "id"] for table in tables]
    kept = [
        parts for columns in rows for parts in zip(*columns, strict=True) if not any(map(is_blank, parts))
    ]
    return [parts[0] for parts in kept], [parts[-1] for parts in kept]


def count_texts(
    path: str | Path, text_columns: Sequence[str], id: str | None = None, reading: Reading = AS_FOUND
) -> tuple[int, int]:
    """Reads texts to predict once and keeps none, so that all that is wrong is known beforehand.

    Returns:
        The number of rows, and of those with an empty text (of a pair: either).

    Raises:
        CorpusError: With every problem of the file at once.
    """
    columns = _columns(path, text_columns, id)
    names = [name for name in TEXTS if name in columns]
    problems: list[Problem] = []
    num_rows = num_empty = 0
    for row in _unlabelled_rows(path, columns, problems, reading):
        num_rows += 1
        num_empty += any(is_blank(row[name]) for name in names)
    _refuse_texts(path, problems)
    return num_rows, num_empty


def _columns(path: str | Path, text_columns: Sequence[str], id: str | None) -> dict[str, str]:
    if not is_bio(path):
        return named_columns(text_columns, id)
    if len(text_columns) > 1:
        names = ", ".join(text_columns)
        raise CorpusError(f"{path}: expected a file with the columns {names}; a BIO file has none")
    return named_columns(text_columns, None)


def _refuse_texts(path: str | Path, problems: list[Problem]) -> None:
    problems = told_once(problems, "malformed_row", remedy_of, FEW) if is_bio(path) else problems
    refuse(f"{path}: these texts cannot be used", path, problems)


def _unlabelled_rows(
    path: str | Path, columns: dict[str, str], problems: list[Problem], reading: Reading
) -> Iterator[dict[str, Any]]:
    if is_bio(path):
        form = _TextLines()
        for number, lines in enumerate(bio_lines(path, problems, reading)):
            wrong = ((row, form.wrong(row, line)) for row, line in lines)
            problems += [Problem("malformed_row", row, None, message) for row, message in wrong if message]
            yield {"id": number, "text": "".join(form.text_of(line) for _, line in lines)}
        if not problems and (sentences := form.wrong_file()):
            problems.append(Problem("malformed_row", sentences[0], None, sentences[1]))
        return
    for row, number, values in numbered_rows(path, columns, problems, reading):
        cells, found = check_cells(row, values, columns, may_be_empty=TEXTS)
        problems += found
        yield {"id": number, **cells}


class _TextLines:
    """The lines of a file of texts without tags or with any, told where they are of another form.

    The first field of a line is its text, whatever stands behind it.
    """

    def __init__(self) -> None:
        self._width: int | None = None
        self._num_lines = self._num_long = 0
        self._first_long: tuple[int, str] | None = None

    def wrong(self, row: int, line: str) -> str:
        """What is wrong with the next line; empty where it is a line of a text."""
        fields = line.split()
        width = 2 if split_line(line) else len(fields)
        if self._width is None and not line[:1].isspace():
            self._width = width
        if self._begins_blank(line):
            width += 1
        self._num_lines += 1
        if _LONG.search(first_field(line)) and not _TAGGED.fullmatch(line):
            self._num_long += 1
            self._first_long = self._first_long or (row, line)
        if width == 1 and JOINED.fullmatch(line.strip()):
            return wrong_line(line)
        if width > 2 and all(map(_IDEOGRAPH.search, fields)):
            return wrong_line(line)
        if _SENTENCE.search(first_field(line)):
            return _sentence_message(line)
        if self._width not in (None, width) and max(width, self._width or 0) > 2:
            found = f"found {width} and {self._width}, {line!r:.60}"
            return f"{EXPECTED}, or as many fields in every line, {found}; keep the first and the tag"
        return ""

    def text_of(self, line: str) -> str:
        """A line's character or piece, of one that `wrong` was asked for."""
        return line[0] if self._begins_blank(line) else first_field(line)

    def _begins_blank(self, line: str) -> bool:
        """Whether its character is a blank, of several columns."""
        is_blank = line[:1].isspace() and line[1:2] in (" ", "\t")
        return is_blank and self._width is not None and 2 <= len(line.split()) == self._width - 1

    def wrong_file(self) -> tuple[int, str] | None:
        """What is wrong with all that was read, and the first row with it: lines that are sentences."""
        if self._first_long is None or self._num_long <= LONG_SHARE * self._num_lines:
            return None
        row, line = self._first_long
        times = f" (the first of {self._num_long:,} such rows)" if self._num_long > 1 else ""
        return row, f"{_sentence_message(line)}{times}"


def _sentence_message(line: str) -> str:
    remedy = "write each character in a line, or name the file .txt where each line is a text"
    return f"{EXPECTED}, or a character alone, found {line!r:.60}; {remedy}"
