"""Files cut into pieces that one worker predicts at a time."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from raytrain.bulk.inputs import on_this_disk, stem_of
from raytrain.characters import is_blank
from raytrain.corpus.unlabelled import iter_texts
from raytrain.ensemble.artifact import Ensemble
from raytrain.ensemble.files import chunk_rows, columns_of
from raytrain.files.reading import Reading
from raytrain.files.told import reading_lines
from raytrain.storage.directory import Directory

PIECE_ROWS = 16_384  # seconds of work, megabytes of texts
PIECE = pa.schema(
    {
        "file": pa.string(),
        "piece": pa.int64(),
        "output": pa.string(),
        "is_last": pa.bool_(),
        "rows": pa.int64(),
        "num_empty": pa.int64(),
        "told": pa.list_(pa.string()),
        "data": pa.large_binary(),
    }
)


@dataclass(frozen=True)
class Asked:
    """What is predicted, and how.

    Attributes:
        ensemble: The artifact's directory or URI.
        digest: Of the artifact, as `ensemble.artifact.manifest_digest` has it.
        inputs: Where the files lie.
        output: Where predictions go.
        suffix: Of files of predictions.
        columns: Of texts; None are the training's.
        id_column: None is the training's, where a file has it, else the row's number.
        reject: As of `ensemble.files.predict_file`.
        reading: What is said of the files.
        piece_rows: Most rows of a piece.
    """

    ensemble: str
    digest: str
    inputs: Directory
    output: Directory
    suffix: str
    columns: tuple[str, ...] | None
    id_column: str | None
    reject: float | None
    reading: Reading
    piece_rows: int


def output_name(stem: str, piece: int, is_alone: bool, suffix: str) -> str:
    """Of a piece's predictions: the input's own where all of it is one piece, else numbered from 0."""
    return f"{stem}{suffix}" if is_alone else f"{stem}-{piece:05d}{suffix}"


def cut_file(asked: Asked, ensemble: Ensemble, name: str) -> Iterator[pa.Table]:
    """Reads a file, a piece at a time.

    Args:
        asked: What is asked.
        ensemble: Its artifact.
        name: Of the file.

    Yields:
        Tables of one row, as Ray Data takes them: file, piece, output (where its predictions go), is_last,
        rows, num_empty (of them without a text), told (of the first piece, how the file was read), and the
        texts as bytes in data, none where they are predicted already.

    Raises:
        CorpusError: With what is wrong in the file, as far as it was read.
    """
    with on_this_disk(asked.inputs, name) as path:
        columns, id_column = columns_of(ensemble, path, asked.columns, asked.id_column, asked.reading)
        at_once = min(chunk_rows(ensemble), asked.piece_rows)
        tables = iter_texts(path, columns, id_column, at_once, asked.reading)
        pieces = _with_next(_pieces(tables, asked.piece_rows))
        for number, (piece, is_last) in enumerate(pieces):
            output = output_name(stem_of(name), number, number == 0 and is_last, asked.suffix)
            is_there = asked.output.exists(output)
            data = b"" if is_there else _to_bytes(piece)
            told = reading_lines(path, asked.reading) if number == 0 else []
            rows, empty = sum(table.num_rows for table in piece), sum(map(_num_empty, piece))
            row = [name, number, output, is_last, rows, empty, told, data]
            yield pa.table([[value] for value in row], schema=PIECE)


def _num_empty(table: pa.Table) -> int:
    columns = [table[name].to_pylist() for name in ("text", "text_pair") if name in table.column_names]
    return sum(any(map(is_blank, row)) for row in zip(*columns, strict=True))


def _pieces(tables: Iterator[pa.Table], most: int) -> Iterator[list[pa.Table]]:
    """Tables gathered until they are rows enough; none is cut, so that each is predicted as it ever is."""
    piece: list[pa.Table] = []
    for table in tables:
        if piece and sum(part.num_rows for part in piece) + table.num_rows > most:
            yield piece
            piece = []
        piece.append(table)
    if piece:
        yield piece


def _with_next(pieces: Iterator[list[pa.Table]]) -> Iterator[tuple[list[pa.Table], bool]]:
    """Each piece, and whether it is the last."""
    ahead = itertools.chain(((piece, False) for piece in pieces), [([], True)])
    for (piece, _), (_, is_last) in itertools.pairwise(ahead):
        yield piece, is_last


def _to_bytes(tables: Sequence[pa.Table]) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, tables[0].schema) as writer:
        for table in tables:
            for batch in table.combine_chunks().to_batches():
                writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def tables_of(data: bytes) -> Iterator[pa.Table]:
    """The tables that `cut_file` made bytes of, each as it was."""
    with pa.ipc.open_stream(data) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])
