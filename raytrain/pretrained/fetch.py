"""Encoder directories by name: fetched once, verified ever after."""

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from raytrain.errors import ArchiveError, CheckpointError
from raytrain.home import home_directory
from raytrain.pretrained.archives import is_archive, unpack
from raytrain.pretrained.download import discard, download
from raytrain.pretrained.zoo import MINI, ZOO, ZooEntry, nearest_name
from raytrain.storage.directory import Directory
from raytrain.storage.files import hash_file, json_bytes


def checkpoints_directory() -> Path:
    """Where fetched checkpoints lie: `checkpoints` in `storage.directory.home_directory`."""
    return home_directory() / "checkpoints"


def locate_checkpoint(location: str, console: Console, mirror: str | None = None) -> Path:
    """Finds the directory of an encoder; fetches or unpacks it where need be.

    Args:
        location: `mini`, a directory, an archive (.tar.gz, .zip), or a name of the zoo. What is here comes
            first.
        console: Where the download shows.
        mirror: As in `fetch`.

    Raises:
        CheckpointError: Nothing of that name, or it cannot be fetched, unpacked or verified.
    """
    if location == "mini":
        return MINI
    try:
        path = Path(location).expanduser()
        is_directory, is_file = path.is_dir(), path.is_file()
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"encoder.checkpoint={location}: cannot be looked at: {error}") from error
    if is_directory:
        return path
    if is_file and is_archive(path):
        return _unpack_local(path, console)
    if location in ZOO:
        return fetch(ZOO[location], console, mirror)
    near = nearest_name(location)
    problems = [
        "expected `mini`, a name that `raytrain checkpoints list` shows, a directory, or an archive "
        "(.tar.gz, .zip) of one" + (f"; did you mean {near}?" if near else "")
    ]
    raise CheckpointError(f"encoder.checkpoint={location}: no such checkpoint", problems)


def _unpack_local(archive: Path, console: Console) -> Path:
    """Unpacks an archive under a name made of its content."""
    try:
        name = f"archive-{hash_file(archive)[:32]}"
    except OSError as error:
        raise CheckpointError(f"{archive}: cannot be read: {error.strerror or error}") from error
    with _lock(name, console):
        return _install(name, archive, str(archive))


def find_fetched(entry: ZooEntry) -> Path | None:
    """A checkpoint's directory, not verified; None where it was not fetched yet."""
    directory = checkpoints_directory() / entry.name
    return directory if _is_directory(directory) else None


def _is_directory(path: Path) -> bool:
    """Also where nothing may be looked at, which whoever goes on will be told."""
    try:
        return path.is_dir()
    except OSError:
        return False


def zoo_table() -> Table:
    """Every name, what it is, and whether it is here."""
    table = Table(box=None, pad_edge=False)
    for column, justify in (("name", "left"), ("language", "left"), ("parameters", "right")):
        table.add_column(column, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for column in ("tokenizer", "here"):
        table.add_column(column, no_wrap=True)
    for entry in ZOO.values():
        here = "yes" if find_fetched(entry) else "no"
        count = f"{entry.num_parameters / 1e6:.1f} M"
        table.add_row(entry.name, entry.language, count, entry.tokenizer, here)
    return table


def fetch(entry: ZooEntry, console: Console, mirror: str | None = None) -> Path:
    """Fetches a checkpoint of the zoo, unless it is here, and verifies it.

    Args:
        entry: Which.
        console: Where the download shows.
        mirror: A base URL, a directory or a URI that holds the archive under its own name instead of its
            publisher; None takes RAYTRAIN_MIRROR.

    Returns:
        Its directory.

    Raises:
        CheckpointError: It cannot be fetched or unpacked, or is not what it was at the first fetch.
    """
    home = checkpoints_directory()
    mirror = mirror or os.environ.get("RAYTRAIN_MIRROR")
    source = f"{mirror.rstrip('/')}/{entry.archive}" if mirror else entry.url
    if find_fetched(entry):  # without the lock, which a shared home may not let one write
        return _verified(entry.name)
    archive = home / f"{entry.name}.archive"
    with _lock(entry.name, console):
        if not archive.exists() and not find_fetched(entry):
            with _progress(entry.name, console) as on_progress:
                download(source, archive, on_progress)
        try:
            directory = _install(entry.name, archive, source)
        except ArchiveError:
            discard(archive)
            raise
        discard(archive)
    return directory


@contextlib.contextmanager
def _lock(name: str, console: Console) -> Iterator[None]:
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
def _progress(name: str, console: Console) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"fetching {name}", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _install(name: str, archive: Path, source: str) -> Path:
    """Unpacks an archive under a name, or finds it unpacked and verifies it. The lock is the caller's."""
    home = checkpoints_directory()
    if (home / name).is_dir():
        return _verified(name)
    for left in home.glob(f"{name}.*.unpacking"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    unpacked = home / f"{name}.{uuid.uuid4().hex[:8]}.unpacking"
    try:
        digest, record = hash_file(archive), _read_record(name)
        if record is not None and record["sha256"] != digest:
            problems = [
                f"expected the sha256 {record['sha256']} of the first fetch, from {record['source']}",
                f"found {digest}; if the new one is right, delete {_record_path(name)}",
            ]
            raise ArchiveError(f"{source}: another archive than before", problems)
        unpack(archive, unpacked)
        if record is None:
            record = {"source": source, "sha256": digest, "files": _hash_files(unpacked)}
            Directory(home).write_bytes(_record_path(name).name, json_bytes(record))
        unpacked.rename(home / name)
    except OSError as error:
        raise CheckpointError(f"{home}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    return home / name


def _hash_files(directory: Path) -> dict[str, str]:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): hash_file(path) for path in files}


def _verified(name: str) -> Path:
    """The directory, once every file is as it was when unpacked."""
    directory, record = checkpoints_directory() / name, _read_record(name)
    expected = record["files"] if record is not None else {}
    try:
        found = _hash_files(directory)
    except OSError as error:
        raise CheckpointError(f"{directory}: cannot be read: {error.strerror or error}") from error
    problems = [f"{file}: missing" for file in expected.keys() - found.keys()]
    problems += [f"{file}: was not in the archive" for file in found.keys() - expected.keys()]
    problems += [
        f"{file}: its content has changed (sha256 differs)"
        for file in expected.keys() & found.keys()
        if expected[file] != found[file]
    ]
    if record is None:
        problems = [f"{_record_path(name).name}, the record of its first fetch, is missing"]
    if problems:
        problems = [*sorted(problems), f"delete {directory} to fetch or unpack it anew"]
        raise CheckpointError(f"{directory}: not as it was fetched", problems)
    return directory


def _record_path(name: str) -> Path:
    return checkpoints_directory() / f"{name}.json"


def _read_record(name: str) -> dict[str, Any] | None:
    """What the first fetch wrote down; it outlives the directory."""
    path = _record_path(name)
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
