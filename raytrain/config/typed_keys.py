"""Keys of YAML as they were typed: `yes`, `01` and `null` may be labels, of which YAML makes other things."""

import re
from collections.abc import Iterator, Sequence

import yaml

_STRING, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
_SURELY_STRING = re.compile(r"[^\W\d][\w.]*")
_WIDTH = 1 << 30  # a value is not to be folded


def keep_keys(text: str) -> str:
    """The same YAML, its keys quoted where they might be read as another thing than a string.

    Args:
        text: A document. One that is not YAML comes back as it is, for its reader to say so.
    """
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text
    doubtful = [key for key in _plain_keys(root) if key.tag != _STRING or not _is_surely_string(key.value)]
    for key in doubtful:
        key.tag, key.style = _STRING, "'"
    return yaml.serialize(root, allow_unicode=True, width=_WIDTH) if doubtful else text


def keep_override_keys(overrides: Sequence[str]) -> list[str]:
    """As `keep_keys`, of the values in `key.path=value`."""
    parts = [item.partition("=") for item in overrides]
    return [f"{key}{sign}{keep_keys(value)}" for key, sign, value in parts]


def _is_surely_string(key: str) -> bool:
    return _SURELY_STRING.fullmatch(key) is not None


def _plain_keys(root: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    """The keys without quotes of all mappings; each node once, however many aliases there are."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
            continue
        seen.add(id(node))
        if not isinstance(node, yaml.MappingNode):
            waiting += node.value
            continue
        for key, value in node.value:
            waiting.append(value)
            if isinstance(key, yaml.ScalarNode) and key.style is None and key.tag != _MERGE:
                yield key
