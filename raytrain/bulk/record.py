"""What is done of a large prediction, kept beside its output: the same command goes on there."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from raytrain.bulk.inputs import PIECE, stem_of
from raytrain.errors import ArtifactError, ConfigError
from raytrain.storage.directory import Directory
from raytrain.storage.files import json_bytes, sha256

ASKED = "_asked.json"
FILES = "files"  # of it: each input, as it was when it was begun
OF = "of"  # of a mark: what was asked of which file


def mark_of(stem: str) -> str:
    """The name of the mark that all of an input file is predicted."""
    return f"_{stem}.done.json"


class Record:
    """Which files are predicted. What lies in the output counts only where it is of a file begun here.

    Args:
        output: Where predictions lie.
        asked: What makes them: another ensemble, or other columns, would not fit what is there.
        files: To each input's name what it is now, as `Directory.stamp` tells it.
        suffix: Of files of predictions.

    Raises:
        ConfigError: Predictions of something else are there, or files that are none, or of inputs that have
            changed since; all of it is told, and nothing is written.
    """

    def __init__(
        self, output: Directory, asked: Mapping[str, Any], files: Mapping[str, list[int]], suffix: str
    ):
        self._output = output
        self._there = {*output.names()}
        self._made = _made_of(self._there, suffix)
        before = _read(output, ASKED) if ASKED in self._there else {}
        begun = before.get(FILES, {})
        problems = []
        if any(self._made[stem_of(name)] for name in begun):
            problems += [
                f"{key}: it was begun with {json.dumps(before.get(key), ensure_ascii=False)}, found "
                f"{json.dumps(value, ensure_ascii=False)}"
                for key, value in asked.items()
                if before.get(key) != value
            ]
        else:
            begun = {}  # of nothing yet: what was asked in vain is no matter
        problems += [problem for name, stamp in files.items() if (problem := self._unfit(name, stamp, begun))]
        problems += _named_as_pieces(files, begun)
        if problems:
            found = "holds something else; give another output, or remove what is there"
            raise ConfigError(f"{output}: {found}", problems)
        self._of = {
            stem_of(name): sha256(json_bytes({**asked, "file": name, "stamp": stamp}))
            for name, stamp in files.items()
        }
        wanted = {**asked, FILES: begun | dict(files)}
        if wanted != before:
            output.write_bytes(ASKED, json_bytes(wanted))

    def _unfit(self, name: str, stamp: list[int], begun: Mapping[str, list[int]]) -> str | None:
        made = self._made[stem_of(name)]
        if not made or begun.get(name) == stamp:
            return None
        if name not in begun:
            return f"{made[0]}: was not predicted here, and would be taken for a prediction of {name}"
        return f"{name}: has changed since {made[0]} was predicted of it"

    def done(self, stem: str) -> dict[str, Any] | None:
        """What was told of a file when it was done; None where it is not, or some of it is gone."""
        if not self._made[stem] or mark_of(stem) not in self._there:
            return None
        told = _read(self._output, mark_of(stem))
        # A mark outlives predictions that somebody removed, and those of another format beside them.
        is_of_this = told.pop(OF, None) == self._of[stem]
        return told if is_of_this and told.get("pieces") == len(self._made[stem]) else None

    def finish(self, stem: str, told: Mapping[str, Any]) -> None:
        """Marks all of a file as predicted: its rows, and in how many pieces."""
        self._output.write_bytes(mark_of(stem), json_bytes({**told, OF: self._of[stem]}))


def _named_as_pieces(files: Iterable[str], begun: Iterable[str]) -> list[str]:
    """What is wrong with files whose predictions would pass for a piece of another's."""
    stems = {stem_of(name): name for name in (*begun, *files)}
    return [
        f"{name}: its predictions would pass for a piece of those of {stems[piece[1]]}; rename it"
        for stem, name in stems.items()
        if (piece := PIECE.fullmatch(stem)) and piece[1] in stems and {name, stems[piece[1]]} & {*files}
    ]


def _made_of(names: Iterable[str], suffix: str) -> defaultdict[str, list[str]]:
    """To the stem of an input what lies there that its predictions would be called."""
    made: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        if not name.endswith(suffix) or name[0] in "._":
            continue
        stem = name.removesuffix(suffix)
        made[stem].append(name)
        if piece := PIECE.fullmatch(stem):
            made[piece[1]].append(name)
    return made


def _read(output: Directory, name: str) -> dict[str, Any]:
    try:
        told = json.loads(output.read_bytes(name))
    except ValueError as error:
        raise ArtifactError(f"{output}/{name}: expected JSON: {error}") from error
    if not isinstance(told, dict) or not isinstance(told.get(FILES, {}), dict):
        raise ArtifactError(f"{output}/{name}: expected an object of JSON")
    return told
