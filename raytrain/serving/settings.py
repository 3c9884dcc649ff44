"""What is served, by how many, and under which names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raytrain.errors import ConfigError
from raytrain.serving.questions import Limits

_NAMED = re.compile(r"([\w.-]+)=(.+)")


@dataclass(frozen=True)
class ServeSettings:
    """What `serve` is told.

    Attributes:
        ensembles: Names to absolute directories or URIs.
        host: Address that is listened on.
        port: Of it.
        replicas: Of each ensemble.
        cpus: That each of them reserves and computes on.
        gpus: That each of them owns, or a share of one.
        limits: How much one request may ask.
        token: None: none is asked for.
    """

    ensembles: dict[str, str]
    host: str
    port: int
    replicas: int
    cpus: float
    gpus: float
    limits: Limits
    token: str | None


def name_ensembles(asked: Sequence[str]) -> dict[str, str]:
    """Names to absolute directories or URIs.

    Args:
        asked: NAME=DIR, or DIR, whose name is its last folder's, or its run's where that is `ensemble`.

    Raises:
        ConfigError: Two have one name.
    """
    named: dict[str, str] = {}
    for one in asked:
        match = _NAMED.fullmatch(one)
        location = match[2] if match else one
        parts = [part for part in location.rstrip("/").split("/") if part not in ("", ".")]
        own = parts[-2] if len(parts) > 1 and parts[-1] == "ensemble" else (parts or ["ensemble"])[-1]
        name = match[1] if match else own
        if name in named:
            raise ConfigError(
                f"--ensemble: expected another name for each, found {name} twice; give NAME=DIR"
            )
        named[name] = location if "://" in location else str(Path(location).absolute())
    return named
