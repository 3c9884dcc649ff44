"""A training's state as two files: arrays, and what JSON has room for. No pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

ARRAYS, VALUES = "state.safetensors", "state.json"

Parts = Mapping[str, Mapping[str, np.ndarray]]


def write_state(directory: str | Path, parts: Parts, values: Mapping[str, Any]) -> None:
    """Writes what `read_state` reads.

    Args:
        directory: An existing one.
        parts: Arrays by what they are of, "" where they stand for themselves, and by name.
        values: As JSON has them.
    """
    named = ((kind, name, value) for kind, part in parts.items() for name, value in part.items())
    arrays = {f"{kind}/{name}" if kind else name: value for kind, name, value in named}
    save_file(arrays, Path(directory) / ARRAYS)
    (Path(directory) / VALUES).write_text(json.dumps(values), encoding="utf-8")


def read_state(directory: str | Path) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, Any]]:
    """The parts and the values that `write_state` wrote; no part is there that was empty."""
    parts: dict[str, dict[str, np.ndarray]] = {}
    for key, value in load_file(Path(directory) / ARRAYS).items():
        kind, _, name = key.partition("/") if "/" in key else ("", "", key)
        parts.setdefault(kind, {})[name] = value
    values: dict[str, Any] = json.loads((Path(directory) / VALUES).read_text(encoding="utf-8"))
    return parts, values
