"""Spans of a text as files of rows have them: {start, end, label}, read and written."""

import html
import re
import unicodedata
from typing import Any

from raytrain.corpus.tags import OUTSIDE

_LABEL = re.compile(r"[^\s\ud800-\udfff]+")
_ADVICE = "write {start, end, label}, places counted in characters from 0, `end` behind the last"


def span_record(text: str, start: int, end: int, kind: str, confidence: float) -> dict[str, Any]:
    """A predicted span as it is written; `tags_of` reads it back.

    Args:
        text: The whole text.
        start: Place of its first character.
        end: Place behind its last.
        kind: Its type.
        confidence: 0 to 1.
    """
    place = {"text": text[start:end], "type": kind, "start": start, "end": end}
    return {**place, "confidence": round(confidence, 6)}


def tags_of(spans: Any, text: str) -> tuple[list[str], list[str]]:
    """Lays a text's spans on its characters.

    Args:
        spans: What stands in the file's column.
        text: Its text.

    Returns:
        The text's tags in BIO, and what is wrong with its spans, a line each.
    """
    tags = [OUTSIDE] * len(text)
    if spans is None:
        return tags, ["expected a list of spans, found none; write [] where a text has no spans"]
    if not isinstance(spans, list):
        return tags, [f"expected a list of spans, found {spans!r:.60}; {_ADVICE}"]
    problems = []
    for span in spans:
        problem = _span_problem(span, text)
        if not problem:
            start, end, label = span["start"], span["end"], _label_of(span)
            if any(tag != OUTSIDE for tag in tags[start:end]):
                problem = (
                    f"expected spans that do not overlap, found {span!r:.80} over another; keep one of them"
                )
            else:
                tags[start:end] = [f"B-{label}", *[f"I-{label}"] * (end - start - 1)]
        if problem:
            problems.append(problem)
    return tags, problems


def _span_problem(span: Any, text: str) -> str:
    if not isinstance(span, dict) or not {"start", "end"} <= span.keys() or _label_of(span) is None:
        return f"expected a span, found {span!r:.80}; {_ADVICE}"
    start, end, label = span["start"], span["end"], _label_of(span)
    if any(not isinstance(place, int) or isinstance(place, bool) for place in (start, end)):
        return f"expected places as integers, found {span!r:.80}; {_ADVICE}"
    if (wrong := _other_text(span, text)) and start <= end:
        return wrong
    if not 0 <= start < end <= len(text):
        return f"expected a span inside the text's {len(text)} characters, found {span!r:.80}; {_ADVICE}"
    if not isinstance(label, str) or not _LABEL.fullmatch(label):
        return f"expected a label without blanks, found {label!r:.60}; name the type of the span"
    return ""


def _label_of(span: dict[str, Any]) -> Any:
    """Its label, which predicted spans call their type; a table of both kinds has both keys."""
    label = span.get("label")
    return span.get("type") if label is None else label


def _other_text(span: dict[str, Any], text: str) -> str:
    """What is wrong with places whose characters are not the span's own text, where it tells one.

    An exporter may have cleaned the text it wrote (quotes, entities, an end cut off): the places count,
    unless counting them otherwise yields that text, it stands elsewhere as it is, or what they hold has
    nothing of it.
    """
    start, end, own = span["start"], span["end"], span.get("text")
    if not isinstance(own, str) or not own.strip():
        return ""
    found = text[max(start, 0) : max(end, 0)]
    if _essence(found) == _essence(own):
        return ""
    otherwise = _counted_otherwise(start, end, text)
    remedy = next((remedy for remedy, held in otherwise if _essence(held) == _essence(own)), "")
    is_elsewhere = _essence(own) in _essence(text) and _bare(own) not in _bare(found)
    if not remedy and not is_elsewhere and _have_in_common(found, own):
        return ""
    return (
        f"expected {own!r:.40} from {start} to {end}, as the span's text says, found {found!r:.40}; "
        f"{remedy or _ADVICE}, or leave `text` out where the places are right"
    )


def _essence(text: str) -> str:
    """What is left where a writer took blanks away, or wrote another case or width."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _have_in_common(one: str, other: str) -> bool:
    """Whether two texts share a character, or have none but marks."""
    first, second = set(_bare(one)), set(_bare(other))
    return not first.isdisjoint(second) or not (first or second)


def _bare(text: str) -> str:
    """What is left where a writer resolved entities and took marks away, too."""
    return "".join(char for char in _essence(html.unescape(text)) if not _is_mark(char))


def _is_mark(char: str) -> bool:
    category = unicodedata.category(char)
    return category == "Cf" or category[0] == "P"


def _counted_otherwise(start: int, end: int, text: str) -> list[tuple[str, str]]:
    """What the places mean where they are counted in other ways, and how to mend them."""

    def held(start: int, end: int) -> str:
        return text[start:end] if start >= 0 and end <= len(text) else ""

    def held_with_breaks(text: str) -> str:
        return text[start:end].replace("\r\n", "\n")

    def held_encoded(encoding: str, size: int) -> str:
        return text.encode(encoding, "replace")[start * size : end * size].decode(encoding, "replace")

    short = text.replace("\r\n", "\n")
    breaks = "its places are counted in a text with other line breaks (CRLF or LF): count in this one"
    return [
        ("its places are counted in UTF-16 units: count in characters", held_encoded("utf-16-le", 2)),
        ("its `end` is the last character's own place: write one more", held(start, end + 1)),
        ("its `end` is one too far: write one less", held(start, end - 1)),
        ("its places are counted from 1: write one less for `start`", held(start - 1, end)),
        ("its places are counted from 1: write one less for both", held(start - 1, end - 1)),
        ("its places are one too low: write one more for both", held(start + 1, end + 1)),
        ("its places are counted in bytes: count in characters", held_encoded("utf-8", 1)),
        (breaks, held_with_breaks(short.replace("\n", "\r\n"))),
        (breaks, held_with_breaks(short)),
    ]
