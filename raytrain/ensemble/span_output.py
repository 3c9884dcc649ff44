"""Predicted spans on disk: JSON Lines with text, type, place and confidence; or BIO, a character a line."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from raytrain.corpus.tags import type_names
from raytrain.scores.tagging import TaggedTexts

SPAN_SUFFIXES = (".jsonl", ".bio")

WriteSpans = Callable[[Sequence[Any], Sequence[str], TaggedTexts], None]


@contextlib.contextmanager
def open_spans(path: Path, tags: Sequence[str]) -> Iterator[WriteSpans]:
    """Yields write(ids, texts, tagged).

    Args:
        path: Ends in one of `SPAN_SUFFIXES`.
        tags: Their names in order.
    """
    write = {".jsonl": _write_jsonl, ".bio": _write_bio}[path.suffix]
    with path.open("w", encoding="utf-8") as stream:
        yield lambda ids, texts, tagged: stream.writelines(write(ids, texts, tagged, tags))


def spans_of(texts: Sequence[str], tagged: TaggedTexts, types: Sequence[str]) -> list[list[dict[str, Any]]]:
    """Each text's spans in order: text, type, start, end and confidence, 0 to 1."""
    found: list[list[dict[str, Any]]] = [[] for _ in texts]
    spans = tagged.spans
    parts = (spans.rows, spans.starts, spans.ends, spans.types, tagged.confidences)
    for row, start, end, kind, confidence in zip(*(part.tolist() for part in parts), strict=True):
        span = {"text": texts[row][start:end], "type": types[kind], "start": start, "end": end}
        found[row].append({**span, "confidence": round(confidence, 6)})
    return found


def _write_jsonl(
    ids: Sequence[Any], texts: Sequence[str], tagged: TaggedTexts, tags: Sequence[str]
) -> Iterator[str]:
    for row_id, text, spans in zip(ids, texts, spans_of(texts, tagged, type_names(tags)), strict=True):
        yield json.dumps({"id": row_id, "text": text, "spans": spans}, ensure_ascii=False) + "\n"


def _write_bio(
    ids: Sequence[Any], texts: Sequence[str], tagged: TaggedTexts, tags: Sequence[str]
) -> Iterator[str]:
    """Line breaks of a text, which would end its line, become blanks."""
    for row, text in enumerate(texts):
        own = tagged.tags[tagged.bounds[row] : tagged.bounds[row + 1]].tolist()
        for char, tag in zip(text, own, strict=True):
            yield f"{' ' if char in _LINE_ENDS else char} {tags[tag]}\n"
        yield "\n"


_LINE_ENDS = "\n\r"
