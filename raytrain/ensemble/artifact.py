"""The ensemble artifact: all that prediction needs, described by a manifest that is written last."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors

from raytrain.ensemble.manifest import SCHEMA_VERSION, EncoderEntry, FileEntry, Manifest, parse_manifest
from raytrain.errors import ArtifactError
from raytrain.storage.directory import Directory
from raytrain.storage.files import sha256
from raytrain.tasks import reads_encoder
from raytrain.text.vocab import Vocab, parse_vocab


@dataclass(frozen=True)
class Ensemble:
    """A verified artifact.

    Attributes:
        directory: Where it lies.
        manifest: Of its manifest.json.
    """

    directory: Directory
    manifest: Manifest

    @property
    def labels(self) -> list[int] | list[str]:
        return self.manifest.labels

    @property
    def task(self) -> str:
        return self.manifest.task

    @property
    def reads_pairs(self) -> bool:
        """Whether it was trained on pairs of texts."""
        return len(self.manifest.config.data.text_columns) > 1

    @property
    def has_networks(self) -> bool:
        """Whether TensorFlow is needed to predict."""
        return any(reads_encoder(name) for name in self.manifest.architectures)

    @property
    def encoder(self) -> EncoderEntry:
        """The encoder's files. Raises ArtifactError where n-grams are all that was learned."""
        if self.manifest.encoder is None:
            raise ArtifactError(f"{self.directory}: the ensemble has no encoder")
        return self.manifest.encoder

    def read(self, name: str) -> bytes:
        """Reads a file that the manifest lists, as it was when the artifact was opened, and no other."""
        listed = next((entry for entry in self.manifest.files if entry.name == name), None)
        if listed is None:
            raise ArtifactError(f"{self.directory}: {name} is not among the ensemble's files")
        data = self.directory.read_bytes(name)
        if sha256(data) != listed.sha256:  # of a large ensemble folds are read again and again
            raise ArtifactError(f"{self.directory}: {name} has changed since it was opened; open it anew")
        return data

    def read_text(self, name: str) -> str:
        try:
            return self.read(name).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ArtifactError(f"{name}: not UTF-8: {error}") from error

    def read_json(self, name: str) -> Any:
        try:
            return json.loads(self.read_text(name))
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"{name}: not JSON: {error}") from error

    def read_arrays(self, name: str) -> dict[str, np.ndarray]:
        """Reads a safetensors file. Raises ArtifactError where it is none, or holds NaN or infinity."""
        try:
            arrays = load_safetensors(self.read(name))
        except (SafetensorError, KeyError, TypeError, ValueError) as error:  # KeyError: a type NumPy lacks
            raise ArtifactError(f"{name}: not a safetensors file that NumPy can read: {error}") from error
        wrong = sorted(
            key for key, value in arrays.items() if value.dtype.kind == "f" and not np.isfinite(value).all()
        )
        if wrong:
            raise ArtifactError(f"{name}: expected finite numbers, found others in {', '.join(wrong)}")
        return arrays


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
        version = manifest["schema_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactError(f"{location}/manifest.json is damaged: {error!r}") from error
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise ArtifactError(
            f"{location}/manifest.json: schema version {version!r} is newer than this raytrain reads "
            f"({SCHEMA_VERSION}); upgrade raytrain"
        )
    parsed, problems = parse_manifest(manifest)
    if parsed is not None:
        verdicts = [_verify(directory, entry) for entry in parsed.files]
        problems = [verdict for verdict in verdicts if verdict is not None]
    if problems or parsed is None:
        raise ArtifactError(f"{location}: the ensemble is damaged", problems)
    return Ensemble(directory, parsed)


def manifest_digest(directory: Directory) -> str:
    """The sha256 by which an artifact is known; its manifest has that of all else in it.

    Raises:
        StorageError: There is no manifest; of a local directory OSError.
    """
    return sha256(directory.read_bytes("manifest.json"))


def read_vocab(ensemble: Ensemble) -> Vocab:
    """The encoder's vocabulary. Raises ArtifactError where it is not UTF-8."""
    name, folding = ensemble.encoder.vocab, ensemble.encoder.folding.folding
    try:
        return parse_vocab(name, ensemble.read(name), folding)
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{name}: not UTF-8: {error}") from error


def _verify(directory: Directory, entry: FileEntry) -> str | None:
    size = directory.size(entry.name)
    if size is None:
        return f"{entry.name}: missing"
    if size != entry.bytes:
        return f"{entry.name}: expected {entry.bytes:,} bytes, found {size:,}"
    try:
        data = directory.read_bytes(entry.name)
    except FileNotFoundError:
        return f"{entry.name}: missing"
    return None if sha256(data) == entry.sha256 else f"{entry.name}: its content has changed (sha256 differs)"
