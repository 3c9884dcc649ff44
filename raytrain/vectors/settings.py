"""How vectors are made and kept."""

from dataclasses import dataclass
from typing import Literal

Pooling = Literal["first", "mean"]
NumberType = Literal["float32", "float16"]
MAXLEN = 128  # most tokens that an encoder reads of a text where nothing is said
LEAST_TOKENS = 4  # as of encoder.maxlen


@dataclass(frozen=True)
class VectorSettings:
    """How a file keeps vectors.

    Attributes:
        whiten: Whether the vectors are whitened by all of the file, and of length 1 then.
        size: Of a whitened vector; None keeps every direction.
        numbers: As which they are stored.
    """

    whiten: bool = False
    size: int | None = None
    numbers: NumberType = "float32"
