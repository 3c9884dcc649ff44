"""Files of rows: CSV, TSV, JSON lines, Parquet and plain text, as one stream whatever their size."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from raytrain.errors import CorpusError
from raytrain.files.bio import is_bio
from raytrain.files.detection import detect_encoding, encoding_of_beginning
from raytrain.files.encodings import CHUNK_BYTES, COMPRESSIONS, Problem, open_bytes, open_lines, readable
from raytrain.files.formats import (
    empty_file,
    iter_jsonl,
    iter_parquet,
    iter_txt,
    json_object,
)
from raytrain.files.quoting import has_quoting
from raytrain.files.reading import AS_FOUND, Reading
from raytrain.files.separated import csv_records, iter_csv

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "txt",
    ".parquet": "parquet",
}
FIRST_OBJECTS = 100  # whose keys are the columns: not each may have all
DELIMITERS = {"csv": ",", "tsv": "\t", "txt": "\t"}  # of plain text only where its columns are named


def iter_rows(
    path: str | Path, columns: Sequence[str], problems: list[Problem], reading: Reading = AS_FOUND
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Streams over the rows of a file; memory does not grow with the file.

    Args:
        path: .csv, .tsv, .jsonl, .ndjson and .txt (one column, `text`), also .gz, .bz2, .xz and .zst of
            these; .parquet.
        columns: The columns wanted.
        problems: Takes what is wrong with the file; rows that cannot be told apart are left out.
        reading: What is said of the file.

    Yields:
        The row's number, as in `Problem`, and its values: None where the row lacks one; columns that
        the file is known to lack have been reported and are left out.

    Raises:
        CorpusError: The suffix is unknown, or the file is missing, unreadable, truncated or corrupt.
    """
    kind = format_of(path)
    wanted = list(dict.fromkeys(columns))
    with readable(path):
        if Path(path).stat().st_size == 0:
            problems.append(empty_file("nothing"))
        elif kind == "parquet":
            yield from iter_parquet(path, wanted, problems)
        elif (encoding := detect_encoding(path, problems, reading)) is not None:
            # Every undecodable byte has been reported by now; "replace" lets the other problems follow.
            with open_lines(path, encoding) as lines:
                if kind == "jsonl":
                    yield from iter_jsonl(lines, wanted, problems)
                elif kind == "txt" and not has_fields(reading):
                    yield from iter_txt(lines, wanted, problems, reading)
                else:
                    is_quoted = find_quoting(path, encoding, problems, reading)
                    yield from iter_csv(lines, DELIMITERS[kind], wanted, problems, is_quoted, reading)


def find_quoting(
    path: str | Path,
    encoding: str,
    problems: list[Problem],
    reading: Reading,
    doubtful: list[int] | None = None,
) -> bool:
    """Whether quotes enclose the fields of a file, as `quoting.has_quoting` finds; without any, they may."""

    def lines() -> Iterator[str]:
        with open_lines(path, encoding) as stream:
            yield from stream

    delimiter = DELIMITERS[format_of(path)]
    return not holds_quotes(path) or has_quoting(lines, delimiter, problems, reading, doubtful)


def has_fields(reading: Reading) -> bool:
    """Whether plain text is said to be rows of several fields."""
    return len(reading.columns or ()) > 1


def holds_quotes(path: str | Path) -> bool:
    with open_bytes(path) as stream:
        return any(b'"' in chunk for chunk in iter(lambda: stream.read(CHUNK_BYTES), b""))


def read_column_names(path: str | Path, reading: Reading = AS_FOUND) -> list[str]:
    """Reads the names of a file's columns from its beginning, however long the file is.

    Args:
        path: A file that `iter_rows` reads, or `.bio`.
        reading: What is said of the file.

    Returns:
        In the file's order: its header, the keys of its first JSON objects, or its Parquet schema. None of
        plain text and of `.bio`, which name no columns, nor of a file whose beginning is damaged: what
        reads the rows tells all that is wrong with it.

    Raises:
        CorpusError: The suffix is unknown, or the file is missing or unreadable.
    """
    if is_bio(path):
        return []
    kind = format_of(path)
    with readable(path):
        if kind in DELIMITERS and reading.columns:
            return list(reading.columns)
        if Path(path).stat().st_size == 0 or kind == "txt":
            return []
        if kind == "parquet":
            return list(pq.read_schema(str(path)).names)
        encoding = reading.codec or _encoding(path)
        with open_lines(path, encoding) as lines:
            if kind == "jsonl":
                first = itertools.islice(filter(str.strip, lines), FIRST_OBJECTS)
                return list(dict.fromkeys(name for line in first for name in json_object(line)[0]))
            problems: list[Problem] = []
            _, header = next(csv_records(lines, DELIMITERS[kind], problems), (0, []))
            return header if not problems else []


def _encoding(path: str | Path) -> str:
    with open_bytes(path) as stream:
        return encoding_of_beginning(stream.read(CHUNK_BYTES))


def format_of(path: str | Path) -> str:
    suffixes = [suffix.lower() for suffix in Path(path).suffixes[-2:]]
    compressed = bool(suffixes) and suffixes[-1] in COMPRESSIONS
    suffix = "".join(suffixes[:-1] if compressed else suffixes[-1:])
    if suffix not in FORMATS or (compressed and suffix == ".parquet"):
        raise CorpusError(
            f"{path}: cannot tell the format: expected a name that ends in {' '.join(FORMATS)}, where all "
            f"but .parquet may be followed by {' '.join(COMPRESSIONS)}; found {Path(path).name!r}"
        )
    return FORMATS[suffix]
