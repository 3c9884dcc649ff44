"""What a tagger finds and what it takes for what: per type, and in the texts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raytrain.corpus.tags import find_spans, type_names
from raytrain.report.facts import Facts
from raytrain.report.markup import Child, Markup, decimal, element, paragraph, table, told
from raytrain.tasks import TITLES
from raytrain.text.ragged import bounds_of

AROUND = 24  # characters shown around the spans of a long text
MOST_CHARACTERS = 400  # of a text: spans that begin behind them are not shown
OTHER_BOUNDS, MISSED, INVENTED = "other bounds", "missed", "invented"

Span = tuple[int, int, str]  # first character, behind the last, type


@dataclass(frozen=True)
class TaggedText:
    """The spans of a text, and those that were found.

    Attributes:
        row: Of oof.parquet.
        there: In order.
        found: In order.
        surest: The highest confidence of a character in a wrong span that was found; 0 where none was.
    """

    row: int
    there: tuple[Span, ...]
    found: tuple[Span, ...]
    surest: float

    @property
    def num_wrong(self) -> int:
        """Spans that are missed or wrongly found."""
        return len(set(self.there) ^ set(self.found))


def read_tagged(facts: Facts) -> list[TaggedText]:
    """What folds found in the texts that they had not seen; a text that no fold covered is left out."""
    names = [str(label) for label in facts.summary["labels"]]
    types = type_names(names)
    covered = [row for row, tags in enumerate(facts.oof["predicted"].to_pylist()) if tags is not None]
    own = facts.oof.take(covered)
    there, found = (_spans_of(own[name].to_pylist(), names, types) for name in ("tags", "predicted"))
    sure = own["confidence"].to_pylist()
    return [
        TaggedText(row, there[place], found[place], _surest(there[place], found[place], sure[place]))
        for place, row in enumerate(covered)
    ]


def _spans_of(
    tags: Sequence[Sequence[str]], names: Sequence[str], types: Sequence[str]
) -> list[tuple[Span, ...]]:
    index = {name: number for number, name in enumerate(names)}
    flat = np.array([index[tag] for row in tags for tag in row], np.int32)
    spans = find_spans(flat, bounds_of(np.array([len(row) for row in tags], np.int64)))
    laid: list[list[Span]] = [[] for _ in tags]
    for row, *place, kind in zip(*(part.tolist() for part in _parts(spans)), strict=True):
        laid[row].append((place[0], place[1], types[kind]))
    return [tuple(own) for own in laid]


def _parts(spans: object) -> list[np.ndarray]:
    return [getattr(spans, name) for name in ("rows", "starts", "ends", "types")]


def _surest(there: Sequence[Span], found: Sequence[Span], sure: Sequence[float]) -> float:
    wrong = [span for span in found if span not in there]
    return max((max(sure[start:end]) for start, end, _ in wrong), default=0.0)


def count_confusions(texts: Sequence[TaggedText]) -> Counter[tuple[str, str]]:
    """What spans of each type are found as.

    Returns:
        (type, type) where the bounds are right, (type, `OTHER_BOUNDS`) where a span that was found overlaps,
        (type, `MISSED`), and (`INVENTED`, type) of what overlaps nothing; each to its count.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for text in texts:
        found = {(start, end): kind for start, end, kind in text.found}
        for start, end, kind in text.there:
            if (start, end) in found:
                counts[kind, found[start, end]] += 1
            elif any(_overlap((start, end, kind), other) for other in text.found):
                counts[kind, OTHER_BOUNDS] += 1
            else:
                counts[kind, MISSED] += 1
        for other in text.found:
            if not any(_overlap(other, span) for span in text.there):
                counts[INVENTED, other[2]] += 1
    return counts


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def types_section(facts: Facts, texts: Sequence[TaggedText]) -> Markup:
    """Scores of each type, and what its spans are found as."""
    entry = facts.summary["ensemble"]["types"]
    names = ("precision", "recall", "f1")
    scores = [
        [told(kind, 40), *(decimal(one[name]) for name in names), f"{one['spans']:,}"]
        for kind, one in entry.items()
    ]
    counts = count_confusions(texts)
    columns = [*entry, OTHER_BOUNDS, MISSED]
    rows: list[list[Child]] = []
    for kind in [*entry, INVENTED]:
        total = max(sum(counts[kind, column] for column in columns), 1)
        cells: list[Child] = [told(kind, 40)]
        for column in columns:
            count, is_right = counts[kind, column], kind == column
            share = count / total if kind != INVENTED else 0.0
            shade = 0.75 * share if is_right else 0.85 * share**0.5
            class_ = "cell right" if is_right else "cell wrong"
            shown = f"{count:,}" if count else element("i", "·")
            cells.append(element("td", shown, class_=class_, style=f"--share: {shade:.3f}"))
        rows.append(cells)
    note = (
        "Rows are spans that there are, columns what they are found as; only a span with the same bounds and "
        "type is right. Invented spans overlap none."
    )
    return element(
        "section",
        element("h2", "Types of spans"),
        table(["type", *(TITLES[name] for name in names), "spans"], scores, "scores per type", "numbers"),
        element("h3", "What is taken for what"),
        paragraph(note, class_="note"),
        table(["", *(told(name, 24) for name in columns)], rows, "confusions of types", "matrix"),
        id="types",
    )


def find_worst_texts(texts: Sequence[TaggedText], number: int) -> list[TaggedText]:
    """Those with the most wrong spans first, of as many those that the tagger was surest about."""
    wrong = [text for text in texts if text.num_wrong]
    return sorted(wrong, key=lambda text: (-text.num_wrong, -text.surest, text.row))[:number]


def spans_section(facts: Facts, texts: Sequence[TaggedText], number: int) -> Markup | None:
    """The texts with the most wrong spans, each with what there is and what was found."""
    worst = find_worst_texts(texts, number)
    if not worst:
        return None
    title = element("h2", f"Texts with the most wrong spans: {len(worst)} of {_count(texts):,}")
    if facts.texts is None:
        lost = paragraph(f"Their texts are not shown: {facts.unread}.", class_="warning")
        return element("section", title, lost, id="mistakes")
    ids = facts.ids
    entries = [
        element(
            "li",
            element("p", element("small", "id ", told(ids[text.row], 60)), class_="verdict"),
            _line("is", facts.texts[text.row][0], text, text.there, set(text.found)),
            _line("found", facts.texts[text.row][0], text, text.found, set(text.there)),
        )
        for text in worst
    ]
    note = "A span is filled where both lines have it, and framed where only one has."
    return element(
        "section",
        title,
        paragraph(note, class_="note"),
        element("ol", entries, class_="mistakes"),
        id="mistakes",
    )


def _count(texts: Sequence[TaggedText]) -> int:
    return sum(text.num_wrong > 0 for text in texts)


def _line(name: str, whole: str, text: TaggedText, spans: Sequence[Span], others: set[Span]) -> Markup:
    """A text with some spans marked; what lies far from the spans of either line is left out."""
    shown = _shown_places(len(whole), [*text.there, *text.found])
    pieces: list[Child] = []
    place = 0
    for start, end, kind in [*(span for span in spans if _is_shown(span)), (len(whole), len(whole), "")]:
        pieces.append(_between(whole, place, start, shown))
        if kind:
            class_ = "span both" if (start, end, kind) in others else "span alone"
            pieces.append(element("span", whole[start:end], element("small", told(kind, 20)), class_=class_))
        place = end
    line = element("bdi", pieces, lang="zh-Hans")
    return element("p", element("small", name, class_="which"), line, class_="text spans")


def _is_shown(span: Span) -> bool:
    return span[0] < MOST_CHARACTERS


def _shown_places(length: int, spans: Sequence[Span]) -> np.ndarray:
    """(length,) bool: which characters are near a span."""
    shown = np.zeros(length, bool)
    for start, end, _ in filter(_is_shown, spans):
        shown[max(0, start - AROUND) : end + AROUND] = True
    return shown


def _between(whole: str, start: int, end: int, shown: np.ndarray) -> str:
    """A stretch without spans; each run that is not shown is a dot of three."""
    told_so_far = ""
    for place in range(start, end):
        if shown[place]:
            told_so_far += whole[place]
        elif not told_so_far.endswith("…"):
            told_so_far += "…"
    return told_so_far
