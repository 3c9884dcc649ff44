"""The ensemble artifact: all that prediction needs, described by a manifest that is written last."""

import io
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raytrain.errors import ArtifactError
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


class EnsembleWriter:
    """Writes files into an artifact, remembers their hashes and closes it with the manifest.

    Args:
        directory: Where the artifact goes; what stands there is removed first.
    """

    def __init__(self, directory: Directory):
        self._directory = directory
        self._files: list[dict[str, Any]] = []
        directory.delete()

    def add(self, name: str, data: bytes) -> None:
        self._directory.write_bytes(name, data)
        self._files.append({"name": name, "bytes": len(data), "sha256": sha256(data)})

    def close(self, description: Mapping[str, Any]) -> None:
        """Writes manifest.json: the description, package versions and every file's size and hash."""
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            **description,
            "packages": package_versions(),
            "files": sorted(self._files, key=lambda entry: entry["name"]),
        }
        self._directory.write_bytes("manifest.json", json_bytes(manifest))


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
    data = directory.read_bytes(name)
    if len(data) != size:
        return f"{name}: expected {size:,} bytes, found {len(data):,}"
    return None if sha256(data) == digest else f"{name}: its content has changed (sha256 differs)"


def _missing_description(manifest: dict[str, Any], entries: Mapping[str, Any]) -> list[str]:
    keys = ("labels", "config", "encoder", "architectures")
    problems = [f"manifest.json: expected the key {key}, found none" for key in keys if key not in manifest]
    if problems:
        return problems
    try:
        named = [model["file"] for entry in manifest["architectures"].values() for model in entry["models"]]
    except (KeyError, TypeError, AttributeError) as error:
        return [f"manifest.json: architectures cannot be read: {error!r}"]
    return [f"manifest.json: names {name}, which is not among its files" for name in named if name not in entries]
