"""Unpacking archives of others: nothing leaves the directory, and nothing fills the disk."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from raytrain.errors import CheckpointError

# The largest known encoder's archive unpacks to about a gigabyte.
MAX_BYTES = 16 << 30
MAX_MEMBERS = 10_000
_CHUNK_BYTES = 1 << 20
_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".tar.xz", ".tar.bz2", ".zip")
_READ_ERRORS = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)
# What zipfile raises for encrypted members and for methods it does not know.
_UNKNOWN = (RuntimeError, NotImplementedError, ValueError)

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
        CheckpointError: It is no archive, truncated, too large, or holds a member that is not a plain file
            or directory below `directory`. What was unpacked before is left to the caller.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    left, count = max_bytes, 0
    try:
        for name, refusal, content in _members(archive):
            count += 1
            refusal = refusal or _why_outside(name)
            if count > MAX_MEMBERS:
                refusal = f"expected at most {MAX_MEMBERS:,} files"
            if refusal is not None:
                raise CheckpointError(f"{archive}: cannot be unpacked", [f"{name!r}: {refusal}"])
            target = directory / name
            if content is None:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            left = _write(content, target, left)
            if left < 0:
                problem = f"unpacked it is larger than {max_bytes:,} bytes"
                raise CheckpointError(f"{archive}: cannot be unpacked", [problem])
    except (*_READ_ERRORS, *_UNKNOWN) as error:
        problem = f"expected a whole .tar.gz or .zip archive, found: {str(error) or type(error).__name__}"
        raise CheckpointError(f"{archive}: cannot be unpacked", [problem]) from error
    if count == 0:
        raise CheckpointError(f"{archive}: cannot be unpacked", ["expected files in it, found none"])


def _why_outside(name: str) -> str | None:
    path = PurePosixPath(name)
    if not name.strip("/") or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        return "expected a name inside the archive's own directory"
    return None


def _write(content: IO[bytes], target: Path, left: int) -> int:
    """Writes a member, up to one byte more than `left`. Returns what is left then."""
    with target.open("xb") as output:  # a name that comes twice is not one archive's doing
        while left >= 0 and (chunk := content.read(min(_CHUNK_BYTES, left + 1))):
            output.write(chunk)
            left -= len(chunk)
    return left


def _members(archive: Path) -> Iterator[_Member]:
    if zipfile.is_zipfile(archive):
        yield from _zip_members(archive)
    else:
        yield from _tar_members(archive)


def _tar_members(archive: Path) -> Iterator[_Member]:
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            plain = member.isreg() or member.isdir()
            refusal = None if plain else "expected a plain file, found a link or a device"
            yield member.name, refusal, tar.extractfile(member) if member.isreg() else None


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as packed:
        for info in packed.infolist():
            kind = info.external_attr >> 28  # of Unix's mode: 8 a plain file, 4 a directory, 0 not told
            refusal = None if kind in (0, 4, 8) else "expected a plain file, found a link or a device"
            if info.is_dir() or refusal is not None:
                yield info.filename, refusal, None
            else:
                with packed.open(info) as content:
                    yield info.filename, None, content
