"""A file of arrays by what it is, and many that an index puts together."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from raytrain.errors import CheckpointError
from raytrain.storage.files import read_whole, refuse_pointer
from raytrain.tensors.arrays import Tensors
from raytrain.tensors.hdf5 import open_hdf5
from raytrain.tensors.safetensors import open_safetensors
from raytrain.tensors.torch import open_torch

INDEX = ".index.json"
MOST_INDEX_BYTES = 64 << 20
MOST_SHARDS = 1_000
_OPENERS: dict[str, Callable[[Path], Tensors]] = {
    ".safetensors": open_safetensors,
    ".bin": open_torch,
    ".pt": open_torch,
    ".pth": open_torch,
    ".h5": open_hdf5,
    ".hdf5": open_hdf5,
    ".weights": open_hdf5,  # as plain Keras saves by bert4keras's usual name, best_model.weights
}
SUFFIXES = tuple(_OPENERS)
HDF5_SUFFIXES = tuple(suffix for suffix, opener in _OPENERS.items() if opener is open_hdf5)


def open_tensors(path: str | Path) -> Tensors:
    """Opens a file by its suffix, one of `SUFFIXES`, or all that an index of shards names.

    Raises:
        CheckpointError: It cannot be read; an index names what is not there, or not beside it.
    """
    path = Path(path)
    if path.name.endswith(INDEX):
        return _open_shards(path)
    try:
        refuse_pointer(path)
    except FileNotFoundError:
        pass  # its opener tells it
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    return _OPENERS[path.suffix](path)


def shard_files(index: Path) -> dict[str, Path]:
    """The file of each array that an index names, beside the index.

    Raises:
        CheckpointError: The index is none, or files are missing, all of them named.
    """
    places = _read_index(index)
    names = _names_in(index, places)
    problems = [f"{name} is missing" for name in names if not (index.parent / name).is_file()]
    if problems:
        raise CheckpointError(f"{index}: its files cannot be used", problems)
    return {name: index.parent / file for name, file in places.items()}


def shard_names(index: Path) -> list[str]:
    """The files that an index names, whether they are there or not.

    Raises:
        CheckpointError: The index is none, or names what cannot lie beside it.
    """
    return _names_in(index, _read_index(index))


def _names_in(index: Path, places: dict[str, str]) -> list[str]:
    names = sorted(set(places.values()))
    wrong = [name for name in names if Path(name).name != name or Path(name).suffix not in SUFFIXES]
    problems = [f"expected the name of a file of arrays beside the index, found {name!a}" for name in wrong]
    if len(names) > MOST_SHARDS:
        problems = [f"expected {MOST_SHARDS:,} files at most, found {len(names):,}"]
    if problems:
        raise CheckpointError(f"{index}: its files cannot be used", problems)
    return names


def _read_index(index: Path) -> dict[str, str]:
    try:
        read: Any = json.loads(read_whole(index, MOST_INDEX_BYTES))
        places = read["weight_map"]
        if not isinstance(places, dict) or not all(isinstance(file, str) for file in places.values()):
            raise ValueError("expected a weight_map of names to files")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{index}: not an index of shards: {error!r}") from error
    return places


def _open_shards(index: Path) -> Tensors:
    files = shard_files(index)
    opened = {file: open_tensors(file) for file in sorted(set(files.values()))}
    missing = [name for name, file in files.items() if name not in opened[file].shapes]
    if missing:
        problems = [f"{name}: not in {files[name].name}" for name in missing]
        raise CheckpointError(f"{index}: its files hold other arrays", problems)
    shapes = {name: opened[file].shapes[name] for name, file in files.items()}

    def read(name: str) -> np.ndarray:
        return opened[files[name]].read(name)

    form = f"{next(iter(opened.values())).form}, {len(opened)} shards" if opened else "no shards"
    return Tensors(form, shapes, read, (index, *opened))
