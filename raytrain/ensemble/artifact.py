"""The ensemble artifact: all that prediction needs, described by a manifest that is written last."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors

from raytrain.config.schema import Config
from raytrain.ensemble.manifest import SCHEMA_VERSION, FileEntry, Manifest, parse_manifest
from raytrain.errors import ArtifactError
from raytrain.folds.result import read_fold_weights, save_weights
from raytrain.folds.shared import SharedInputs
from raytrain.folds.spec import FoldSpec, fold_name
from raytrain.provenance import package_versions
from raytrain.scores.tables import is_complete
from raytrain.storage.directory import Directory, json_bytes, sha256

# What the manifest tells of each fold: how it ended and where it ran.
FOLD_FACTS = ("stopped_early", "accumulation", "seconds", "node", "device", "packages")
MODEL_ARGUMENTS = ("train_encoder", "embedding", "num_classes", "dropout", "num_keyword_classes")


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
    records: Sequence[Mapping[str, Any]],
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
        specs: The committed fold runs.
        records: What each left in its result.json.
        summary: Scores, as in summary.json.
        oof: Of `scores.oof.oof_table`.
        encoder_weights: The frozen encoder's arrays by name, where any architecture froze it.
    """
    directory = run / "ensemble"
    directory.delete()
    files: list[dict[str, Any]] = []

    def add(name: str, data: bytes) -> str:
        directory.write_bytes(name, data)
        files.append({"name": name, "bytes": len(data), "sha256": sha256(data)})
        return name

    encoder, words = _add_encoder(add, inputs, encoder_weights), _add_words(add, inputs)
    architectures: dict[str, Any] = {}
    for spec, record in zip(specs, records, strict=True):
        name = add(f"{spec.name}.safetensors", read_fold_weights(spec.location))
        arguments = {key: spec.model[key] for key in MODEL_ARGUMENTS if key in spec.model}
        entry = architectures.setdefault(spec.architecture, {"model": arguments, "folds": []})
        facts = {key: record[key] for key in FOLD_FACTS if key in record} | _keywords_of(spec, inputs)
        entry["folds"].append({"file": name, "fold": spec.fold, "repeat": spec.repeat, **facts})
    for name, data in _keyword_files(specs, inputs).items():
        add(name, data)
    add("oof.parquet", parquet_bytes(oof))
    version = 2 if inputs.keywords is not None else 1
    if config.task == "tag" or inputs.characters:
        version = SCHEMA_VERSION
    manifest = {
        "schema_version": version,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "name": config.name,
        "complete": is_complete(summary),
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


def _add_encoder(
    add: Callable[[str, bytes], str], inputs: SharedInputs, weights: Mapping[str, np.ndarray] | None
) -> dict[str, str | None]:
    """Config and vocabulary; the weights once, where they are frozen."""
    vocab = inputs.encoder.vocab
    if isinstance(vocab, bytes):
        name, data = "encoder/spiece.model", vocab
    else:
        name, data = "encoder/vocab.txt", "".join(f"{token}\n" for token in vocab).encode()
    return {
        "kind": inputs.encoder.kind,
        "config": add("encoder/config.json", json_bytes(inputs.encoder.config)),
        "vocab": add(name, data),
        "weights": None if weights is None else add("encoder/weights.safetensors", save_weights(weights)),
    }


def _keywords_of(spec: FoldSpec, inputs: SharedInputs) -> dict[str, str]:
    """The file of the words that a fold counts; {} where it counts none."""
    if inputs.keywords is None:
        return {}
    chosen = f"{fold_name(spec.repeat, spec.fold)}.keywords"
    return {"keywords": f"words/{'keywords' if inputs.keywords.given is not None else chosen}.json"}


def _keyword_files(specs: Sequence[FoldSpec], inputs: SharedInputs) -> dict[str, bytes]:
    """Word to class index, in one file where a person chose, else in one per repeat and fold."""
    if inputs.keywords is None:
        return {}
    held = inputs.keywords.held
    return {
        _keywords_of(spec, inputs)["keywords"]: json_bytes(held.kept(spec.keywords))
        for spec in specs
        if spec.keywords is not None
    }


def _pack_characters(characters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Lays characters' vectors into arrays."""
    return {
        "codepoints": np.array([ord(char) for char in characters], np.int32),
        "vectors": np.stack(list(characters.values())).astype(np.float32),
    }


def _add_words(add: Callable[[str, bytes], str], inputs: SharedInputs) -> dict[str, str | None] | None:
    if inputs.vocabulary is None and inputs.keywords is None:
        return None
    vocabulary, user_dict, characters = inputs.vocabulary, inputs.user_dict, inputs.characters
    entry = {
        "vocabulary": None if vocabulary is None else add("words/vocabulary.json", json_bytes(vocabulary)),
        "user_dict": None if user_dict is None else add("words/user_dict.txt", user_dict.encode()),
    }
    if characters:
        entry["characters"] = add("words/characters.safetensors", save_weights(_pack_characters(characters)))
    return entry


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

    def read(self, name: str) -> bytes:
        """Reads a file that the manifest lists, and no other."""
        if all(entry.name != name for entry in self.manifest.files):
            raise ArtifactError(f"{self.directory}: {name} is not among the ensemble's files")
        return self.directory.read_bytes(name)

    def read_text(self, name: str) -> str:
        try:
            return self.read(name).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ArtifactError(f"{name}: not UTF-8: {error}") from error

    def read_json(self, name: str) -> Any:
        try:
            return json.loads(self.read_text(name))
        except ValueError as error:
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
    except (ValueError, KeyError, TypeError) as error:
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
