"""Groups on a plane: where texts lie by t-SNE, drawn with names that do not overlap."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from raytrain.groups.tell import Group
from raytrain.keywords.report import NO_FONT, drawing_with, find_chinese_font

MOST_POINTS = 2000  # more are neither told apart by the eye nor laid out in a minute
LEAST_FOR_TSNE = 10
# Twenty that are told apart; further groups begin again.
COLORS = (
    *("#1b6ca8", "#d1652c", "#3a8f5c", "#8a4f9e", "#b8860b", "#c2415d", "#4a7c7e", "#7a6a53", "#5566cc"),
    *("#9c5a3c", "#2f9ea0", "#a3488a", "#6b8e23", "#cc7a8b", "#3b5b92", "#a0522d", "#5b8c5a", "#7f5fa8"),
    *("#c98a2b", "#607080"),
)
NO_GROUP = "#b0b0b0"
_STEPS = 40  # places around its own that a name is tried at


def choose_points(groups: np.ndarray, told: Sequence[Group], seed: int) -> np.ndarray:
    """Rows that are drawn, sorted: all, or as many as fit, the typical and odd ones among them.

    Args:
        groups: (n,) of the texts.
        told: The groups.
        seed: Of the choice.
    """
    if len(groups) <= MOST_POINTS:
        return np.arange(len(groups))
    wanted = [row for group in told for row in (*group.typical, *group.odd)][:MOST_POINTS]
    others = np.setdiff1d(np.arange(len(groups)), wanted)
    drawn = np.random.default_rng(seed).choice(others, MOST_POINTS - len(set(wanted)), replace=False)
    return np.union1d(drawn, wanted).astype(int)


def lay_out(vectors: np.ndarray, seed: int) -> np.ndarray:
    """(n, 2) places of vectors, between 0 and 1, by t-SNE (van der Maaten and Hinton 2008)."""
    if len(vectors) < LEAST_FOR_TSNE:
        places = np.zeros((len(vectors), 2))
        if (size := min(2, len(vectors) - 1, vectors.shape[1])) > 0:
            places[:, :size] = PCA(size, random_state=seed).fit_transform(vectors)
    else:
        vectors = np.pad(vectors, ((0, 0), (0, max(0, 2 - vectors.shape[1]))))  # a plane has two directions
        perplexity = min(30.0, (len(vectors) - 1) / 3)
        places = TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(vectors)
    low, high = places.min(axis=0), places.max(axis=0)
    return (places - low) / np.where(high > low, high - low, 1)


def draw_groups(
    places: np.ndarray, groups: np.ndarray, told: Sequence[Group], path: str | Path
) -> str | None:
    """Draws the points and the groups' names.

    Args:
        places: (n, 2) of `lay_out`.
        groups: (n,) of the same texts.
        told: The groups.
        path: Of the picture, .png or .svg.

    Returns:
        None, or why there is no picture: no font of this machine has the characters.
    """
    font = find_chinese_font()
    if font is None:
        return NO_FONT
    with drawing_with(font):
        figure = Figure(figsize=(9, 7), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.set_axis_off()
        for number in range(-1, len(told)):
            own = places[groups == number]
            axes.scatter(own[:, 0], own[:, 1], s=9, color=color_of(number), alpha=0.6, linewidths=0)
        _write_names(figure, axes, places, groups, told)
        figure.savefig(path, dpi=130)
    return None


def color_of(number: int) -> str:
    return NO_GROUP if number < 0 else COLORS[number % len(COLORS)]


def _write_names(
    figure: Figure, axes: Axes, places: np.ndarray, groups: np.ndarray, told: Sequence[Group]
) -> None:
    """Each name near the middle of its points, at the nearest place where no other lies."""
    figure.draw_without_rendering()
    taken: list[Bbox] = []
    for group in told:
        own = places[groups == group.number]
        if not len(own):
            continue
        middle, size = np.median(own, axis=0), 0.02
        name = axes.text(
            float(middle[0]),
            float(middle[1]),
            group.name,
            color=color_of(group.number),
            fontsize=10,
            fontweight="bold",
            ha="center",
            va="center",
            parse_math=False,
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.5},
        )
        for step in range(_STEPS):
            angle = step * 2.4  # the golden angle: places spread evenly outwards
            name.set_position(middle + size * np.sqrt(step) * np.array([np.cos(angle), np.sin(angle)]))
            box = name.get_window_extent().expanded(1.04, 1.15)
            if not any(box.overlaps(other) for other in taken):
                break
        taken.append(name.get_window_extent().expanded(1.04, 1.15))
