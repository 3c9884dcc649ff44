"""Weights alone, as Keras 2 writes them: HDF5, the arrays of each layer under its name."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from raytrain.ensemble.artifact import Ensemble
from raytrain.errors import ArtifactError

CONFIG = "config.json"
SUFFIX = ".h5"  # of .weights.h5 Keras expects another layout, which it cannot read by name
_NAME = re.compile(r"(?P<part>encoder\.)?(?P<layer>[A-Za-z0-9_-]+)\.(?P<place>[0-9]+)\.(?P<leaf>[a-z_]+)")
# Which is meant, whatever a program's set_gelu makes of `gelu`; `gelu_new` it does not know.
_BERT4KERAS_ACTIVATIONS = {"gelu": "gelu_erf", "gelu_new": "gelu_tanh"}
_BERT4KERAS_EPSILON = 1e-12


def bert4keras_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """An encoder's config with the activation that bert4keras's `build_transformer_model` calls so."""
    activation = config.get("hidden_act", "gelu")
    return {**config, "hidden_act": _BERT4KERAS_ACTIVATIONS.get(str(activation), activation)}


def unlike_bert4keras(config: Mapping[str, Any]) -> list[str]:
    """A note where bert4keras computes something else of a config and says nothing."""
    epsilon = config.get("layer_norm_eps", _BERT4KERAS_EPSILON)
    if epsilon == _BERT4KERAS_EPSILON:
        return []
    return [
        f"{CONFIG}: the encoder's norms add layer_norm_eps {epsilon:g}; bert4keras adds "
        f"{_BERT4KERAS_EPSILON:g} whatever a config says, and its numbers differ"
    ]


def write_weights(ensemble: Ensemble, folder: Path) -> list[str]:
    """Writes a file for each fold, one for a frozen encoder, and one more for each encoder that trained.

    An encoder's layers have bert4keras's names, so that its `load_weights(file, by_name=True)` finds them.

    Args:
        ensemble: Of networks alone.
        folder: Where the files are to lie.

    Returns:
        Their names.
    """
    written = []
    manifest = ensemble.manifest
    if any(not entry.model.train_encoder for entry in manifest.architectures.values()):
        name = str(ensemble.encoder.weights)
        written.append(_write(ensemble.read_arrays(name), folder, "encoder", name))
    for entry in manifest.architectures.values():
        for fold in entry.folds:
            weights = ensemble.read_arrays(fold.file)
            stem = fold.file.removesuffix(".safetensors")
            own = {key: array for key, array in weights.items() if key.startswith("encoder.")}
            if own:
                written.append(_write(own, folder, f"{stem}.encoder", fold.file))
            head = {key: array for key, array in weights.items() if key not in own}
            written.append(_write(head, folder, f"{stem}.head", fold.file))
    return written


def _write(weights: Mapping[str, np.ndarray], folder: Path, stem: str, source: str) -> str:
    """One file, in the layout that Keras 2 reads."""
    layers: dict[str, list[tuple[int, str, np.ndarray]]] = {}
    for key, array in weights.items():
        found = _NAME.fullmatch(key)
        if found is None:
            raise ArtifactError(f"{source}: expected weights named layer.place.name, found {key}")
        layers.setdefault(found["layer"], []).append((int(found["place"]), found["leaf"], array))
    path = folder / f"{stem}{SUFFIX}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs["backend"], file.attrs["keras_version"] = "tensorflow", "2.21.0"
        file.attrs["layer_names"] = np.array([*layers], dtype=h5py.string_dtype())
        for layer, arrays in layers.items():
            group = file.create_group(layer)
            ordered = sorted(arrays, key=lambda entry: entry[0])
            names = [f"{layer}/{place}/{leaf}" for place, leaf, _ in ordered]
            group.attrs["weight_names"] = np.array(names, dtype=h5py.string_dtype())
            for name, (_, _, array) in zip(names, ordered, strict=True):
                group.create_dataset(name, data=array)
    return f"{stem}{SUFFIX}"
