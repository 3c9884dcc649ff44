"""A frozen encoder's output for the whole corpus: computed once, kept on disk, read by every fold.

What a frozen encoder says of a text is the same in every fold, epoch, trial and for every head. The
states lie ragged and in half precision in one memory-mapped file, under a hash of all they depend on.
"""

import contextlib
import logging
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import ray

from raytrain.cluster import on_node
from raytrain.hidden_states.encode import EncoderSource, EncodingWorkers, write_states
from raytrain.home import home_directory
from raytrain.stages import POLL_SECONDS, Stage, Stages
from raytrain.storage.cache import (
    finish_partial,
    is_full,
    make_room,
    map_array,
    new_file,
    one_at_a_time,
    open_in_use,
    open_partial,
    partial_path,
)

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
        with one_at_a_time(path.parent):
            if (states := _map_in_use(path)) is not None:
                return states, None
            if (why_not := make_room(path.parent, size, self.max_gb)) is not None:
                return None, why_not
            with new_file(path) as stream:
                states = self._copy_to(stream)
            return states, None

    def _copy_to(self, stream: Any) -> np.ndarray:
        """Fills an empty file from the node that has it, and maps it."""
        start = 0
        while span := _ask_node(self.node_id, _read_span, self.path, start, _COPY_BYTES):
            stream.write(span)
            start += len(span)
        return map_array(stream)


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


def _map_in_use(path: Path) -> np.ndarray | None:
    """Maps a file and locks it, so that no other run removes it; None where there is none to read."""
    stream = open_in_use(path)
    if stream is None:
        return None
    with stream:
        return map_array(stream)


def _cache_directory(directory: str | None) -> Path:
    return Path(directory).expanduser().absolute() if directory else home_directory() / "hidden_states"


@contextlib.contextmanager
def cached_hidden_states(
    encoder: EncoderSource,
    features: pa.Table,
    workers: EncodingWorkers,
    directory: str | None,
    max_gb: float,
    stages: Stages,
) -> Iterator[HiddenStates | None]:
    """Finds the hidden states in the cache or computes them, and keeps them there while the block runs.

    What is computed of them is kept, however the run ends: the next one goes on there.

    Args:
        encoder: The frozen encoder.
        features: Of `text.encode.build_features`.
        workers: What encodes.
        directory: The cache, on every node that needs one; None takes the user's.
        max_gb: Bound on each node's cache in 10⁹ bytes; the longest unused files give way.
        stages: Where it is told.

    Yields:
        None where they do not fit: the folds then run the encoder in every step.

    Raises:
        TimeBudgetError: Before they were all computed.
    """
    cache = _cache_directory(directory)
    encoder = encoder.settled(workers.gpus > 0, stages)
    path = cache / f"{encoder.hash_with(features)}.npy"
    size = _num_bytes(features, encoder.config)
    what = f"hidden states of {features.num_rows:,} rows, {size / 1e6:,.0f} MB"
    started, seconds = time.monotonic(), 0.0
    # Within the bound even where it is there: what an earlier run left behind must not change a result.
    stream = open_in_use(path) if size <= max_gb * 1e9 else None
    if stream is not None:
        what += ": from the cache"
    else:
        stream, why_not = _compute(encoder, features, workers, path, size, max_gb, stages)
        if stream is None:
            stages.say(f"{what}: {why_not}; every step runs the encoder")
            yield None
            return
        seconds = round(time.monotonic() - started, 1)
        what += f": computed in {seconds} s"
    with stream:
        stages.say(what)
        node_id = ray.get_runtime_context().get_node_id()
        # A cache that was named has one path on every node; the user's lies where each node's user has it.
        yield HiddenStates(str(path), node_id, seconds, str(cache) if directory else None, max_gb)


def _compute(
    encoder: EncoderSource,
    features: pa.Table,
    workers: EncodingWorkers,
    path: Path,
    size: int,
    max_gb: float,
    stages: Stages,
) -> tuple[IO[bytes] | None, str | None]:
    """Computes what is missing of the file, and opens it; or says why there is no room for it."""
    if size > max_gb * 1e9:
        return None, make_room(path.parent, size, max_gb)
    partial = partial_path(path)
    with contextlib.ExitStack() as failed:
        stream = failed.enter_context(_open_alone(partial, stages))
        if (whole := open_in_use(path)) is not None:  # of the run that was waited for
            partial.unlink()
            return whole, None
        if (why_not := make_room(path.parent, size, max_gb, partial)) is not None:
            _remove_empty(partial)
            return None, why_not
        try:
            write_states(encoder, features, workers, stream, stages)
        except OSError as error:  # another program's files took the room, or this user's share is used up
            if not is_full(error):
                raise
            _remove_empty(partial)
            return None, f"{path.parent} has no room for it: {error.strerror}"
        finish_partial(stream, path)
        failed.pop_all()
        return stream, None


def _remove_empty(partial: Path) -> None:
    if not partial.stat().st_size:
        partial.unlink()


def _open_alone(partial: Path, stages: Stages) -> IO[bytes]:
    """Opens the file for this run, after another one that computes the same."""
    with contextlib.ExitStack() as waiting:
        begun: list[Stage] = []

        def wait() -> None:
            if not begun:
                what = "waiting for another run, which computes the same hidden states"
                begun.append(waiting.enter_context(stages.stage(what)))
            begun[0].check()
            time.sleep(POLL_SECONDS)

        return open_partial(partial, wait)


def _num_bytes(features: pa.Table, config: dict[str, Any]) -> int:
    tokens = sum(len(chunk.values) for chunk in features["token_ids"].chunks)
    return 2 * tokens * int(config["hidden_size"])
