"""The ensemble artifact: all that prediction needs, described by a manifest that is written last."""

import io
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raytrain.config import Config
from raytrain.errors import ArtifactError
from raytrain.fold_result import FoldSpec, read_fold_weights, save_weights
from raytrain.inputs import SharedInputs
from raytrain.storage import Directory, json_bytes, sha256

SCHEMA_VERSION = 1
PACKAGES = ("raytrain", "ray", "tensorflow", "tf-keras", "bert4keras", "jieba", "tokenizers", "pyarrow")


def package_versions() -> dict[str, str]:
    """Versions of what a run's numbers depend on; what is not installed is left out."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def parquet_bytes(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def write_ensemble(
    run: Directory,
    config: Config,
    inputs: SharedInputs,
    labels: Sequence[int | str],
    specs: Sequence[FoldSpec],
    summary: Mapping[str, Any],
    oof: pa.Table,
    encoder_weights: Mapping[str, np.ndarray] | None,
) -> None:
    """Gathers the committed folds into run/ensemble; the manifest is written last.

    Args:
        run: The run's directory.
        config: The resolved config.
        inputs: Encoder files and words.
        labels: The labels in order.
        specs: All fold runs, each committed.
        summary: Scores, as in summary.json.
        oof: Of `summary.oof_table`.
        encoder_weights: The frozen encoder's arrays by name, where any architecture froze it.
    """
    directory = run / "ensemble"
    directory.delete()
    files: list[dict[str, Any]] = []

    def add(name: str, data: bytes) -> str:
        directory.write_bytes(name, data)
        files.append({"name": name, "bytes": len(data), "sha256": sha256(data)})
        return name

    encoder = {
        "kind": inputs.encoder.kind,
        "config": add("encoder/config.json", json_bytes(inputs.encoder.config)),
        "vocab": add("encoder/vocab.txt", "".join(f"{token}\n" for token in inputs.encoder.vocab).encode()),
        "weights": None,
    }
    if any(not spec.model["train_encoder"] for spec in specs) and encoder_weights is not None:
        encoder["weights"] = add("encoder/weights.safetensors", save_weights(encoder_weights))
    words = None
    if inputs.vocabulary is not None:
        words = {"vocabulary": add("words/vocabulary.json", json_bytes(inputs.vocabulary)), "user_dict": None}
        if inputs.user_dict is not None:
            words["user_dict"] = add("words/user_dict.txt", inputs.user_dict.encode())
    architectures: dict[str, Any] = {}
    for spec in specs:
        name = f"{spec.architecture}/{spec.name.rsplit('/', 1)[1]}.safetensors"
        add(name, read_fold_weights(spec.location))
        keys = ("train_encoder", "embedding", "num_classes", "dropout")
        entry = architectures.setdefault(
            spec.architecture, {"model": {key: spec.model[key] for key in keys}, "folds": []}
        )
        entry["folds"].append({"file": name, "fold": spec.fold, "repeat": spec.repeat})
    add("oof.parquet", parquet_bytes(oof))
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "name": config.name,
        "task": config.task,
        "labels": list(labels),
        "config": config.model_dump(mode="json"),
        "encoder": encoder,
        "words": words,
        "architectures": architectures,
        "metrics": summary,
        "packages": package_versions(),
        "files": sorted(files, key=lambda entry: entry["name"]),
    }
    directory.write_bytes("manifest.json", json_bytes(manifest))


@dataclass(frozen=True)
class Ensemble:
    """A verified artifact.

    Attributes:
        directory: Where it lies.
        manifest: The parsed manifest.json.
    """

    directory: Directory
    manifest: dict[str, Any]

    @property
    def labels(self) -> list[int] | list[str]:
        return self.manifest["labels"]

    def read(self, name: str) -> bytes:
        return self.directory.read_bytes(name)

    def read_text(self, name: str) -> str:
        return self.read(name).decode("utf-8")


def load_ensemble(location: str) -> Ensemble:
    """Opens an artifact and verifies every file's size and sha256 before anything is used.

    Raises:
        ArtifactError: No manifest, a newer schema version, or files missing, changed or named outside
            the directory: each is named.
    """
    directory = Directory(location)
    if not directory.exists("manifest.json"):
        hint = " (give its folder ensemble/)" if (directory / "ensemble").exists("manifest.json") else ""
        raise ArtifactError(f"{location}: no ensemble here: expected manifest.json, found none{hint}")
    try:
        manifest = json.loads(directory.read_bytes("manifest.json"))
        version, files = manifest["schema_version"], manifest["files"]
        entries = {str(entry["name"]): (int(entry["bytes"]), str(entry["sha256"])) for entry in files}
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{location}/manifest.json is damaged: {error!r}") from error
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise ArtifactError(
            f"{location}/manifest.json: schema version {version!r} is newer than this raytrain reads "
            f"({SCHEMA_VERSION}); upgrade raytrain"
        )
    problems = [problem for name, entry in entries.items() if (problem := _verify(directory, name, *entry))]
    problems += _missing_description(manifest, entries)
    if problems:
        raise ArtifactError(f"{location}: the ensemble is damaged", problems)
    return Ensemble(directory, manifest)


def _verify(directory: Directory, name: str, size: int, digest: str) -> str | None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        return f"{name}: not a name inside the ensemble"
    if not directory.exists(name):
        return f"{name}: missing"
    try:
        data = directory.read_bytes(name)
    except OSError as error:
        return f"{name}: cannot be read: {error}"
    if len(data) != size:
        return f"{name}: expected {size:,} bytes, found {len(data):,}"
    return None if sha256(data) == digest else f"{name}: its content has changed (sha256 differs)"


def _missing_description(manifest: dict[str, Any], entries: Mapping[str, Any]) -> list[str]:
    keys = ("labels", "config", "encoder", "architectures")
    problems = [f"manifest.json: expected the key {key}, found none" for key in keys if key not in manifest]
    if problems:
        return problems
    try:
        named = [fold["file"] for entry in manifest["architectures"].values() for fold in entry["folds"]]
    except (KeyError, TypeError, AttributeError) as error:
        return [f"manifest.json: architectures cannot be read: {error!r}"]
    return [
        f"manifest.json: names {name}, which is not among its files" for name in named if name not in entries
    ]
