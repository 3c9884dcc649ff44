"""A frozen encoder's output for the whole corpus: computed once, kept on disk, read by every fold.

What a frozen encoder says of a text is the same in every fold, epoch, trial and for every head. The
states lie ragged and in half precision in one memory-mapped file, under a hash of all they depend on.
"""

import contextlib
import fcntl
import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from ray.util import ActorPool
from rich.console import Console
from rich.progress import track

from raytrain.cluster import on_node
from raytrain.devices import quick_imports, set_up_tensorflow
from raytrain.folds.resources import FoldResources
from raytrain.storage.directory import home_directory
from raytrain.text.batches import FeatureRows

_CHUNK_TOKENS = 32_768  # a task's share of the corpus: some seconds of a large encoder on one core
_COPY_BYTES = 256 << 20


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


@dataclass(frozen=True)
class HiddenStates:
    """A file of (num_tokens, hidden_size) float16, the node on which it lies, and what it cost.

    Attributes:
        seconds: Wall time of this run's encoding; 0 where the cache had them.
    """

    path: str
    node_id: str
    seconds: float = 0.0

    def open(self) -> np.ndarray:
        """Maps the file into memory; on a node that lacks it, copies it into that node's cache first."""
        path = Path(self.path)
        if not path.exists():
            path = home_directory() / "hidden_states" / path.name
        if not path.exists():
            self._copy_to(path)
        return np.load(path, mmap_mode="r", allow_pickle=False)

    def _copy_to(self, path: Path) -> None:
        read = ray.remote(num_cpus=0)(_read_span).options(scheduling_strategy=on_node(self.node_id))
        with _new_file(path) as stream:
            start = 0
            while span := ray.get(read.remote(self.path, start, _COPY_BYTES)):
                stream.write(span)
                start += len(span)


def _read_span(path: str, start: int, size: int) -> bytes:
    with Path(path).open("rb") as stream:
        stream.seek(start)
        return stream.read(size)


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[Any]:
    """A file that takes its name only once it is whole."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}.unfinished")
    try:
        with unfinished.open("w+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH)
            yield stream
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def cached_hidden_states(
    encoder: EncoderSource,
    features: pa.Table,
    resources: FoldResources,
    directory: str | None,
    max_gb: float,
    console: Console,
) -> Iterator[HiddenStates | None]:
    """Finds the hidden states in the cache or computes them, and keeps them there while the block runs.

    Args:
        encoder: The frozen encoder.
        features: Of `text.encode.build_features`.
        resources: What a fold takes; encoding uses the same slots.
        directory: The cache; None takes the user's.
        max_gb: Bound on the cache in 10⁹ bytes; the longest unused files give way.
        console: Told what is done.

    Yields:
        None where they do not fit: the folds then run the encoder in every step.
    """
    cache = Path(directory).expanduser().absolute() if directory else home_directory() / "hidden_states"
    path = cache / f"{encoder.hash_with(features)}.npy"
    rows, size = features.num_rows, _num_bytes(features, encoder.config)
    what = f"hidden states of {rows:,} texts, {size / 1e6:,.0f} MB"
    started, seconds = time.monotonic(), 0.0
    # Within the bound even where it is there: what an earlier run left behind must not change a result.
    is_cached = path.exists() and size <= max_gb * 1e9
    why_not = None if is_cached else _make_room(cache, size, max_gb)
    if why_not is not None:
        _say(console, f"{what}: {why_not}; every step runs the encoder")
        yield None
        return
    if not is_cached:
        _compute(encoder, features, resources, path, console)
        seconds = round(time.monotonic() - started, 1)
        what += f": computed in {seconds} s"
    else:
        what += ": from the cache"
    with path.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)  # what is locked, no other run removes
        path.touch()
        _say(console, what)
        yield HiddenStates(str(path), ray.get_runtime_context().get_node_id(), seconds)


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def _num_bytes(features: pa.Table, config: dict[str, Any]) -> int:
    tokens = sum(len(chunk.values) for chunk in features["token_ids"].chunks)
    return 2 * tokens * int(config["hidden_size"])


def _make_room(cache: Path, size: int, max_gb: float) -> str | None:
    """Removes the longest unused files until `size` bytes fit; says why they cannot."""
    if size > max_gb * 1e9:
        return f"more than cache.max_gb={max_gb:g}"
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = sorted(cache.glob("*.npy*"), key=lambda path: path.stat().st_mtime)
    used = sum(path.stat().st_size for path in files)
    for path in files:
        if used + size <= max_gb * 1e9 and path.suffix != ".unfinished":
            continue
        freed = path.stat().st_size
        with path.open("rb") as stream, contextlib.suppress(BlockingIOError):
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            used -= freed
    if used + size > max_gb * 1e9:
        return f"the cache's other files are in use, and cache.max_gb={max_gb:g}"
    free = shutil.disk_usage(cache).free
    return f"{cache} has only {free / 1e9:.1f} GB free" if size > free - 1e9 else None


def _compute(
    encoder: EncoderSource, features: pa.Table, resources: FoldResources, path: Path, console: Console
) -> None:
    """Encodes the corpus on as many workers as folds would run, and writes the file here."""
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
    with _new_file(path) as stream:
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
            from raytrain.network.build import assign_variables, encoder_variables
            from raytrain.network.encoders import build_transformer
            from raytrain.network.layers import DropoutSeed

        set_up_tensorflow(threads, gpu_share, encoder.precision)
        self._features = FeatureRows(features)
        self._model = build_transformer(encoder.kind, encoder.config, 0, DropoutSeed()).model
        assign_variables(encoder_variables(self._model), weights, "the encoder")

    def encode(self, number: int, rows: np.ndarray) -> tuple[int, np.ndarray]:
        from raytrain.network.inference import predict_hidden_states

        return number, predict_hidden_states(self._model, self._features, rows)
