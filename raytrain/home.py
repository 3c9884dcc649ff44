"""Where caches of this user lie."""

import os
from pathlib import Path

from raytrain.errors import InputError


def home_directory() -> Path:
    """Where this user's caches lie: RAYTRAIN_HOME, else `raytrain` in the XDG cache directory.

    Raises:
        InputError: Neither is set, and the user has no home.
    """
    own, cache = os.environ.get("RAYTRAIN_HOME"), os.environ.get("XDG_CACHE_HOME")
    try:
        place = Path(own).expanduser() if own else Path(cache or Path.home() / ".cache") / "raytrain"
    except RuntimeError as error:
        advice = "set RAYTRAIN_HOME to a directory that can be written"
        raise InputError(
            f"expected a place for caches, found no home of this user: {error}", [advice]
        ) from error
    return place.absolute()
