"""Predicted probabilities on disk: CSV, JSON Lines or Parquet."""

import contextlib
import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PROBA_SUFFIXES = (".csv", ".jsonl", ".parquet")

WriteProba = Callable[[Sequence[Any], np.ndarray], None]


@contextlib.contextmanager
def open_proba(path: Path, labels: Sequence[int | str]) -> Iterator[WriteProba]:
    names = [f"proba_{label}" for label in labels]
    writer = {".csv": _csv_writer, ".jsonl": _jsonl_writer, ".parquet": _parquet_writer}[path.suffix]
    with writer(path, labels, names) as write:
        yield write


@contextlib.contextmanager
def _csv_writer(path: Path, labels: Sequence[int | str], names: Sequence[str]) -> Iterator[WriteProba]:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "label", *names])

        def write(ids: Sequence[Any], proba: np.ndarray) -> None:
            for row_id, row in zip(ids, proba, strict=True):
                writer.writerow([row_id, labels[int(row.argmax())], *(f"{value:.6f}" for value in row)])

        yield write


@contextlib.contextmanager
def _jsonl_writer(path: Path, labels: Sequence[int | str], names: Sequence[str]) -> Iterator[WriteProba]:
    with path.open("w", encoding="utf-8") as stream:

        def write(ids: Sequence[Any], proba: np.ndarray) -> None:
            for row_id, row in zip(ids, proba, strict=True):
                values = {name: round(float(value), 6) for name, value in zip(names, row, strict=True)}
                record = {"id": row_id, "label": labels[int(row.argmax())], **values}
                stream.write(json.dumps(record, ensure_ascii=False) + "\n")

        yield write


@contextlib.contextmanager
def _parquet_writer(path: Path, labels: Sequence[int | str], names: Sequence[str]) -> Iterator[WriteProba]:
    with contextlib.ExitStack() as stack:
        opened: list[pq.ParquetWriter] = []

        def write(ids: Sequence[Any], proba: np.ndarray) -> None:
            columns = {"id": pa.array(ids), "label": pa.array([labels[i] for i in proba.argmax(axis=1)])}
            columns |= {name: pa.array(proba[:, index]) for index, name in enumerate(names)}
            table = pa.table(columns)
            if not opened:
                opened.append(stack.enter_context(pq.ParquetWriter(path, table.schema)))
            opened[0].write_table(table)

        yield write
