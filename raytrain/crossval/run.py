"""A cross-validation as an object: run from Python, its scores and its ensemble at hand."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from rich.console import Console

from raytrain.config.schema import Config
from raytrain.crossval.driver import train_run
from raytrain.ensemble.load import load
from raytrain.messages import logging_console
from raytrain.storage.directory import Directory
from raytrain.storage.files import read_parquet


@dataclass(frozen=True)
class Run:
    """A run that has ended.

    Attributes:
        config: What it was told.
        summary: All that it found, as in summary.json.
    """

    config: Config
    summary: dict[str, Any]

    @property
    def directory(self) -> str:
        """Where its files lie."""
        return f"{self.config.storage.rstrip('/')}/{self.config.name}"

    @property
    def ensemble(self) -> str:
        """Where its artifact lies, for `raytrain.load`."""
        return f"{self.directory}/ensemble"

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """Out-of-fold scores by model: each architecture, `ensemble` of them all, each baseline."""
        entries = {
            **self.summary["architectures"],
            "ensemble": self.summary["ensemble"],
            **self.summary["baselines"],
        }
        return {name: dict(entry["oof"]) for name, entry in entries.items()}

    def oof(self) -> pa.Table:
        """What the folds said of the rows that they had not seen, a row each, as in oof.parquet."""
        return read_parquet(Directory(self.ensemble).read_bytes("oof.parquet"))

    def predictor(self) -> Any:
        """The ensemble, ready to predict, as `raytrain.load` gives it."""
        return load(self.ensemble)


def cross_validate(config: Config, console: Console | None = None) -> Run:
    """Trains every fold of every architecture and makes the ensemble.

    A run of the same name goes on where it stopped; a finished one is not trained again.

    Args:
        config: Of `raytrain.load_config`.
        console: Where to draw progress and tables; None logs each line to the logger `raytrain`.

    Raises:
        InputError: Config, corpus, encoder or cluster cannot be used; no fold was started.
        FoldError: Folds failed for good; the others are committed.
        TimeBudgetError: It was used up before one fold had learned anything.

    Example:
        >>> import raytrain
        >>> config = raytrain.load_config(data__path="train.csv", name="mine")  # doctest: +SKIP
        >>> run = raytrain.cross_validate(config)  # doctest: +SKIP
        >>> run.scores["ensemble"]["accuracy"]  # doctest: +SKIP
        0.9049
    """
    return Run(config, train_run(config, console or logging_console()))
