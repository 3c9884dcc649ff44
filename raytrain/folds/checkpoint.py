"""A fold's checkpoint: the newest training state on the storage, whole or not there."""

import json
import tempfile
from pathlib import Path
from typing import Protocol

from raytrain.storage.directory import Directory
from raytrain.storage.files import json_bytes

LATEST = "latest.json"  # names the state that counts; written once all of it lies there


class Resumable(Protocol):
    """What `network.loop.FoldTraining` has of this."""

    epoch: int
    step: int

    def save(self, directory: str | Path) -> None: ...

    def load(self, directory: str | Path) -> None: ...


def save_checkpoint(location: str, training: Resumable) -> None:
    """Writes the training state; the one before it is deleted once the new one counts.

    It is not left to Ray Train, which gives a fold up as soon as its storage fails, and which loses a
    checkpoint that its controller has not yet taken note of.

    Args:
        location: The fold's directory.
        training: Whose state it is.
    """
    directory = Directory(location) / "checkpoint"
    name = f"epoch-{training.epoch:03d}-step-{training.step:06d}"
    with tempfile.TemporaryDirectory() as local:
        training.save(local)
        for path in sorted(Path(local).iterdir()):
            (directory / name).write_bytes(path.name, path.read_bytes())
    directory.write_bytes(LATEST, json_bytes({"name": name}))
    for other in directory.names():
        if other not in (name, LATEST):
            (directory / other).delete()


def load_checkpoint(location: str, training: Resumable) -> None:
    """Continues from the newest checkpoint, if there is one."""
    directory = Directory(location) / "checkpoint"
    if not directory.exists(LATEST):
        return
    state = directory / json.loads(directory.read_bytes(LATEST))["name"]
    with tempfile.TemporaryDirectory() as local:
        for name in state.names():
            (Path(local) / name).write_bytes(state.read_bytes(name))
        training.load(local)


def clear_checkpoint(location: str) -> None:
    """Removes what only an unfinished fold needs: it is three times as large as the result."""
    directory = Directory(location) / "checkpoint"
    directory.remove(LATEST)
    directory.delete()
