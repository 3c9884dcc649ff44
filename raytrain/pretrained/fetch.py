"""Encoder directories by name: fetched once, verified ever after."""

import glob
import os
import shutil
import uuid
from pathlib import Path

from rich.console import Console
from rich.table import Table

from raytrain.config.hub_address import HubAddress, is_hub_address
from raytrain.errors import ArchiveError, CheckpointError
from raytrain.hub.known import HUB
from raytrain.pretrained.archives import is_archive, unpack
from raytrain.pretrained.directory import KEY, holds_config
from raytrain.pretrained.download import discard, download
from raytrain.pretrained.hub import fetch_hub, is_here, read_hub_address
from raytrain.pretrained.kept import (
    checkpoints_directory,
    find_kept,
    lock_kept,
    read_record,
    record_path,
    shown_progress,
    verified,
    write_record,
)
from raytrain.pretrained.zoo import MINI, ZOO, ZooEntry, nearest_name
from raytrain.storage.files import hash_file, hash_files


def locate_checkpoint(location: str, console: Console, mirror: str | None = None, key: str = KEY) -> Path:
    """Finds the directory of an encoder; fetches or unpacks it where need be.

    Args:
        location: `mini`, a directory, a file of one, an archive (.tar.gz, .zip), a name of the zoo or of its
            part on the Hugging Face hub, or `hf:ORGANISATION/NAME[@REVISION]`. What is here comes first.
        console: Where the download shows, and that the directory of a file is taken.
        mirror: As in `fetch`.
        key: As in `read_encoder`.

    Raises:
        CheckpointError: Nothing of that name, or it cannot be fetched, unpacked or verified.
    """
    found = find_checkpoint(location, key)
    if isinstance(found, ZooEntry):
        return fetch(found, console, mirror)
    if isinstance(found, HubAddress):
        return fetch_hub(found, console)
    if not found.is_dir():
        return _unpack_local(found, console)
    if location != "mini" and not Path(location).expanduser().is_dir():
        line = f"{key}{location} is a file of an encoder; its directory {found} is taken"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return found


def find_checkpoint(location: str, key: str = KEY) -> Path | ZooEntry | HubAddress:
    """What a location of `locate_checkpoint` stands for: a directory, an archive, or what can be fetched.

    Args:
        location: As of `locate_checkpoint`.
        key: As in `read_encoder`.

    Raises:
        CheckpointError: Nothing of that name.
    """
    if location == "mini":
        return MINI
    if is_hub_address(location):
        return read_hub_address(location)
    try:
        path = Path(location).expanduser()
        if path.is_dir() or (path.is_file() and is_archive(path)):
            return path
        if path.is_file() or _is_prefix(path):
            return _directory_of(path, f"{key}{location}")
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{key}{location}: cannot be looked at: {error}") from error
    if location in ZOO:
        return ZOO[location]
    if location in HUB:
        return HUB[location].address
    near = nearest_name(location)
    problems = [
        "expected `mini`, a name that `raytrain checkpoints list` or `list --hub` shows, "
        "hf:ORGANISATION/NAME, a directory, or an archive (.tar.gz, .zip) of one"
        + (f"; did you mean {near}?" if near else "")
    ]
    raise CheckpointError(f"{key}{location}: no such checkpoint", problems)


def _is_prefix(path: Path) -> bool:
    """Whether it names a TensorFlow checkpoint as TensorFlow does, without the endings of its files."""
    name = glob.escape(path.name)
    return bool(path.name) and path.parent.is_dir() and any(path.parent.glob(f"{name}.index"))


def _directory_of(path: Path, told: str) -> Path:
    """Where a file of an encoder lies. Raises CheckpointError where that is no encoder's directory."""
    directory = path.parent
    if not holds_config(directory):
        problem = f"expected a file of an encoder's directory, found no config json beside it in {directory}"
        raise CheckpointError(f"{told}: no such checkpoint", [problem])
    return directory


def is_fetched(location: str) -> bool:
    """Whether `locate_checkpoint` would fetch nothing, or tell that there is nothing of that name."""
    if is_hub_address(location):
        return is_here(read_hub_address(location))
    try:
        if Path(location).exists():
            return True
    except OSError:
        return True  # whoever looks at it will be told
    if location in HUB:
        return is_here(HUB[location].address)
    return location not in ZOO or find_kept(location) is not None


def _unpack_local(archive: Path, console: Console) -> Path:
    """Unpacks an archive under a name made of its content."""
    try:
        name = f"archive-{hash_file(archive)[:32]}"
    except OSError as error:
        raise CheckpointError(f"{archive}: cannot be read: {error.strerror or error}") from error
    with lock_kept(name, console):
        return _install(name, archive, str(archive))


def zoo_table() -> Table:
    """Every name, what it is, and whether it is here."""
    table = Table(box=None, pad_edge=False)
    for column, justify in (("name", "left"), ("language", "left"), ("parameters", "right")):
        table.add_column(column, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for column in ("tokenizer", "here"):
        table.add_column(column, no_wrap=True)
    for entry in ZOO.values():
        here = "yes" if find_kept(entry.name) else "no"
        count = f"{entry.num_parameters / 1e6:.1f} M"
        table.add_row(entry.name, entry.language, count, entry.tokenizer, here)
    return table


def hub_table() -> Table:
    """Every encoder of `hub.known`, what it is, and whether it is here."""
    table = Table(box=None, pad_edge=False)
    for column in ("name", "publisher", "kind", "parameters", "here"):
        table.add_column(column, justify="right" if column == "parameters" else "left", no_wrap=True)
    for entry in HUB.values():
        count = f"{entry.num_parameters / 1e6:.1f} M"
        here = "yes" if is_here(entry.address) else "no"
        table.add_row(entry.name, entry.address.organisation, entry.kind, count, here)
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
    if find_kept(entry.name):  # without the lock, which a shared home may not let one write
        return verified(entry.name)
    archive = home / f"{entry.name}.archive"
    with lock_kept(entry.name, console):
        if not archive.exists() and not find_kept(entry.name):
            with shown_progress(entry.name, console) as on_progress:
                download(source, archive, on_progress)
        try:
            directory = _install(entry.name, archive, source)
        except ArchiveError:
            discard(archive)
            raise
        discard(archive)
    return directory


def _install(name: str, archive: Path, source: str) -> Path:
    """Unpacks an archive under a name, or finds it unpacked and verifies it. The lock is the caller's."""
    home = checkpoints_directory()
    if (home / name).is_dir():
        return verified(name)
    for left in home.glob(f"{name}.*.unpacking"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    unpacked = home / f"{name}.{uuid.uuid4().hex[:8]}.unpacking"
    try:
        digest, record = hash_file(archive), read_record(name)
        if record is not None and record["sha256"] != digest:
            problems = [
                f"expected the sha256 {record['sha256']} of the first fetch, from {record['source']}",
                f"found {digest}; if the new one is right, delete {record_path(name)}",
            ]
            raise ArchiveError(f"{source}: another archive than before", problems)
        unpack(archive, unpacked)
        if record is None:
            record = {"source": source, "sha256": digest, "files": hash_files(unpacked)}
            write_record(name, record)
        unpacked.rename(home / name)
    except OSError as error:
        raise CheckpointError(f"{home}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    return home / name
