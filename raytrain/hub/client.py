"""Talks with the Hugging Face hub, or one like it: what a repository holds, and its files.

huggingface_hub is imported when it is needed, which takes a while. It reads the environment as it is
imported; here HF_ENDPOINT, HF_HUB_OFFLINE and the cache's place are read when a client is made.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytrain.config.hub_address import HubAddress
from raytrain.errors import CheckpointError
from raytrain.hub.errors import is_passing, tell_failure
from raytrain.storage.files import is_inside

CONFIG = "config.json"  # of an encoder, by transformers' name
_TRUE = ("1", "ON", "YES", "TRUE")
_ATTEMPTS = 4
_MOST_FILES = 10_000


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository: its bytes where they are told, and its sha256 where the hub knows it."""

    size: int | None
    sha256: str | None = None


@dataclass(frozen=True)
class Listing:
    """What a repository holds at a commit. Names that lead out of it are left out."""

    commit: str
    files: dict[str, RemoteFile]


class HubClient:
    """A repository of a hub.

    Args:
        address: Which.
        pause: Seconds before the second attempt; doubled for every further one.
    """

    def __init__(self, address: HubAddress, pause: float = 1.0):
        from huggingface_hub import constants

        self.address = address
        self.endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
        self.cache = _cache_directory(constants.HF_HUB_CACHE)
        self.is_offline = constants.is_offline_mode() or any(
            os.environ.get(name, "").upper() in _TRUE for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
        )
        self._pause = pause

    @property
    def url(self) -> str:
        return f"{self.endpoint}/{self.address.repository}"

    @property
    def folder(self) -> Path:
        """Of this repository in the cache, which has `blobs`, `refs` and `snapshots`."""
        return self.cache / f"models--{self.address.organisation}--{self.address.name}"

    def list_files(self, revision: str) -> Listing:
        """What the repository holds; offline, what the cache holds of it.

        Args:
            revision: A branch, a tag or a commit.

        Raises:
            CheckpointError: It cannot be told; with what to do.
        """
        if self.is_offline:
            return self._list_cached(revision)
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self.endpoint)
        repository = self.address.repository
        info = self._ask(lambda: api.model_info(repository, revision=revision, files_metadata=True))
        commit, siblings = info.sha, info.siblings or []
        if not HubAddress("a", "a", str(commit)).is_commit or len(siblings) > _MOST_FILES:
            found = f"{len(siblings):,} files at commit {commit!a}"
            expected = f"expected the full name of a commit and {_MOST_FILES:,} files at most"
            raise CheckpointError(f"{self.url}: not what a hub answers", [f"{expected}, found {found}"])
        wrong = [f"{file.rfilename!a:.60}" for file in siblings if not isinstance(file.rfilename, str)]
        if wrong:
            told = f"expected a name of each file, found {wrong[0]}"
            raise CheckpointError(f"{self.url}: not what a hub answers", [told])
        files = {file.rfilename: _remote_file(file) for file in siblings if is_inside(file.rfilename)}
        return Listing(str(commit), files)

    def fetch(self, commit: str, name: str, on_bytes: Callable[[int], None]) -> Path:
        """Fetches a file into huggingface_hub's cache, unless it is there.

        Args:
            commit: The full name of one.
            name: Of the file.
            on_bytes: Told how many bytes of it have come; may raise.

        Returns:
            Its place in the cache's snapshot of that commit.

        Raises:
            CheckpointError: It cannot be fetched.
        """
        from huggingface_hub import hf_hub_download

        def download() -> str:
            return hf_hub_download(
                self.address.repository,
                name,
                revision=commit,
                cache_dir=self.cache,
                endpoint=self.endpoint,
                local_files_only=self.is_offline,
                library_name="raytrain",
                tqdm_class=counting(on_bytes),
            )

        return Path(self._ask(download))

    def keep_ref(self, commit: str) -> None:
        """Writes at which commit the branch was, by which others find it in the cache offline."""
        ref = self.folder / "refs" / self.address.revision
        if not self.address.is_commit and not self.is_offline:
            ref.parent.mkdir(parents=True, exist_ok=True)
            ref.write_text(commit, encoding="ascii")

    def _list_cached(self, revision: str) -> Listing:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(
            self.address.repository, CONFIG, cache_dir=self.cache, revision=revision
        )
        if not isinstance(found, str):
            advice = "fetch it once where the hub can be reached: unset HF_HUB_OFFLINE, or give a directory"
            raise CheckpointError(
                f"{self.address}: not here, and nothing is fetched offline (HF_HUB_OFFLINE)",
                [f"looked in {self.cache}", advice],
            )
        snapshot = Path(found).parent
        names = [path.name for path in snapshot.iterdir() if path.is_file()]
        files = {name: RemoteFile((snapshot / name).stat().st_size) for name in names}
        return Listing(snapshot.name, files)

    def _ask(self, action: Callable[[], Any]) -> Any:
        """Does what talks with the hub, again where another attempt may succeed."""
        for attempt in range(_ATTEMPTS):
            try:
                return action()
            except CheckpointError:
                raise
            except Exception as error:  # theirs, httpx's, the system's, and of json that is none
                if attempt + 1 == _ATTEMPTS or not is_passing(error):
                    raise tell_failure(error, self.address, self.endpoint, self.cache) from error
            time.sleep(self._pause * 2**attempt)
        raise AssertionError("the last attempt returns or raises")


def _cache_directory(default: str) -> Path:
    """Where huggingface_hub's users expect its cache: HF_HUB_CACHE, else `hub` in HF_HOME."""
    home = os.environ.get("HF_HOME")
    named = os.environ.get("HF_HUB_CACHE") or (f"{home}/hub" if home else default)
    return Path(os.path.expandvars(named)).expanduser().absolute()


def _remote_file(file: Any) -> RemoteFile:
    size = file.size if isinstance(file.size, int) and file.size >= 0 else None
    sha256 = file.lfs.sha256 if file.lfs is not None and isinstance(file.lfs.sha256, str) else None
    return RemoteFile(size, sha256)


def counting(on_bytes: Callable[[int], None]) -> Any:
    """A class that stands where a progress bar of tqdm's would, and only passes on what it is told.

    Of what comes by Xet it is told the bytes that are written and those that came over the network, which may
    be more than the file has; without `update_transfer` huggingface_hub makes a second bar of these.
    """

    class Counting:
        def __init__(self, *_: Any, initial: int = 0, **__: Any):
            self._done = initial

        def __enter__(self) -> "Counting":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, count: float | None = 1) -> None:
            self._done += int(count or 0)
            on_bytes(self._done)

        def close(self) -> None:
            pass

        def set_postfix_str(self, *_: Any, **__: Any) -> None:
            pass

        def update_transfer(self, count: float | None = 1) -> None:
            pass

        def set_transfer_postfix_str(self, *_: Any, **__: Any) -> None:
            pass

    return Counting
