"""Labels or types of spans that look alike and yet are several: the same word in another case or width."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

from raytrain.characters import without_unseen
from raytrain.files.encodings import Problem
from raytrain.files.reading import Reading
from raytrain.messages import counted

_WHOLE = re.compile(r"^(-?[0-9]+)\.0+$")


def alike_labels(class_rows: Mapping[str, int]) -> list[list[str]]:
    """Labels that look alike and yet are several classes, of each such group the most frequent first."""
    spellings: dict[str, list[str]] = {}
    for name in sorted(class_rows, key=lambda name: (-class_rows[name], name)):
        spellings.setdefault(_plain_label(name), []).append(name)
    return [names for names in spellings.values() if len(names) > 1]


def merge_alike(class_rows: Mapping[str, int]) -> dict[str, str]:
    """Of labels that look alike each that is not the most frequent, and that one."""
    return {name: names[0] for names in alike_labels(class_rows) for name in names[1:]}


def two_spellings(
    class_rows: Mapping[str, int],
    column: str | None,
    reading: Reading,
    noun: str = "label",
    each: str = "row",
) -> list[Problem]:
    """Says of labels, or whatever else the noun calls them, that look alike what is to be done."""
    problems = []
    remedy = f"write one of them throughout, or merge them with {reading.option('merge_labels')}"
    for names in alike_labels(class_rows):
        found = ", ".join(
            f"{shown} ({counted(class_rows[name], each)})" for name, shown in _shown(names).items()
        )
        message = f"expected one spelling of each {noun}, found {found}; {remedy}"
        problems.append(Problem("two_spellings", None, column, message))
    return problems


def merged_lines(merged: Mapping[str, str], noun: str = "label") -> list[str]:
    """Says of labels and the spelling that was taken for them which were merged."""
    lines = []
    for spelling in dict.fromkeys(merged.values()):
        shown = _shown([spelling, *[name for name, other in merged.items() if other == spelling]])
        own = shown.pop(spelling)
        lines.append(f"the {noun} {own} is also spelt {', '.join(shown.values())}, which was merged with it")
    return lines


def _shown(names: Sequence[str]) -> dict[str, str]:
    """Labels as they are told: where one holds what cannot be seen, that by its number."""
    is_seen = all(name.isascii() or (name.isprintable() and without_unseen(name) == name) for name in names)
    return {name: (repr if is_seen else ascii)(name) for name in names}


def _plain_label(name: str) -> str:
    """A label without regard to case, width, invisible characters, `.0`, and JSON's word for 1 or 0."""
    seen = without_unseen(unicodedata.normalize("NFKC", name))
    plain = _WHOLE.sub(r"\1", " ".join(seen.casefold().split()))
    return {"true": "1", "false": "0"}.get(plain, plain)
