"""A frozen encoder, run once over the whole corpus by workers on Ray."""

import hashlib
import io
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np
import pyarrow as pa
import ray
from ray.util import ActorPool

from raytrain.cluster import own_error
from raytrain.devices import compiles_predictions, quick_imports, set_up_tensorflow
from raytrain.errors import CheckpointError, LostWorkersError
from raytrain.hidden_states.hardware import all_nodes_have_bfloat16
from raytrain.stages import POLL_SECONDS, Stage, Stages
from raytrain.storage.cache import reserve
from raytrain.text.batches import FeatureRows

_CHUNK_TOKENS = 32_768  # a task's share of the corpus: some seconds of a large encoder on one core
_NOT_FINITE = (
    "expected finite numbers in half precision, found others: its weights are damaged, or too large; take "
    "another encoder.checkpoint, or cache.max_gb=0, which keeps no states"
)
_KEEP_SECONDS = 10.0  # what a killed driver may lose


@dataclass(frozen=True)
class EncoderSource:
    """A frozen encoder, for tasks to build.

    Attributes:
        kind: A key of `kinds.KINDS`.
        config: Google's config json, as a dict.
        weights: ObjectRef of arrays by name.
        digest: Hash of the weights.
        precision: In which its workers multiply: `float32`, `bfloat16`, or `auto` until it is `settled`.
    """

    kind: str
    config: dict[str, Any]
    weights: ray.ObjectRef
    digest: str
    precision: str

    def settled(self, on_cards: bool, stages: Stages) -> "EncoderSource":
        """The same with `auto` settled: one name stands for one precision, whoever encodes.

        Args:
            on_cards: Whether cards encode.
            stages: Where it is told that nodes are asked.
        """
        if self.precision != "auto":
            return self
        has_bfloat16 = all_nodes_have_bfloat16(on_cards, stages)
        return replace(self, precision="bfloat16" if has_bfloat16 else "float32")

    def hash_with(self, features: pa.Table) -> str:
        """Names the hidden states of these features: other weights, tokens or precision, another name."""
        settings = json.dumps([4, self.kind, self.config, self.digest, self.precision], sort_keys=True)
        digest = hashlib.sha256(settings.encode())
        for name in ("token_ids", "segment_ids"):
            for chunk in features[name].chunks:
                digest.update(chunk.offsets.to_numpy())
                digest.update(chunk.values.to_numpy())
        return digest.hexdigest()[:32]


@dataclass(frozen=True)
class EncodingWorkers:
    """What encodes.

    Attributes:
        count: Processes, as many as folds would run.
        cpus: Of each; also its TensorFlow threads.
        gpus: Of each, or a share of one.
        max_failures: How often each may be lost; another one then takes its place.
    """

    count: int
    cpus: int
    gpus: float
    max_failures: int


def write_states(
    encoder: EncoderSource, features: pa.Table, workers: EncodingWorkers, stream: IO[bytes], stages: Stages
) -> None:
    """Encodes the corpus, or what an earlier run left of it.

    The file grows chunk by chunk. Behind the array, where no reader of .npy looks, stands a byte a chunk: 1
    once its states are on disk.

    Args:
        encoder: The frozen encoder.
        features: Of `text.encode.build_features`.
        workers: What encodes.
        stream: What an earlier call left behind, or an empty file, open to read and write; takes
            (num_tokens, hidden_size) float16 as .npy.
        stages: Where progress is told.

    Raises:
        CheckpointError: What the encoder says is not finite.
        LostWorkersError: They were lost more often than is forgiven; another call goes on.
        OSError: The disk has no room; of what was begun here alone nothing is left.
        TimeBudgetError: Before all is encoded; another call goes on.
    """
    rows = FeatureRows(features)
    chunks = _chunk_by_length(rows.lengths)
    shape = (int(rows.offsets[-1]), int(encoder.config["hidden_size"]))
    states, done = _lay_out(stream, shape, len(chunks))
    missing = np.flatnonzero(done == 0)
    sizes = [int(rows.lengths[chunk].sum()) for chunk in chunks]
    kept = "they are kept, the same command goes on there"
    with stages.stage("computing hidden states", shape[0], "tokens", kept) as stage:
        stage.skip(sum(sizes[number] for number in np.flatnonzero(done)))
        laid, saved = [], time.monotonic()
        try:
            for number, encoded in _encode(encoder, features, workers, missing, chunks, stage):
                if not np.isfinite(encoded).all():
                    raise CheckpointError("the frozen encoder's hidden states cannot be used", [_NOT_FINITE])
                _lay(states, rows.offsets, chunks[number], encoded)
                laid.append(number)
                stage.advance(sizes[number])
                if time.monotonic() - saved >= _KEEP_SECONDS:
                    _keep(states, done, laid)
                    saved = time.monotonic()
        finally:
            _keep(states, done, laid)


def _encode(
    encoder: EncoderSource,
    features: pa.Table,
    workers: EncodingWorkers,
    missing: np.ndarray,
    chunks: list[np.ndarray],
    stage: Stage,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the missing chunks' numbers and states, as workers are done with them."""
    gpus = {"num_gpus": workers.gpus} if workers.gpus else {}
    failures = workers.max_failures
    remote: Any = ray.remote(_EncoderWorker)
    options = remote.options(num_cpus=workers.cpus, max_restarts=failures, max_task_retries=failures, **gpus)
    # What an actor is made of must lie in no object store: Ray lets go of it, and could not make it again.
    own = (encoder.kind, encoder.config, encoder.precision, workers.cpus, workers.gpus or None)
    pool: Any = ActorPool([options.remote(*own) for _ in range(min(workers.count, len(missing)))])
    given = (ray.put(features), encoder.weights)
    for number in missing:
        pool.submit(lambda worker, number: worker.encode.remote(number, chunks[number], *given), int(number))
    while pool.has_next():
        stage.check()
        if (done := _next_of(pool, failures)) is not None:
            yield done


def _next_of(pool: Any, max_failures: int) -> tuple[int, np.ndarray] | None:
    """The next chunk's number and states, if one is done within a moment."""
    try:
        done: tuple[int, np.ndarray] = pool.get_next_unordered(timeout=POLL_SECONDS)
        return done
    except ray.exceptions.RayTaskError as error:
        raise own_error(error) or error from None
    except TimeoutError:
        return None
    except ray.exceptions.RayError as error:
        if getattr(error, "actor_init_failed", False):
            raise  # of what its process is made of, not of its loss: the traceback tells
        message = (
            f"expected workers that are lost {max_failures} times at most (cluster.max_failures) while they "
            f"compute hidden states, found: {' '.join(str(error).split())}\n"
            "What is computed of them is kept, the same command goes on there; where memory ran out, "
            "have fewer workers (cluster.max_concurrent_folds)."
        )
        raise LostWorkersError(message) from error


def _lay_out(stream: IO[bytes], shape: tuple[int, int], num_chunks: int) -> tuple[np.ndarray, np.ndarray]:
    """Maps the states and the marks of a file, which begins anew where it is not of this size.

    Raises OSError where the disk has no room; a file that begins anew is empty then.
    """
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f2", "fortran_order": False, "shape": shape})
    start = len(header.getvalue())
    end = start + 2 * shape[0] * shape[1]
    is_new = stream.seek(0, os.SEEK_END) != end + num_chunks
    try:
        if is_new:
            stream.truncate(0)
            os.pwrite(stream.fileno(), header.getvalue(), 0)
        reserve(stream, end + num_chunks)
    except OSError:
        if is_new:
            stream.truncate(0)
        raise
    states = np.memmap(stream, np.float16, "r+", start, shape)
    return states, np.memmap(stream, np.uint8, "r+", end, (num_chunks,))


def _keep(states: Any, done: Any, laid: list[int]) -> None:
    """Marks chunks once their states are on disk."""
    states.flush()
    done[laid] = 1
    done.flush()
    laid.clear()


def _lay(states: np.ndarray, offsets: np.ndarray, chunk: np.ndarray, encoded: np.ndarray) -> None:
    """Writes a chunk's states, which come row after row, to the rows' places."""
    start = 0
    for row in chunk:
        length = offsets[row + 1] - offsets[row]
        states[offsets[row] : offsets[row + 1]] = encoded[start : start + length]
        start += length


def _chunk_by_length(lengths: np.ndarray) -> list[np.ndarray]:
    """Rows by falling length, cut where a chunk's tokens are enough."""
    order = np.argsort(-lengths, kind="stable")
    cuts = np.flatnonzero(np.diff(np.cumsum(lengths[order]) // _CHUNK_TOKENS)) + 1
    return np.split(order, cuts)


class _EncoderWorker:
    """A process with the encoder built in it; an actor."""

    def __init__(
        self, kind: str, config: dict[str, Any], precision: str, threads: int, gpu_share: float | None
    ):
        with quick_imports():
            from raytrain.network.encoders import build_transformer
            from raytrain.network.layers import DropoutSeed

        set_up_tensorflow(threads, gpu_share, precision, side_by_side=True)
        self._model = build_transformer(kind, config, 0, DropoutSeed()).model
        self._features: FeatureRows | None = None

    def encode(
        self, number: int, rows: np.ndarray, features: pa.Table, weights: dict[str, np.ndarray]
    ) -> tuple[int, np.ndarray]:
        """A chunk's number, and the states of its rows; features and weights are the same in every call."""
        from raytrain.network.inference import predict_hidden_states
        from raytrain.network.weights import assign_variables, encoder_variables

        if self._features is None:
            assign_variables(encoder_variables(self._model), weights, "the encoder")
            self._features = FeatureRows(features)
        compiled = compiles_predictions()
        return number, predict_hidden_states(self._model, self._features, rows, compiled=compiled)
