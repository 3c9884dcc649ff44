"""Texts as arrays of their characters, and spans of these."""

import numpy as np

PAIR_TABLE = 1 << 22


def runs_of(mask: np.ndarray) -> np.ndarray:
    """Returns (n, 2) begins and ends of the runs of True."""
    return np.flatnonzero(np.diff(mask, prepend=False, append=False)).reshape(-1, 2)


def slices(text: str, spans: np.ndarray) -> list[str]:
    """Returns text[begin:end] of each of the (n, 2) spans."""
    return [text[i:j] for i, j in zip(spans[:, 0].tolist(), spans[:, 1].tolist(), strict=True)]


def codes_of(text: str) -> np.ndarray:
    """(len(text),) uint32, the code point of each character."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def pair_hash(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Numbers below `PAIR_TABLE` of pairs of code points; two pairs may share one."""
    return (first * np.uint32(5003) + second) % PAIR_TABLE
