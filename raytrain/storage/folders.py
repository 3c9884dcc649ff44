"""A user's cache of folders: each whole, as the hashes beside its files tell, or as good as absent.

A power cut leaves files of no bytes under their final names, and other runs replace and remove what lies
here: so what is taken is checked byte for byte, and whoever finds nothing sound makes it anew.
"""

import contextlib
import json
import os
import shutil
from pathlib import Path

from raytrain.storage.directory import Directory
from raytrain.storage.files import UNFINISHED, hash_file, json_bytes, sha256, whole_or_not

HASHES = "sha256.json"  # of the folder's files, by name


def _read_hashes(kept: Path) -> dict[str, str]:
    """By name; empty where there is no sound folder."""
    try:
        hashes = json.loads((kept / HASHES).read_bytes())
    except (OSError, ValueError):
        return {}
    named = isinstance(hashes, dict) and all(Path(name).name == name for name in hashes)
    return hashes if named else {}


def is_whole(kept: Path) -> bool:
    """Whether a folder is there, each of its files as it was kept."""
    hashes = _read_hashes(kept)
    try:
        return bool(hashes) and all(hash_file(kept / name) == digest for name, digest in hashes.items())
    except OSError:
        return False


def take_folder(kept: Path, into: Directory) -> bool:
    """Copies a folder of the cache.

    Args:
        kept: The folder.
        into: What gets its files, which are replaced.

    Returns:
        Whether all of it was there, as it was kept; where not, some files may have been copied.

    Raises:
        StorageError: They cannot be written.
    """
    hashes = _read_hashes(kept)
    for name, digest in hashes.items():
        try:
            data = (kept / name).read_bytes()
        except OSError:
            return False
        if sha256(data) != digest:
            return False
        into.write_bytes(name, data)
    with contextlib.suppress(OSError):  # the longest unused give way first
        os.utime(kept)
    return bool(hashes)


def keep_folder(made: Directory, kept: Path, most: int) -> None:
    """Copies a folder into the cache; one of its name stays until the new one is whole.

    Args:
        made: The folder's files, none in folders of its own.
        kept: Its place in the cache.
        most: Folders in the cache; beyond, the longest unused give way.

    Raises:
        OSError: The cache cannot be written. What was there is there still.
    """
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with whole_or_not(kept) as unfinished:
        unfinished.mkdir()
        hashes = {}
        for name in made.files():
            data = made.read_bytes(name)
            (unfinished / name).write_bytes(data)
            hashes[name] = sha256(data)
        (unfinished / HASHES).write_bytes(json_bytes(hashes))
        _set_aside(kept)
    others = sorted((path for path in kept.parent.iterdir() if path != kept), key=_last_used)
    for path in others[: max(0, len(others) - most + 1)]:
        shutil.rmtree(path, ignore_errors=True)


def _set_aside(kept: Path) -> None:
    """Frees a folder's name: a folder cannot be replaced in one step."""
    old = kept.with_name(f".{kept.name}.old{UNFINISHED}")
    shutil.rmtree(old, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        kept.rename(old)
    shutil.rmtree(old, ignore_errors=True)


def _last_used(path: Path) -> float:
    """When a folder was last taken; other runs may remove it meanwhile."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
