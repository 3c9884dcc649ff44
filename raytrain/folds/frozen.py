"""A frozen encoder, run once over the whole corpus by workers on Ray."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from ray.util import ActorPool
from rich.console import Console
from rich.progress import track

from raytrain.devices import quick_imports, set_up_tensorflow
from raytrain.folds.resources import FoldResources
from raytrain.text.batches import FeatureRows

_CHUNK_TOKENS = 32_768  # a task's share of the corpus: some seconds of a large encoder on one core


@dataclass(frozen=True)
class EncoderSource:
    """A frozen encoder, for tasks to build.

    Attributes:
        kind: `bert` or `albert`.
        config: Google's config json, as a dict.
        weights: ObjectRef of arrays by name.
        digest: Hash of the weights.
        precision: As in `devices.set_up_tensorflow`.
    """

    kind: str
    config: dict[str, Any]
    weights: ray.ObjectRef
    digest: str
    precision: str

    def hash_with(self, features: pa.Table) -> str:
        """Names the hidden states of these features: other weights, tokens or precision, another name."""
        settings = json.dumps([2, self.kind, self.config, self.digest, self.precision], sort_keys=True)
        digest = hashlib.sha256(settings.encode())
        for name in ("token_ids", "segment_ids"):
            for chunk in features[name].chunks:
                digest.update(chunk.offsets.to_numpy())
                digest.update(chunk.values.to_numpy())
        return digest.hexdigest()[:32]


def write_states(
    encoder: EncoderSource, features: pa.Table, resources: FoldResources, stream: Any, console: Console
) -> None:
    """Encodes the corpus on as many workers as folds would run.

    Args:
        encoder: The frozen encoder.
        features: Of `text.encode.build_features`.
        resources: What a fold takes; encoding uses the same slots.
        stream: An empty file, open to read and write; takes (num_tokens, hidden_size) float16 as .npy.
        console: Where progress is drawn.
    """
    rows = FeatureRows(features)
    chunks = _chunk_by_length(rows.lengths)
    gpus = {"num_gpus": resources.gpus} if resources.gpus else {}
    remote: Any = ray.remote(_EncoderWorker)
    options = remote.options(num_cpus=resources.cpus, **gpus)
    workers = [
        options.remote(encoder, features_ref, encoder.weights, resources.cpus, resources.gpus or None)
        for features_ref in [ray.put(features)]
        for _ in range(min(resources.slots * resources.workers, len(chunks)))
    ]
    pool: Any = ActorPool(workers)
    answers = pool.map_unordered(lambda worker, chunk: worker.encode.remote(*chunk), list(enumerate(chunks)))
    shape = (int(rows.offsets[-1]), int(encoder.config["hidden_size"]))
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f2", "fortran_order": False, "shape": shape})
    start = stream.tell()
    stream.truncate(start + 2 * shape[0] * shape[1])
    states = np.memmap(stream, np.float16, "r+", start, shape)
    for number, encoded in track(answers, "encoding", len(chunks), console=console, transient=True):
        _lay(states, rows.offsets, chunks[number], encoded)
    states.flush()


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
        self,
        encoder: EncoderSource,
        features: pa.Table,
        weights: dict[str, np.ndarray],
        threads: int,
        gpu_share: float | None,
    ):
        with quick_imports():
            from raytrain.network.encoders import build_transformer
            from raytrain.network.layers import DropoutSeed
            from raytrain.network.weights import assign_variables, encoder_variables

        set_up_tensorflow(threads, gpu_share, encoder.precision)
        self._features = FeatureRows(features)
        self._model = build_transformer(encoder.kind, encoder.config, 0, DropoutSeed()).model
        assign_variables(encoder_variables(self._model), weights, "the encoder")

    def encode(self, number: int, rows: np.ndarray) -> tuple[int, np.ndarray]:
        from raytrain.network.inference import predict_hidden_states

        return number, predict_hidden_states(self._model, self._features, rows)
