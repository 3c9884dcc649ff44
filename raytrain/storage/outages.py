"""A storage that fails for a while is waited for; one that is gone for good is told in one error."""

import errno
import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pyarrow import ArrowException

from raytrain.errors import ConfigError, StorageError

Result = TypeVar("Result")

DEFAULT_PATIENCE = 60.0
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0
_CONTINUE = "what is committed is kept: run the same command again"

_log = logging.getLogger("raytrain.storage.directory")
_draw = random.SystemRandom()  # many workers that fail at once must not come back at once

# What a caller may want to know, and answers for itself.
_FACTS = (FileNotFoundError, IsADirectoryError, NotADirectoryError, FileExistsError)
# Local disks and NFS: states of the server or the network, which pass. All else that they say stays true.
_PASSING = {
    getattr(errno, name)
    for name in (
        *("EIO", "EAGAIN", "EINTR", "EBUSY", "ESTALE", "ENOLCK", "EREMOTEIO", "EPIPE", "ENXIO", "ENODEV"),
        *("ETIMEDOUT", "ECONNREFUSED", "ECONNRESET", "ECONNABORTED", "ENOTCONN", "ESHUTDOWN"),
        *("EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ENETRESET", "ECOMM", "EPROTO"),
    )
    if hasattr(errno, name)
}
# Object stores give no error number, but name what they refuse, in the words of AWS, Google and Arrow.
_LASTING = re.compile(
    r"AWS Error (?:ACCESS_DENIED|NO_SUCH_(?:BUCKET|KEY)|INVALID_(?:ACCESS_KEY_ID|SIGNATURE|CLIENT_TOKEN_ID)"
    r"|SIGNATURE_DOES_NOT_MATCH|INCOMPLETE_SIGNATURE|MISSING_AUTHENTICATION_TOKEN|UNRECOGNIZED_CLIENT"
    r"|OPT_IN_REQUIRED|VALIDATION|INVALID_(?:ACTION|PARAMETER|QUERY)\w*"
    r"|UNKNOWN \(HTTP status (?:3\d\d|4(?!08|25|29)\d\d)\))"
    r"|Status\((?:PERMISSION_DENIED|UNAUTHENTICATED|INVALID_ARGUMENT|NOT_FOUND|FAILED_PRECONDITION)"
    r"|Bucket '[^']*' not found|is a directory|not a directory|Not a regular file"
)


@dataclass
class _Outage:
    began: float
    last: float


_outages: dict[str, _Outage] = {}
_lock = threading.Lock()


def patience() -> float:
    """Seconds for which an outage is waited for: RAYTRAIN_STORAGE_PATIENCE, else a minute.

    Raises:
        ConfigError: It is not a number of seconds.
    """
    text = os.environ.get("RAYTRAIN_STORAGE_PATIENCE") or str(DEFAULT_PATIENCE)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ConfigError(f"RAYTRAIN_STORAGE_PATIENCE={text}: expected a number of seconds, 0 or more")
    return seconds


def outlast(attempt: Callable[[], Result], what: str, where: str, root: str) -> Result:
    """Repeats an operation, with growing pauses, until the storage answers or patience ends.

    Patience belongs to the outage: an operation that begins in the middle of one has only what is left of
    it, so that what a process does at its end does not wait anew each time.

    Args:
        attempt: The operation; may be repeated at any point.
        what: In a few words, e.g. `writing a.json`.
        where: The directory, for messages.
        root: Names the storage as a whole: what fails and comes back together.

    Raises:
        StorageError: It failed for longer than `patience`, or in a way that waiting does not mend.
        OSError: A fact for the caller: nothing of that name, or a directory there, or a file.
    """
    started = time.monotonic()
    pause = _FIRST_PAUSE
    while True:
        try:
            result = attempt()
        except (*_FACTS, StorageError):
            raise
        except (OSError, ArrowException) as error:
            if not may_pass(error):
                raise StorageError(
                    f"{where}: {what} failed: {error}; {_CONTINUE} once that is mended"
                ) from error
            left = _note_failure(root, started, what, where, error)
            if left <= 0:
                waited = f"for {patience():.0f} s"
                advice = f"{_CONTINUE} when the storage answers again"
                raise StorageError(
                    f"{where}: {what} failed {waited}, at last with: {error}; {advice}"
                ) from error
            time.sleep(min(pause * _draw.uniform(0.7, 1.0), left))
            pause = min(2 * pause, _LONGEST_PAUSE)
        else:
            if root in _outages:
                _note_success(root, where)
            return result


def may_pass(error: Exception) -> bool:
    """Whether what failed may go well a little later. What is not known is taken to pass."""
    if isinstance(error, OSError):
        return error.errno in _PASSING if error.errno is not None else not _LASTING.search(str(error))
    return type(error) is ArrowException  # the classes derived from it are for mistakes in the call


def _note_failure(root: str, started: float, what: str, where: str, error: Exception) -> float:
    """Tells of an outage when it begins. Returns the seconds that are left for it and for this operation."""
    now, whole = time.monotonic(), patience()
    with _lock:
        outage = _outages.get(root)
        is_new = outage is None or now - outage.last > max(whole, 2 * _LONGEST_PAUSE)
        if outage is None or is_new:
            outage = _outages[root] = _Outage(started, now)
        outage.last = now
        left = whole - (now - min(outage.began, started))
    if is_new and left > 0:
        _log.warning("%s: %s failed, trying again for %.0f s: %s", where, what, left, error)
    return left


def _note_success(root: str, where: str) -> None:
    with _lock:
        outage = _outages.pop(root, None)
    if outage is not None:
        _log.warning("%s answers again after %.0f s", where, time.monotonic() - outage.began)
