"""Encoders of the Hugging Face hub: fetched once into its cache, and held to what was fetched first."""

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from raytrain.config.hub_address import MAIN, PREFIX, HubAddress, parse_hub_address
from raytrain.errors import CheckpointError, printable
from raytrain.hub.client import HubClient, Listing
from raytrain.hub.files import Download
from raytrain.hub.known import nearest_repository
from raytrain.pretrained.directory import read_encoder
from raytrain.pretrained.kept import (
    checkpoints_directory,
    find_changes,
    hash_record,
    lock_kept,
    read_record,
    record_path,
    shown_progress,
    write_record,
)
from raytrain.pretrained.weight_files import ORDER
from raytrain.storage.files import hash_file
from raytrain.text.encode import tokenizer_of


def read_hub_address(location: str) -> HubAddress:
    """Reads `hf:ORGANISATION/NAME[@REVISION]`. Raises CheckpointError where it is of another form."""
    try:
        return parse_hub_address(location)
    except ValueError as error:
        near = nearest_repository(location.removeprefix(PREFIX).partition("@")[0])
        meant = [f"did you mean {PREFIX}{near}?"] if near else []
        raise CheckpointError(f"{location}: no address of the hub", [str(error), *meant]) from error


def fetch_hub(address: HubAddress, console: Console, asks_again: bool = False) -> Path:
    """Fetches an encoder of the hub, unless it is here, and verifies it.

    The files go to huggingface_hub's cache. Beside the zoo's records it is written down which commit they
    are of, with the sha256 of each; a directory there holds links to exactly these files, whatever else
    others fetch into the same snapshot. What is here is used without asking the hub.

    Args:
        address: Which.
        console: Where the download shows.
        asks_again: Whether the hub is asked if the branch has moved since.

    Returns:
        The directory of links.

    Raises:
        CheckpointError: It cannot be fetched, no run could read it, or it is not what it was at the first
            fetch.
    """
    record = read_record(address.key)
    if record is not None and _is_here(address, record):
        if asks_again and not address.is_commit:
            _tell_moved(address, record, console)
    else:
        with lock_kept(address.key, console):
            record = read_record(address.key)
            if record is None or not _is_here(address, record):
                return _fetch(address, record, console)
    return _verified(address, record)


def is_here(address: HubAddress) -> bool:
    """Whether it is fetched and would be used without the hub."""
    try:
        record = read_record(address.key)
    except CheckpointError:
        return False  # whoever uses it will be told
    return record is not None and _is_here(address, record)


def _is_here(address: HubAddress, record: dict[str, Any]) -> bool:
    directory = checkpoints_directory() / address.key
    try:
        return all((directory / file).exists() for file in record["files"])
    except OSError:
        return False


def _verified(address: HubAddress, record: dict[str, Any]) -> Path:
    """The directory, once every file is as it was at the first fetch."""
    directory = checkpoints_directory() / address.key
    changes = find_changes(directory, record["files"])
    if changes:
        problems = [
            f"{file}: {what}; delete {(directory / file).resolve()}" for file, what in changes.items()
        ]
        problems.append("what is deleted is fetched anew, as it was")
        problems.append(
            f"to have an encoder of other files, change a copy (cp -rL {directory} DIR) and name it"
        )
        raise CheckpointError(f"{address}: {directory}: not as it was fetched", problems)
    return directory


def _tell_moved(address: HubAddress, record: dict[str, Any], console: Console) -> None:
    """Says whether the branch is at another commit than what was fetched."""
    client, fetched = HubClient(address), str(record.get("revision"))
    if client.is_offline:
        return
    try:
        now = client.list_files(address.revision).commit
    except CheckpointError as error:
        told = f"{address}: whether it has moved cannot be asked: {error.summary}"
    else:
        told = (
            f"{address}: {address.revision} is at {now} now; {fetched}, which was fetched first, is used. "
            f"For the new one say hf:{address.repository}@{now}, or delete {record_path(address.key)}"
        )
        if now == fetched:
            return
    console.print(printable(told), highlight=False, markup=False, soft_wrap=True)


def _fetch(address: HubAddress, record: dict[str, Any] | None, console: Console) -> Path:
    """Fetches and links; of what was fetched before, the same commit again. The lock is the caller's."""
    client = HubClient(address)
    commit = str(record["revision"]) if record is not None and "revision" in record else address.revision
    listing = client.list_files(commit)
    if record is not None:  # of the same commit more may be wanted now than was then
        there = {name: file for name, file in listing.files.items() if name in record["files"]}
        listing = Listing(listing.commit, there)
    with shown_progress(str(address), console) as on_progress:
        places = Download(
            client, listing, ORDER, lambda small: _check(address, small), console, on_progress
        ).fetch()
    hashes = {name: _hash_checked(address, path, listing) for name, path in sorted(places.items())}
    if record is not None and record["files"] != hashes:
        raise _differs(client.url, address, record["files"], hashes)
    try:
        directory = _link(address, places)
        if record is None:
            client.keep_ref(listing.commit)
            whole = {"source": client.url, "revision": listing.commit, "sha256": hash_record(hashes)}
            write_record(address.key, {**whole, "files": hashes})
    except OSError as error:
        home = checkpoints_directory()
        raise CheckpointError(f"{home}: cannot be written: {error.strerror or error}") from error
    return directory


def _differs(
    url: str, address: HubAddress, expected: dict[str, str], found: dict[str, str]
) -> CheckpointError:
    problems = [
        f"{name}: expected the sha256 {expected.get(name)}, found {found.get(name)}"
        for name in sorted({*expected, *found})
        if expected.get(name) != found.get(name)
    ]
    problems.append(f"if the new ones are right, delete {record_path(address.key)}")
    return CheckpointError(f"{url}: other files than at the first fetch", problems)


def _hash_checked(address: HubAddress, path: Path, listing: Listing) -> str:
    """A file's sha256, once it is what the hub says of it, where it says so."""
    try:
        digest = hash_file(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    told = listing.files[path.name].sha256
    if told is not None and told != digest:
        problems = [
            f"expected the sha256 {told}, found {digest}",
            f"delete {path.resolve()} to fetch it anew",
        ]
        raise CheckpointError(f"{address}: {path.name}: not what the hub says it is", problems)
    return digest


def _check(address: HubAddress, places: dict[str, Path]) -> None:
    """Reads all but the weights as a run will. Raises CheckpointError with what keeps it from being read."""
    with _linked(address, places) as directory:
        try:
            tokenizer_of(read_encoder(str(directory), False, 0, key="").vocab)
        except CheckpointError as error:
            state = "" if address.revision == MAIN else f" --revision {address.revision}"
            mine = (
                "where a file of it is to say something else: `hf download "
                f"{address.repository}{state} --local-dir DIR`, change it there, and name DIR"
            )
            problems = [*(error.problems or [error.summary]), mine]
            raise CheckpointError(f"{address}: no encoder that can be read", problems) from error


def _link(address: HubAddress, places: dict[str, Path]) -> Path:
    """A directory of links to these files, in place of what was there."""
    directory = checkpoints_directory() / address.key
    with _linked(address, places) as linking:
        if directory.exists():
            shutil.rmtree(directory)
        linking.rename(directory)
    return directory


@contextlib.contextmanager
def _linked(address: HubAddress, places: dict[str, Path]) -> Iterator[Path]:
    """A directory of links to these files, which goes unless it is renamed. The lock is the caller's."""
    home = checkpoints_directory()
    # By a process that was killed; no star, which takes what another process links of @v1.1 for one of @v1.
    for left in home.glob(f"{address.key}.{'[0-9a-f]' * 8}.linking"):
        shutil.rmtree(left, ignore_errors=True)
    linking = home / f"{address.key}.{uuid.uuid4().hex[:8]}.linking"
    try:
        linking.mkdir()
        for name, place in places.items():
            (linking / name).symlink_to(place)
        yield linking
    except OSError as error:
        raise CheckpointError(f"{home}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(linking, ignore_errors=True)
