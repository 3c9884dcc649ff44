"""One driver per run directory."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from raytrain.errors import ConfigError, StorageError
from raytrain.storage.directory import Directory


@contextlib.contextmanager
def lock_run(run: Directory) -> Iterator[None]:
    """Holds a run directory for one driver.

    Object stores have no locks; there two drivers of one name are the user's to avoid.

    Raises:
        ConfigError: Another driver holds it.
        StorageError: It cannot be written.
    """
    if not run.is_local:
        yield
        return
    lock = FileLock(Path(run.path) / ".lock")
    try:
        Path(run.path).mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ConfigError(
            f"{run} is being written by another job; wait for it, or choose another name or place"
        ) from error
    except OSError as error:
        raise StorageError(
            f"{run} cannot be written: {error}; give another storage or mend this one"
        ) from error
    try:
        yield
    finally:
        lock.release()
