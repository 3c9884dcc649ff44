"""Vectors of a file of any size, chunk after chunk, in Parquet: id and vector."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raytrain.corpus.unlabelled import iter_texts
from raytrain.errors import CorpusError
from raytrain.files.reading import AS_FOUND, Reading
from raytrain.storage.files import whole_or_not
from raytrain.vectors.settings import NumberType, VectorSettings
from raytrain.vectors.whitening import Moments, Whitening

CHUNK_ROWS = 4096
Embed = Callable[[Sequence[str], Sequence[str] | None], np.ndarray]


def write_vectors(
    embed: Embed,
    input_path: str,
    output_path: str,
    text_columns: Sequence[str],
    id_column: str | None,
    settings: VectorSettings,
    reading: Reading = AS_FOUND,
) -> Iterator[int]:
    """Makes a vector of each text, in the file's order; the output appears whole or not at all.

    Args:
        embed: Gives (n, dim) vectors of texts, and of their second ones where they are pairs.
        input_path: A file that `corpus.unlabelled.iter_texts` reads.
        output_path: `.parquet`: id (string, or int64 of row numbers) and vector (a list of fixed size).
        text_columns: One, or two of pairs.
        id_column: None numbers the rows.
        settings: How they are stored, and whether they are whitened.
        reading: What is said of the input.

    Yields:
        How many rows are done, after each chunk.

    Raises:
        CorpusError: The input cannot be used, or holds too few texts that differ to be whitened.
    """
    with whole_or_not(output_path) as unfinished:
        tables = _vectors(embed, iter_texts(input_path, text_columns, id_column, CHUNK_ROWS, reading))
        if not settings.whiten:
            yield from _write(tables, unfinished, settings.numbers)
            return
        with tempfile.TemporaryDirectory(dir=unfinished.parent, prefix=".vectors.") as folder:
            kept = Path(folder) / "plain.parquet"
            yield from _write(tables, kept, "float32")
            try:
                whitening = Whitening.of(_moments_of(kept), settings.size)
                _check_told_apart(whitening, kept)
            except ValueError as error:
                problem = f"whitening: {error}; give more texts, or a smaller size"
                raise CorpusError(f"{input_path}: its vectors cannot be whitened", [problem]) from error
            white = ((ids, whitening(vectors)) for ids, vectors in _read(kept))
            for _ in _write(white, unfinished, settings.numbers):
                pass


def _vectors(embed: Embed, tables: Iterator[pa.Table]) -> Iterator[tuple[pa.Array, np.ndarray]]:
    for table in tables:
        pairs = table["text_pair"].to_pylist() if "text_pair" in table.column_names else None
        yield table["id"].combine_chunks(), embed(table["text"].to_pylist(), pairs)


def _write(parts: Iterator[tuple[pa.Array, np.ndarray]], path: Path, numbers: NumberType) -> Iterator[int]:
    writer, done = None, 0
    try:
        for ids, vectors in parts:
            flat = pa.array(vectors.astype(numbers).ravel())
            columns = {"id": ids, "vector": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])}
            table = pa.table(columns)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
            done += len(vectors)
            yield done
    finally:
        if writer is not None:
            writer.close()


def _read(path: Path) -> Iterator[tuple[pa.Array, np.ndarray]]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(CHUNK_ROWS):
            column = batch.column("vector")
            yield batch.column("id"), column.flatten().to_numpy().reshape(len(column), -1)


def _check_told_apart(whitening: Whitening, path: Path) -> None:
    """Raises ValueError where whitening has made all texts alike unlike.

    Of n vectors, each once or several times, that differ in n - 1 directions all angles are much the same
    once these are equally wide.
    """
    found = whitening.kernel.shape[1]
    if found >= _count_different(path, found + 2) - 1 > 1:
        raise ValueError(
            f"expected more than {found + 1:,} texts that differ, for in {found:,} directions of one width "
            "these lie as far from each other as can be"
        )


def _count_different(path: Path, most: int) -> int:
    """How many vectors differ; `most` where there are as many or more."""
    different: set[bytes] = set()
    for _, vectors in _read(path):
        for vector in vectors:
            different.add(vector.tobytes())
            if len(different) >= most:
                return most
    return len(different)


def _moments_of(path: Path) -> Moments:
    moments = None
    for _, vectors in _read(path):
        moments = moments or Moments(vectors.shape[1])
        moments.add(vectors)
    assert moments is not None  # a file without rows has been refused
    return moments


def read_vectors(path: str | Path) -> tuple[list[int] | list[str], np.ndarray]:
    """Reads a file that `write_vectors` wrote: the ids, and (n, dim) vectors as they are stored.

    Raises:
        CorpusError: It is no such file.
    """
    try:
        parts = list(_read(Path(path)))
        ids = [id for column, _ in parts for id in column.to_pylist()]
        return ids, np.concatenate([vectors for _, vectors in parts])
    except (OSError, ValueError, KeyError, AttributeError, pa.ArrowException) as error:
        raise CorpusError(f"{path}: expected a file of the command embed, found: {error}") from error
