"""What a fold leaves in its directory: a checkpoint while it trains, then its result, whole or not at all."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from safetensors.numpy import save as save_safetensors

from raytrain.errors import ArtifactError
from raytrain.folds.spec import FoldData, FoldSpec
from raytrain.storage.directory import Directory
from raytrain.storage.files import json_bytes, parquet_bytes, read_parquet, sha256

CHECKPOINT = "checkpoint"  # the folder of what an unfinished fold needs
LATEST = "latest.json"  # names the state that counts; written once all of it lies there
RESULT_FILES = ("model.safetensors", "oof.parquet")
RECORD_KEYS = ("name", "architecture", "fold", "repeat", "seed", "seconds")


class Resumable(Protocol):
    """What `training.loop.FoldTraining` has of this."""

    epoch: int
    step: int
    restarts: int

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
    directory = Directory(location) / CHECKPOINT
    # Each has a name of its own: what is written where another lies is for a while neither.
    name = f"epoch-{training.epoch:03d}-step-{training.step:06d}"
    if training.restarts:
        name += f"-restart-{training.restarts}"
    with tempfile.TemporaryDirectory() as local:
        training.save(local)
        for path in sorted(Path(local).iterdir()):
            (directory / name).write_bytes(path.name, path.read_bytes())
    directory.write_bytes(LATEST, json_bytes({"name": name}))
    for other in directory.names():
        if other not in (name, LATEST):
            (directory / other).delete()


def load_checkpoint(location: str, training: Resumable) -> None:
    """Continues from the newest checkpoint, if there is one.

    Raises:
        ArtifactError: It is damaged.
    """
    directory = Directory(location) / CHECKPOINT
    if not directory.exists(LATEST):
        return
    try:
        state = directory / str(json.loads(directory.read_bytes(LATEST))["name"])
        if not state.names():
            raise ValueError(f"it names {state}, where nothing lies")
    except (ValueError, LookupError, TypeError) as error:
        advice = f"delete {directory} to train the fold from its beginning"
        raise ArtifactError(f"{directory}/{LATEST} is damaged: {error!r}", [advice]) from error
    with tempfile.TemporaryDirectory() as local:
        for name in state.names():
            (Path(local) / name).write_bytes(state.read_bytes(name))
        training.load(local)


def clear_checkpoint(location: str) -> None:
    """Removes what only an unfinished fold needs: it is three times as large as the result."""
    directory = Directory(location) / CHECKPOINT
    directory.remove(LATEST)
    directory.delete()


@dataclass(frozen=True)
class FoldResult:
    """What a fold leaves: metrics of the selected epoch, and everything about the run in `record`."""

    name: str
    metrics: dict[str, float]
    record: dict[str, Any] = field(repr=False)

    @property
    def stopped_early(self) -> bool:
        """Whether the time budget ended it: it can go on from its checkpoint."""
        return bool(self.record.get("stopped_early", False))

    @property
    def dead(self) -> bool:
        """Whether it never was better than a constant guess, with its last seed, either."""
        return bool(self.record.get("dead", False))


def commit_fold(
    spec: FoldSpec,
    data: FoldData,
    weights: dict[str, np.ndarray],
    oof: pa.Table,
    metrics: dict[str, float],
    history: list[dict[str, float]],
    seconds: float,
    facts: dict[str, Any],
) -> None:
    """Writes result/{model.safetensors, oof.parquet, result.json}; the last one commits the fold.

    Args:
        spec: The fold.
        data: What `spec.data` refers to.
        weights: Of the selected epoch, by name.
        oof: What it says of the corpus's valid rows: row, id, and what its task predicts.
        metrics: Of the selected epoch.
        history: Of every epoch.
        seconds: Wall time of the worker that ended the fold.
        facts: What else the record tells: where it ran, whether it was stopped early, its seed where it
            was begun again with another.
    """
    contents = {"model.safetensors": save_safetensors(weights), "oof.parquet": parquet_bytes(oof)}
    result = Directory(spec.location) / "result"
    result.remove("result.json")  # of a fold that was stopped early: never beside newer weights
    for name, content in contents.items():
        result.write_bytes(name, content)
    record = {
        "name": spec.name,
        "architecture": spec.architecture,
        "fold": spec.fold,
        "repeat": spec.repeat,
        "seed": spec.seed,
        "identity": spec.identity,
        "train_rows": int(data.folds.is_train(spec.repeat, spec.fold).sum()),
        "valid_rows": oof.num_rows,
        "metrics": metrics,
        "history": history,
        "seconds": round(seconds, 3),
        "accumulation": spec.accumulation,
        **facts,
        "files": {name: {"bytes": len(held), "sha256": sha256(held)} for name, held in contents.items()},
    }
    result.write_bytes("result.json", json_bytes(record))


def has_result(location: str) -> bool:
    """Whether a fold is committed; a worker that died while it wrote a newer result has left none."""
    return (Directory(location) / "result").exists("result.json")


def keep_result(location: str, seconds: float, facts: dict[str, Any]) -> None:
    """Has the result that lies there be the fold's last word.

    Args:
        location: The fold's directory.
        seconds: Wall time of the worker that ended the fold.
        facts: As of `commit_fold`.
    """
    result = Directory(location) / "result"
    record = json.loads(result.read_bytes("result.json"))
    result.write_bytes("result.json", json_bytes({**record, **facts, "seconds": round(seconds, 3)}))


def read_fold(location: str, identity: str, metrics: Sequence[str] = ()) -> FoldResult | None:
    """Reads a committed fold's record.

    Args:
        location: The fold's directory.
        identity: Of the run, which must be the fold's.
        metrics: Names of scores that it must have.

    Returns:
        None where the fold is not committed.

    Raises:
        ArtifactError: It is another run's, or a file is missing or of another size.
    """
    result = Directory(location) / "result"
    if not has_result(location):
        return None
    try:
        record = json.loads(result.read_bytes("result.json"))
        found, files = record["identity"], record["files"]
        bad = [name for name in RESULT_FILES if not _is_whole(result, name, files[name])]
        scores = {name: _number(value) for name, value in record["metrics"].items()}
        needed = [*(record[key] for key in RECORD_KEYS), *(scores[name] for name in metrics)]
        needed.append(record["history"][-1]["epoch"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{result}/result.json is damaged: {error!r}; delete {location}") from error
    if found != identity:
        raise ArtifactError(
            f"{location} holds a fold of another config or corpus; delete it or rename the run"
        )
    if bad:
        raise ArtifactError(
            f"{location} is damaged",
            [f"{name} is missing or changed; delete {location} to train it again" for name in bad],
        )
    return FoldResult(record["name"], scores, record)


def _is_whole(directory: Directory, name: str, entry: dict[str, Any]) -> bool:
    if not directory.exists(name):
        return False
    data = directory.read_bytes(name)
    return len(data) == entry["bytes"] and sha256(data) == entry["sha256"]


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def read_fold_oof(location: str) -> pa.Table:
    """Returns what a committed fold says of its valid rows."""
    data = (Directory(location) / "result").read_bytes("oof.parquet")
    return read_parquet(data)


def read_fold_weights(location: str) -> bytes:
    return (Directory(location) / "result").read_bytes("model.safetensors")


def save_weights(weights: Mapping[str, np.ndarray]) -> bytes:
    return save_safetensors({name: np.asarray(value) for name, value in weights.items()})
