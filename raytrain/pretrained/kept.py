"""Checkpoints that are kept: the record of the first fetch, to which every later use is held."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from raytrain.errors import CheckpointError
from raytrain.home import home_directory
from raytrain.storage.directory import Directory
from raytrain.storage.files import hash_files, json_bytes


def checkpoints_directory() -> Path:
    """Where fetched checkpoints lie: `checkpoints` in `home.home_directory`."""
    return home_directory() / "checkpoints"


def find_kept(name: str) -> Path | None:
    """A checkpoint's directory, not verified; None where there is none, or nothing may be looked at."""
    directory = checkpoints_directory() / name
    try:
        return directory if directory.is_dir() else None
    except OSError:
        return None


@contextlib.contextmanager
def lock_kept(name: str, console: Console) -> Iterator[None]:
    """Held while a checkpoint is fetched or unpacked; whoever comes second finds it here."""
    home = checkpoints_directory()
    lock = FileLock(home / f"{name}.lock")
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=1)
        except Timeout:
            console.print(f"waiting for another process that fetches {name}", highlight=False, markup=False)
            lock.acquire()
    except OSError as error:
        advice = "set RAYTRAIN_HOME to a directory that can be written"
        raise CheckpointError(f"{home}: cannot be used: {error.strerror or error}", [advice]) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def shown_progress(name: str, console: Console) -> Iterator[Any]:
    """Gives what is told (bytes done, bytes in all or None), and shows it."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"fetching {name}", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def find_changes(directory: Path, expected: dict[str, str]) -> dict[str, str]:
    """What is otherwise than at the first fetch, by file.

    Args:
        directory: Of a checkpoint.
        expected: The sha256 of each of its files.

    Raises:
        CheckpointError: It cannot be read.
    """
    try:
        found = hash_files(directory)
    except OSError as error:
        raise CheckpointError(f"{directory}: cannot be read: {error.strerror or error}") from error
    changes = {file: "missing" for file in expected.keys() - found.keys()}
    changes |= {file: "was not there when it was fetched" for file in found.keys() - expected.keys()}
    changes |= {
        file: "its content has changed (sha256 differs)"
        for file in expected.keys() & found.keys()
        if expected[file] != found[file]
    }
    return dict(sorted(changes.items()))


def verified(name: str) -> Path:
    """The directory of what came in an archive, once every file is as it was when unpacked.

    Raises:
        CheckpointError: It is not, or nobody wrote down how it was.
    """
    directory, record = checkpoints_directory() / name, read_record(name)
    changes = find_changes(directory, record["files"] if record is not None else {})
    problems = [f"{file}: {what}" for file, what in changes.items()]
    if record is None:
        problems = [f"{record_path(name).name}, the record of its first fetch, is missing"]
    if problems:
        problems.append(f"delete {directory} to fetch or unpack it anew")
        raise CheckpointError(f"{directory}: not as it was fetched", problems)
    return directory


def record_path(name: str) -> Path:
    return checkpoints_directory() / f"{name}.json"


def write_record(name: str, record: dict[str, Any]) -> None:
    """Writes whence a checkpoint came (`source`, `sha256`) and the sha256 of its `files`."""
    Directory(checkpoints_directory()).write_bytes(record_path(name).name, json_bytes(record))


def read_record(name: str) -> dict[str, Any] | None:
    """What the first fetch wrote down; it outlives the directory.

    Raises:
        CheckpointError: It is damaged.
    """
    path = record_path(name)
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_bytes())
        texts = (record["sha256"], record["source"])
        if not all(isinstance(text, str) for text in texts) or not isinstance(record["files"], dict):
            raise ValueError("expected a sha256, a source and files")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        advice = f"delete it and {path.with_suffix('')} to fetch or unpack anew"
        raise CheckpointError(f"{path}: damaged: {error!r}", [advice]) from error
    return dict(record)


def hash_record(files: dict[str, str]) -> str:
    """One sha256 of many files: of their names and theirs."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def find_origin(directory: Path) -> dict[str, str] | None:
    """Whence a kept checkpoint came: `source`, `sha256`, of the hub `revision`; None of other directories."""
    if directory.parent != checkpoints_directory():
        return None
    record = read_record(directory.name)
    names = ("source", "revision", "sha256")
    return None if record is None else {name: str(record[name]) for name in names if name in record}
