"""Predicting files of any size: read, predict and write chunk after chunk, in the file's order."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from raytrain.corpus.unlabelled import count_texts, iter_texts
from raytrain.devices import hushed_stderr, predict_side_by_side
from raytrain.ensemble.artifact import Ensemble, load_ensemble
from raytrain.ensemble.load import build_predictor
from raytrain.ensemble.outputs import PROBA_SUFFIXES, SPAN_SUFFIXES, open_proba, open_spans
from raytrain.errors import InputError
from raytrain.files.reading import AS_FOUND, Reading
from raytrain.files.tables import read_column_names
from raytrain.files.told import reading_lines
from raytrain.stages import Stage
from raytrain.storage.files import is_same_file, whole_or_not
from raytrain.text.ragged import chunks_of

SUFFIXES = {*PROBA_SUFFIXES, *SPAN_SUFFIXES}
CHUNK_ROWS = 4096


@dataclass(frozen=True)
class PredictedRows:
    """How far the prediction of a file is.

    Attributes:
        done: Rows predicted.
        total: Rows of the file.
        num_empty: How many of them have an empty text.
        num_rejected: How many of those done are left to a person.
        told: How the file was read, where that is to be said.
    """

    done: int = 0
    total: int = 0
    num_empty: int = 0
    num_rejected: int = 0
    told: tuple[str, ...] = ()


def predict_file(
    ensemble_location: str,
    input_path: str,
    output_path: str,
    text_columns: Sequence[str] | None = None,
    id_column: str | None = None,
    batch_size: int | None = None,
    reject: float | None = None,
    reading: Reading = AS_FOUND,
) -> Iterator[PredictedRows]:
    """Predicts every row of a file, and tells after each chunk; the output appears whole or not at all.

    Args:
        ensemble_location: The artifact's directory or URI.
        input_path: Any format that a corpus may have; labels are not needed.
        output_path: Of a classifier .csv, .jsonl or .parquet: id, label, and a probability per label. Of a
            tagger .jsonl: id, text and spans; or .bio.
        text_columns: None takes the columns that the ensemble was trained on.
        id_column: None takes the training's id column where the file has it, else the row number.
        batch_size: Texts per forward pass; None takes as many as suit the device.
        reject: Of a classifier: where the greatest probability is below it the label stays empty.
        reading: What is said of the input.

    Yields:
        How far it is: at first that nothing is done yet, at last that all is.

    Raises:
        InputError: The artifact is damaged, the input cannot be read, the output's suffix is unknown, or
            there is nothing to reject by.
    """
    if reject is not None and not 0 < reject <= 1:
        raise InputError(f"reject: expected a probability above 0 and up to 1, found {reject}")
    if Path(output_path).suffix not in SUFFIXES:
        expected = f"{', '.join(PROBA_SUFFIXES)} of a classifier, or {', '.join(SPAN_SUFFIXES)} of a tagger"
        raise InputError(f"{output_path}: expected a name ending in {expected}")
    if not Path(output_path).absolute().parent.is_dir():
        raise InputError(f"{output_path}: its folder does not exist; make it first")
    if is_same_file(input_path, output_path):
        raise InputError(f"{output_path}: expected another file than the input, which it would replace")
    ensemble = load_ensemble(ensemble_location)
    if Path(output_path).suffix not in suffixes_of(ensemble):
        expected = ", ".join(suffixes_of(ensemble))
        raise InputError(
            f"{output_path}: expected a name ending in {expected} for an ensemble of task={ensemble.task}"
        )
    if reject is not None and ensemble.task != "classify":
        raise InputError(f"reject: expected none for an ensemble of task={ensemble.task}, found {reject}")
    columns, id_column = columns_of(ensemble, input_path, text_columns, id_column, reading)
    num_rows, num_empty = count_texts(input_path, columns, id_column, reading)
    told = tuple(reading_lines(input_path, reading))
    yield PredictedRows(0, num_rows, num_empty, 0, told)

    with hushed_stderr():  # seconds of TensorFlow, only once all else is known to be well
        if ensemble.has_networks:
            predict_side_by_side()
        output = output_of(ensemble, build_predictor(ensemble, batch_size), reject)
    done = 0
    with whole_or_not(output_path) as unfinished, output.open(unfinished) as write:
        for table in iter_texts(input_path, columns, id_column, chunk_rows(ensemble), reading):
            write(table)
            done += table.num_rows
            if done < num_rows:
                yield PredictedRows(done, num_rows, num_empty, output.num_rejected, told)
    yield PredictedRows(done, num_rows, num_empty, output.num_rejected, told)


class _ProbaFiles:
    """A classifier's predictions on their way to a file."""

    suffixes = PROBA_SUFFIXES

    def __init__(self, ensemble: Ensemble, predictor: Any, reject: float | None):
        self._labels, self._predictor = ensemble.labels, predictor
        self._reject = 0.0 if reject is None else reject
        self.num_rejected = 0

    @contextlib.contextmanager
    def open(self, path: Path) -> Iterator[Callable[[pa.Table], None]]:
        """Yields what predicts the texts of a table and writes their probabilities."""
        with open_proba(path, self._labels) as write:

            def predict(table: pa.Table) -> None:
                pairs = table["text_pair"].to_pylist() if "text_pair" in table.column_names else None
                proba = self._predictor.predict_proba(table["text"].to_pylist(), pairs)
                write(table["id"].to_pylist(), self._decide(proba), proba)

            yield predict

    def _decide(self, proba: np.ndarray) -> list[int | str | None]:
        """A label a row; None where none is probable enough."""
        is_sure = proba.max(axis=1) >= self._reject
        self.num_rejected += int((~is_sure).sum())
        decided = self._predictor.decide(proba).tolist()
        return [self._labels[i] if sure else None for i, sure in zip(decided, is_sure, strict=True)]


class _SpanFiles:
    """A tagger's predictions on their way to a file."""

    suffixes = SPAN_SUFFIXES

    num_rejected = 0

    def __init__(self, ensemble: Ensemble, tagger: Any, _: None):
        self._tags, self._tagger = [str(label) for label in ensemble.labels], tagger

    @contextlib.contextmanager
    def open(self, path: Path) -> Iterator[Callable[[pa.Table], None]]:
        """Yields what finds the spans of a table's texts and writes them."""
        with open_spans(path, self._tags) as write:

            def predict(table: pa.Table) -> None:
                ids, texts = table["id"].to_pylist(), table["text"].to_pylist()
                for part in chunks_of(texts):  # texts are read whole, however long they are
                    write(ids[part], texts[part], self._tagger.find_spans(texts[part]))

            yield predict


def suffixes_of(ensemble: Ensemble) -> tuple[str, ...]:
    """How the names of files of an ensemble's predictions may end."""
    return _FILES[ensemble.task].suffixes


def output_of(ensemble: Ensemble, predictor: Any, reject: float | None) -> Any:
    """What predicts tables of texts into files; `open` gives the function, `num_rejected` counts."""
    return _FILES[ensemble.task](ensemble, predictor, reject)


def chunk_rows(ensemble: Ensemble) -> int:
    """Texts that are predicted at once; of long texts fewer: what is laid out of them stays as much."""
    return max(1, CHUNK_ROWS // ensemble.manifest.config.encoder.windows)


_FILES: dict[str, Any] = {"classify": _ProbaFiles, "tag": _SpanFiles}


def columns_of(
    ensemble: Ensemble,
    input_path: str,
    text_columns: Sequence[str] | None,
    id_column: str | None,
    reading: Reading,
) -> tuple[list[str], str | None]:
    """The text columns and the id column of a file to predict: those that are asked for, or the training's.

    Raises:
        InputError: As many text columns as the ensemble was trained on are not asked for.
    """
    data = ensemble.manifest.config.data
    trained = data.text_columns
    columns = list(text_columns or trained)
    if len(columns) != len(trained):
        raise InputError(
            f"the ensemble was trained on {len(trained)} text column(s); found {len(columns)}: {columns}"
        )
    return columns, id_column or known_id_column(data.id, input_path, reading)


def known_id_column(trained: str | None, input_path: str, reading: Reading = AS_FOUND) -> str | None:
    """The id column of the training, where the file has it; else None, for row numbers."""
    return trained if trained is not None and trained in read_column_names(input_path, reading) else None


def tell(predicted: Iterable[PredictedRows], stage: Stage) -> PredictedRows:
    """Goes through what `predict_file` yields, tells the stage of it, and returns the last."""
    rows = PredictedRows()
    for rows in predicted:
        stage.total = rows.total
        stage.advance(rows.done - stage.done)
    return rows
