"""The config that lies in a run's directory: what it was begun with, to which it is held."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from omegaconf import OmegaConf

from raytrain.config.as_typed import keep_typed
from raytrain.config.keys import FORMER_VALUES, FREE_KEYS, binding_keys
from raytrain.config.load import override_config
from raytrain.config.pretraining import PretrainConfig
from raytrain.config.schema import Config
from raytrain.config.sections import WholeConfig
from raytrain.config.validate import Kind, validate_config
from raytrain.errors import ArtifactError, ConfigError
from raytrain.storage.directory import Directory

CONFIG_FILE = "config.yaml"
KINDS = (Config, PretrainConfig)
ADVICE = "choose another name, or delete the run to start anew"


def check_config(
    run: Directory, config: WholeConfig, free: Sequence[str] = FREE_KEYS, advice: str = ADVICE
) -> None:
    """Refuses a config that differs from the one this run was begun with.

    Args:
        run: The run's directory.
        config: What it is told now.
        free: Beginnings of the keys that may differ.
        advice: What to do where others do.

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
            raise ConfigError(f"{run} holds what another command made", [advice]) from error
        raise ArtifactError(f"{run}/{CONFIG_FILE} is damaged: {error}") from error
    old, new = binding_keys(stored, free), binding_keys(config, free)
    problems = [
        f"{key}: the run was begun with {old[key]!r}, found {new[key]!r}"
        for key in new
        if old[key] != new[key]
    ]
    if problems:
        raise ConfigError(f"{run} exists with another config", [*problems, advice])


def load_stored(run: Directory, overrides: Sequence[str] = ()) -> Config:
    """The config that a run was begun with, and overrides laid over it.

    Args:
        run: The run's directory.
        overrides: Each `key.path=value`.

    Raises:
        ConfigError: The overrides cannot be read, or what they make of it is not valid.
        ArtifactError: There is no run, or its config cannot be read.
    """
    if not run.exists(CONFIG_FILE):
        raise ArtifactError(f"{run}: expected a run's directory with {CONFIG_FILE}, found none")
    text = run.read_bytes(CONFIG_FILE)
    try:
        stored = _read(text, Config)
    except Exception as error:
        if _is_of(PretrainConfig, text):
            raise ConfigError(f"{run} holds what another command made: expected a run of kfold") from error
        raise ArtifactError(f"{run}/{CONFIG_FILE} is damaged: {error}") from error
    return override_config(stored, overrides) if overrides else stored


def _is_of(kind: type[WholeConfig], text: bytes) -> bool:
    """Whether a stored config is of this kind."""
    try:
        _read(text, kind)
    except Exception:
        return False
    return True


def _read(text: bytes, kind: type[Kind]) -> Kind:
    values = OmegaConf.create(keep_typed(text.decode(), kind.text_keys()))
    for key, value in FORMER_VALUES.items() if kind is Config else ():
        if OmegaConf.select(values, key) is None:
            OmegaConf.update(values, key, value)
    return validate_config(cast(dict[str, Any], OmegaConf.to_container(values)), kind)


def check_hashes(
    run: Directory, stored: Mapping[str, str], found: Mapping[str, str], advice: str = ADVICE
) -> None:
    """Refuses input files whose content changed since the run was begun.

    Args:
        run: The run's directory.
        stored: Name to hash, of then.
        found: The same of now.
        advice: What to do where they differ.

    Raises:
        ConfigError: Naming the inputs that changed.
    """
    problems = [
        f"{key}: its content is not what the run was begun with"
        for key in sorted(stored.keys() | found.keys())
        if stored.get(key) != found.get(key)
    ]
    if problems:
        raise ConfigError(f"{run} exists with other inputs", [*problems, advice])
