"""A YAML file and key=value overrides, read into a config; all that is wrong with them in one error."""

import copy
import difflib
import functools
import io
import json
import re
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError
from yaml import YAMLError

from raytrain.config.pretraining import PretrainConfig
from raytrain.config.schema import Config
from raytrain.config.sections import WholeConfig, yaml_value
from raytrain.config.typed_keys import keep_keys, keep_override_keys
from raytrain.errors import ConfigError, StorageError

Kind = TypeVar("Kind", bound=WholeConfig)
_NO_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")
BY_LABEL = (("train", "class_weight"), ("ensemble", "costs"))  # keys whose own keys are labels


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
        base = _read_yaml(path) if path is not None else OmegaConf.create()
        if not OmegaConf.is_dict(base):
            raise ConfigError(f"{path}: expected a mapping of config keys, found a list or a value")
        merged = OmegaConf.merge(base, OmegaConf.from_dotlist(keep_override_keys(overrides)))
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
        merged = OmegaConf.merge(base, OmegaConf.from_dotlist(keep_override_keys(overrides)))
        whole = OmegaConf.to_container(merged)  # unresolved: it may be others', and would read what is here
    except (YAMLError, OmegaConfBaseException, ValueError, TypeError) as error:
        raise ConfigError(f"the command line: not valid overrides: {error}") from error
    return validate_config(typing.cast(dict[str, Any], whole))


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


def _read_yaml(path: str | Path) -> DictConfig | ListConfig:
    if "://" not in str(path):
        return OmegaConf.load(io.StringIO(keep_keys(Path(path).read_text(encoding="utf-8-sig"))))
    from raytrain.storage.directory import Directory  # pyarrow, only where it is needed

    directory, _, name = str(path).rpartition("/")
    return OmegaConf.create(keep_keys(Directory(directory).read_bytes(name).decode("utf-8-sig")))


def touches_data(overrides: Sequence[str]) -> bool:
    """Whether any override, however written, sets a key of `data`."""
    try:
        return "data" in OmegaConf.from_dotlist(keep_override_keys(overrides))
    except (YAMLError, OmegaConfBaseException, ValueError, TypeError):
        return True  # load_config will say what is wrong with them


@typing.overload
def validate_config(values: dict[str, Any]) -> Config: ...


@typing.overload
def validate_config(values: dict[str, Any], kind: type[Kind]) -> Kind: ...


def validate_config(values: dict[str, Any], kind: type[WholeConfig] = Config) -> WholeConfig:
    """Builds a config of plain nested values. Raises ConfigError with all problems at once."""
    problems: list[str] = []
    remaining, wrong = copy.deepcopy(values), set()
    while True:
        try:
            config = kind.model_validate(remaining)
            break
        except ValidationError as error:
            # What was taken out is missing only because its value was wrong.
            found = [one for one in error.errors(include_url=False) if one["loc"] not in wrong]
        wrong |= {problem["loc"] for problem in found}
        told = [_describe(problem, kind) for problem in _without_other_branches(found)]
        problems += [line for text in told for line in text.splitlines()]
        # What does not fit together is looked at only where each value alone is right.
        if not any([_take_out(remaining, problem["loc"]) for problem in found]):
            break
    if problems:
        raise ConfigError("the config is not valid", list(dict.fromkeys(problems)))
    return config


def _without_other_branches(problems: list[Any]) -> list[Any]:
    """Of a key that takes one value or several, only what is wrong with the kind that was given."""
    told = []
    for problem in problems:
        is_list, type_ = isinstance(problem["input"], list | dict), problem["type"]
        is_other = type_ in ("literal_error", "string_type") if is_list else type_ == "list_type"
        beside = sum(other["loc"][:2] == problem["loc"][:2] for other in problems)
        if not is_other or beside == 1:
            told.append(problem)
    return told


def _take_out(values: dict[Any, Any], location: Sequence[int | str]) -> bool:
    """Removes the value of the key that a problem is about; False where it is about no single key."""
    section, key = (values.get(location[0]), location[1]) if len(location) > 1 else (None, "")
    if isinstance(section, dict) and key in section:
        del section[key]
        return True
    if not location or location[0] not in values or isinstance(values[location[0]], dict):
        return False
    del values[location[0]]
    return True


def _describe(problem: Any, kind: type[WholeConfig]) -> str:
    """One line of a pydantic problem: the dotted key, what was expected, what was found."""
    location = [
        str(part)
        for part in problem["loc"]
        if str(part) in _known_parts(kind) or problem["type"] in ("extra_forbidden", "missing")
    ]
    if tuple(problem["loc"][:2]) in BY_LABEL:
        location += [str(part) for part in problem["loc"][2:] if "[" not in str(part)]
    key = ".".join(location) or "config"
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key" + _did_you_mean(nearest_key(key, kind), "; see --help for the keys")
    if problem["type"] == "missing":
        example = "; say e.g. data.path=FILE.csv" if key in ("data", "data.path") else ""
        return f"{key}: required, but not given{example}"
    if problem["type"] == "value_error":  # our own validators say what they found
        told: str = problem["msg"].removeprefix("Value error, ")
        return f"{key}: {told}" if location else told
    message = problem["msg"]
    found = f"{key}: {message[0].lower()}{message[1:]}; found {problem['input']!r}"
    if problem["type"] != "literal_error":
        return found
    known = re.findall("'([^']*)'", problem["ctx"]["expected"])
    return found + _did_you_mean(_nearest(str(problem["input"]), known))


def _did_you_mean(near: str | None, otherwise: str = "") -> str:
    return f"; did you mean {near}?" if near else otherwise


@functools.cache
def _known_parts(kind: type[WholeConfig]) -> frozenset[str]:
    return frozenset(part for key in config_keys(kind) for part in key.split("."))


def config_keys(kind: type[WholeConfig] = Config) -> list[str]:
    """Every dotted key there is, in the order of the config."""
    return [key for key, _, _ in describe_keys(kind)]


def nearest_key(key: str, kind: type[WholeConfig] = Config) -> str | None:
    """The key that was likely meant, if any."""
    return _nearest(key, config_keys(kind))


def _nearest(name: str, known: Sequence[str]) -> str | None:
    """The one of these that was likely meant: written alike, or with the same last part."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    near = near or [one for one in known if one.split(".")[-1] == name.split(".")[-1]]
    return near[0] if near else None


def describe_keys(kind: type[WholeConfig] = Config) -> list[tuple[str, str, str]]:
    """Returns (dotted key, default, description) of every key: what --help and docs/config.md show."""
    sections = kind.sections()
    rows = []
    for name, field in kind.model_fields.items():
        fields = sections[name].model_fields.items() if name in sections else [("", field)]
        for leaf, info in fields:
            key = f"{name}.{leaf}" if leaf else name
            default = "required" if info.is_required() else yaml_value(info.default)
            rows.append((key, default, info.description or ""))
    return rows
