"""Plots as SVG that goes into the page: text stays text, and colours are the page's, by day and by night."""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from raytrain.report.markup import Markup, clean, element

# matplotlib knows no CSS: these colours, which nothing else has, stand for the page's own.
_STANDING = {
    "#010101": "var(--ink)",
    "#020202": "var(--faint)",
    "#030303": "var(--line)",
    "#040404": "var(--accent)",
    "#050505": "var(--second)",
    "#060606": "var(--third)",
    "#070707": "var(--fourth)",
}
INK, FAINT, LINE, ACCENT, SECOND, THIRD, FOURTH = _STANDING
SERIES = (ACCENT, SECOND, THIRD, FOURTH)
SIZE = 4.3, 2.9  # inches: a telephone's width, so that text keeps its size there
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "raytrain",  # the same run gives the same page
    "text.color": INK,
    "axes.labelcolor": FAINT,
    "axes.edgecolor": LINE,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": FAINT,
    "ytick.labelcolor": FAINT,
    "grid.color": LINE,
    "font.size": 10,
    "axes.labelsize": 10,
    "text.parse_math": False,  # a `$` in a label is a character
}
_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_FONT = re.compile(r"font-family: [^;]*(; )?")


@dataclass(frozen=True)
class Line:
    """One line of a plot.

    Attributes:
        x: (num_points,).
        y: (num_points,).
        color: One of the colours above.
        label: In the legend; None leaves it out.
        width: In points.
        dashed: Whether it is.
        marker: Of matplotlib, at each point.
    """

    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    color: str = ACCENT
    label: str | None = None
    width: float = 1.8
    dashed: bool = False
    marker: str = ""


def plot_lines(
    title: str,
    axes_labels: tuple[str, str],
    lines: Sequence[Line],
    limits: Mapping[str, tuple[float, float]] | None = None,
    bars: tuple[np.ndarray, np.ndarray] | None = None,
    whole_x: bool = False,
) -> Markup:
    """Draws lines over one pair of axes, as a figure with its title.

    Args:
        title: Above it, and for who cannot see it.
        axes_labels: Of x and y.
        lines: What is drawn.
        limits: `x` and `y` to their ends, where these are not by the lines.
        bars: (left edges, heights 0 to 1) of a histogram along the bottom, behind the lines.
        whole_x: Whether x counts something: its ticks are whole numbers.
    """
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.add_subplot()
        _dress(axes, axes_labels)
        if bars is not None:
            edges, heights = bars
            width = float(edges[1] - edges[0]) if len(edges) > 1 else 1.0
            axes.bar(edges, heights, width=width, align="edge", color=LINE, linewidth=0)
        for line in lines:
            _draw(axes, line)
        for name, ends in (limits or {}).items():
            (axes.set_xlim if name == "x" else axes.set_ylim)(*ends)
        if whole_x:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if any(line.label for line in lines):
            axes.legend(frameon=False, fontsize=9.5, labelcolor=INK)
        return _as_figure(figure, title)


def _draw(axes: Axes, line: Line) -> None:
    axes.plot(
        line.x,
        line.y,
        color=line.color,
        label=clean(line.label) if line.label else None,
        linewidth=line.width,
        linestyle="--" if line.dashed else "-",
        marker=line.marker,
        markersize=4,
        solid_capstyle="round",
    )


def _dress(axes: Axes, labels: tuple[str, str]) -> None:
    axes.set_xlabel(clean(labels[0]))
    axes.set_ylabel(clean(labels[1]))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.6, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.patch.set_visible(False)


def _as_figure(figure: Figure, title: str) -> Markup:
    figure.patch.set_visible(False)
    image = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of characters that matplotlib's font lacks: the reader's has them
        FigureCanvasSVG(figure).print_svg(image, metadata={"Date": None, "Creator": None})
    drawn = _for_the_page(ElementTree.fromstring(image.getvalue()), title)
    return element("figure", element("figcaption", title), drawn, class_="plot")


def _for_the_page(svg: ElementTree.Element, title: str) -> Markup:
    """As wide as its place, in the page's colours and letters, without what only a file needs."""
    for name in ("width", "height"):
        del svg.attrib[name]
    for node in svg.iter():
        node.tag = node.tag.removeprefix(_SVG)
        if node.tag == "g":
            node.attrib.pop("id", None)
        if _LINK in node.attrib:
            node.set("href", node.attrib.pop(_LINK))
        if "style" in node.attrib:
            node.set("style", _page_style(node.attrib["style"]))
    _remove(svg, ("metadata", "style"))
    svg.attrib.update(role="img", **{"aria-label": clean(title)})
    return Markup(ElementTree.tostring(svg, encoding="unicode"))


def _page_style(style: str) -> str:
    style = _FONT.sub("", style)
    for standing, own in _STANDING.items():
        style = style.replace(standing, own)
    return style


def _remove(node: ElementTree.Element, names: Sequence[str]) -> None:
    for child in list(node):
        if child.tag in names:
            node.remove(child)
        else:
            _remove(child, names)
