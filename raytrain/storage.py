"""Directories on any storage that pyarrow.fs opens: local, NFS, s3://, gs://, hdfs://."""

import hashlib
import json
import math
import os
import uuid
from pathlib import Path, PurePosixPath
from typing import Any

from pyarrow import ArrowInvalid, NativeFile
from pyarrow import fs as pafs

from raytrain.errors import ConfigError


class Directory:
    """A directory of whole files: each is written at once or not at all.

    Args:
        location: A local path (made absolute) or a URI.

    Raises:
        ConfigError: The URI's scheme is unknown to pyarrow.fs.
    """

    def __init__(self, location: str | Path):
        text = str(location)
        if "?" in text and "://" in text:
            raise ConfigError(
                f"storage {text!r}: options in the URI are not supported",
                ["set them in the environment, e.g. AWS_ENDPOINT_URL for an S3 server of your own"],
            )
        is_path = "://" not in text
        try:
            if is_path:
                self.path = str(Path(text).expanduser().absolute())
                self._fs: pafs.FileSystem = pafs.LocalFileSystem()
            else:
                # Google's client else tries for a quarter of an hour, deaf to signals.
                uri = f"{text}?retry_limit_seconds=60" if text.startswith(("gs://", "gcs://")) else text
                self._fs, self.path = pafs.FileSystem.from_uri(uri)
        except (ArrowInvalid, OSError, ValueError, RuntimeError) as error:
            raise ConfigError(f"storage {text!r}: cannot be opened by pyarrow.fs: {error}") from error
        self.is_local = isinstance(self._fs, pafs.LocalFileSystem)
        self.location = self.path if is_path else text.rstrip("/")

    def __truediv__(self, name: str) -> "Directory":
        return Directory(f"{self.location}/{name}")

    def __str__(self) -> str:
        return self.location

    def _full(self, name: str) -> str:
        return f"{self.path}/{name}"

    def exists(self, name: str = "") -> bool:
        path = self._full(name) if name else self.path
        return self._fs.get_file_info(path).type != pafs.FileType.NotFound

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none of that name."""
        info = self._fs.get_file_info(self._full(name))
        return int(info.size) if info.is_file else None

    def files(self) -> list[str]:
        """Relative names of all files below, sorted."""
        selector = pafs.FileSelector(self.path, recursive=True, allow_not_found=True)
        infos = self._fs.get_file_info(selector)
        return sorted(info.path[len(self.path) :].lstrip("/") for info in infos if info.is_file)

    def read_bytes(self, name: str) -> bytes:
        with self._fs.open_input_stream(self._full(name), compression=None) as stream:
            return stream.read()

    def open_stream(self, name: str) -> NativeFile:
        """Opens a file to read it piece by piece."""
        return self._fs.open_input_stream(self._full(name), compression=None)

    def write_bytes(self, name: str, data: bytes) -> None:
        """Writes a file so that a reader sees all of it or none: a new name, then a rename.

        Object stores make a put visible whole, so there the file is written under its own name.
        """
        full = self._full(name)
        self._fs.create_dir(full.rsplit("/", 1)[0], recursive=True)
        target = f"{full}.{uuid.uuid4().hex[:8]}.tmp" if self.is_local else full
        with self._fs.open_output_stream(target, compression=None) as stream:
            stream.write(data)
        if self.is_local:
            Path(target).replace(full)

    def delete(self) -> None:
        """Removes the directory and all below it, if it is there."""
        if self.exists():
            self._fs.delete_dir(self.path)


def home_directory() -> Path:
    """Where this user's caches lie: RAYTRAIN_HOME, else `raytrain` in the XDG cache directory."""
    home = os.environ.get("RAYTRAIN_HOME")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(home).expanduser().absolute() if home else cache / "raytrain"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def hash_file(path: Path) -> str:
    """The sha256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_inside(name: str) -> bool:
    """Whether a relative name of others stays below the directory that it is relative to."""
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and "\\" not in name


def json_bytes(value: Any, indent: int | None = 1) -> bytes:
    """JSON as files hold it: strict, so that NaN (a metric that is not defined) becomes null.

    Args:
        value: Plain values.
        indent: None for one line, as JSON Lines need it.
    """
    text = json.dumps(_without_nan(value), ensure_ascii=False, indent=indent, allow_nan=False)
    return f"{text}\n".encode()


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
