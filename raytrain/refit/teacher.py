"""What an ensemble says of the texts from which a student learns."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from raytrain.corpus.corpus import Corpus
from raytrain.corpus.unlabelled import iter_texts
from raytrain.crossval.inputs import Unlabelled
from raytrain.ensemble.artifact import Ensemble
from raytrain.ensemble.files import predict_apart
from raytrain.errors import ArtifactError
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


def read_oof(ensemble: Ensemble, corpus: Corpus) -> np.ndarray:
    """What a run's folds said of rows that they had not seen.

    Args:
        ensemble: The run's artifact.
        corpus: What it was trained on.

    Returns:
        (num_rows, num_classes) probabilities, NaN of rows that no fold covered.

    Raises:
        ArtifactError: They are of other rows or labels.
    """
    try:
        table = read_parquet(ensemble.read(OOF))
        proba = _probabilities(table, corpus.labels)
        same_rows = table["id"].to_pylist() == corpus.table["id"].to_pylist()
    except (pa.ArrowException, KeyError) as error:
        raise ArtifactError(f"{ensemble.directory}/{OOF} is damaged: {error}") from error
    if not same_rows:
        raise ArtifactError(f"{ensemble.directory}/{OOF}: expected the ids of the run's corpus, found others")
    return proba


def _probabilities(table: pa.Table, labels: list[int] | list[str]) -> np.ndarray:
    return np.stack([table[f"proba_{label}"].to_numpy() for label in labels], axis=1).astype(np.float64)


def ask_ensemble(
    ensemble: Ensemble, path: str, columns: list[str], directory: Directory, name: str, stages: Stages
) -> Taught:
    """What an ensemble says of a file's texts, but for empty ones; kept, so that it is asked once.

    Args:
        ensemble: The teacher.
        path: The file.
        columns: Its text columns.
        directory: Where its word is kept.
        name: Of the file there, another one for every teacher and every file of texts.
        stages: Where progress is told.
    """
    if not directory.exists(name):
        predict_apart(str(ensemble.directory), path, directory, name, columns, None, stages)
    proba = _probabilities(read_parquet(directory.read_bytes(name)), ensemble.labels)
    parts: list[list[str]] = [[], []]
    for table in iter_texts(path, columns):
        texts = table["text"].to_pylist()
        parts[0] += texts
        parts[1] += table["text_pair"].to_pylist() if "text_pair" in table.column_names else texts
    kept = [bool(one.strip() and other.strip()) for one, other in zip(*parts, strict=True)]
    first, second = ([text for text, is_kept in zip(part, kept, strict=True) if is_kept] for part in parts)
    return Taught((first, second), proba[np.array(kept, bool)])
