"""How files spell tags: other letters for those of BIOES, an underscore for the dash, or no type at all."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raytrain.corpus.tags import IN_BIOES, OUTSIDE, guess_scheme, split_tag

# Of schemes that are BIOES by other letters, all of their letters.
_LETTERS = {"BMES": frozenset("BMES"), "BMEWO": frozenset("BMEW"), "BILOU": frozenset("BILU")}
_UNDERSCORED = re.compile(r"([BIESMLUW])_(\S+)")
_BARE = re.compile("[BIESMLUW]")


@dataclass(frozen=True)
class Spelling:
    """How the tags of a file are read.

    Attributes:
        scheme: `bio` or `bioes`, as which they are read.
        tags: Each tag of the file, and the one of the scheme that it is; itself where it is none.
        lines: What is to be said of that, a line each.
        bare: The letters that stand alone, where all do; empty where any tag has a type.
        reason: The tag because of which they are read as bioes, where the scheme was guessed; else empty.
    """

    scheme: str
    tags: Mapping[str, str]
    lines: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    reason: str = ""


def find_spelling(tags: Iterable[str], scheme: str) -> Spelling:
    """Finds how tags are spelt; nothing is guessed of what could be read in two ways.

    Args:
        tags: The different tags of a file, in its order.
        scheme: `bio`, `bioes`, or `auto`, which finds out.
    """
    found = list(tags)
    dashed = {tag: _UNDERSCORED.sub(r"\1-\2", tag) if split_tag(tag) is None else tag for tag in found}
    underscored = [tag for tag in found if dashed[tag] != tag]
    bare = tuple(tag for tag in found if _BARE.fullmatch(tag))
    is_bare = bool(bare) and all(tag in bare or tag == OUTSIDE for tag in found)
    name = None if scheme == "bio" else _named_letters(dashed.values())
    read = {tag: _in_bioes(dashed[tag]) if name else dashed[tag] for tag in found}
    lines = []
    if underscored:
        one = underscored[0]
        lines.append(f"tags with an underscore were read with a dash: {one} as {dashed[one]}")
    if name:
        others = ", ".join(
            f"{letter}- as {IN_BIOES[letter]}-" for letter in "MLUW" if letter in _LETTERS[name]
        )
        lines.append(f"the tags are {name}, which is BIOES by other letters: {others}")
    reason = ""
    if scheme == "auto":
        reason = next((tag for tag in found if guess_scheme([read[tag]]) == "bioes"), "")
        scheme = "bioes" if reason else "bio"
    return Spelling(scheme, read, tuple(lines), bare if is_bare else (), reason)


def _named_letters(tags: Iterable[str]) -> str | None:
    """The scheme by other letters of which all these tags are; None where they are BIOES, or of no one."""
    letters = {parts[0] for tag in tags if (parts := split_tag(tag)) is not None and parts[0]}
    if not letters & IN_BIOES.keys():
        return None
    return next((name for name, known in _LETTERS.items() if letters <= known), None)


def _in_bioes(tag: str) -> str:
    parts = split_tag(tag)
    return tag if parts is None or not parts[0] else f"{IN_BIOES.get(parts[0], parts[0])}{tag[1:]}"
