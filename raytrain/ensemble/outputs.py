"""Predictions on disk.

Of a classifier probabilities, as CSV, JSON Lines or Parquet. Of a tagger spans, as JSON Lines with text,
type, place and confidence; or BIO, a character a line.
"""

import contextlib
import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raytrain.corpus.spans import span_record
from raytrain.corpus.tags import type_names
from raytrain.files.bio import write_sentence
from raytrain.scores.tagging import TaggedTexts

PROBA_SUFFIXES = (".csv", ".jsonl", ".parquet")
SPAN_SUFFIXES = (".jsonl", ".bio")

WriteProba = Callable[[Sequence[Any], Sequence[int | str | None], np.ndarray], None]
WriteSpans = Callable[[Sequence[Any], Sequence[str], TaggedTexts], None]


@contextlib.contextmanager
def open_proba(path: Path, labels: Sequence[int | str]) -> Iterator[WriteProba]:
    """Yields write(ids, decided, proba).

    Args:
        path: Ends in one of `PROBA_SUFFIXES`.
        labels: Of the ensemble, in order. What was decided is one of them, or None where nothing was.
    """
    names = [f"proba_{label}" for label in labels]
    if path.suffix == ".parquet":
        writer = _parquet_writer(path, labels, names)
    else:
        writer = {".csv": _csv_writer, ".jsonl": _jsonl_writer}[path.suffix](path, names)
    with writer as write:
        yield write


@contextlib.contextmanager
def _csv_writer(path: Path, names: Sequence[str]) -> Iterator[WriteProba]:
    # With a byte order mark: without one spreadsheets take Chinese for another encoding.
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "label", *names])

        def write(ids: Sequence[Any], decided: Sequence[int | str | None], proba: np.ndarray) -> None:
            for row_id, label, row in zip(ids, decided, proba, strict=True):
                writer.writerow([row_id, label, *(f"{value:.6f}" for value in row)])

        yield write


@contextlib.contextmanager
def _jsonl_writer(path: Path, names: Sequence[str]) -> Iterator[WriteProba]:
    with path.open("w", encoding="utf-8") as stream:

        def write(ids: Sequence[Any], decided: Sequence[int | str | None], proba: np.ndarray) -> None:
            for row_id, label, row in zip(ids, decided, proba, strict=True):
                values = {name: round(float(value), 6) for name, value in zip(names, row, strict=True)}
                record = {"id": row_id, "label": label, **values}
                stream.write(json.dumps(record, ensure_ascii=False) + "\n")

        yield write


@contextlib.contextmanager
def _parquet_writer(path: Path, labels: Sequence[int | str], names: Sequence[str]) -> Iterator[WriteProba]:
    kind = pa.array(labels).type  # a table may be without any
    with contextlib.ExitStack() as stack:
        opened: list[pq.ParquetWriter] = []

        def write(ids: Sequence[Any], decided: Sequence[int | str | None], proba: np.ndarray) -> None:
            columns = {"id": pa.array(ids), "label": pa.array(decided, kind)}
            columns |= {name: pa.array(proba[:, index]) for index, name in enumerate(names)}
            table = pa.table(columns)
            if not opened:
                opened.append(stack.enter_context(pq.ParquetWriter(path, table.schema)))
            opened[0].write_table(table)

        yield write


@contextlib.contextmanager
def open_spans(path: Path, tags: Sequence[str]) -> Iterator[WriteSpans]:
    """Yields write(ids, texts, tagged).

    Args:
        path: Ends in one of `SPAN_SUFFIXES`.
        tags: Their names in order.
    """
    write = {".jsonl": _write_jsonl, ".bio": _write_bio}[path.suffix]
    with path.open("w", encoding="utf-8") as stream:
        yield lambda ids, texts, tagged: stream.writelines(write(ids, texts, tagged, tags))


def spans_of(texts: Sequence[str], tagged: TaggedTexts, types: Sequence[str]) -> list[list[dict[str, Any]]]:
    """Each text's spans in order: text, type, start, end and confidence, 0 to 1."""
    found: list[list[dict[str, Any]]] = [[] for _ in texts]
    spans = tagged.spans
    parts = (spans.rows, spans.starts, spans.ends, spans.types, tagged.confidences)
    for row, start, end, kind, confidence in zip(*(part.tolist() for part in parts), strict=True):
        found[row].append(span_record(texts[row], start, end, types[kind], confidence))
    return found


def _write_jsonl(
    ids: Sequence[Any], texts: Sequence[str], tagged: TaggedTexts, tags: Sequence[str]
) -> Iterator[str]:
    for row_id, text, spans in zip(ids, texts, spans_of(texts, tagged, type_names(tags)), strict=True):
        yield json.dumps({"id": row_id, "text": text, "spans": spans}, ensure_ascii=False) + "\n"


def _write_bio(
    ids: Sequence[Any], texts: Sequence[str], tagged: TaggedTexts, tags: Sequence[str]
) -> Iterator[str]:
    for row, text in enumerate(texts):
        own = tagged.tags[tagged.bounds[row] : tagged.bounds[row + 1]].tolist()
        yield write_sentence(text, [tags[tag] for tag in own])
