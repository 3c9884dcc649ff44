"""What is served, by how many, and under which names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from raytrain.errors import ConfigError, printable
from raytrain.serving.questions import Limits

_NAMED = re.compile(r"([\w.-]+)=(.+)")


@dataclass(frozen=True)
class ServeSettings:
    """What `serve` is told.

    Attributes:
        ensembles: Names to absolute directories or URIs.
        replicas: Of each ensemble.
        cpus: That each of them reserves and computes on.
        gpus: That each of them owns, or a share of one.
        limits: How much one request may ask.
        digest: Of the token; None: none is asked for.
    """

    ensembles: dict[str, str]
    replicas: int
    cpus: float
    gpus: float
    limits: Limits
    digest: bytes | None


class Deployed(BaseModel):
    """What `args` of a file for `serve deploy` holds. All but the ensembles and the token may be left out.

    The file and Ray's dashboard show it, so it has of the token what recognises it alone, and never none.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    ensembles: dict[str, str] = Field(min_length=1)
    token_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    replicas: int = Field(1, ge=1)
    cpus: float = Field(1.0, gt=0)
    gpus: float = Field(0.0, ge=0)
    max_texts: int = Field(Limits.texts, ge=1)
    max_chars: int = Field(Limits.characters, ge=1)
    max_queued: int = Field(Limits.queued, ge=1)


def read_deployed(args: Mapping[str, Any]) -> ServeSettings:
    """Settings as a file for `serve deploy` tells them.

    Args:
        args: As `Deployed` has them.

    Raises:
        ConfigError: What is wrong with them, all at once.
    """
    problems, told = [], None
    try:
        told = Deployed.model_validate(dict(args))
        problems = _unfit(told)
    except ValidationError as error:
        problems = [_problem(one) for one in error.errors()]
    if told is None or problems:
        raise ConfigError("the service's args are not as expected", problems)  # without what pydantic quotes
    limits = Limits(told.max_texts, told.max_chars, told.max_queued)
    digest = bytes.fromhex(told.token_sha256)
    return ServeSettings(told.ensembles, told.replicas, told.cpus, told.gpus, limits, digest)


def _unfit(told: Deployed) -> list[str]:
    """What of args that are well alone does not fit a cluster."""
    expected = "expected an absolute path, or a URI, that all nodes reach"
    problems = [
        f"ensembles.{name}: {expected}, found {printable(place, 80)}"
        for name, place in told.ensembles.items()
        if "://" not in place and not place.startswith("/")
    ]
    if problem := unfit_gpus(told.gpus):
        problems.append(f"gpus: {problem}")
    return problems


def unfit_gpus(gpus: float) -> str | None:
    """What is wrong with so many GPUs, 0 or more, of one replica; None where nothing is."""
    if gpus > 1 and gpus != int(gpus):
        return f"expected a share of one GPU, or whole ones, found {gpus:g}"
    return None


def _problem(error: Any) -> str:
    """A line of one of pydantic's errors; of a token, which a log would keep, nothing is quoted."""
    name = ".".join(str(part) for part in error["loc"])
    if "token" in name.lower():
        expected = "expected token_sha256, the token's SHA-256: printf %s TOKEN | sha256sum"
        return f"{name}: {expected}; found {'none' if error['type'] == 'missing' else 'something else'}"
    if error["type"] == "missing":
        return f"{name}: expected it, found none"
    return f"{name}: {error['msg']}, found {printable(repr(error['input']), 80)}"


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
