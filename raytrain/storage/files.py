"""What files hold, and how they come to be: whole or not at all."""

import contextlib
import hashlib
import io
import json
import math
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

UNFINISHED = ".unfinished"  # stands in the name of what is being written
_POINTER = b"version https://git-lfs"
MOST_READ_BYTES = 256 << 20  # of a file of others that is read whole: a config, a vocabulary, an index


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def hash_file(path: Path) -> str:
    """The sha256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_whole(path: Path, most: int = MOST_READ_BYTES) -> bytes:
    """The bytes of a file of others.

    Raises:
        ValueError: Before it reads more than `most`; where a pointer of Git LFS lies in the file's place.
    """
    if (size := path.stat().st_size) > most:
        raise ValueError(f"expected {most:,} bytes at most, found {size:,}; is it the right file?")
    refuse_pointer(path)
    return path.read_bytes()


def refuse_pointer(path: Path) -> None:
    """Raises ValueError where a clone without Git LFS has but a pointer to a file."""
    with path.open("rb") as stream:
        if stream.read(len(_POINTER)) == _POINTER:
            raise ValueError("a pointer of Git LFS, not the file; run `git lfs pull` where it was cloned")


def files_below(directory: Path) -> list[Path]:
    """Every file below a directory, links followed, by name."""
    return sorted(path for path in directory.rglob("*") if path.is_file())


def hash_files(directory: Path) -> dict[str, str]:
    """The sha256 of every file below a directory, by its name there."""
    return {path.relative_to(directory).as_posix(): hash_file(path) for path in files_below(directory)}


def is_same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two paths name one file, by whatever links; not where one of them is absent."""
    try:
        return Path(one).samefile(other)
    except OSError:
        return False


def is_inside(name: str) -> bool:
    """Whether a relative name of others stays below the directory that it is relative to."""
    path = PurePosixPath(name)
    is_below = bool(name) and not path.is_absolute() and ".." not in path.parts and "\\" not in name
    return is_below and re.search("[\0\ud800-\udfff]", name) is None  # which no file's name may hold


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


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as a Parquet file; `read_parquet` gives it back."""
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def read_parquet(data: bytes) -> pa.Table:
    """The table of a Parquet file. Raises pyarrow.ArrowInvalid where it is none."""
    return pq.read_table(io.BytesIO(data))


@contextlib.contextmanager
def whole_or_not(path: str | Path) -> Iterator[Path]:
    """A place to write a file or a directory to; it takes the path's name when the block ends well.

    The place lies beside the path and has its suffix. A file that is there is replaced in one step, and
    stays as it is where the block fails; a directory must not be there.
    """
    target = Path(path)
    unfinished = target.with_name(f".{target.stem}.{uuid.uuid4().hex[:8]}{UNFINISHED}{target.suffix}")
    try:
        yield unfinished
        unfinished.replace(target)
    finally:
        if unfinished.is_dir():
            shutil.rmtree(unfinished, ignore_errors=True)
        else:
            unfinished.unlink(missing_ok=True)
