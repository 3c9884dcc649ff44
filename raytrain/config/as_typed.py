"""Keys and texts of YAML as they were typed (`yes` and `01` may be names), and the types that keys take."""

import re
import types
import typing
from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Any, Literal, Union

import yaml

_STRING, _MERGE, _NULL = (f"tag:yaml.org,2002:{name}" for name in ("str", "merge", "null"))
_SURELY_STRING = re.compile(r"[^\W\d][\w.]*")
_NO_NUMBER = re.compile(r"(?![-+.0-9]).*", re.DOTALL)  # not every reader of YAML finds the same ones
_WIDTH = 1 << 30  # a value is not to be folded


def keep_typed(text: str, texts: Collection[str] = (), place: str = "") -> str:
    """The same YAML; keys, and values that are texts, quoted where they might be read as another thing.

    Args:
        text: A document. One that is not YAML comes back as it is, for its reader to say so.
        texts: Dotted keys whose values, or those in whose lists, are strings. null stays null there.
        place: The dotted key whose value the document is.
    """
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text
    doubtful = [
        node
        for node, is_key in _plain_nodes(root, place, texts)
        if node.tag != _STRING or not (_SURELY_STRING if is_key else _NO_NUMBER).fullmatch(node.value)
    ]
    for node in doubtful:
        node.tag, node.style = _STRING, "'"
    return yaml.serialize(root, allow_unicode=True, width=_WIDTH) if doubtful else text


def keep_typed_overrides(overrides: Sequence[str], texts: Collection[str] = ()) -> list[str]:
    """As `keep_typed`, of the values in `key.path=value`."""
    parts = [item.partition("=") for item in overrides]
    return [f"{key}{sign}{keep_typed(value, texts, key)}" for key, sign, value in parts]


def _plain_nodes(
    root: yaml.Node | None, place: str, texts: Collection[str]
) -> Iterator[tuple[yaml.ScalarNode, bool]]:
    """Scalars without quotes: (a key, True), (a text, False); each once, however many aliases there are."""
    waiting, seen = [(root, place)], set()
    while waiting:
        node, place = waiting.pop()
        if isinstance(node, yaml.ScalarNode) and place in texts and node.style is None and node.tag != _NULL:
            yield node, False
        if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
            continue
        seen.add(id(node))
        if not isinstance(node, yaml.MappingNode):
            waiting += [(item, place) for item in node.value]
            continue
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            waiting.append((value, f"{place}.{name}" if place else name))
            if isinstance(key, yaml.ScalarNode) and key.style is None and key.tag != _MERGE:
                yield key, True


def taken_types(annotation: Any) -> set[Any]:
    """The types of the values that an annotation takes, and of those in its lists."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return {type(value) for value in parts}
    if origin is Annotated:
        return taken_types(parts[0])
    if origin in (Union, types.UnionType, list):
        return {taken for part in parts for taken in taken_types(part)}
    return {annotation}


def held_types(annotation: Any) -> set[Any]:
    """As `taken_types`, and of mappings those of their values."""
    held: set[Any] = set()
    for taken in taken_types(annotation):
        is_mapping = typing.get_origin(taken) is dict
        held |= held_types(typing.get_args(taken)[1]) if is_mapping else {taken}
    return held


def held_values(value: Any) -> list[Any]:
    """A value, or those in its mappings and lists."""
    if not isinstance(value, dict | list):
        return [value]
    parts = value.values() if isinstance(value, dict) else value
    return [held for part in parts for held in held_values(part)]
