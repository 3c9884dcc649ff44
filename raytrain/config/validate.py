"""A config of plain values, checked; all that is wrong with them in one error, and what was likely meant."""

import copy
import difflib
import functools
import re
import typing
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from raytrain.config.as_typed import taken_types
from raytrain.config.schema import Config
from raytrain.config.sections import WholeConfig, yaml_value
from raytrain.errors import ConfigError
from raytrain.tasks import Network

Kind = TypeVar("Kind", bound=WholeConfig)
# What pydantic says of a value that is a list or mapping, and of one that is neither, where it may be either.
_OF_ONE = ("literal_error", "string_type", "int_type", "float_type")
_OF_SEVERAL = ("list_type", "dict_type")
BY_LABEL = (("train", "class_weight"), ("ensemble", "costs"))  # keys whose own keys are labels


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
        told = [_describe(problem, kind) for problem in _without_other_branches(found, remaining)]
        problems += [line for text in told for line in text.splitlines()]
        # What does not fit together is looked at only where each value alone is right.
        if not any([_take_out(remaining, problem["loc"]) for problem in found]):
            break
    if problems:
        raise ConfigError("the config is not valid", list(dict.fromkeys(problems)))
    return config


def _without_other_branches(problems: list[Any], values: dict[str, Any]) -> list[Any]:
    """Of a key that takes one value or several, only what is wrong with the kind that was given."""
    told = []
    for problem in problems:
        given = values
        for part in problem["loc"][:2]:
            given = given.get(part, given) if isinstance(given, dict) else given
        others = _OF_ONE if isinstance(given, list | dict) else _OF_SEVERAL
        if problem["type"] not in others or problem["input"] != given:
            told.append(problem)
    heard = {problem["loc"][:2] for problem in told}
    return told + [problem for problem in problems if problem["loc"][:2] not in heard]


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
    parts = [str(part) for part in problem["loc"]]
    if tuple(parts[:2]) in BY_LABEL:
        location = [part for part in parts if "[" not in part]
    elif problem["type"] in ("extra_forbidden", "missing"):
        location = parts
    else:
        location = [part for part in parts if part in _known_parts(kind)]
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
    keys = {part for key in config_keys(kind) for part in key.split(".")}
    keys |= {part for field in kind.keys().values() for part in _keys_within(field)}
    return frozenset(keys | set(typing.get_args(Network)))


def _keys_within(field: FieldInfo) -> Iterable[str]:
    """Those of the mappings that a key takes, where these have keys of their own."""
    kinds = [taken for taken in taken_types(field.annotation) if isinstance(taken, type)]
    return (key for kind in kinds if issubclass(kind, BaseModel) for key in kind.model_fields)


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
    return [
        (key, "required" if field.is_required() else yaml_value(field.default), _meaning(field))
        for key, field in kind.keys().items()
    ]


def _meaning(field: FieldInfo) -> str:
    """What --help says of a key."""
    meaning = field.description or ""
    mappings = [taken for taken in taken_types(field.annotation) if typing.get_origin(taken) is dict]
    is_by_network = any(typing.get_args(mapping)[0] == Network for mapping in mappings)
    return f"{meaning}; or {{network: value}}" if is_by_network else meaning
