"""Predicting many files, or large ones, on the cluster; the same command again goes on where it was."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from raytrain.bulk.inputs import list_inputs, stem_of
from raytrain.bulk.pieces import PIECE_ROWS, Asked, cut_file
from raytrain.bulk.record import Record
from raytrain.bulk.worker import PiecePredictor
from raytrain.cluster import connect, own_error
from raytrain.ensemble.artifact import load_ensemble, manifest_digest
from raytrain.ensemble.files import suffixes_of
from raytrain.errors import ClusterError, InputError
from raytrain.files.reading import AS_FOUND, Reading
from raytrain.folds.resources import cluster_nodes, describe_nodes, node_holds
from raytrain.stages import Stages
from raytrain.storage.directory import Directory
from raytrain.storage.lock import lock_run

WORKERS_PER_READER = 8
# Of a CPU: what a worker leaves to readers, and what one takes. A machine that owns no CPU, as a head with
# other work, gets neither.
LEFT_TO_READERS, READER_CPUS = 0.02, 0.01
BLOCK_BYTES = 8 << 20  # of what Ray Data hands on at once: memory is a few of them for each worker


@dataclass(frozen=True)
class Workers:
    """What predicts.

    Attributes:
        count: Processes that hold the ensemble; None is as many as have room.
        cpus: That each computes on.
        gpus: Share of a card that each owns.
    """

    count: int | None = None
    cpus: float = 1.0
    gpus: float = 0.0


@dataclass
class Predicted:
    """What came of it.

    Attributes:
        files: Predicted now.
        kept: Predicted before.
        rows: Of both.
        rows_now: Predicted now: of files that were begun before, what was left.
        num_rejected: Of these, left to a person.
        num_empty: Of these, without a text.
        told: How these files were read, where anything had to be found out.
    """

    files: int = 0
    kept: int = 0
    rows: int = 0
    rows_now: int = 0
    num_rejected: int = 0
    num_empty: int = 0
    told: list[str] = field(default_factory=list)


def ask(
    ensemble: str,
    inputs: str,
    output: str,
    suffix: str | None = None,
    columns: tuple[str, ...] | None = None,
    id_column: str | None = None,
    reject: float | None = None,
    reading: Reading = AS_FOUND,
    piece_rows: int = PIECE_ROWS,
) -> tuple[Asked, list[str]]:
    """What is asked, and the names of the files, once all of it is known to be there.

    Args:
        ensemble: The artifact's directory or URI.
        inputs: A file, or a directory of files, or the URI of either.
        output: The directory of predictions, or its URI.
        suffix: Of the files of predictions; None is .parquet of a classifier, .jsonl of a tagger.
        columns: As of `pieces.Asked`, and so the others.

    Raises:
        InputError: There is no artifact or no file, or the suffix is none of its.
    """
    directory, names = list_inputs(inputs)
    artifact = load_ensemble(ensemble)
    possible = suffixes_of(artifact)
    suffix = suffix or (".parquet" if ".parquet" in possible else ".jsonl")
    if suffix not in possible:
        raise InputError(f"format: expected one of {', '.join(possible)} of this ensemble, found {suffix}")
    if reject is not None and artifact.task != "classify":
        raise InputError(f"reject: expected none for an ensemble of task={artifact.task}")
    where = Directory(ensemble)
    what = suffix, columns, id_column, reject, reading, piece_rows
    return Asked(where.location, manifest_digest(where), directory, Directory(output), *what), names


def predict_all(asked: Asked, names: list[str], workers: Workers, stages: Stages) -> Predicted:
    """Predicts files on Ray, and marks each once all of it is predicted.

    Args:
        asked: Of `ask`.
        names: Of the files.
        workers: What predicts.
        stages: Where progress is told.

    Raises:
        InputError: A file cannot be read, the output holds something else, or another command predicts
            there; what was predicted before stays.
    """
    with lock_run(asked.output):
        return _predict_missing(asked, names, workers, stages)


def _predict_missing(asked: Asked, names: list[str], workers: Workers, stages: Stages) -> Predicted:
    files = {name: asked.inputs.stamp(name) or [0, 0] for name in names}
    record, predicted = Record(asked.output, _identity(asked), files, asked.suffix), Predicted()
    missing = []
    for name in names:
        told = record.done(stem_of(name))
        if told is None:
            missing.append(name)
        else:
            predicted.kept, predicted.rows = predicted.kept + 1, predicted.rows + int(told["rows"])
    if not missing:
        return predicted
    connect(None)
    count = workers.count or _room(workers)
    rows: dict[str, int] = defaultdict(int)
    pieces: dict[str, int] = defaultdict(int)
    ends: dict[str, int] = {}
    with stages.stage("predicting", unit="rows", kept="what is predicted is kept") as stage:
        for told in _stream(asked, missing, workers, count):
            name = told["file"]
            rows[name], pieces[name] = rows[name] + told["rows"], pieces[name] + 1
            if told["num_rejected"] is not None:
                predicted.rows_now += told["rows"]
                predicted.num_rejected += told["num_rejected"]
                predicted.num_empty += told["num_empty"]
            predicted.told += [f"{name}: {line}" for line in told["told"]]
            stage.advance(told["rows"])
            if told["is_last"]:
                ends[name] = told["piece"] + 1
            if ends.get(name) == pieces[name]:
                record.finish(stem_of(name), {"rows": rows[name], "pieces": pieces[name]})
                predicted.files, predicted.rows = predicted.files + 1, predicted.rows + rows[name]
            stage.check()
    return predicted


def _identity(asked: Asked) -> dict[str, Any]:
    """What the predictions depend on."""
    return {
        "ensemble": asked.digest,
        "columns": None if asked.columns is None else list(asked.columns),
        "id": asked.id_column,
        "format": asked.suffix,
        "reject": asked.reject,
        "piece_rows": asked.piece_rows,
        "encoding": asked.reading.encoding,
        "quoting": asked.reading.quoting,
        "names": None if asked.reading.columns is None else list(asked.reading.columns),
    }


def _stream(asked: Asked, names: list[str], workers: Workers, count: int) -> Iterator[dict[str, Any]]:
    """What workers tell of each piece, as they come."""
    import ray.data
    from ray.data import ActorPoolStrategy, DataContext, TaskPoolStrategy

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = BLOCK_BYTES
    context.raise_original_map_exception = True
    ensemble = load_ensemble(asked.ensemble)

    def cut(names: pa.Table) -> Iterator[pa.Table]:
        for name in names["file"].to_pylist():
            yield from cut_file(asked, ensemble, name)

    files = ray.data.from_items([{"file": name} for name in names], override_num_blocks=len(names))
    # Reading costs little beside predicting: all CPUs predict. Few files are read at once, for their blocks
    # are what memory holds.
    readers = TaskPoolStrategy(size=1 + count // WORKERS_PER_READER)
    cuts = files.map_batches(cut, batch_size=1, batch_format="pyarrow", num_cpus=READER_CPUS, compute=readers)
    told = cuts.map_batches(
        PiecePredictor,
        batch_size=1,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=count),
        num_cpus=workers.cpus * (1 - LEFT_TO_READERS),
        num_gpus=workers.gpus or None,
        fn_constructor_args=(asked, max(1, int(workers.cpus)), workers.gpus or None),
    )
    try:
        yield from told.iter_rows()
    except Exception as error:
        if (ours := own_error(error)) is None:
            raise
        raise ours from None


def _room(workers: Workers) -> int:
    """How many workers the cluster's machines hold now; one where a machine is to come that holds it.

    Raises:
        ClusterError: No machine holds one: it would be waited for without end.
    """
    nodes = cluster_nodes(None)
    own = [node_holds(node, workers.cpus, workers.gpus) for node in nodes]
    if not any(own):
        wanted = f"{workers.cpus:g} CPU" + (f" and {workers.gpus:g} GPU" if workers.gpus else "")
        raise ClusterError(
            f"expected a machine with {wanted} for a process that predicts; the cluster has "
            f"{describe_nodes(nodes)}; ask for less, or say how many processes (replicas) where others come"
        )
    return max(1, sum(count for count, node in zip(own, nodes, strict=True) if node.alive))
