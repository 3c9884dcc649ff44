"""Tags on characters and the spans they mean: BIO with numbers, BIOES converted to it."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

OUTSIDE = "O"
_PREFIXES = {"bio": "BI", "bioes": "BIES"}
_TAG = re.compile(r"O|([A-Z])-(\S+)")
IN_BIOES = {"M": "I", "L": "E", "U": "S", "W": "S"}  # what BMES and BILOU call these


@dataclass(frozen=True)
class Spans:
    """Spans of many texts, sorted by text, then place; none overlap.

    Attributes:
        rows: (num_spans,) int64; which text each lies in.
        starts: (num_spans,) int64; the place in its text of its first character.
        ends: (num_spans,) int64; the place behind its last.
        types: (num_spans,) int64; which of the types it is.
    """

    rows: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    types: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


def tag_names(types: Iterable[str]) -> list[str]:
    """O, then B- and I- of each type in order: tag 2t + 1 begins a span of type t, 2t + 2 continues it."""
    return [OUTSIDE, *(f"{prefix}-{name}" for name in sorted(set(types)) for prefix in "BI")]


def type_names(tags: Sequence[str]) -> list[str]:
    """The types of `tag_names`."""
    return [name[2:] for name in tags[1::2]]


def begins(tags: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Which tags begin a span, by conlleval's rule: an I- after another type, or after O, begins one.

    Args:
        tags: (n,) tags of texts laid end to end.
        first: (n,) bool; whether a text begins here.

    Returns:
        (n,) bool.
    """
    before = np.concatenate([np.zeros(1, tags.dtype), tags])[:-1]
    goes_on = (before > 0) & ((before - 1) // 2 == (tags - 1) // 2) & ~first
    return (tags > 0) & ((tags % 2 == 1) | ~goes_on)


def find_spans(tags: np.ndarray, bounds: np.ndarray) -> Spans:
    """Reads the spans off the tags of many texts.

    Args:
        tags: (num_characters,) of all texts, laid end to end.
        bounds: (num_texts + 1,); text i has tags bounds[i]:bounds[i + 1].
    """
    first = np.zeros(len(tags), bool)
    first[bounds[:-1][np.diff(bounds) > 0]] = True
    starts = np.flatnonzero(begins(tags, first))
    # A span ends before the next tag that is O or begins a span, or a text.
    stops = np.flatnonzero(np.append((tags == 0) | first, True))
    edges = np.sort(np.concatenate([starts, stops]))
    ends = edges[np.searchsorted(edges, starts, "right")] if len(starts) else starts
    rows = np.searchsorted(bounds, starts, "right") - 1
    return Spans(rows, starts - bounds[rows], ends - bounds[rows], (tags[starts].astype(np.int64) - 1) // 2)


def lay_tags(spans: Spans, bounds: np.ndarray) -> np.ndarray:
    """Writes spans as tags: the reverse of `find_spans`, always valid BIO.

    Returns:
        (num_characters,) int32.
    """
    starts, ends = bounds[spans.rows] + spans.starts, bounds[spans.rows] + spans.ends
    marks = (2 * spans.types + 2).astype(np.int32)
    inside = np.zeros(bounds[-1] + 1, np.int32)
    inside[starts] += marks
    inside[ends] -= marks
    tags = np.cumsum(inside, dtype=np.int32)[:-1]
    tags[starts] -= 1
    return tags


def split_tag(tag: str) -> tuple[str, str] | None:
    """A tag's letter and type, both empty of O; None of what is no tag in any scheme."""
    found = _TAG.fullmatch(tag)
    return None if found is None else (found[1] or "", found[2] or "")


class TagReader:
    """Turns the tags of a file, sentence by sentence, into BIO.

    Args:
        scheme: `bio` or `bioes`.
        strict: Whether a tag that continues no span is a problem; else it begins one.
    """

    def __init__(self, scheme: str, strict: bool):
        self._scheme, self._strict = scheme, strict

    def read(
        self, tags: Sequence[str], gaps: Collection[int] = ()
    ) -> tuple[list[str], list[tuple[int, str]]]:
        """Converts a sentence's tags.

        Args:
            tags: As the file has them.
            gaps: Places before which something is missing; nothing is said of whether their tags continue it.

        Returns:
            Tags in valid BIO, and (place, what is wrong) of each that cannot be read.
        """
        converted: list[str] = []
        problems: list[tuple[int, str]] = []
        before: str | None = ""
        for place, tag in enumerate(tags):
            problem = self.unknown(tag)
            wrong = problem or self._misplaced(tag, None if place in gaps else before)
            if wrong:
                problems.append((place, wrong))
            converted.append(self._convert(tag, converted[-1] if converted else OUTSIDE, before or ""))
            before = None if problem else tag  # what follows a tag that is none may well be right
        if tags and not problems and not gaps and (wrong := self._misplaced(OUTSIDE, before)):
            problems.append((len(tags) - 1, wrong))
        return converted, problems

    def unknown(self, tag: str) -> str:
        """What is wrong with a tag wherever it stands; empty where the scheme has it."""
        found = _TAG.fullmatch(tag)
        prefixes = _PREFIXES[self._scheme]
        if found is not None and (not found[1] or found[1] in prefixes):
            return ""
        expected = ", ".join(f"{prefix}-TYPE" for prefix in prefixes)
        same = IN_BIOES.get(found[1]) if found is not None else None
        remedy = f"write {same}-{found[2]}, as BIOES has it" if found is not None and same else "mend it"
        return f"expected O, {expected} as in scheme {self._scheme}, found {tag!r}; {remedy}"

    def _misplaced(self, tag: str, before: str | None) -> str:
        if before is None or not self._strict:
            return ""
        is_open = before[:1] in "BI" and before != ""
        goes_on = tag[:1] in ("I", "E") and tag != OUTSIDE
        if goes_on and not (is_open and before[1:] == tag[1:]):
            place = f"after {before}" if before else "first"
            return (
                f"expected {tag} to continue a span of its type, found it {place}; "
                "mend it, or let it begin a span with data.strict=false"
            )
        if self._scheme == "bioes" and is_open and not goes_on:
            return (
                f"expected the span of {before} to end with E-, found {tag} behind it; "
                "mend it, or let it end there with data.strict=false"
            )
        return ""

    def _convert(self, tag: str, converted: str, before: str) -> str:
        found = _TAG.fullmatch(tag)
        if found is None or not found[1]:
            return OUTSIDE
        is_closed = before[:1] in ("E", "S")
        goes_on = found[1] in "IE" and converted[1:] == tag[1:] and converted != OUTSIDE and not is_closed
        return f"I{tag[1:]}" if goes_on else f"B{tag[1:]}"


def guess_scheme(tags: Iterable[str]) -> str:
    """`bioes` where any tag begins with E- or S-, else `bio`."""
    return "bioes" if any(tag[:2] in ("E-", "S-") for tag in tags) else "bio"
