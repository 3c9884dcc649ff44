"""HDF5 files of Keras: TensorFlow weights of transformers."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from raytrain.errors import CheckpointError
from raytrain.tensors.arrays import Tensors

HDF5 = "HDF5"
MOST_OBJECTS = 100_000
_READ_ERRORS = (OSError, ValueError, KeyError, RuntimeError, TypeError)


def open_hdf5(path: Path) -> Tensors:
    """Opens a file without reading its arrays; what leads out of it is refused.

    Raises:
        CheckpointError: It is none.
    """
    try:
        with h5py.File(path, "r") as file:
            shapes = dict(_datasets(file))
    except _READ_ERRORS as error:
        raise CheckpointError(f"{path}: not an HDF5 file of arrays: {error}") from error

    def read(name: str) -> np.ndarray:
        try:
            with h5py.File(path, "r") as file:
                dataset = file[name]
                if not np.issubdtype(dataset.dtype, np.floating):
                    raise ValueError(f"expected floats, found {dataset.dtype}")
                return np.asarray(dataset[()], np.float32)
        except _READ_ERRORS as error:
            raise ValueError(str(error)) from error

    return Tensors(HDF5, shapes, read, (path,))


def _datasets(file: Any) -> list[tuple[str, tuple[int, ...]]]:
    """Every dataset's path and shape; a group is entered once, and no link is followed out of the file."""
    found = []
    groups, entered = [file], set()
    while groups:
        group = groups.pop()
        if (address := h5py.h5o.get_info(group.id).addr) in entered:
            continue
        entered.add(address)
        for key in group:
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise ValueError(f"{key}: a link to another place")
            held = group[key]
            if isinstance(held, h5py.Group):
                groups.append(held)
            elif isinstance(held, h5py.Dataset):
                if held.is_virtual or held.external:
                    raise ValueError(f"{key}: its numbers lie in another file")
                found.append((held.name.removeprefix("/"), tuple(held.shape or ())))
        if len(found) + len(entered) > MOST_OBJECTS:
            raise ValueError(f"more than {MOST_OBJECTS:,} arrays and groups")
    return found
