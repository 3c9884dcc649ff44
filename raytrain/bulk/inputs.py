"""What is to be predicted: one file, or those of a directory, on any storage."""

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from raytrain.errors import InputError
from raytrain.files.encodings import COMPRESSIONS
from raytrain.files.tables import FORMATS
from raytrain.storage.directory import Directory

_FORMATS = (*FORMATS, ".bio")
_PACKED = [f"{suffix}{packed}" for suffix in _FORMATS for packed in COMPRESSIONS if suffix != ".parquet"]
SUFFIXES = (*_FORMATS, *_PACKED)
PIECE = re.compile(r"(.+)-\d{5}")  # as `pieces.output_name` names predictions


def list_inputs(location: str) -> tuple[Directory, list[str]]:
    """The directory of the files to predict, and their names, sorted.

    Args:
        location: Of a file, or of a directory, whose files of known suffixes are taken; those that begin
            with a dot or an underscore are others' marks.

    Raises:
        InputError: There is none, or one whose name or whose predictions' would mean something else.
    """
    parent, _, name = location.rstrip("/").rpartition("/")
    if name.lower().endswith(SUFFIXES):
        directory = Directory(parent or ("/" if location.startswith("/") else "."))
        if directory.size(name) is not None:
            if name[0] in "._":
                expected = "expected a name that does not begin with a dot or an underscore, as marks do"
                raise InputError(f"{location}: {expected}; rename it")
            return directory, [name]
        if not directory.exists(name):
            raise InputError(f"{location}: expected a file, found none")
    directory = Directory(location)  # some programs write directories of Parquet that are called x.parquet
    names = [name for name in directory.names() if name.lower().endswith(SUFFIXES) and name[0] not in "._"]
    names = [name for name in names if directory.size(name) is not None]
    if not names:
        expected = f"expected files of texts ({', '.join(_FORMATS)}, also compressed), found none"
        raise InputError(f"{location}: {expected}")
    stems = [stem_of(name) for name in names]
    twice = sorted({name for name in names if stems.count(stem_of(name)) > 1})
    pieces = {stem for stem in stems if (piece := PIECE.fullmatch(stem)) and piece[1] in stems}
    if pieces:
        found = ", ".join(name for name in names if stem_of(name) in pieces)
        expected = "expected no file named as a piece of another"
        raise InputError(f"{location}: {expected}, found {found}; rename it")
    if twice:
        raise InputError(
            f"{location}: expected names that differ before their suffixes, found {', '.join(twice)}"
        )
    return directory, names


def stem_of(name: str) -> str:
    """A file's name without its suffixes: of what is made of it."""
    return name[: len(name) - max(len(suffix) for suffix in SUFFIXES if name.lower().endswith(suffix))]


@contextlib.contextmanager
def on_this_disk(directory: Directory, name: str) -> Iterator[str]:
    """The path of a file, on this machine: one from elsewhere is copied for as long as the block lasts."""
    if directory.is_local:
        yield f"{directory.path}/{name}"
        return
    with tempfile.TemporaryDirectory(prefix="raytrain-") as folder:
        path = Path(folder) / name
        with directory.open_stream(name) as source, path.open("wb") as target:
            shutil.copyfileobj(source, target, 8 << 20)
        yield str(path)
