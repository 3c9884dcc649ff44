"""What a person sees of candidates for keywords: tables of the most telling words, and a picture."""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from rich.table import Table
from rich.text import Text

from raytrain.errors import InputError
from raytrain.keywords.candidates import Candidates

SUFFIXES = (".png", ".svg")
_COLORS = ("#1b6ca8", "#d1652c", "#3a8f5c", "#8a4f9e")
_CLASSES_PER_TABLE = 5
_PANELS = 40  # more classes than these are in the table alone


def top_tables(candidates: Candidates, num_words: int = 20) -> list[Table]:
    """The words that tell most of each class, a few classes a table; of all texts where there are none."""
    if not candidates.labels:
        rows = [[_cell(candidates, word, None)] for word in range(min(num_words, len(candidates.words)))]
        return [_table(["keyword, and of how many texts it is one"], rows)]
    tables = []
    for first in range(0, len(candidates.labels), _CLASSES_PER_TABLE):
        labels = range(first, min(first + _CLASSES_PER_TABLE, len(candidates.labels)))
        columns = [[_cell(candidates, w, i) for w in candidates.top(i, num_words)] for i in labels]
        height = max(len(column) for column in columns)
        rows = [[column[row] if row < len(column) else "" for column in columns] for row in range(height)]
        tables.append(_table([str(candidates.labels[i]) for i in labels], rows))
    return tables


def _cell(candidates: Candidates, word: int, label: int | None) -> str:
    if label is None:
        return f"{candidates.words[word]}  {candidates.counts[word]:,}"
    return f"{candidates.words[word]}  {candidates.scores[word, label]:.1f}"


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    table.add_column("", justify="right", style="dim")
    for name in names:
        table.add_column(Text(name))  # a label may look like markup
    for number, row in enumerate(rows, start=1):
        table.add_row(str(number), *(Text(cell) for cell in row))
    return table


def check_picture(path: str | Path) -> None:
    """Raises InputError where the name of a picture ends in no known suffix."""
    if Path(path).suffix not in SUFFIXES:
        raise InputError(f"{path}: expected a picture's name that ends in {' or '.join(SUFFIXES)}")


def draw_candidates(candidates: Candidates, path: str | Path, num_words: int = 20) -> str | None:
    """Draws each class's most telling words as bars, as PNG or SVG.

    Args:
        candidates: Of `keywords.candidates.find_candidates`.
        path: Where the picture goes.
        num_words: Most words of a class; the first `_PANELS` classes are drawn.

    Returns:
        None, or why there is no picture: no font of this machine has the characters.
    """
    font = find_chinese_font()
    if font is None:
        return NO_FONT
    with drawing_with(font):
        figure = _draw(candidates, num_words)
        FigureCanvasAgg(figure)
        figure.savefig(path, dpi=130)
    return None


@contextlib.contextmanager
def drawing_with(font: str) -> Iterator[None]:
    """Draws with a font of `find_chinese_font`, and says nothing of the weights and characters that it lacks.

    Such a character is drawn as a box.
    """
    # Outlines in SVG, since whoever looks at it may lack the font.
    settings: dict[Any, Any] = {"font.family": [font, "DejaVu Sans"], "svg.fonttype": "path"}
    logger = logging.getLogger("matplotlib.font_manager")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with matplotlib.rc_context(settings), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
            yield
    finally:
        logger.setLevel(level)


def _draw(candidates: Candidates, num_words: int) -> Figure:
    names = [str(label) for label in candidates.labels][:_PANELS] or ["all texts"]
    columns = min(len(names), 4)
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.4 * columns + 0.4, 5.2 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for number, (axes, name) in enumerate(zip(grid, names, strict=False)):
        if candidates.labels:
            words = candidates.top(number, num_words)
            values = candidates.scores[words, number]
        else:
            words = list(range(min(num_words, len(candidates.words))))
            values = candidates.counts[words].astype(float)
        color = _COLORS[number % len(_COLORS)]
        _draw_bars(axes, [candidates.words[word] for word in words], values, name, color)
    for axes in grid[len(names) :]:
        axes.set_visible(False)
    unit = "association, standard deviations" if candidates.labels else "texts of which it is a keyword"
    figure.supxlabel(unit, fontsize=9)
    return figure


def _draw_bars(axes: Axes, words: Sequence[str], values: np.ndarray, title: str, color: str) -> None:
    """One bar a word, the largest on top. A `$` is a character here, not the start of a formula."""
    places = np.arange(len(words))
    axes.barh(places, values, color=color, height=0.7)
    axes.set_yticks(places, list(words), fontsize=9, parse_math=False)
    axes.set_ylim(len(words) - 0.4, -0.6)
    axes.set_title(title, loc="left", fontsize=11, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", labelsize=8)


# Sans serif and simplified first; any other font that has the characters will do.
_PREFERRED = (
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC"),
    *("Microsoft YaHei", "Hiragino Sans GB", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "SimHei"),
    *("Noto Sans CJK JP", "Heiti SC", "Arial Unicode MS", "Droid Sans Fallback"),
)


_SAMPLE = "谣言与真相的"


NO_FONT = (
    "no font with Chinese characters is installed; install one, e.g. the package fonts-noto-cjk "
    "(Debian, Ubuntu) or google-noto-sans-cjk-fonts (Fedora)"
)


def find_chinese_font() -> str | None:
    """Finds a font that has simplified Chinese characters and makes matplotlib know it.

    Returns:
        The name of its family, or None where no font of this machine has them.
    """
    found = []
    for path in font_manager.findSystemFonts():
        try:
            font = FT2Font(path)
        except (RuntimeError, OSError):  # not every file in a folder of fonts is one
            continue
        if all(font.get_char_index(ord(char)) for char in _SAMPLE):
            name = font.family_name
            rank = _PREFERRED.index(name) if name in _PREFERRED else len(_PREFERRED)
            found.append((rank, font.style_name != "Regular", Path(path).name, path))
    if not found:
        return None
    font_path = min(found)[-1]
    font_manager.fontManager.addfont(font_path)
    return str(FT2Font(font_path).family_name)
