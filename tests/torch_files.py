"""Files of torch.save and pickles of tensors, written byte for byte without torch."""

import io
import math
import struct
import zipfile

import numpy as np

KINDS = {
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "float64": "DoubleStorage",
    "int64": "LongStorage",
}
MAGIC = b"\x8a\x0a" + 0x1950A86A20F9469CFC6C.to_bytes(10, "little")


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def integer(value):
    return b"J" + struct.pack("<i", value)


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def tuple_of(*parts):
    return b"(" + b"".join(parts) + b"t"


def storage(kind, key, size):
    return tuple_of(text("storage"), name("torch", kind), text(key), text("cpu"), integer(size)) + b"Q"


def tensor(kind, key, size, shape, offset=0, strides=None, maker="_rebuild_tensor_v2"):
    if strides is None:
        strides = [math.prod(shape[place + 1 :]) for place in range(len(shape))]
    hooks = name("collections", "OrderedDict") + b")R"
    parts = [storage(kind, key, size), integer(offset), tuple_of(*map(integer, shape))]
    parts += [tuple_of(*map(integer, strides)), b"\x89", hooks]
    return name("torch._utils", maker) + tuple_of(*parts) + b"R"


def pickle_of(*parts):
    return b"\x80\x02" + b"".join(parts) + b"."


def state_pickle(arrays):
    """An OrderedDict of names to tensors, each in a storage of its own, as `Module.state_dict` gives it."""
    items = b"".join(
        text(key) + tensor(KINDS[array.dtype.name], str(number), array.size, array.shape)
        for number, (key, array) in enumerate(arrays.items())
    )
    return pickle_of(name("collections", "OrderedDict"), b")R(", items, b"u")


def write_zip(path, data, storages, order=b"little", compression=zipfile.ZIP_STORED):
    """The zip of a pickle and the bytes of its storages."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", order)
        for key, held in storages.items():
            archive.writestr(f"archive/data/{key}", held)
    return path


def write_stream(path, data, storages, keys=None):
    """The stream of a pickle and (numbers, bytes) of its storages, whose names may be other values."""
    system = pickle_of(b"}(", text("protocol_version"), integer(1001), text("little_endian"), b"\x88u")
    stream = io.BytesIO()
    for part in (pickle_of(MAGIC), pickle_of(integer(1001)), system, data):
        stream.write(part)
    stream.write(pickle_of(b"](", *(map(text, storages) if keys is None else keys), b"e"))
    for size, held in storages.values():
        stream.write(struct.pack("<q", size) + held)
    path.write_bytes(stream.getvalue())
    return path


def write_arrays(path, arrays, form):
    """A file of torch.save of a state_dict, `zip` or `stream`."""
    held = {str(number): array for number, array in enumerate(arrays.values())}
    if form == "zip":
        return write_zip(path, state_pickle(arrays), {key: array.tobytes() for key, array in held.items()})
    return write_stream(path, state_pickle(arrays), {k: (a.size, a.tobytes()) for k, a in held.items()})


def some_arrays(seed=0):
    draw = np.random.default_rng(seed)
    return {
        "encoder.weight": draw.normal(size=(3, 4)).astype(np.float32),
        "encoder.bias": draw.normal(size=5).astype(np.float16),
        "wide": draw.normal(size=(2, 2)).astype(np.float64),
        "encoder.position_ids": np.arange(4, dtype=np.int64),
    }
