"""The baselines of a run, by its folds and by easier ones, computed on Ray and kept in its directory."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import ray

from raytrain.config.schema import Config
from raytrain.crossval.directory import identify
from raytrain.crossval.plan import Plan
from raytrain.errors import StorageError, TimeBudgetError
from raytrain.ngrams.baseline import BASELINES, predict_baselines
from raytrain.scores.oof import score_oof
from raytrain.splits.assign import assign_folds
from raytrain.splits.by_time import deal_again
from raytrain.splits.folds import Folds
from raytrain.stages import Stages
from raytrain.storage.directory import Directory
from raytrain.storage.files import parquet_bytes, read_parquet


def start_baselines(plan: Plan) -> Any:
    """Begins them on Ray; None where the run has none. What an earlier start was done with is read."""
    if not plan.config.baseline or plan.config.task != "classify":
        return None
    return start_folds(plan, "baselines", plan.folds.valid[0], plan.folds.train_masks())


def start_folds(plan: Plan, place: str, valid: np.ndarray, is_train: np.ndarray) -> Any:
    """Begins the baselines of these folds on Ray, kept in this place of the run; `follow_folds` takes them.

    Args:
        plan: The run.
        place: Relative to its directory.
        valid: (num_rows,) the fold in which each row is valid, below 0 in none.
        is_train: (num_folds, num_rows) bool, whether each fold learns from the row.
    """
    # No CPU of its own: it runs beside the first folds and must not take one's place.
    task: Any = ray.remote(num_cpus=0, max_retries=1, num_returns="streaming")(predict_folds)
    identity, num_classes = identify(plan.config, plan.hashes), len(plan.corpus.labels)
    return task.remote(plan.run / place, identity, plan.texts, plan.targets, valid, is_train, num_classes)


def finish_baselines(plan: Plan, baselines: Any, stages: Stages) -> dict[str, np.ndarray]:
    """Waits for the baselines; they must not cost the folds their ensemble.

    Returns:
        Each one's (num_rows, num_classes) probabilities; none where they failed, or the time budget was used
        up before they were done.
    """
    if baselines is None:
        return {}
    return follow_folds(plan, baselines, plan.folds.valid[0], "baselines", stages)


def follow_folds(
    plan: Plan, baselines: Any, valid: np.ndarray, what: str, stages: Stages
) -> dict[str, np.ndarray]:
    """Waits for the baselines of some folds, as `finish_baselines` does for the run's own.

    Args:
        plan: The run.
        baselines: Of `start_folds`.
        valid: (num_rows,) the fold in which each row is valid.
        what: They are called.
        stages: Told of the wait.
    """
    size = (plan.corpus.num_rows, len(plan.corpus.labels))
    oof = {name: np.full(size, np.nan) for name in BASELINES}
    try:
        kept = "they are kept, the same command goes on there"
        with stages.stage(what, plan.config.folds.num_folds, "folds", kept) as stage:
            for fold, proba in stage.follow(baselines):
                for name in BASELINES:
                    oof[name][valid == fold] = proba[name]
                stage.advance(1)
        return oof
    except TimeBudgetError as error:
        ray.cancel(baselines, force=True)
        told = str(error)
    except (ray.exceptions.RayError, StorageError) as error:
        told = f"they failed: {error}"
    stages.say(f"the {what} are left out, {told}")
    return {}


def predict_folds(
    directory: Directory,
    identity: str,
    texts: list[str],
    labels: np.ndarray,
    valid: np.ndarray,
    is_train: np.ndarray,
    num_classes: int,
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Yields each fold's number and what the baselines say of its valid rows, (rows, num_classes) each.

    Args:
        directory: Where a fold's are kept, and read where they are there already.
        identity: Of the run: others' are not read.
        texts: (num_rows,) texts; of a pair, both joined.
        labels: (num_rows,) label indices.
        valid: (num_rows,) the fold in which each row is valid, below 0 in none.
        is_train: (num_folds, num_rows) bool, whether each fold learns from the row.
        num_classes: Number of labels.
    """
    for fold in np.unique(valid[valid >= 0]).tolist():
        name = f"fold-{fold:02d}.parquet"
        proba = _read_kept(directory, name, identity, (int((valid == fold).sum()), num_classes))
        if proba is None:
            proba = predict_baselines(texts, labels, is_train[fold], valid == fold, num_classes)
            columns = {
                key: pa.FixedSizeListArray.from_arrays(values.ravel(), num_classes)
                for key, values in proba.items()
            }
            table = pa.table(columns).replace_schema_metadata({"identity": identity})
            directory.write_bytes(name, parquet_bytes(table))
        yield fold, proba


def _read_kept(
    directory: Directory, name: str, identity: str, size: tuple[int, int]
) -> dict[str, np.ndarray] | None:
    """What an earlier start of this run kept; None where there is nothing that can be read."""
    if not directory.exists(name):
        return None
    try:
        table = read_parquet(directory.read_bytes(name))
        if (table.schema.metadata or {}).get(b"identity") != identity.encode():
            return None
        kept = {key: table[key].combine_chunks().flatten().to_numpy().reshape(size) for key in BASELINES}
        return kept if all(np.isfinite(values).all() for values in kept.values()) else None
    except (pa.ArrowException, KeyError, ValueError, AttributeError):
        return None


COMPARED = "tfidf_logistic"  # a network would have to be trained a second time


class Comparison:
    """A baseline under easier folds than the run's, computed on Ray beside these.

    Beside folds in time they are at random; beside folds that keep near-duplicates together they do not.

    Args:
        plan: The run; `has_easier_folds` of it.
    """

    def __init__(self, plan: Plan):
        self._plan = plan
        if plan.config.folds.time is not None:
            self._ways = ("by time", "at random, learned from as many")
            self._valid, is_train = deal_again(plan.folds, plan.targets, plan.config.seed)
        else:
            self._ways = ("near-duplicates in one fold", "near-duplicates in any")
            self._valid, is_train = _deal_apart(plan)
        self._stream = start_folds(plan, "baselines/random", self._valid, is_train)

    def finish(self, baselines: dict[str, np.ndarray], stages: Stages) -> dict[str, Any] | None:
        """Waits for it.

        Args:
            baselines: Each one's (num_rows, num_classes) probabilities by the run's folds; none where they
                failed.
            stages: Told of the wait.

        Returns:
            Both scores as in summary.json; None where one of the two is not there.
        """
        plan = self._plan
        easier = follow_folds(plan, self._stream, self._valid, "random folds", stages)
        if not baselines or not easier:
            return None
        both = zip(self._ways, (baselines, easier), strict=True)
        ways = {
            way: score_oof(plan.targets, oof[COMPARED], plan.config.seed, groups=plan.folds.groups)
            for way, oof in both
        }
        return {"model": COMPARED, "ways": ways}


def has_easier_folds(config: Config, duplicates: Mapping[str, Any] | None) -> bool:
    """Whether a run's folds are harder than random ones.

    Args:
        config: The run's.
        duplicates: What was found of them, as in summary.json.
    """
    grouped = config.folds.duplicates == "group" and duplicates is not None and duplicates["rows"] > 0
    return config.folds.time is not None or grouped


def _deal_apart(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """As of `deal_again`: the run's folds as they would be without any near-duplicates."""
    folds, corpus = plan.config.folds, plan.corpus
    groups = corpus.table["group"].to_numpy() if folds.group else None
    valid = assign_folds(corpus.strata(folds.num_folds), folds.num_folds, 1, plan.config.seed, groups)
    return valid[0], Folds(valid).train_masks()
