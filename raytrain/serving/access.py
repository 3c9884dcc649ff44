"""Who may ask: a token that stays with the command and its users, and names of this machine."""

import hashlib
import hmac
import ipaddress
import os
import secrets
import stat
import sys
from pathlib import Path

from raytrain.errors import ConfigError

TOKEN_BYTES = 24
LEAST_CHARACTERS = 16  # of a token that somebody chose
OWN_NAMES = ("localhost", "127.0.0.1", "[::1]")


def make_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def read_token(path: str) -> str:
    """The token that a file holds.

    Raises:
        ConfigError: There is none, others may read it, or it is short or not plain ASCII without blanks.
    """
    file = Path(path)
    try:
        mode, token = file.stat().st_mode, file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file {path} cannot be read: {error}") from error
    if stat.S_IMODE(mode) & 0o077:
        found = f"found mode {stat.S_IMODE(mode):04o}; chmod 600 {path}"
        raise ConfigError(f"--token-file {path}: expected a file that only its owner may read, {found}")
    if len(token) < LEAST_CHARACTERS or any(not "!" <= char <= "~" for char in token):
        raise ConfigError(
            f"--token-file {path}: expected at least {LEAST_CHARACTERS} characters of ASCII without blanks, "
            f"found {len(token)} characters"
        )
    return token


def digest_of(token: str) -> bytes:
    """What replicas know of a token: enough to recognise it, too little to use it."""
    return hashlib.sha256(token.encode("utf-8")).digest()


def is_known(authorization: str | None, digest: bytes) -> bool:
    """Whether a request's `Authorization` has the token, in time that does not depend on what it has."""
    scheme, _, token = (authorization or "").partition(" ")
    matches = hmac.compare_digest(digest_of(token.strip()), digest)
    return matches and scheme.lower() == "bearer"


def is_loopback(host: str) -> bool:
    """Whether an address or name reaches no further than this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_own_name(host: str | None) -> bool:
    """Whether a request's `Host` is a name of the loopback.

    A page of elsewhere whose name has been made to point here names itself, and so gives itself away.
    """
    name = (host or "").rsplit(":", 1)[0] if not (host or "").endswith("]") else host
    return name in OWN_NAMES


def keep_ray_apart() -> None:
    """Has the Ray that is begun here ask for a token of its own, so that no other process commands it.

    Its processes listen on every address. Ray reads the variables when it is imported; a Ray that is there
    already, or is the user's own, keeps what it has.
    """
    if "ray" not in sys.modules and not {"RAY_ADDRESS", "RAY_AUTH_MODE"} & os.environ.keys():
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
