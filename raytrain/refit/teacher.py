"""What an ensemble says of the texts from which a student learns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from raytrain.characters import is_blank
from raytrain.corpus.corpus import Corpus
from raytrain.corpus.unlabelled import Unlabelled, iter_texts
from raytrain.ensemble.apart import predict_apart
from raytrain.ensemble.artifact import Ensemble
from raytrain.errors import ArtifactError
from raytrain.files.reading import AS_FOUND, Reading
from raytrain.folds.result import read_fold_oof
from raytrain.scores.oof import proba_of, read_oof_table
from raytrain.stages import Stages
from raytrain.storage.directory import Directory
from raytrain.storage.files import read_parquet

OOF = "oof.parquet"


@dataclass(frozen=True)
class Taught:
    """Texts without a label, and a teacher's word on them.

    Attributes:
        texts: Them, and of pairs the second ones.
        proba: (num_texts, num_classes) probabilities.
    """

    texts: Unlabelled
    proba: np.ndarray


def read_oof(ensemble: Ensemble, corpus: Corpus, dropped: Sequence[str] = ()) -> np.ndarray:
    """What a run's folds said of rows that they had not seen.

    The run's scores count what dead folds said, too. A teacher does not: it would teach their constant.

    Args:
        ensemble: The run's artifact.
        corpus: What it was trained on.
        dropped: Where the folds lie that the ensemble was made without.

    Returns:
        (num_rows, num_classes) probabilities, NaN of rows that no fold covered, or a dropped one.

    Raises:
        ArtifactError: They are of other rows or labels, or what a dropped fold said cannot be read.
    """
    ids, where = corpus.table["id"].combine_chunks(), f"{ensemble.directory}/{OOF}"
    proba = read_oof_table(where, ensemble.read(OOF), corpus.labels, ids, corpus.path).copy()
    for location in dropped:
        try:
            proba[read_fold_oof(location)["row"].to_numpy()] = np.nan
        except (FileNotFoundError, pa.ArrowException, KeyError, IndexError, ValueError) as error:
            raise ArtifactError(f"{location}/result is damaged: {error!r}") from error
    return proba


def ask_ensemble(
    ensemble: Ensemble,
    path: str,
    columns: list[str],
    directory: Directory,
    name: str,
    stages: Stages,
    reading: Reading = AS_FOUND,
) -> Taught:
    """What an ensemble says of a file's texts, but for empty ones; kept, so that it is asked once.

    Args:
        ensemble: The teacher.
        path: The file.
        columns: Its text columns.
        directory: Where its word is kept.
        name: Of the file there, another one for every teacher and every file of texts.
        stages: Where progress is told.
        reading: What is said of the file.
    """
    if not directory.exists(name):
        predict_apart(str(ensemble.directory), path, directory, name, columns, None, stages, reading)
    proba = _read_taught(directory, name, ensemble)
    parts: list[list[str]] = [[], []]
    for table in iter_texts(path, columns, reading=reading):
        texts = table["text"].to_pylist()
        parts[0] += texts
        parts[1] += table["text_pair"].to_pylist() if "text_pair" in table.column_names else texts
    kept = [not any(map(is_blank, row)) for row in zip(*parts, strict=True)]
    first, second = ([text for text, is_kept in zip(part, kept, strict=True) if is_kept] for part in parts)
    return Taught((first, second), proba[np.array(kept, bool)])


def _read_taught(directory: Directory, name: str, ensemble: Ensemble) -> np.ndarray:
    """(num_texts, num_classes) probabilities of what was kept. Raises ArtifactError where they are none."""
    try:
        proba = proba_of(read_parquet(directory.read_bytes(name)), ensemble.labels)
        if not np.isfinite(proba).all():
            raise ValueError("expected a probability for every text and label")
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise ArtifactError(
            f"{directory}/{name} is damaged: {error}; delete it to ask the teacher anew"
        ) from error
    return proba
