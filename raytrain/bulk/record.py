"""What is done of a large prediction, kept beside its output: the same command goes on there."""

import json
from collections.abc import Mapping
from typing import Any

from raytrain.errors import ArtifactError, ConfigError
from raytrain.storage.directory import Directory
from raytrain.storage.files import json_bytes

ASKED = "_asked.json"


def mark_of(stem: str) -> str:
    """The name of the mark that all of an input file is predicted."""
    return f"_{stem}.done.json"


class Record:
    """Which files are predicted.

    Args:
        output: Where predictions lie.
        asked: What makes them: another ensemble, or other columns, would not fit what is there.

    Raises:
        ConfigError: Something else was asked for there.
    """

    def __init__(self, output: Directory, asked: Mapping[str, Any]):
        self._output = output
        if output.exists(ASKED):
            before = _read(output, ASKED)
            changed = [
                f"{key}: it was begun with {json.dumps(before.get(key), ensure_ascii=False)}, found "
                f"{json.dumps(value, ensure_ascii=False)}"
                for key, value in asked.items()
                if before.get(key) != value
            ]
            if changed:
                raise ConfigError(
                    f"{output}: holds predictions of something else; give another --output", changed
                )
        else:
            output.write_bytes(ASKED, json_bytes(dict(asked)))

    def done(self, stem: str, size: int) -> dict[str, Any] | None:
        """What was told of a file when it was done; None where it is not.

        Args:
            stem: Of its name.
            size: Bytes that it has now.

        Raises:
            ConfigError: It had others then.
        """
        if not self._output.exists(mark_of(stem)):
            return None
        told = _read(self._output, mark_of(stem))
        if told.get("bytes") != size:
            found = f"expected the {told.get('bytes'):,} bytes that were predicted, found {size:,}"
            raise ConfigError(f"{stem}: {found}; give another --output, or remove what was made of it")
        return told

    def finish(self, stem: str, told: Mapping[str, Any]) -> None:
        """Marks all of a file as predicted."""
        self._output.write_bytes(mark_of(stem), json_bytes(dict(told)))


def _read(output: Directory, name: str) -> dict[str, Any]:
    try:
        told = json.loads(output.read_bytes(name))
    except ValueError as error:
        raise ArtifactError(f"{output}/{name}: expected JSON: {error}") from error
    if not isinstance(told, dict):
        raise ArtifactError(f"{output}/{name}: expected an object of JSON")
    return told
