"""The table of suspects, and the file that a person reads, fills in and gives back."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from raytrain.corpus.corpus import Corpus
from raytrain.files.spreadsheets import protect_cell
from raytrain.suspects.neighbours import find_neighbours
from raytrain.suspects.ranking import REASONS, Ranking

NEW_LABEL = "new_label"
NUM_NEIGHBOURS = 3
LONGEST_TEXT = 30_000  # characters; a cell of a spreadsheet holds 32,767


def build_table(corpus: Corpus, proba: np.ndarray, ranking: Ranking) -> pa.Table:
    """A row for each suspect, in the order in which a person should look.

    Args:
        corpus: Labelled texts.
        proba: (num_rows, num_classes) what the ensemble says out of fold.
        ranking: The suspects.

    Returns:
        Columns id, text, of pairs text_pair, label, says (the likeliest class; both as strings), proba_label,
        proba_says, reasons (a list), neighbours (a list of {id, label, similarity}, the nearest first).
    """
    rows, names = ranking.rows, pa.array([str(label) for label in corpus.labels], pa.string())
    labels = corpus.table["label"].to_numpy()
    says = proba[rows].argmax(axis=1)
    columns = {name: _taken(corpus.table[name], rows) for name in ("id", *corpus.text_names)}
    columns["label"] = names.take(pa.array(labels[rows]))
    columns["says"] = names.take(pa.array(says))
    columns["proba_label"] = pa.array(proba[rows, labels[rows]])
    columns["proba_says"] = pa.array(proba[rows, says])
    told = [[REASONS[place] for place in np.flatnonzero(held)] for held in ranking.reasons]
    columns["reasons"] = pa.array(told, pa.list_(pa.string()))
    columns["neighbours"] = _neighbours(corpus, rows)
    return pa.table(columns)


def _taken(column: pa.ChunkedArray, rows: np.ndarray) -> pa.Array | pa.ChunkedArray:
    """Some rows of a column, one by one: `take` joins its chunks, and no array of strings holds 2 GiB."""
    return pa.array([column[row].as_py() for row in rows.tolist()], column.type)


def _neighbours(corpus: Corpus, rows: np.ndarray) -> pa.Array:
    texts = [corpus.table[name].to_pylist() for name in corpus.text_names]
    nearest, cosines = find_neighbours(texts, rows, NUM_NEIGHBOURS)
    ids, labels = corpus.table["id"], corpus.table["label"].to_numpy()
    told = [
        [
            {
                "id": str(ids[row].as_py()),
                "label": str(corpus.labels[labels[row]]),
                "similarity": float(cosine),
            }
            for row, cosine in zip(own.tolist(), similar.tolist(), strict=True)
            if row >= 0
        ]
        for own, similar in zip(nearest, cosines, strict=True)
    ]
    kind = pa.struct({"id": pa.string(), "label": pa.string(), "similarity": pa.float64()})
    return pa.array(told, pa.list_(kind))


def csv_bytes(table: pa.Table) -> bytes:
    """The table as CSV with an empty column `new_label`; texts are cut to what a cell holds.

    With its byte order mark, spreadsheets read the file as UTF-8. What they would take for a formula begins
    with an apostrophe here, which `files.spreadsheets.restore_cell` takes away.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow([*table.column_names, NEW_LABEL])
    for row in _cells(table):
        writer.writerow([*row, ""])
    return stream.getvalue().encode("utf-8-sig")


def _cells(table: pa.Table) -> Iterator[list[str]]:
    shown: dict[str, Any] = {
        "text": shown_text,
        "text_pair": shown_text,
        "reasons": " ".join,
        "neighbours": _shown_neighbours,
    }
    numbers = ("proba_label", "proba_says")  # which may be rewritten
    for batch in table.to_batches(max_chunksize=1000):
        for row in batch.to_pylist():
            yield [
                f"{value:.4f}" if name in numbers else protect_cell(shown.get(name, str)(value))
                for name, value in row.items()
            ]


def shown_text(text: str) -> str:
    """A text as it stands in the file, but for the apostrophe."""
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


def _shown_neighbours(neighbours: list[dict[str, Any]]) -> str:
    return "; ".join(f"{entry['id']} ({entry['label']}, {entry['similarity']:.2f})" for entry in neighbours)
