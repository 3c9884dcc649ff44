"""A YAML file and key=value overrides, read into a config; all that is wrong with them in one error."""

import io
import json
import re
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from raytrain.config.as_typed import keep_typed, keep_typed_overrides
from raytrain.config.pretraining import PretrainConfig
from raytrain.config.schema import Config
from raytrain.config.sections import WholeConfig
from raytrain.config.validate import Kind, config_keys, validate_config
from raytrain.errors import ConfigError, StorageError

_NO_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")


def load_config(path: str | Path | None = None, overrides: Sequence[str] = (), **values: Any) -> Config:
    """Reads a YAML file, lays overrides over it and validates the whole.

    Args:
        path: A YAML file, also on a storage (`s3://…`), or None for defaults and overrides alone.
        overrides: Each `key.path=value`; the value is parsed as YAML.
        **values: The same from Python, laid over both; two underscores stand for the dot.

    Raises:
        ConfigError: With every problem at once: unreadable file, malformed override, unknown key
            (and what was likely meant), value of the wrong type or out of range.

    Example:
        >>> config = load_config(data__path="train.csv", folds__num_folds=5, name="mine")
        >>> config.folds.num_folds
        5
    """
    return read_config(Config, path, overrides, values)


def load_pretrain_config(
    path: str | Path | None = None, overrides: Sequence[str] = (), **values: Any
) -> PretrainConfig:
    """As `load_config`, of a pre-training.

    Example:
        >>> config = load_pretrain_config(data__path="posts.txt", mask__ngrams=True)
        >>> config.mask.ngrams
        True
    """
    return read_config(PretrainConfig, path, overrides, values)


def read_config(
    kind: type[Kind],
    path: str | Path | None = None,
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
) -> Kind:
    """As `load_config`, of the config that a command takes.

    Args:
        kind: Its class.
        path: A YAML file, or None.
        overrides: Each `key.path=value`.
        values: The same from Python, two underscores for the dot.

    Raises:
        ConfigError: With every problem at once.
    """
    check_overrides(overrides)
    try:
        base = _read_yaml(path, kind) if path is not None else OmegaConf.create()
        if not OmegaConf.is_dict(base):
            raise ConfigError(f"{path}: expected a mapping of config keys, found a list or a value")
        typed = keep_typed_overrides(overrides, kind.text_keys())
        merged = OmegaConf.merge(base, OmegaConf.from_dotlist(typed))
        for key, value in (values or {}).items():
            OmegaConf.update(merged, key.replace("__", "."), _plain(value))
        whole = OmegaConf.to_container(merged, resolve=True)
    except StorageError:
        raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the config file: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: the config file is not UTF-8: {error}") from error
    except (YAMLError, OmegaConfBaseException, ValueError, TypeError) as error:
        where = path if path is not None else "the given values" if values else "the command line"
        raise ConfigError(f"{where}: not valid YAML or overrides: {error}") from error
    return validate_config(typing.cast(dict[str, Any], whole), kind)


def check_overrides(overrides: Sequence[str]) -> None:
    """Raises ConfigError where one is not `key.path=value`."""
    bad = [item for item in overrides if "=" not in item or item.startswith("=")]
    if bad:
        raise ConfigError(
            "the command line cannot be read",
            [f"expected key.path=value, found {item!r}; see --help for the keys" for item in bad],
        )


def override_config(config: Config, overrides: Sequence[str]) -> Config:
    """A config with overrides laid over it. Raises ConfigError as `load_config`."""
    check_overrides(overrides)
    try:
        base = OmegaConf.create(config.model_dump(mode="json"))
        typed = keep_typed_overrides(overrides, config.text_keys())
        merged = OmegaConf.merge(base, OmegaConf.from_dotlist(typed))
        whole = OmegaConf.to_container(merged)  # unresolved: it may be others', and would read what is here
    except (YAMLError, OmegaConfBaseException, ValueError, TypeError) as error:
        raise ConfigError(f"the command line: not valid overrides: {error}") from error
    return validate_config(typing.cast(dict[str, Any], whole))


def override_values(overrides: Sequence[str]) -> dict[str, Any]:
    """Key to the value that overrides give it, also where it stands within another: `train={epochs: 5}`.

    Where they cannot be read, which the config that they are laid over tells, their keys with None.
    """
    try:
        parsed = OmegaConf.from_dotlist(keep_typed_overrides(overrides, Config.text_keys()))
        whole = OmegaConf.to_container(parsed)
    except (YAMLError, OmegaConfBaseException, ValueError, TypeError):
        return {override.partition("=")[0].strip(): None for override in overrides}
    return dict(_leaves(typing.cast(dict[str, Any], whole), frozenset(config_keys())))


def _leaves(values: dict[str, Any], known: Collection[str], place: str = "") -> Iterator[tuple[str, Any]]:
    """(key, value) of what stands within mappings, but not of those that are a key's value."""
    for name, value in values.items():
        key = f"{place}{name}"
        if isinstance(value, dict) and key not in known:
            yield from _leaves(value, known, f"{key}.")
        else:
            yield key, value


def as_overrides(values: Mapping[str, Any]) -> list[str]:
    """Values from Python as `key.path=value`, as a command is given them; two underscores stand for the dot.

    Example:
        >>> as_overrides({"train__epochs": 5, "model__architecture": ["textcnn"], "data__test": None})
        ['train.epochs=5', 'model.architecture=["textcnn"]', 'data.test=null']
    """
    return [f"{key.replace('__', '.')}={_as_yaml(value)}" for key, value in values.items()]


def _as_yaml(value: Any) -> str:
    """As JSON, which is YAML, but for characters that YAML takes for line breaks, or refuses."""
    told = json.dumps(_plain(value), ensure_ascii=False)
    return _NO_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", told)


def _plain(value: Any) -> Any:
    """As YAML has it: paths as strings, NumPy's numbers and arrays as Python's."""
    if callable(getattr(value, "tolist", None)):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {_plain(key): _plain(part) for key, part in value.items()}
    return str(value) if isinstance(value, Path) else value


def _read_yaml(path: str | Path, kind: type[WholeConfig]) -> DictConfig | ListConfig:
    if "://" not in str(path):
        text = Path(path).read_text(encoding="utf-8-sig")
        return OmegaConf.load(io.StringIO(keep_typed(text, kind.text_keys())))
    from raytrain.storage.directory import Directory  # pyarrow, only where it is needed

    directory, _, name = str(path).rpartition("/")
    text = Directory(directory).read_bytes(name).decode("utf-8-sig")
    return OmegaConf.create(keep_typed(text, kind.text_keys()))


def touches_data(overrides: Sequence[str]) -> bool:
    """Whether any override, however written, sets a key of `data`."""
    try:
        return "data" in OmegaConf.from_dotlist(keep_typed_overrides(overrides))
    except (YAMLError, OmegaConfBaseException, ValueError, TypeError):
        return True  # load_config will say what is wrong with them
