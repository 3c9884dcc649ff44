"""HTML that is safe by default: whatever is not made here is text and is escaped."""

import html
import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np

_VOID = ("meta", "br")
# No HTML or XML may hold these; a lone surrogate has no UTF-8 either.
_UNFIT = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
ABSENT = "–"


class Markup(str):
    """A piece of HTML as it goes into the page."""

    __slots__ = ()


Child: TypeAlias = "str | int | Iterable[Child] | None"


def clean(text: object) -> str:
    """Text whose characters a page can hold; others become U+FFFD."""
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", str(text))


def element(name: str, /, *children: Child, **attributes: object) -> Markup:
    """An element of HTML.

    Args:
        name: Its tag.
        children: Markup stays, any other string is escaped; lists are laid out, None is left out.
        attributes: `class_` is class, other underscores are hyphens; None and False leave one out.
    """
    attached = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(clean("" if value is True else value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{attached}>")
    return Markup(f"<{name}{attached}>{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Markup:
    """Pieces laid one after another, what is no markup escaped."""
    return Markup("".join(_laid(child) for child in children))


def _laid(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str | int | float):
        return html.escape(clean(child))
    return join(child)


def told(text: object, most: int | None = None) -> Markup:
    """Text of the corpus: a label, an id, a word; shown as Chinese, its direction kept to itself.

    Args:
        text: What stands there.
        most: Characters after which it is cut.
    """
    whole = str(text)
    cut = whole if most is None or len(whole) <= most else whole[:most] + "…"
    return element("bdi", cut, lang="zh-Hans")


def paragraph(*children: Child, class_: str | None = None) -> Markup:
    return element("p", *children, class_=class_)


def table(
    header: Sequence[Child], rows: Iterable[Sequence[Child]], label: str, class_: str | None = None
) -> Markup:
    """A table that scrolls within itself where the page is too narrow.

    Args:
        header: Titles of the columns.
        rows: Cells; the first of each names the row. A cell that is an element `td` stays as it is.
        label: What it shows, for who cannot see it.
        class_: Of the table.
    """
    head = element("tr", [element("th", title, scope="col") for title in header])
    body = [
        element("tr", element("th", row[0], scope="row"), [_cell(cell) for cell in row[1:]]) for row in rows
    ]
    whole = element("table", element("thead", head), element("tbody", body), class_=class_)
    return element("div", whole, class_="scroll", role="region", aria_label=label, tabindex="0")


def _cell(cell: Child) -> Markup:
    is_made = isinstance(cell, Markup) and cell.startswith("<td")
    return cell if is_made and isinstance(cell, Markup) else element("td", cell)


def details(title: Child, *children: Child) -> Markup:
    """What is folded up until it is asked for."""
    return element("details", element("summary", title), *children)


def decimal(value: float | None, digits: int = 4) -> str:
    """A score; a dash where it is not defined."""
    return ABSENT if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def percent(share: float | None, digits: int = 1) -> str:
    return ABSENT if share is None or not np.isfinite(share) else f"{100 * share:.{digits}f} %"


def interval(lower: float | None, upper: float | None) -> Markup:
    """Both ends of an interval, small, for a cell."""
    if lower is None or upper is None:
        return Markup("")
    return element("small", f"{decimal(lower)}–{decimal(upper)}", class_="interval")
