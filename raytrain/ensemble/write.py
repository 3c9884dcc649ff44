"""Gathering committed folds into an artifact."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from raytrain.config.schema import Config
from raytrain.ensemble.manifest import WHOLE_WORDS, ModelEntry
from raytrain.ensemble.words import add_words, keyword_entry, keyword_files
from raytrain.folds.result import read_fold_weights, save_weights
from raytrain.folds.spec import FoldSpec, ModelSettings, Shared
from raytrain.fusion.rule import FusionRule
from raytrain.provenance import package_versions
from raytrain.scores.tables import is_complete
from raytrain.stages import Stage
from raytrain.storage.directory import Directory
from raytrain.storage.files import json_bytes, parquet_bytes, sha256
from raytrain.text.dictionary import finds_uncommon
from raytrain.text.vocab import LOWERED, vocab_file

ENSEMBLE = "ensemble"  # where a run's artifact lies in its directory
# What the manifest tells of each fold: how it ended and where it ran.
FOLD_FACTS = (
    *("seed", "restarts", "dead", "stopped_early"),
    *("accumulation", "seconds", "node", "device", "packages"),
)


def write_ensemble(
    directory: Directory,
    config: Config,
    shared: Shared,
    labels: Sequence[int | str],
    specs: Sequence[FoldSpec],
    records: Sequence[Mapping[str, Any]],
    summary: Mapping[str, Any],
    oof: pa.Table | None,
    encoder_weights: Mapping[str, np.ndarray] | None,
    stage: Stage,
    rule: FusionRule | None = None,
) -> None:
    """Gathers the committed folds into an artifact; the manifest is written last.

    Args:
        directory: Where it is to lie; what lies there is deleted.
        config: The resolved config.
        shared: Encoder files and words.
        labels: The labels in order.
        specs: The committed fold runs, without those that are left out.
        records: What each left in its result.json.
        summary: Scores, as in summary.json.
        oof: Of `scores.oof.oof_table`; None where no row was held out.
        encoder_weights: The frozen encoder's arrays by name, where any architecture froze it.
        stage: Told of each fold.
        rule: By which members are fused; None where it is the mean and its most probable label.
    """
    directory.delete()
    files: list[dict[str, Any]] = []

    def add(name: str, data: bytes) -> str:
        directory.write_bytes(name, data)
        files.append({"name": name, "bytes": len(data), "sha256": sha256(data)})
        return name

    reads = any(spec.is_network for spec in specs)
    encoder = _add_encoder(add, shared, encoder_weights) if reads else None
    words = add_words(add, shared)
    architectures = _add_folds(add, shared, specs, records, stage)
    for name, data in keyword_files(specs, shared).items():
        add(name, data)
    if oof is not None:
        add("oof.parquet", parquet_bytes(oof))
    manifest = {
        "schema_version": _schema_version(config, shared, specs, rule),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "name": config.name,
        "complete": is_complete(summary),
        "dropped": summary.get("dropped", []),
        "task": config.task,
        "labels": list(labels),
        "config": config.model_dump(mode="json"),
        "encoder": encoder,
        "words": words,
        "architectures": architectures,
        **({} if rule is None else {"fusion": rule.to_dict()}),
        "metrics": summary,
        "packages": package_versions(),
        "files": sorted(files, key=lambda entry: entry["name"]),
    }
    directory.write_bytes("manifest.json", json_bytes(manifest))


def _add_folds(
    add: Callable[[str, bytes], str],
    shared: Shared,
    specs: Sequence[FoldSpec],
    records: Sequence[Mapping[str, Any]],
    stage: Stage,
) -> dict[str, Any]:
    """Adds each fold's weights. Returns what the manifest says of them, by architecture."""
    architectures: dict[str, Any] = {}
    for spec, record in zip(specs, records, strict=True):
        name = add(f"{spec.name}.safetensors", read_fold_weights(spec.location))
        entry = architectures.setdefault(spec.architecture, {"model": _model_entry(spec.model), "folds": []})
        facts = {key: record[key] for key in FOLD_FACTS if key in record} | keyword_entry(spec, shared)
        entry["folds"].append({"file": name, "fold": spec.fold, "repeat": spec.repeat, **facts})
        stage.advance(1)
    return architectures


def _schema_version(
    config: Config, shared: Shared, specs: Sequence[FoldSpec], rule: FusionRule | None
) -> int:
    """The oldest that has all that is written."""
    if finds_uncommon(shared.user_dict):
        return WHOLE_WORDS
    is_other = shared.encoder.kind not in ("bert", "albert") or shared.encoder.vocab.folding != LOWERED
    if is_other and any(spec.is_network for spec in specs):
        return 7
    if rule is not None:
        return 6
    cuts = config.encoder.truncate != "head" or config.encoder.windows > 1
    if cuts or any(spec.model.pooling != "first" for spec in specs):
        return 5
    if not all(spec.is_network for spec in specs):
        return 4
    if config.task == "tag" or shared.characters:
        return 3
    return 2 if shared.keywords is not None else 1


def _add_encoder(
    add: Callable[[str, bytes], str], shared: Shared, weights: Mapping[str, np.ndarray] | None
) -> dict[str, Any]:
    """Config, vocabulary, its folding; the weights once, where they are frozen; whence it was fetched."""
    name, data = vocab_file(shared.encoder.vocab)
    folding = shared.encoder.vocab.folding
    return {
        "kind": shared.encoder.kind,
        "config": add("encoder/config.json", json_bytes(shared.encoder.config)),
        "vocab": add(f"encoder/{name}", data),
        "weights": None if weights is None else add("encoder/weights.safetensors", save_weights(weights)),
        **({} if folding == LOWERED else {"folding": asdict(folding)}),
        **({} if shared.encoder.origin is None else {"origin": shared.encoder.origin}),
    }


def _model_entry(model: ModelSettings) -> dict[str, Any]:
    """As much of it as stands in the manifest, by the names there."""
    own = {name: getattr(model, name) for name in ModelEntry.model_fields}
    return ModelEntry.model_validate(own).model_dump(by_alias=True, exclude_defaults=True)
