"""Pictures of a sweep: score against learning rate, the best score over time, parallel coordinates."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from raytrain.config.defaults import EncoderStart, learning_rates, trains_encoder
from raytrain.config.schema import Config
from raytrain.storage.directory import Directory
from raytrain.sweep.records import TrialRecord
from raytrain.sweep.space import with_point
from raytrain.tasks import LOWER_IS_BETTER, TITLES

StartOf = Callable[[Config], EncoderStart]  # of a trial's config: how its encoder begins

_RATE = "learning rate"
_COLORS = ("#1b6ca8", "#d1652c", "#3a8f5c", "#8a4f9e")  # told apart by colour-blind readers, too


def write_pictures(
    sweep: Directory, records: Sequence[TrialRecord], config: Config, start_of: StartOf
) -> list[str]:
    """Draws what is known into pictures/*.png of a sweep's directory. Returns the files' names."""
    known = [record for record in records if not np.isnan(record.mean(config.sweep.metric))]
    if not known:
        return []
    drawings = {
        "learning_rate.png": _draw_rates(known, config, start_of),
        "best_over_time.png": _draw_best(known, config),
        "parallel.png": _draw_parallel(known, config, start_of),
    }
    for name, figure in drawings.items():
        image = io.BytesIO()
        FigureCanvasAgg(figure).print_png(image)
        sweep.write_bytes(f"pictures/{name}", image.getvalue())
    return [f"pictures/{name}" for name in drawings]


def searched_rate(record: TrialRecord, config: Config, start_of: StartOf) -> float:
    """The rate that matters: of the encoder where a finetuned one is all there is, else of the head."""
    own = with_point(config, record.point)
    architecture = own.model.architectures[0]
    start = start_of(own)
    head, encoder = learning_rates(own, architecture, start)
    is_alone = architecture == "finetune" and trains_encoder(own, architecture, start.pretrained)
    return encoder if is_alone else head


def _architecture_of(record: TrialRecord, config: Config) -> str:
    return str(record.point.get("model.architecture", config.model.architectures[0]))


def _figure(width: float, title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, 4.5), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _metric_label(config: Config) -> str:
    better = "lower" if config.sweep.metric in LOWER_IS_BETTER else "higher"
    return f"{TITLES[config.sweep.metric]}, mean over folds ({better} is better)"


def _draw_rates(records: Sequence[TrialRecord], config: Config, start_of: StartOf) -> Figure:
    figure, axes = _figure(7.5, f"{config.name}: score against learning rate")
    names = sorted({_architecture_of(record, config) for record in records})
    for name, color in zip(names, _COLORS * len(names), strict=False):
        for is_whole, marker in ((True, "o"), (False, "x")):
            own = [
                record
                for record in records
                if _architecture_of(record, config) == name
                and (record.num_folds >= config.sweep.num_folds) == is_whole
            ]
            label = f"{name}{'' if is_whole else ', pruned or stopped'}"
            rates = [searched_rate(record, config, start_of) for record in own]
            scores = [record.mean(config.sweep.metric) for record in own]
            if own:
                axes.scatter(rates, scores, color=color, marker=marker, label=label, s=42, linewidths=1.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:.0e}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("learning rate (finetune: the encoder's; else the head's), log scale")
    axes.set_ylabel(_metric_label(config))
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _draw_best(records: Sequence[TrialRecord], config: Config) -> Figure:
    """Only trials with all folds count: a mean over fewer is another quantity."""
    figure, axes = _figure(7.5, f"{config.name}: the best score over time")
    whole = [record for record in records if record.num_folds >= config.sweep.num_folds]
    whole = sorted(whole or records, key=lambda record: record.ended)
    minutes = [record.ended / 60 for record in whole]
    scores = [record.mean(config.sweep.metric) for record in whole]
    running = np.minimum if config.sweep.metric in LOWER_IS_BETTER else np.maximum
    axes.step(minutes, running.accumulate(scores), where="post", color=_COLORS[0], label="best so far")
    axes.scatter(minutes, scores, color="0.6", s=22, label="each trial", zorder=1)
    axes.set_xlabel("minutes since the sweep began")
    axes.set_ylabel(_metric_label(config))
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, frameon=False)
    return figure


def _draw_parallel(records: Sequence[TrialRecord], config: Config, start_of: StartOf) -> Figure:
    """One line a trial through its values, coloured by its score."""
    keys = [key for key in dict.fromkeys(k for record in records for k in record.point)]
    keys = [key for key in keys if "learning_rate" not in key]
    columns: dict[str, list[Any]] = {
        key.split(".")[-1].replace("_", " "): [record.point.get(key) for record in records] for key in keys
    }
    columns[_RATE] = [searched_rate(record, config, start_of) for record in records]
    scores = np.array([record.mean(config.sweep.metric) for record in records])
    columns[TITLES[config.sweep.metric]] = list(scores)
    figure, axes = _figure(
        1.8 * len(columns) + 2.5, f"{config.name}: every trial's values, coloured by score"
    )
    always = (_RATE, TITLES[config.sweep.metric])
    heights = np.stack(
        [
            _draw_axis(axes, place, values, name in always, name)
            for place, (name, values) in enumerate(columns.items())
        ]
    )
    is_low = config.sweep.metric in LOWER_IS_BETTER
    colors = ScalarMappable(Normalize(scores.min(), scores.max()), "viridis" if is_low else "viridis_r")
    for number in np.argsort(-scores if is_low else scores):  # the best on top
        color = colors.to_rgba(scores[number])
        axes.plot(range(len(columns)), heights[:, number], color=color, linewidth=1.5, alpha=0.85)
    figure.colorbar(colors, ax=axes, label=_metric_label(config), shrink=0.9)
    axes.set_xlim(-0.2, len(columns) - 0.6)
    axes.set_ylim(-0.05, 1.05)
    axes.set_xticks(range(len(columns)), list(columns), fontsize=9)
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    return figure


def _draw_axis(axes: Axes, place: int, values: list[Any], is_scale: bool, name: str) -> np.ndarray:
    """An upright axis with its labels: a scale of numbers, or one place for each value.

    Returns:
        (num_trials,) the heights of the values on it, 0 to 1.
    """
    axes.axvline(place, color="0.75", linewidth=0.8, zorder=0)
    are_numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if is_scale or (are_numbers and len(set(values)) > 4):
        array = np.array(values, float)
        scaled = np.log10(array) if name == _RATE else array
        low, high = float(scaled.min()), float(scaled.max())
        heights = (scaled - low) / max(high - low, 1e-12)
        shown = ".1e" if name == _RATE else ".4g"
        ticks = {0.0: format(array.min(), shown), 1.0: format(array.max(), shown)}
    else:
        order = sorted(set(map(str, values)))
        heights = np.array([order.index(str(value)) / max(len(order) - 1, 1) for value in values])
        ticks = {index / max(len(order) - 1, 1): text for index, text in enumerate(order)}
    for height, text in ticks.items():
        axes.annotate(text, (place, height), xytext=(4, 4), textcoords="offset points", fontsize=8)
    return heights
