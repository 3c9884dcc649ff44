"""What a file of arrays gives: names, shapes, and one array at a time."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Of no format here; NumPy has no bfloat16, whose bits are the upper half of a float32's.
BFLOAT16 = "bfloat16"


@dataclass(frozen=True)
class Tensors:
    """The arrays of a file, or of several that belong together.

    Attributes:
        form: What wrote it, for people.
        shapes: Name to shape.
        read: Gives the array of a name; ValueError where it holds no floats.
        files: All that is read.
    """

    form: str
    shapes: dict[str, tuple[int, ...]]
    read: Callable[[str], np.ndarray]
    files: tuple[Path, ...]


def floats_of(data: bytes, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """A little-endian array as it lies in a file, in float32.

    Args:
        data: Its bytes.
        kind: NumPy's name of its type, or `BFLOAT16`.
        shape: Its shape.

    Raises:
        ValueError: It holds no floats, or not as many as its shape says.
    """
    if kind != BFLOAT16 and not np.issubdtype(np.dtype(kind), np.floating):
        raise ValueError(f"expected floats, found {kind}")
    stored = np.dtype("<u2") if kind == BFLOAT16 else np.dtype(kind).newbyteorder("<")
    if len(data) != math.prod(shape) * stored.itemsize:
        raise ValueError(f"expected {math.prod(shape) * stored.itemsize:,} bytes, found {len(data):,}")
    flat = np.frombuffer(data, stored)
    if kind == BFLOAT16:
        return (flat.astype(np.uint32) << 16).view(np.float32).reshape(shape)
    return flat.astype(np.float32).reshape(shape)
