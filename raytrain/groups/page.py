"""A page of groups: a picture whose points say their texts, and a table. No script, nothing fetched."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raytrain.groups.find import Found
from raytrain.groups.picture import color_of
from raytrain.groups.tell import Group
from raytrain.messages import counted
from raytrain.report.markup import Markup, element, table, told
from raytrain.report.page import POLICY, STYLE
from raytrain.storage.files import whole_or_not

WIDTH, HEIGHT, MARGIN = 900, 640, 12
LONGEST = 200  # characters of a text that a point says
_OWN_STYLE = (
    "svg.groups{width:100%;height:auto;background:var(--card);border-radius:6px}"
    "svg.groups circle{opacity:.65}svg.groups circle:hover{opacity:1;stroke:var(--ink);stroke-width:2;r:7px}"
    ".swatch{display:inline-block;width:.8em;height:.8em;border-radius:50%;margin-right:.5em}"
)


def write_page(
    path: str | Path,
    title: str,
    texts: Sequence[str],
    found: Found,
    groups: Sequence[Group],
    rows: np.ndarray,
    places: np.ndarray,
) -> None:
    """Writes the page.

    Args:
        path: A .html.
        title: What was grouped.
        texts: All texts.
        found: Their groups.
        groups: As they are told.
        rows: (num_points,) of the texts that are drawn.
        places: (num_points, 2) where, between 0 and 1.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title} – groups"),
        element("style", Markup(STYLE.read_text(encoding="utf-8") + _OWN_STYLE)),
    )
    body = element(
        "body",
        element(
            "header",
            element("p", "raytrain group", class_="kicker"),
            element("h1", told(title)),
            element("p", _summary(texts, found)),
        ),
        element("main", _picture(texts, found, groups, rows, places), _table(texts, groups)),
    )
    page = f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"
    with whole_or_not(str(path)) as unfinished:
        Path(unfinished).write_text(page, encoding="utf-8")


def _summary(texts: Sequence[str], found: Found) -> str:
    outside = int((found.groups < 0).sum())
    rest = f", {outside:,} of them in none" if outside else ""
    return f"{counted(len(texts), 'text')} in {counted(found.num_groups, 'group')}{rest}"


def _picture(
    texts: Sequence[str], found: Found, groups: Sequence[Group], rows: np.ndarray, places: np.ndarray
) -> Markup:
    names = {group.number: group.name for group in groups}
    points = []
    for row, (x, y) in zip(rows.tolist(), places.tolist(), strict=True):
        number = int(found.groups[row])
        said = f"{names.get(number, 'in no group')}\n{_short(texts[row])}"
        points.append(
            element(
                "circle",
                element("title", said),
                cx=f"{MARGIN + x * (WIDTH - 2 * MARGIN):.1f}",
                cy=f"{MARGIN + (1 - y) * (HEIGHT - 2 * MARGIN):.1f}",
                r=4,
                fill=color_of(number),
            )
        )
    note = f"{len(rows):,} of the texts; rest the pointer on one to read it."
    return element(
        "section",
        element("h2", "Where they lie"),
        element("p", note, class_="note"),
        element("svg", points, class_="groups", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img"),
    )


def _table(texts: Sequence[str], groups: Sequence[Group]) -> Markup:
    body = [
        [
            [_swatch(group.number), f"{group.number}"],
            f"{group.size:,}",
            told(" ".join(group.words)),
            _list(texts, group.typical),
            _list(texts, group.odd),
        ]
        for group in groups
    ]
    heads = ["group", "texts", "telling words", "typical texts", "odd ones"]
    return element("section", element("h2", "What they are"), table(heads, body, "groups", class_="texts"))


def _swatch(number: int) -> Markup:
    return element("span", class_="swatch", style=f"background:{color_of(number)}")


def _list(texts: Sequence[str], rows: Sequence[int]) -> list[Markup]:
    return [element("p", told(_short(texts[row]))) for row in rows]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
