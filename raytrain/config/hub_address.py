"""How an encoder of the Hugging Face hub is named: `hf:ORGANISATION/NAME`, and which state of it."""

import re
from dataclasses import dataclass
from urllib.parse import quote

PREFIX = "hf:"
MAIN = "main"
# What the hub lets a name be; within it `--` and `..` are kept for other things.
_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,198}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHORT = "; the short names that `raytrain checkpoints list --hub` shows stand without hf:"
_FORM = "expected hf:ORGANISATION/NAME or hf:ORGANISATION/NAME@REVISION"


@dataclass(frozen=True)
class HubAddress:
    """A repository of models, and a branch, a tag or a commit of it."""

    organisation: str
    name: str
    revision: str = MAIN

    def __str__(self) -> str:
        state = "" if self.revision == MAIN else f"@{self.revision}"
        return f"{PREFIX}{self.repository}{state}"

    @property
    def repository(self) -> str:
        return f"{self.organisation}/{self.name}"

    @property
    def key(self) -> str:
        """A file's name that no other address has: `--` stands in no name of the hub."""
        state = "" if self.revision == MAIN else f"@{quote(self.revision, safe='')}"
        return f"hf--{self.organisation}--{self.name}{state}"

    @property
    def is_commit(self) -> bool:
        """Whether it names a state that never becomes another one."""
        return _COMMIT.fullmatch(self.revision) is not None


def is_hub_address(location: str) -> bool:
    """Whether it is meant to name an encoder of the hub, well or badly."""
    return location.startswith(PREFIX)


def parse_hub_address(location: str) -> HubAddress:
    """Reads `hf:ORGANISATION/NAME[@REVISION]`.

    Raises:
        ValueError: It is of another form; the message says what was expected.
    """
    repository, at, revision = location.removeprefix(PREFIX).partition("@")
    parts = repository.split("/")
    if parts[0] in ("datasets", "spaces", "models") and len(parts) == 3:
        advice = "" if parts[0] == "models" else f"; {parts[0]} hold no encoders"
        raise ValueError(f"{_FORM}; found {location!r}{advice}")
    if len(parts) != 2 or not all(map(_is_name, parts)) or (at and not _is_revision(revision)):
        is_short = len(parts) == 1 and _is_name(parts[0])
        raise ValueError(f"{_FORM}; found {location!r}{_SHORT if is_short else ''}")
    return HubAddress(parts[0], parts[1], revision or MAIN)


def find_hub_address(location: str) -> HubAddress | None:
    """What `hf:` before a location would name, if anything."""
    try:
        return parse_hub_address(f"{PREFIX}{location}")
    except ValueError:
        return None


def _is_name(part: str) -> bool:
    return bool(_PART.fullmatch(part)) and "--" not in part and ".." not in part


def _is_revision(text: str) -> bool:
    is_path = ".." not in text and "//" not in text and not text.endswith(("/", ".lock"))
    return bool(_REVISION.fullmatch(text)) and is_path
