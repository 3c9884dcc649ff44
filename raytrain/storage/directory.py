"""Directories on any storage that pyarrow.fs opens: local, NFS, s3://, gs://, hdfs://."""

import contextlib
import io
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pyarrow import NativeFile
from pyarrow import fs as pafs

from raytrain.errors import ConfigError
from raytrain.storage.filesystems import open_uri, root_of
from raytrain.storage.outages import outlast, patience

Result = TypeVar("Result")

_BUFFER_BYTES = 8 << 20  # a request to an object store costs as much as some megabytes
_NEEDS_NO_DIRECTORIES = ("s3", "gcs")


class Directory:
    """A directory of whole files: each is written at once or not at all.

    What fails for a while is tried again, as `storage.outages.outlast` says.

    Args:
        location: A local path (made absolute) or a URI.

    Raises:
        ConfigError: The URI's scheme is unknown to pyarrow.fs.
        StorageError: Here and in every method: the storage cannot be used, or not for now.
    """

    def __init__(self, location: str | Path):
        text = str(location)
        if "?" in text and "://" in text:
            raise ConfigError(
                f"storage {text!r}: options in the URI are not supported",
                ["set them in the environment, e.g. AWS_ENDPOINT_URL for an S3 server of your own"],
            )
        patience()  # a wrong value is told now, not in an outage
        is_path = "://" not in text
        self.path: str
        self._fs: pafs.FileSystem
        if is_path:
            self.path = str(Path(text).expanduser().absolute())
            self._fs = pafs.LocalFileSystem()
        else:
            self._fs, self.path = open_uri(text)
        self.is_local = isinstance(self._fs, pafs.LocalFileSystem)
        self.location = self.path if is_path else text.rstrip("/")
        self._root = "" if self.is_local else root_of(text)

    def __truediv__(self, name: str) -> "Directory":
        below = object.__new__(Directory)  # by the client that is here
        vars(below).update(vars(self), path=f"{self.path}/{name}", location=f"{self.location}/{name}")
        return below

    def __str__(self) -> str:
        return self.location

    def __reduce__(self) -> tuple[type["Directory"], tuple[str]]:
        """Opened anew where it arrives: pyarrow forgets how often and how long its client tries."""
        return Directory, (self.location,)

    def _full(self, name: str) -> str:
        return f"{self.path}/{name}" if name else self.path

    def _outlast(self, what: str, attempt: Callable[[], Result]) -> Result:
        return outlast(attempt, what, self.location, self._root)

    def _info(self, name: str) -> pafs.FileInfo:
        return self._outlast(f"looking for {name or 'it'}", lambda: self._fs.get_file_info(self._full(name)))

    def exists(self, name: str = "") -> bool:
        return self._info(name).type != pafs.FileType.NotFound

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none of that name."""
        info = self._info(name)
        return int(info.size) if info.is_file else None

    def stamp(self, name: str) -> list[int] | None:
        """Bytes of a file, and when it was written, in nanoseconds; None where there is none of that name."""
        info = self._info(name)
        return [int(info.size), int(info.mtime_ns or 0)] if info.is_file else None

    def files(self) -> list[str]:
        """Relative names of all files below, sorted."""
        selector = pafs.FileSelector(self.path, recursive=True, allow_not_found=True)
        infos = self._outlast("listing its files", lambda: self._fs.get_file_info(selector))
        return sorted(info.path[len(self.path) :].lstrip("/") for info in infos if info.is_file)

    def names(self) -> list[str]:
        """Names of the files and directories right below, sorted."""
        selector = pafs.FileSelector(self.path, allow_not_found=True)
        infos = self._outlast("listing its names", lambda: self._fs.get_file_info(selector))
        return sorted(info.base_name for info in infos)

    def read_bytes(self, name: str) -> bytes:
        def attempt() -> bytes:
            with self._fs.open_input_stream(self._full(name), compression=None) as stream:
                return stream.read()

        return self._outlast(f"reading {name}", attempt)

    def open_stream(self, name: str) -> io.BufferedReader:
        """Opens a file to read it piece by piece; after an outage it goes on where it was."""
        full = self._full(name)
        stream = _PatientStream(
            lambda: self._fs.open_input_file(full),
            lambda attempt: self._outlast(f"reading {name}", attempt),
        )
        return io.BufferedReader(stream, _BUFFER_BYTES)

    def write_bytes(self, name: str, data: bytes) -> None:
        """Writes a file so that a reader sees all of it or none: a new name, then a rename.

        Object stores make a put visible whole, so there the file is written under its own name.
        """
        write = self._write_and_rename if self.is_local else self._put
        self._outlast(f"writing {name}", lambda: write(self._full(name), data))

    def _write_and_rename(self, full: str, data: bytes) -> None:
        target = Path(f"{full}.{uuid.uuid4().hex[:8]}.tmp")
        self._fs.create_dir(full.rsplit("/", 1)[0], recursive=True)
        try:
            with self._fs.open_output_stream(str(target), compression=None) as stream:
                stream.write(data)
            target.replace(full)
        except BaseException:
            with contextlib.suppress(OSError):
                target.unlink()
            raise

    def _put(self, full: str, data: bytes) -> None:
        if self._fs.type_name not in _NEEDS_NO_DIRECTORIES:
            self._fs.create_dir(full.rsplit("/", 1)[0], recursive=True)
        with self._fs.open_output_stream(full, compression=None) as stream:
            stream.write(data)

    def remove(self, name: str) -> None:
        """Removes one file, if it is there."""

        def attempt() -> None:
            with contextlib.suppress(FileNotFoundError):
                self._fs.delete_file(self._full(name))

        self._outlast(f"removing {name}", attempt)

    def is_writable(self) -> bool:
        """Whether a file can be written here right now, without waiting for it."""
        probe = self._full(f".probe-{uuid.uuid4().hex[:8]}")
        try:
            (self._write_and_rename if self.is_local else self._put)(probe, b"")
            self._fs.delete_file(probe)
        except OSError:
            return False
        return True

    def delete(self) -> None:
        """Removes the directory and all below it, if it is there."""

        def attempt() -> None:
            if self._fs.get_file_info(self.path).type == pafs.FileType.NotFound:
                return
            with contextlib.suppress(FileNotFoundError):  # another driver was faster
                self._fs.delete_dir(self.path)

        self._outlast("removing it", attempt)


class _PatientStream(io.RawIOBase):
    """A file that is opened again, at the same place, after a read of it failed."""

    def __init__(
        self,
        open_file: Callable[[], NativeFile],
        outlast_reading: Callable[[Callable[[], Any]], Any],
    ):
        self._open, self._outlast, self._position = open_file, outlast_reading, 0
        self._file: NativeFile | None = None
        self._read(lambda file: b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._read(lambda file: file.read(len(buffer)))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """The rest, by one request and not by many small ones."""
        return self._read(lambda file: file.read())

    def _read(self, read: Callable[[NativeFile], bytes]) -> bytes:
        def attempt() -> bytes:
            if self._file is None:
                self._file = self._open()
                self._file.seek(self._position)
            try:
                return read(self._file)
            except OSError:
                self._file = None
                raise

        data: bytes = self._outlast(attempt)
        self._position += len(data)
        return data

    def close(self) -> None:
        self._file = None
        super().close()
