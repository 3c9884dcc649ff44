"""The config that lies in a run's directory: what it was begun with, to which it is held."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from omegaconf import OmegaConf

from raytrain.config.keys import FORMER_VALUES, FREE_KEYS, binding_keys
from raytrain.config.load import Kind, validate_config
from raytrain.config.pretraining import PretrainConfig
from raytrain.config.schema import Config
from raytrain.config.sections import WholeConfig
from raytrain.errors import ArtifactError, ConfigError
from raytrain.storage.directory import Directory

CONFIG_FILE = "config.yaml"
KINDS = (Config, PretrainConfig)
_ADVICE = "choose another name, or delete the run to start anew"


def check_config(run: Directory, config: WholeConfig, free: Sequence[str] = FREE_KEYS) -> None:
    """Refuses a config that differs from the one this run was begun with.

    Args:
        run: The run's directory.
        config: What it is told now.
        free: Beginnings of the keys that may differ.

    Raises:
        ConfigError: Naming the keys that differ, and how.
        ArtifactError: The stored config cannot be read.
    """
    if not run.exists(CONFIG_FILE):
        return
    text = run.read_bytes(CONFIG_FILE)
    try:
        stored = _read(text, type(config))
    except Exception as error:
        if any(_is_of(kind, text) for kind in KINDS if not isinstance(config, kind)):
            raise ConfigError(f"{run} holds what another command made", [_ADVICE]) from error
        raise ArtifactError(f"{run}/{CONFIG_FILE} is damaged: {error}") from error
    old, new = binding_keys(stored, free), binding_keys(config, free)
    problems = [
        f"{key}: the run was begun with {old[key]!r}, found {new[key]!r}"
        for key in new
        if old[key] != new[key]
    ]
    if problems:
        raise ConfigError(f"{run} exists with another config", [*problems, _ADVICE])


def read_stored(run: Directory) -> Config:
    """The config that a run was begun with.

    Raises:
        ArtifactError: There is none, or it cannot be read.
    """
    if not run.exists(CONFIG_FILE):
        raise ArtifactError(f"{run} is no run: expected the file {CONFIG_FILE} there, found none")
    try:
        return _read(run.read_bytes(CONFIG_FILE), Config)
    except Exception as error:
        raise ArtifactError(f"{run}/{CONFIG_FILE} is not the config of a run: {error}") from error


def _is_of(kind: type[WholeConfig], text: bytes) -> bool:
    """Whether a stored config is of this kind."""
    try:
        _read(text, kind)
    except Exception:
        return False
    return True


def _read(text: bytes, kind: type[Kind]) -> Kind:
    values = OmegaConf.create(text.decode())
    for key, value in FORMER_VALUES.items() if kind is Config else ():
        if OmegaConf.select(values, key) is None:
            OmegaConf.update(values, key, value)
    return validate_config(cast(dict[str, Any], OmegaConf.to_container(values)), kind)


def check_hashes(run: Directory, stored: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Refuses input files whose content changed since the run was begun.

    Args:
        run: The run's directory.
        stored: Name to hash, of then.
        found: The same of now.

    Raises:
        ConfigError: Naming the inputs that changed.
    """
    problems = [
        f"{key}: its content is not what the run was begun with"
        for key in sorted(stored.keys() | found.keys())
        if stored.get(key) != found.get(key)
    ]
    if problems:
        raise ConfigError(f"{run} exists with other inputs", [*problems, _ADVICE])
