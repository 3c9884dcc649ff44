"""What a run directory tells: scores, what folds said of rows they had not seen, texts, records."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raytrain.config.schema import Config
from raytrain.config.stored import load_stored
from raytrain.corpus.corpus import Corpus
from raytrain.crossval.prepare import read_texts
from raytrain.errors import ArtifactError, InputError
from raytrain.scores.oof import proba_of
from raytrain.splits.folds import read_folds
from raytrain.stages import Stages
from raytrain.storage.directory import Directory
from raytrain.storage.files import read_parquet

ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Said:
    """What the folds of a classifier said of the rows that they had not seen.

    Attributes:
        labels: Their names in order.
        rows: (num_rows,) rows of oof.parquet, those alone that folds covered.
        folds: (num_rows,) the fold, of the first repeat, in which each was valid.
        truth: (num_rows,) label indices.
        proba: (num_rows, num_classes) of the whole ensemble.
        predicted: (num_rows,) label indices: what it says by these, the most probable one or as its
            thresholds have it.
        others: Architectures, where they are not the ensemble, and baselines: name to (num_rows,
            num_classes), NaN where they did not cover a row.
        groups: (num_rows,) integers, equal ones of rows that belong together; None: each stands alone.
    """

    labels: list[str]
    rows: np.ndarray
    folds: np.ndarray
    truth: np.ndarray
    proba: np.ndarray
    predicted: np.ndarray
    others: dict[str, np.ndarray]
    groups: np.ndarray | None = None

    @property
    def is_right(self) -> np.ndarray:
        """(num_rows,) bool."""
        return self.predicted == self.truth


@dataclass(frozen=True)
class Facts:
    """A run, read once.

    Attributes:
        run: Its directory.
        config: Its config.
        summary: Of summary.json.
        corpus: Of corpus.json.
        manifest: Of its ensemble.
        records: Of each committed fold, its result.json.
        oof: The ensemble's oof.parquet.
        texts: (rows of oof,) of each text its parts, one, or two of a pair; None where the corpus cannot be
            read any more.
        unread: Why it cannot.
        said: Of a classifier; None of a tagger.
    """

    run: Directory
    config: Config
    summary: Mapping[str, Any]
    corpus: Mapping[str, Any]
    manifest: Mapping[str, Any]
    records: list[dict[str, Any]]
    oof: pa.Table
    texts: list[tuple[str, ...]] | None
    unread: str
    said: Said | None

    @property
    def ids(self) -> list[Any]:
        """Of each row of `oof`."""
        return list(self.oof["id"].to_pylist())

    @property
    def models(self) -> dict[str, Mapping[str, Any]]:
        """Scores by model: each architecture, the ensemble where it is not the same, each baseline."""
        entries, whole = dict(self.summary["architectures"]), self.summary[ENSEMBLE]
        if len(entries) > 1 or any(whole["oof"] != entry["oof"] for entry in entries.values()):
            entries[ENSEMBLE] = whole
        return {**entries, **self.summary.get("baselines", {})}


def read_facts(run: Directory, stages: Stages) -> Facts:
    """Reads a run that has ended; its corpus, too, where it still lies where it did.

    Raises:
        ArtifactError: There is no run, none of its folds was committed, or a file is damaged.
    """
    summary, corpus = _read_json(run, "summary.json"), _read_json(run, "corpus.json")
    manifest = _read_json(run, "ensemble/manifest.json")
    config = load_stored(run)
    try:
        oof = read_parquet(run.read_bytes("ensemble/oof.parquet"))
        said = _read_said(run, summary, oof) if config.task == "classify" else None
        texts, unread = _read_texts(config, corpus, oof, stages)
        return Facts(
            run, config, summary, corpus, manifest, _read_records(run, summary), oof, texts, unread, said
        )
    except (FileNotFoundError, KeyError, ValueError, TypeError, AttributeError, pa.ArrowException) as error:
        raise ArtifactError(f"{run} is damaged: {error!r}; run the same command again to mend it") from error


def _read_json(run: Directory, name: str) -> dict[str, Any]:
    if not run.exists(name):
        expected = f"expected the directory of a run that has ended, found none: {name} is not there"
        raise ArtifactError(f"{run}: {expected}")
    try:
        values = json.loads(run.read_bytes(name))
        if not isinstance(values, dict):
            raise ValueError("expected an object")
    except ValueError as error:
        raise ArtifactError(f"{run}/{name} is damaged: {error}") from error
    return values


def _read_records(run: Directory, summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of the folds that the summary counts; what one lost is told by the run itself."""
    records = []
    for entry in summary["architectures"].values():
        for fold in entry["folds"]:
            place = run / "folds" / fold["name"] / "result"
            with contextlib.suppress(FileNotFoundError, ValueError):
                records.append(json.loads(place.read_bytes("result.json")))
    return records


def _read_said(run: Directory, summary: Mapping[str, Any], oof: pa.Table) -> Said:
    labels = [str(label) for label in summary["labels"]]
    places = {label: place for place, label in enumerate(labels)}
    truth = np.array([places[str(label)] for label in oof["label"].to_pylist()], np.int64)
    folds, whole = pc.fill_null(oof["fold"], -1).to_numpy(), proba_of(oof, labels)
    covered = np.flatnonzero(np.isfinite(whole).all(axis=1))
    others = {
        name: proba_of(oof, labels, f"{name}_")
        for name in summary["architectures"]
        if f"{name}_proba_{labels[0]}" in oof.column_names
    }
    others |= _read_baselines(run, list(summary.get("baselines", {})), folds, len(labels))
    groups = read_folds(run.read_bytes("folds.parquet"), oof["id"].combine_chunks()).groups
    return Said(
        labels,
        covered,
        folds[covered],
        truth[covered],
        whole[covered],
        _decisions(oof, places, whole)[covered],
        {name: proba[covered] for name, proba in others.items()},
        None if groups is None else groups[covered],
    )


def _decisions(oof: pa.Table, places: Mapping[str, int], proba: np.ndarray) -> np.ndarray:
    """(num_rows,) what is said of each row: as `decision` has it, where there is one, else the best."""
    best = np.nan_to_num(proba).argmax(axis=1)
    if "decision" not in oof.column_names:
        return best
    decided = [None if label is None else places[str(label)] for label in oof["decision"].to_pylist()]
    return np.array([place if own is None else own for own, place in zip(decided, best, strict=True)])


def _read_baselines(
    run: Directory, names: list[str], folds: np.ndarray, num_classes: int
) -> dict[str, np.ndarray]:
    """What the baselines said, laid on the rows of their folds; NaN where nothing is kept."""
    found = {name: np.full((len(folds), num_classes), np.nan) for name in names}
    for fold in np.unique(folds).tolist() if names else []:
        name, here = f"fold-{fold:02d}.parquet", folds == fold
        if not (run / "baselines").exists(name):
            continue
        table = read_parquet((run / "baselines").read_bytes(name))
        for baseline in names:
            if baseline in table.column_names and table.num_rows == here.sum():
                values = table[baseline].combine_chunks().flatten().to_numpy()
                if np.isfinite(values).all():
                    found[baseline][here] = values.reshape(-1, num_classes)
    return found


def _read_texts(
    config: Config, corpus: Mapping[str, Any], oof: pa.Table, stages: Stages
) -> tuple[list[tuple[str, ...]] | None, str]:
    """The texts of each row of oof.parquet; or None, and why."""
    path = config.data.path
    try:
        found = read_texts(config.without_test(), stages)
    except (InputError, OSError) as error:
        return None, f"{path} cannot be read: {str(error).splitlines()[0]}"
    if found.sha256 != corpus["sha256"]:
        return None, f"{path} is not the file that the run was begun with"
    texts = _align(found, oof["id"])
    return texts, "" if texts is not None else f"{path} lacks rows that the run learned from"


def _align(corpus: Corpus, ids: pa.ChunkedArray) -> list[tuple[str, ...]] | None:
    """Its texts in the order of some ids; None where it lacks one."""
    places = pc.index_in(ids, value_set=corpus.table["id"].combine_chunks())
    if places.null_count:
        return None
    table = corpus.table.select(corpus.text_names).take(places)
    return list(zip(*(table[name].to_pylist() for name in corpus.text_names), strict=True))
