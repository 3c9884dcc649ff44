"""Unpacking archives of others: nothing leaves the directory, and nothing fills the disk."""

import bz2
import gzip
import lzma
import math
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from raytrain.errors import ArchiveError
from raytrain.storage.files import is_inside

# The largest known encoder's archive unpacks to about a gigabyte.
MAX_BYTES = 16 << 30
MAX_MEMBERS = 10_000
MAX_DEPTH = 20  # parts of a name, each of which may be a directory that is made
_LARGEST_HEADER = 64 << 10  # parsing a longer one can take hours (CVE-2024-6232)
_LARGEST_HEADERS = 1 << 20  # of a member: tarfile reads one after another as long as they say that more come
_MOST_GLOBALS = 1000  # keys of headers for all members, which it keeps
_LARGEST_PADDING = 8 << 20
_CHUNK_BYTES = 1 << 20
_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".tar.xz", ".tar.bz2", ".zip")
_READ_ERRORS = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)
# What zipfile raises for encrypted members and for methods it does not know.
_UNKNOWN = (
    RuntimeError,
    NotImplementedError,
    ValueError,
    IndexError,
    OverflowError,
    MemoryError,
    struct.error,
)

_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"\xfd7zXZ\0": lzma.open,
    b"BZh": bz2.open,
}

# A member: its name, why it cannot be unpacked or None, and its bytes, None for a directory.
_Member = tuple[str, str | None, IO[bytes] | None]


def is_archive(path: Path) -> bool:
    return path.name.lower().endswith(_SUFFIXES)


def unpack(archive: Path, directory: Path, max_bytes: int = MAX_BYTES) -> None:
    """Unpacks the plain files of a .tar (also .gz, .xz, .bz2) or .zip archive into a directory.

    Args:
        archive: The archive; its content tells of which kind it is.
        directory: A new or empty directory.
        max_bytes: Bound on all files together, whatever the archive says of their sizes.

    Raises:
        ArchiveError: It is no archive, damaged, truncated, too large, or holds a member that is not a
            plain file or directory below `directory`. What was unpacked before is left to the caller.
        OSError: A file cannot be written.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    left, count, files, members = max_bytes, 0, 0, _members(archive)
    while True:
        try:
            name, refusal, content = next(members)
        except StopIteration:
            break
        except (*_READ_ERRORS, *_UNKNOWN) as error:
            raise _unreadable(archive, error) from error
        count += 1
        files += content is not None
        refusal = refusal or _why_outside(name)
        if count > MAX_MEMBERS:
            refusal = f"expected at most {MAX_MEMBERS:,} files and directories"
        if refusal is not None:
            raise ArchiveError(f"{archive}: cannot be unpacked", [f"{name!r}: {refusal}"])
        left = _lay(archive, name, content, directory, left)
        if left < 0:
            problem = f"unpacked it is larger than {max_bytes:,} bytes"
            raise ArchiveError(f"{archive}: cannot be unpacked", [problem])
    if files == 0:
        raise ArchiveError(f"{archive}: cannot be unpacked", ["expected files in it, found none"])


def _unreadable(archive: Path, error: Exception) -> ArchiveError:
    problem = f"expected a whole .tar.gz or .zip archive, found: {str(error) or type(error).__name__}"
    return ArchiveError(f"{archive}: cannot be unpacked", [problem])


def _why_outside(name: str) -> str | None:
    if not name.isprintable():
        return "expected a name of printable characters"
    if not is_inside(name):
        return "expected a name inside the archive's own directory"
    if (depth := len(PurePosixPath(name).parts)) > MAX_DEPTH:
        return f"expected a name of at most {MAX_DEPTH} parts, found {depth:,}"
    return None


def _lay(archive: Path, name: str, content: IO[bytes] | None, directory: Path, left: int) -> int:
    """Writes a member below the directory, up to one byte more than `left`. Returns what is left then."""
    target = directory / name
    try:
        (target if content is None else target.parent).mkdir(parents=True, exist_ok=True)
        output = target.open("xb") if content is not None else None
    except (FileExistsError, NotADirectoryError) as error:
        problem = f"{name!r}: another member has this name or a part of it"
        raise ArchiveError(f"{archive}: cannot be unpacked", [problem]) from error
    if content is None or output is None:
        return left
    with output:
        while left >= 0 and (chunk := _read(archive, content, min(_CHUNK_BYTES, left + 1))):
            output.write(chunk)
            left -= len(chunk)
    return left


def _read(archive: Path, content: IO[bytes], size: int) -> bytes:
    try:
        return content.read(size)
    except (*_READ_ERRORS, *_UNKNOWN) as error:
        raise _unreadable(archive, error) from error


def _members(archive: Path) -> Iterator[_Member]:
    with archive.open("rb") as stream:
        begin = stream.read(6)
    if begin.startswith(b"PK"):
        yield from _zip_members(archive)
        return
    opener = next((opener for magic, opener in _OPENERS.items() if begin.startswith(magic)), open)
    with opener(archive, "rb") as stream:
        yield from _tar_members(_Bounded(stream))
        behind = 0
        while chunk := stream.read(_CHUNK_BYTES):  # to the checksum behind the last member
            behind += len(chunk)
            if behind > _LARGEST_PADDING:
                raise tarfile.ReadError("more behind its end than padding")


class _Bounded:
    """A stream that gives no more than a member's headers may have: tarfile believes what a header says."""

    def __init__(self, stream: IO[bytes]):
        self._stream, self.seek, self.tell = stream, stream.seek, stream.tell
        self.expect_headers()

    def expect_headers(self) -> None:
        self._largest, self._left = _LARGEST_HEADER, float(_LARGEST_HEADERS)

    def expect_content(self) -> None:
        self._largest, self._left = _CHUNK_BYTES + tarfile.BLOCKSIZE, math.inf  # `unpack` counts it

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self._largest:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        self._left -= size
        if self._left < 0:
            raise tarfile.ReadError(f"more than {_LARGEST_HEADERS:,} bytes of headers before a member")
        return self._stream.read(size)


def _tar_members(stream: _Bounded) -> Iterator[_Member]:
    with tarfile.open(fileobj=stream, mode="r:") as tar:  # type: ignore[call-overload]
        while True:
            stream.expect_headers()
            member = tar.next()
            if member is None:
                break
            stream.expect_content()
            tar.members = []  # each would keep its headers
            if len(tar.pax_headers) > _MOST_GLOBALS:
                raise tarfile.ReadError(f"more than {_MOST_GLOBALS:,} keys of headers for all members")
            refusal = _why_special(member)
            yield member.name, refusal, tar.extractfile(member) if member.isreg() and not refusal else None
        # tarfile also ends, without a word, at a header that is damaged or cut.
        stream.seek(tar.offset)
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("no end behind its last whole member")


def _why_special(member: tarfile.TarInfo) -> str | None:
    if member.issparse():  # a few bytes may say that it is of any size
        return "expected a plain file, found a sparse one"
    return None if member.isreg() or member.isdir() else "expected a plain file, found a link or a device"


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as packed:
        for info in packed.infolist():
            kind = info.external_attr >> 28  # of Unix's mode: 8 a plain file, 4 a directory, 0 not told
            refusal = None if kind in (0, 4, 8) else "expected a plain file, found a link or a device"
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                refusal = "expected it stored or deflated"
            if info.is_dir() or refusal is not None:
                yield info.filename, refusal, None
            else:
                with packed.open(info) as content:
                    yield info.filename, None, content
