"""Files of the safetensors format."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from raytrain.errors import CheckpointError
from raytrain.tensors.arrays import BFLOAT16, Tensors, floats_of

# https://huggingface.co/docs/safetensors: the names of a header.
_KINDS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": BFLOAT16}
_LENGTH_BYTES = 8


def open_safetensors(path: Path) -> Tensors:
    """Opens a file without reading its arrays. Raises CheckpointError where it is none."""
    try:
        with safe_open(str(path), framework="numpy"):
            pass  # the library holds names, sizes and places against each other
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
            header: dict[str, Any] = json.loads(stream.read(length))
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: not a safetensors file: {error}") from error
    header.pop("__metadata__", None)
    shapes = {name: tuple(entry["shape"]) for name, entry in header.items()}

    def read(name: str) -> np.ndarray:
        begin, end = header[name]["data_offsets"]
        kind = header[name]["dtype"]
        if kind not in _KINDS:
            raise ValueError(f"expected floats, found {kind}")
        with path.open("rb") as stream:
            stream.seek(_LENGTH_BYTES + length + begin)
            return floats_of(stream.read(end - begin), _KINDS[kind], shapes[name])

    return Tensors("safetensors", shapes, read, (path,))
