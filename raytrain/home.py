"""Where caches of this user lie."""

import os
from pathlib import Path


def home_directory() -> Path:
    """Where this user's caches lie: RAYTRAIN_HOME, else `raytrain` in the XDG cache directory."""
    home = os.environ.get("RAYTRAIN_HOME")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(home).expanduser().absolute() if home else cache / "raytrain"
