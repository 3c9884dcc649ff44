"""Matches on disk, a row each: CSV, JSON Lines or Parquet."""

import contextlib
import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from raytrain.files.spreadsheets import protect_cell
from raytrain.matching.best import Found
from raytrain.matching.texts import Texts

SUFFIXES = (".csv", ".jsonl", ".parquet")
COLUMNS = ("query_id", "rank", "candidate_id", "score", "query", "candidate")
Row = tuple[int | str, int, int | str, float, str, str]
WriteRows = Callable[[Sequence[Row]], None]


def rows_of(queries: Texts, part: slice, candidates: Texts, found: Found) -> list[Row]:
    """The rows of some queries, the best candidate of each first.

    Args:
        queries: All queries.
        part: Which of them.
        candidates: All candidates.
        found: Of these queries.
    """
    rows: list[Row] = []
    places = range(len(queries.texts))[part]
    for query, own, scores in zip(places, found.rows.tolist(), found.scores.tolist(), strict=True):
        id, text = queries.ids[query], queries.texts[query]
        for rank, (place, score) in enumerate(zip(own, scores, strict=True), start=1):
            rows.append((id, rank, candidates.ids[place], score, text, candidates.texts[place]))
    return rows


@contextlib.contextmanager
def open_matches(path: Path) -> Iterator[WriteRows]:
    """Yields what writes rows, as `COLUMNS` names them, to a file that ends in one of `SUFFIXES`."""
    with {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}[path.suffix](path) as write:
        yield write


@contextlib.contextmanager
def _csv(path: Path) -> Iterator[WriteRows]:
    # With a byte order mark: without one spreadsheets take Chinese for another encoding.
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        yield lambda rows: writer.writerows(
            [_as_cell(query), rank, _as_cell(candidate), f"{score:.6f}", *map(protect_cell, texts)]
            for query, rank, candidate, score, *texts in rows
        )


def _as_cell(id: int | str) -> int | str:
    """An id that no spreadsheet computes or rewrites; a row number stays a number."""
    return protect_cell(id) if isinstance(id, str) else id


@contextlib.contextmanager
def _jsonl(path: Path) -> Iterator[WriteRows]:
    with path.open("w", encoding="utf-8") as stream:

        def write(rows: Sequence[Row]) -> None:
            for row in rows:
                record = dict(zip(COLUMNS, row, strict=True)) | {"score": round(row[3], 6)}
                stream.write(json.dumps(record, ensure_ascii=False) + "\n")

        yield write


@contextlib.contextmanager
def _parquet(path: Path) -> Iterator[WriteRows]:
    with contextlib.ExitStack() as stack:
        opened: list[pq.ParquetWriter] = []

        def write(rows: Sequence[Row]) -> None:
            table = pa.table(dict(zip(COLUMNS, map(pa.array, zip(*rows, strict=True)), strict=True)))
            if not opened:
                opened.append(stack.enter_context(pq.ParquetWriter(path, table.schema)))
            opened[0].write_table(table)

        yield write
