"""A bounded cache of large files: what is in use is locked, what is longest unused gives way.

Arrays lie in it as NumPy's .npy. A lock is one of the file's descriptor: it lasts while that, or a mapping
made of it, lives, and a killed process holds none.
"""

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from raytrain.storage.files import UNFINISHED, whole_or_not

PARTIAL = ".partial"  # stands in the name of what grows from run to run


def open_in_use(path: Path) -> IO[bytes] | None:
    """Opens a file and locks it, so that no other run removes it; None where there is none to read."""
    with contextlib.suppress(FileNotFoundError, PermissionError):  # another user's home lies there too
        if not path.exists():
            return None
        stream = path.open("rb")
        fcntl.flock(stream, fcntl.LOCK_SH)
        if os.fstat(stream.fileno()).st_nlink == 0:  # removed before it was locked
            stream.close()
            return None
        with contextlib.suppress(OSError):  # another user's, or on a disk that is only read
            os.utime(stream.fileno())  # the longest unused are removed first
        return stream
    return None


def map_array(stream: Any) -> np.ndarray:
    """Maps an open .npy file of float16; the mapping keeps a duplicate of the descriptor, and so its lock."""
    stream.seek(0)
    np.lib.format.read_magic(stream)
    shape, _, _ = np.lib.format.read_array_header_1_0(stream)
    return np.memmap(stream, np.float16, "r", stream.tell(), shape)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A locked file that takes its name only once it is whole."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with whole_or_not(path) as unfinished, unfinished.open("w+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
        yield stream


@contextlib.contextmanager
def one_at_a_time(cache: Path) -> Iterator[None]:
    """Processes of one node that lack a file at once would each fetch it, and each count the same room."""
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (cache / "copying.lock").open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def partial_path(path: Path) -> Path:
    """Where a file lies until it is whole, if it grows from run to run."""
    return path.with_name(f"{path.stem}{PARTIAL}{path.suffix}")


def open_partial(path: Path, wait: Callable[[], None]) -> IO[bytes]:
    """Opens a file that grows from run to run, for this run alone; makes an empty one where there is none.

    Args:
        path: Of `partial_path`.
        wait: Called over and over while another run has it; pauses, and may raise.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        stream = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.close()
            wait()
            continue
        if os.fstat(stream.fileno()).st_nlink:
            return stream
        stream.close()  # the other run was done with it, or it gave way to another file


_NOT_KNOWN = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENODEV)  # of disks that reserve nothing


def reserve(stream: IO[bytes], size: int) -> None:
    """Gives a file its size and its place on the disk.

    A process that writes into a mapping of a file without one is killed where the disk is full by then.

    Raises:
        OSError: There is no room; `is_full` knows it.
    """
    with contextlib.suppress(AttributeError):  # of os, on macOS
        try:
            os.posix_fallocate(stream.fileno(), 0, size)
        except OSError as error:
            if error.errno not in _NOT_KNOWN:
                raise
    stream.truncate(size)


def is_full(error: OSError) -> bool:
    """Whether the disk, or this user's share of it, has no room."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def finish_partial(stream: IO[bytes], path: Path) -> None:
    """Gives the whole file its name; it stays locked as one in use."""
    fcntl.flock(stream, fcntl.LOCK_SH)
    partial_path(path).replace(path)


def make_room(cache: Path, size: int, max_gb: float, partial: Path | None = None) -> str | None:
    """Removes the longest unused files until `size` bytes fit; says why they cannot.

    Args:
        cache: The directory.
        size: Of the file that is to come.
        max_gb: Bound on all files in 10⁹ bytes.
        partial: What there is of that file, which stays.
    """
    if size > max_gb * 1e9:
        return f"more than cache.max_gb={max_gb:g}"
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = [entry for entry in _files_by_age(cache) if entry[0] != partial]
    used = sum(num_bytes for _, num_bytes in files)
    for path, freed in files:
        if used + size <= max_gb * 1e9 and UNFINISHED not in path.name:
            continue
        with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            used -= freed
    if used + size > max_gb * 1e9:
        return f"the cache's other files are in use, and cache.max_gb={max_gb:g}"
    there = partial.stat().st_blocks * 512 if partial is not None else 0
    free = shutil.disk_usage(cache).free
    return f"{cache} has only {free / 1e9:.1f} GB free" if size - there > free - 1e9 else None


def _files_by_age(cache: Path) -> list[tuple[Path, int]]:
    """The cache's files and their bytes, the longest unused first."""
    files = []
    for path in (path for path in cache.iterdir() if ".npy" in path.name):
        with contextlib.suppress(FileNotFoundError):  # another run has renamed or removed it just now
            stat = path.stat()
            files.append((stat.st_mtime, path, stat.st_size))
    return [(path, num_bytes) for _, path, num_bytes in sorted(files)]
