"""Files of torch.save: the zip of PyTorch 1.6 and later, and the stream of pickles before it."""

import mmap
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from raytrain.errors import CheckpointError
from raytrain.tensors.arrays import BFLOAT16, Tensors, floats_of
from raytrain.tensors.pickled import Storage, UnpickleError, View
from raytrain.tensors.unpickle import MOST_BYTES, load

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # torch/serialization.py
_TAR, _ZIP = b"ustar", b"PK\x03\x04"
_CUT = "not a file of PyTorch's tensors: a zip that ends too early"
_LATER = "written by a PyTorch before 0.1.10; save it anew with a current one"
_READ_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    zipfile.BadZipFile,
    NotImplementedError,
    EOFError,
    struct.error,
)

ReadStorage = Callable[[Storage, int, int], bytes]  # of a storage, the numbers from the first to the second


def open_torch(path: Path) -> Tensors:
    """Opens a file of torch.save without reading its arrays and without running anything in it.

    Raises:
        CheckpointError: It is none, or names what is no tensor.
    """
    try:
        if zipfile.is_zipfile(path):
            return _tensors(path, "PyTorch zip", *_open_zip(path))
        with path.open("rb") as stream:
            if stream.read(4) == _ZIP:  # its list of entries is at the end
                raise CheckpointError(f"{path}: {_CUT}", ["fetch it once more, whole"])
        return _tensors(path, "PyTorch stream", *_open_stream(path))
    except CheckpointError:
        raise
    except _READ_ERRORS as error:
        advice = ["if it is yours, save its state_dict anew with safetensors.torch.save_file"]
        raise CheckpointError(f"{path}: not a file of PyTorch's tensors: {error}", advice) from error


def _tensors(path: Path, form: str, found: Any, read_storage: ReadStorage) -> Tensors:
    """The tensors among what a pickle holds, or what its only dict of tensors does."""
    views = _views(found)
    shapes = {name: view.shape for name, view in views.items()}

    def read(name: str) -> np.ndarray:
        try:
            return _array(views[name], read_storage)
        except _READ_ERRORS as error:
            raise ValueError(str(error)) from error

    return Tensors(form, shapes, read, (path,))


def _views(found: Any) -> dict[str, View]:
    """By name; those of a trainer's own file lie a dict further down."""
    for held in (
        found,
        *(found.get(key) for key in ("state_dict", "model", "module") if isinstance(found, dict)),
    ):
        views = held if isinstance(held, dict) else {}
        views = {str(name): view for name, view in views.items() if isinstance(view, View)}
        if views:
            return views
    raise UnpickleError("expected names of tensors, found none")


def _array(view: View, read_storage: ReadStorage) -> np.ndarray:
    """A tensor's numbers in float32, whatever its strides."""
    if 0 in view.shape:
        return np.zeros(view.shape, np.float32)
    last = view.offset + sum(
        (size - 1) * stride for size, stride in zip(view.shape, view.strides, strict=True)
    )
    count = last + 1 - view.offset
    flat = floats_of(read_storage(view.storage, view.offset, last + 1), view.storage.kind, (count,))
    steps = [stride * flat.itemsize for stride in view.strides]
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(flat, view.shape, steps, writeable=False))


def _item_size(storage: Storage) -> int:
    return 2 if storage.kind == BFLOAT16 else np.dtype(storage.kind).itemsize


def _open_zip(path: Path) -> tuple[Any, ReadStorage]:
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError(f"expected one data.pkl in the zip, found {len(pickles)}")
        root = pickles[0].removesuffix("data.pkl")
        entry = _stored(archive, pickles[0])
        if entry.file_size > MOST_BYTES:
            raise ValueError(
                f"expected a data.pkl of {MOST_BYTES:,} bytes at most, found {entry.file_size:,}"
            )
        if f"{root}byteorder" in archive.namelist():
            order = archive.open(_stored(archive, f"{root}byteorder")).read(16)
            if order != b"little":
                raise ValueError(f"expected little-endian numbers, found {order!a}")
        found, _ = load(archive.read(entry))

    def read(storage: Storage, first: int, end: int) -> bytes:
        size = _item_size(storage)
        with zipfile.ZipFile(path) as archive:
            entry = _stored(archive, f"{root}data/{storage.key}")
            if entry.file_size < storage.size * size:
                raise ValueError(
                    f"storage {storage.key}: expected {storage.size * size:,} bytes, "
                    f"found {entry.file_size:,}"
                )
            with archive.open(entry) as stream:
                stream.seek(first * size)
                return stream.read((end - first) * size)

    return found, read


def _stored(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """An entry as PyTorch writes it: not compressed, so that it is no larger than the file."""
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        raise ValueError(f"{name}: expected an entry that is not compressed, as torch.save writes")
    return entry


def _open_stream(path: Path) -> tuple[Any, ReadStorage]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[257:262] == _TAR:
            raise ValueError(_LATER)
        magic, place = load(data)
        if magic != _MAGIC:
            raise ValueError("expected the magic number of torch.save")
        protocol, place = load(data, place)
        if protocol != _PROTOCOL:
            raise ValueError(f"expected protocol {_PROTOCOL}, found another")
        system, place = load(data, place)
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise ValueError("expected little-endian numbers")
        found, place = load(data, place)
        keys, place = load(data, place)
        begins = _storages(data, keys, place, _storages_of(found))

    def read(storage: Storage, first: int, end: int) -> bytes:
        size = _item_size(storage)
        with path.open("rb") as file:
            file.seek(begins[storage.key] + first * size)
            return file.read((end - first) * size)

    return found, read


def _storages_of(found: Any) -> dict[str, Storage]:
    return {view.storage.key: view.storage for view in _views(found).values()}


def _storages(data: Any, keys: Any, place: int, storages: dict[str, Storage]) -> dict[str, int]:
    """Where each storage begins: one lies behind the other, each behind its length."""
    is_list = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    if not is_list or not storages.keys() <= set(keys):
        raise ValueError("expected the names of all storages")
    begins = {}
    for key in keys:
        if key not in storages:
            raise ValueError(f"storage {key!a} belongs to no tensor, so that its size is not known")
        (size,) = struct.unpack("<q", data[place : place + 8])
        place += 8
        begins[key] = place
        if size < storages[key].size:
            raise ValueError(f"storage {key!a}: expected {storages[key].size:,} numbers, found {size:,}")
        place += size * _item_size(storages[key])
        if place > len(data):
            raise ValueError("it ends within its numbers")
    return begins
