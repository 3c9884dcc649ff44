"""A pre-training's sequences on its storage: written once in shards, read in a new order in every pass.

A group of shards, drawn anew in every pass, lies in memory and is shuffled within: memory does not grow with
the texts. What a step reads follows from its number, so that one that goes on reads what it would have read.
"""

import collections
import functools
import io
import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import ray

from raytrain.errors import ArtifactError, CorpusError
from raytrain.pretraining.lines import HeldBack, Texts
from raytrain.pretraining.packing import Packer, pack
from raytrain.pretraining.pieces import Encoding, encode_lines
from raytrain.stages import Stage
from raytrain.storage.directory import Directory
from raytrain.storage.files import json_bytes
from raytrain.text.encode import PARALLEL_TEXTS

INDEX, HELD_BACK = "index.json", "held-back.npy"
SHARD_TOKENS = 1 << 21  # 8 MB
GROUP_SHARDS = 8
HELD_TOKENS = (
    4096  # of a text held back, so that whole books are not evaluated on; none of the rest is learned
)
ORDER = 1  # of what is drawn from a seed
_CHUNK_CHARACTERS = 200_000
_TASKS = 16  # that are encoded ahead, so that memory stays bounded


def write_sequences(
    directory: Directory,
    identity: str,
    texts: Texts,
    held_back: HeldBack,
    encoding: Encoding,
    stage: Stage,
    shard_tokens: int = SHARD_TOKENS,
) -> dict[str, Any]:
    """Encodes and packs texts; where an earlier start has done it, that is read.

    Args:
        directory: Where shards and index lie; the index is written last.
        identity: Hash of all that they follow from.
        texts: The texts; many are encoded by tasks of the cluster.
        held_back: Which are not learned.
        encoding: How texts become sequences.
        stage: Told how far it is; its deadline ends it.
        shard_tokens: Of a shard.

    Returns:
        The index: `identity`, `length`, `shards` (sequences of each), `sequences`, `tokens`, `texts`,
        `held_back_texts` and `held_back` (sequences).

    Raises:
        CorpusError: Nothing is left to learn.
        TimeBudgetError: Before all is encoded.
    """
    if directory.exists(INDEX) and (index := read_index(directory))["identity"] == identity:
        return index
    shards = _Shards(directory, max(1, shard_tokens // encoding.length), encoding.length)
    packer, held = Packer(encoding.length, encoding.special), dict[str, np.ndarray]()
    for lines, bounds, tokens in _encoded(texts, encoding):
        for number, text in enumerate(lines):
            own = tokens[bounds[number] : bounds[number + 1]]
            if text in held_back:
                held.setdefault(text, own[:HELD_TOKENS])  # each once; they are few, as HeldBack says
            else:
                shards.extend(packer.add(own))
        stage.advance(len(lines))
        stage.check()
    shards.extend(packer.finish())
    if not shards.finish():
        problem = (
            "expected texts to learn, found none beside those held back; data.held_back=0 holds none back"
        )
        raise CorpusError("data.path cannot be used", [problem])
    rows = pack(held.values(), encoding.length, encoding.special)
    directory.write_bytes(HELD_BACK, _array_bytes(rows))
    index = {
        "identity": identity,
        "length": encoding.length,
        "shards": shards.sizes,
        "sequences": sum(shards.sizes),
        "tokens": packer.num_tokens,
        "texts": texts.count,
        "held_back_texts": len(held),
        "held_back": len(rows),
    }
    directory.write_bytes(INDEX, json_bytes(index))
    return index


def _encoded(texts: Texts, encoding: Encoding) -> Iterator[tuple[list[str], np.ndarray, np.ndarray]]:
    """Yields pieces of the texts, in order, with their bounds and tokens as of `encode_lines`."""
    vocab, with_words = encoding.vocab, encoding.with_words
    if texts.count < PARALLEL_TEXTS:
        for lines in _chunks(texts.lines()):
            yield lines, *encode_lines(lines, vocab, with_words)
        return
    encode: Any = ray.remote(encode_lines)
    shared, waiting = ray.put(vocab), collections.deque[tuple[list[str], ray.ObjectRef]]()
    for lines in _chunks(texts.lines()):
        waiting.append((lines, encode.remote(lines, shared, with_words)))
        if len(waiting) == _TASKS:
            lines, answer = waiting.popleft()
            yield lines, *ray.get(answer)
    for lines, answer in waiting:
        yield lines, *ray.get(answer)


def _chunks(lines: Iterable[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    characters = 0
    for line in lines:
        chunk.append(line)
        characters += len(line)
        if characters >= _CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


class _Shards:
    """Writes rows as they come, a file for so many of them."""

    def __init__(self, directory: Directory, size: int, length: int):
        self._directory, self._size = directory, size
        self._rows = np.zeros((size, length), np.uint32)
        self._filled = 0
        self.sizes: list[int] = []

    def extend(self, rows: Iterable[np.ndarray]) -> None:
        for row in rows:
            self._rows[self._filled] = row
            self._filled += 1
            if self._filled == self._size:
                self._write()

    def _write(self) -> None:
        self._directory.write_bytes(shard_name(len(self.sizes)), _array_bytes(self._rows[: self._filled]))
        self.sizes.append(self._filled)
        self._filled = 0

    def finish(self) -> int:
        """Writes what is left. Returns how many rows there are in all."""
        if self._filled:
            self._write()
        return sum(self.sizes)


def shard_name(number: int) -> str:
    return f"shard-{number:06d}.npy"


def _array_bytes(rows: np.ndarray) -> bytes:
    sink = io.BytesIO()
    np.save(sink, rows, allow_pickle=False)
    return sink.getvalue()


def _read_array(directory: Directory, name: str) -> np.ndarray:
    try:
        rows: np.ndarray = np.load(io.BytesIO(directory.read_bytes(name)), allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError) as error:
        raise ArtifactError(f"{directory}/{name} is damaged: {error}; delete {directory}") from error
    return rows


def read_index(directory: Directory) -> dict[str, Any]:
    """The index of `write_sequences`. Raises ArtifactError where it is damaged."""
    try:
        index: dict[str, Any] = json.loads(directory.read_bytes(INDEX))
        if not (index["identity"] and index["shards"] and index["length"] and index["held_back"] >= 0):
            raise ValueError("it names no shards")
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{directory}/{INDEX} is damaged: {error!r}; delete {directory}") from error
    return index


class Sequences:
    """Batches of the sequences of a directory, each full; pass follows pass without a break.

    Args:
        directory: Of `write_sequences`.
        seed: Of the order.
        group_shards: Shards in memory at a time.

    Attributes:
        num_sequences: In all.
        length: Of each.
    """

    def __init__(self, directory: Directory, seed: int, group_shards: int = GROUP_SHARDS):
        index = read_index(directory)
        self._directory, self._seed, self._sizes = directory, seed, np.array(index["shards"])
        self.num_sequences, self.length = int(self._sizes.sum()), int(index["length"])
        self._num_groups = math.ceil(len(self._sizes) / group_shards)
        self._group_shards = group_shards
        self._group = functools.lru_cache(maxsize=2)(self._read_group)

    def held_back(self) -> np.ndarray:
        """(sequences, length) uint32 to evaluate on."""
        return _read_array(self._directory, HELD_BACK)

    def batch(self, step: int, batch_size: int) -> np.ndarray:
        """(batch_size, length) uint32 of a step."""
        rows: list[np.ndarray] = []
        position, missing = step * batch_size, batch_size
        while missing:
            part = self._run_from(*divmod(position, self.num_sequences))[:missing]
            rows.append(part)
            position, missing = position + len(part), missing - len(part)
        return np.concatenate(rows)

    def _run_from(self, number: int, place: int) -> np.ndarray:
        """What is left, from a place in a pass on, of the group in which the place lies."""
        groups = self._groups(number)
        ends = np.cumsum([self._sizes[group].sum() for group in groups])
        chosen = int(np.searchsorted(ends, place, side="right"))
        start = int(ends[chosen - 1]) if chosen else 0
        return self._group(number, chosen)[place - start :]

    def _groups(self, number: int) -> list[np.ndarray]:
        """The shards of each group in a pass."""
        shards = np.random.default_rng([self._seed, ORDER, number]).permutation(len(self._sizes))
        return [
            shards[start : start + self._group_shards] for start in range(0, len(shards), self._group_shards)
        ]

    def _read_group(self, number: int, group: int) -> np.ndarray:
        shards = self._groups(number)[group]
        rows = np.concatenate([_read_array(self._directory, shard_name(int(shard))) for shard in shards])
        return rows[np.random.default_rng([self._seed, ORDER, number, group + 1]).permutation(len(rows))]
