"""One file from the web, resumed where it broke off, or from a directory or object storage."""

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from pyarrow import ArrowException

from raytrain.errors import CheckpointError, ConfigError, StorageError
from raytrain.hub.errors import PASSING
from raytrain.storage.directory import Directory

Progress = Callable[[int, int | None], None]  # told (bytes done, bytes in all or None)

_CHUNK_BYTES = 1 << 20
_MAX_BYTES = 16 << 30  # what says nothing of its length must not fill the disk
_MAX_REQUESTS = 200
_LONGEST_PAUSE = 60.0


class _BrokenError(Exception):
    """An attempt failed in a way that another one may not."""

    def __init__(self, reason: str, pause: float = 0.0):
        self.pause = pause
        super().__init__(reason)


def download(
    source: str,
    target: Path,
    on_progress: Progress | None = None,
    attempts: int = 5,
    timeout: float = 30.0,
    pause: float = 1.0,
) -> None:
    """Fetches a file.

    What has arrived over http is kept beside `target` as .part; the next attempt, or the next process, asks
    for the rest only, where the server says by a validator (ETag or date) that the file is still the same.

    Args:
        source: An http(s) URL, a path, or a URI that pyarrow.fs opens.
        target: Where it lies afterwards; written by rename.
        on_progress: Told how many bytes have come, of how many.
        attempts: Failures in a row, none of which brought the file further, after which it is given up.
        timeout: Seconds of silence after which an attempt has failed.
        pause: Seconds before the second attempt; doubled for every further one.

    Raises:
        CheckpointError: It cannot be fetched.
    """
    part = target.with_name(f"{target.name}.part")
    told = on_progress or (lambda done, total: None)
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if source.startswith(("http://", "https://")):
            _download_http(source, part, told, attempts, timeout, pause)
        else:
            _copy(source, part, told)
        part.replace(target)
    except (ConfigError, StorageError) as error:
        raise _failure(source, str(error)) from error
    except CheckpointError:
        raise
    except (OSError, ArrowException, ValueError, http.client.HTTPException) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise _failure(source, reason) from error
    _tag(part).unlink(missing_ok=True)


def _failure(source: str, reason: str) -> CheckpointError:
    advice = (
        "where that place cannot be reached, RAYTRAIN_MIRROR (or --mirror of checkpoints fetch) names "
        "another: a base URL, a directory or a URI such as s3://bucket/folder that holds the same archives"
    )
    return CheckpointError(f"{source}: cannot be fetched: {reason}", [advice])


def _copy(source: str, part: Path, on_progress: Progress) -> None:
    folder, name = source.rsplit("/", 1) if "/" in source else (".", source)
    _tag(part).unlink(missing_ok=True)  # what it vouched for is overwritten
    directory = Directory(folder or "/")
    total, done = directory.size(name), 0
    if total is None:
        raise FileNotFoundError(2, "no such file")
    with directory.open_stream(name) as stream, part.open("wb") as output:
        while chunk := stream.read(_CHUNK_BYTES):
            output.write(chunk)
            done += len(chunk)
            on_progress(done, total)


def _download_http(
    url: str, part: Path, on_progress: Progress, attempts: int, timeout: float, pause: float
) -> None:
    """Attempts until the file is whole; only those that bring it no further are counted."""
    furthest = _size(part)
    failures = requests = 0
    while True:
        requests += 1
        try:
            _attempt(url, part, on_progress, timeout)
            return
        except urllib.error.HTTPError as error:
            if error.code not in PASSING:
                raise _failure(url, f"HTTP {error.code} {error.reason}") from error
            after = _number(error.headers.get("Retry-After"))
            broken = _BrokenError(f"HTTP {error.code} {error.reason}", float(after or 0))
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise _failure(url, str(error.reason)) from error
            broken = _BrokenError(str(error.reason))
        except http.client.InvalidURL as error:
            raise _failure(url, str(error)) from error
        except (ConnectionError, TimeoutError, http.client.HTTPException) as error:
            broken = _BrokenError(str(error) or type(error).__name__)
        except _BrokenError as error:
            broken = error
        failures = 0 if _size(part) > furthest else failures + 1
        furthest = max(furthest, _size(part))
        if failures >= attempts or requests >= _MAX_REQUESTS:
            raise _failure(url, f"{broken} ({requests} attempts)") from broken
        time.sleep(min(max(broken.pause, pause * 2 ** max(failures - 1, 0)), _LONGEST_PAUSE))


def _attempt(url: str, part: Path, on_progress: Progress, timeout: float) -> None:
    """Asks for what `part` lacks and appends it; for the whole file where the server has another one now."""
    start, tag = _size(part), _read_tag(part)
    request = urllib.request.Request(url, headers={"User-Agent": "raytrain"})
    if start and tag:
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", tag)
    try:
        answer = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        if start and error.headers.get("Content-Range") == f"bytes */{start}":
            return  # it was whole, and only its new name was missing
        part.unlink(missing_ok=True)
        raise _BrokenError("what had come before was longer than the file is") from error
    with answer:
        resumed = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        done = start if resumed else 0
        length = _number(answer.headers.get("Content-Length"))
        total = None if length is None else done + length
        if resumed:
            total = _check_resumed(answer.headers, start, tag, part) or total
        with part.open("ab" if resumed else "wb") as output:
            if not resumed:  # only now: the bytes that the old tag vouched for are gone
                _write_tag(part, _validator(answer.headers))
            while chunk := _read(answer):
                output.write(chunk)
                done += len(chunk)
                on_progress(done, total)
                if done > _MAX_BYTES:
                    raise _failure(url, f"it is larger than {_MAX_BYTES:,} bytes")
    if total is not None and done < total:
        raise _BrokenError(f"the connection ended after {done:,} of {total:,} bytes")


def _number(text: str | None) -> int | None:
    """A header's number of bytes or seconds, where it is one."""
    return int(text) if text and text.isascii() and text.isdecimal() else None


def _read(answer: http.client.HTTPResponse) -> bytes:
    """What has come of the body. What fails here is the connection; what fails in writing is not."""
    try:
        return answer.read1(_CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(str(error) or type(error).__name__) from error


def _check_resumed(headers: http.client.HTTPMessage, start: int, tag: str | None, part: Path) -> int | None:
    """The whole file's length, where it is told; begins anew where the rest is that of another file."""
    place = headers.get("Content-Range") or ""
    if tag is None or _validator(headers) not in (None, tag) or not place.startswith(f"bytes {start}-"):
        part.unlink(missing_ok=True)
        raise _BrokenError("the server sent another part than it was asked for")
    return _number(place.rsplit("/", 1)[-1])


def _validator(headers: http.client.HTTPMessage) -> str | None:
    """What identifies this state of the file; a weak ETag does not, byte for byte."""
    etag = headers.get("ETag") or ""
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")


def _write_tag(part: Path, validator: str | None) -> None:
    if validator and validator.isascii() and validator.isprintable():
        _tag(part).write_text(validator, encoding="ascii")
    else:
        _tag(part).unlink(missing_ok=True)


def _read_tag(part: Path) -> str | None:
    """What identifies the file of which `part` is the beginning; None where nothing sensible is here."""
    try:
        text = _tag(part).read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    return text if text.isprintable() else None


def _tag(part: Path) -> Path:
    return part.with_name(f"{part.name}.tag")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def discard(target: Path) -> None:
    """Removes a file and what a broken download of it left."""
    part = target.with_name(f"{target.name}.part")
    for path in (target, part, _tag(part)):
        path.unlink(missing_ok=True)
