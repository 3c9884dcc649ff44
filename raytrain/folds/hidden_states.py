"""A frozen encoder's output for the whole corpus: computed once, kept on disk, read by every fold.

What a frozen encoder says of a text is the same in every fold, epoch, trial and for every head. The
states lie ragged and in half precision in one memory-mapped file, under a hash of all they depend on.
"""

import contextlib
import fcntl
import logging
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from rich.console import Console

from raytrain.cluster import on_node
from raytrain.folds.frozen import EncoderSource, write_states
from raytrain.folds.resources import FoldResources
from raytrain.storage.files import UNFINISHED, home_directory, whole_or_not

_COPY_BYTES = 256 << 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HiddenStates:
    """A file of (num_tokens, hidden_size) float16, the node on which it lies, and what it cost.

    Attributes:
        seconds: Wall time of this run's encoding; 0 where the cache had them.
        directory: The cache on a node that lacks the file; None takes the user's on that node.
        max_gb: Bound on that cache in 10⁹ bytes.
    """

    path: str
    node_id: str
    seconds: float = 0.0
    directory: str | None = None
    max_gb: float = math.inf

    def open(self) -> np.ndarray:
        """Maps the file into memory; a node that lacks it copies it into its own cache first.

        While the array lives, no other run removes what it maps. Where the cache has no room, the copy is
        a temporary file that is gone with the array.

        Raises:
            OSError: The temporary file has no room either.
        """
        if (states := _map_in_use(Path(self.path))) is not None:
            return states
        copy = _cache_directory(self.directory) / Path(self.path).name
        if (states := _map_in_use(copy)) is not None:
            return states
        size = _ask_node(self.node_id, _size_of, self.path)
        try:
            states, why_not = self._open_copy(copy, size)
        except OSError as error:  # nobody may write there, or its disk is full before the copy is whole
            states, why_not = None, str(error)
        if states is not None:
            return states
        _log.warning(
            f"expected room for {size / 1e6:,.0f} MB of hidden states in {copy.parent} on this node, found "
            f"none: {why_not}; the fold reads a copy in {tempfile.gettempdir()} that is deleted when it "
            "ends; make room, or set cache.directory or cache.max_gb"
        )
        with tempfile.TemporaryFile() as stream:
            return self._copy_to(stream)

    def _open_copy(self, path: Path, size: int) -> tuple[np.ndarray | None, str | None]:
        """Maps the copy in the cache, made by whichever fold comes first; or says why it cannot be there."""
        with _one_at_a_time(path.parent):
            if (states := _map_in_use(path)) is not None:
                return states, None
            if (why_not := _make_room(path.parent, size, self.max_gb)) is not None:
                return None, why_not
            with _new_file(path) as stream:
                states = self._copy_to(stream)
            return states, None

    def _copy_to(self, stream: Any) -> np.ndarray:
        """Fills an empty file from the node that has it, and maps it."""
        start = 0
        while span := _ask_node(self.node_id, _read_span, self.path, start, _COPY_BYTES):
            stream.write(span)
            start += len(span)
        return _map(stream)


def _ask_node(node_id: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns on another node."""
    task = ray.remote(num_cpus=0)(function).options(scheduling_strategy=on_node(node_id))
    return ray.get(task.remote(*arguments))


def _size_of(path: str) -> int:
    return Path(path).stat().st_size


def _read_span(path: str, start: int, size: int) -> bytes:
    with Path(path).open("rb") as stream:
        stream.seek(start)
        return stream.read(size)


def _cache_directory(directory: str | None) -> Path:
    return Path(directory).expanduser().absolute() if directory else home_directory() / "hidden_states"


@contextlib.contextmanager
def _one_at_a_time(cache: Path) -> Iterator[None]:
    """Folds of one node that lack a file at once would each copy it, and each count the same room."""
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (cache / "copying.lock").open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _map_in_use(path: Path) -> np.ndarray | None:
    """Maps a file and locks it, so that no other run removes it; None where there is none to read."""
    with contextlib.suppress(FileNotFoundError, PermissionError):  # another user's home lies there too
        if not path.exists():
            return None
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH)
            if os.fstat(stream.fileno()).st_nlink == 0:  # removed before it was locked
                return None
            with contextlib.suppress(OSError):  # another user's, or on a disk that is only read
                os.utime(stream.fileno())  # the longest unused are removed first
            return _map(stream)
    return None


def _map(stream: Any) -> np.ndarray:
    """Maps an open file; a lock on it lasts as long, for the mapping keeps a duplicate of the descriptor."""
    stream.seek(0)
    np.lib.format.read_magic(stream)
    shape, _, _ = np.lib.format.read_array_header_1_0(stream)
    return np.memmap(stream, np.float16, "r", stream.tell(), shape)


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[Any]:
    """A file that takes its name only once it is whole."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with whole_or_not(path) as unfinished, unfinished.open("w+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
        yield stream


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
        directory: The cache, on every node that needs one; None takes the user's.
        max_gb: Bound on each node's cache in 10⁹ bytes; the longest unused files give way.
        console: Told what is done.

    Yields:
        None where they do not fit: the folds then run the encoder in every step.
    """
    cache = _cache_directory(directory)
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
        with _new_file(path) as stream:
            write_states(encoder, features, resources, stream, console)
        seconds = round(time.monotonic() - started, 1)
        what += f": computed in {seconds} s"
    else:
        what += ": from the cache"
    with path.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)  # what is locked, no other run removes
        path.touch()
        _say(console, what)
        node_id = ray.get_runtime_context().get_node_id()
        # A cache that was named has one path on every node; the user's lies where each node's user has it.
        yield HiddenStates(str(path), node_id, seconds, str(cache) if directory else None, max_gb)


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
    files = _files_by_age(cache)
    used = sum(num_bytes for _, num_bytes in files)
    for path, freed in files:
        if used + size <= max_gb * 1e9 and UNFINISHED not in path.name:
            continue
        with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            used -= freed
    if used + size > max_gb * 1e9:
        return f"the cache's other files are in use, and cache.max_gb={max_gb:g}"
    free = shutil.disk_usage(cache).free
    return f"{cache} has only {free / 1e9:.1f} GB free" if size > free - 1e9 else None


def _files_by_age(cache: Path) -> list[tuple[Path, int]]:
    """The cache's files and their bytes, the longest unused first."""
    files = []
    for path in (path for path in cache.iterdir() if ".npy" in path.name):
        with contextlib.suppress(FileNotFoundError):  # another run has renamed or removed it just now
            stat = path.stat()
            files.append((stat.st_mtime, path, stat.st_size))
    return [(path, num_bytes) for _, path, num_bytes in sorted(files)]
