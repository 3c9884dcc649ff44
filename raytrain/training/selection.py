"""Which epoch of a fold is kept, when it ends early, and when its rates are halved: by one metric."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from raytrain.scores.classes import is_better
from raytrain.storage.state import Parts
from raytrain.training.settings import TrainSettings

PLATEAU_FACTOR = 0.5  # an epoch without a better `monitor` halves the rates

_PREDICTED = "best_predicted"

Weights = dict[str, np.ndarray]


class Selection:
    """Watches a training's epochs.

    Args:
        settings: Hyperparameters.

    Attributes:
        factor: Of the rates, as the schedule `plateau` has it.
        stale_epochs: Epochs since the metric was better than ever before.
        weights: Of the best epoch; none where the last one is kept.
        predicted: What those said of the valid rows.
    """

    def __init__(self, settings: TrainSettings):
        self._settings = settings
        self.factor, self.stale_epochs = 1.0, 0
        self.weights: Weights = {}
        self.predicted: np.ndarray | None = None

    @property
    def stops(self) -> bool:
        """Whether the fold ends for want of a better epoch."""
        patience = self._settings.early_stopping
        return patience is not None and self.stale_epochs >= patience

    def watch(
        self, history: list[dict[str, float]], weights: Callable[[], Weights], predicted: np.ndarray | None
    ) -> None:
        """Judges the last epoch.

        Args:
            history: Metrics of all epochs.
            weights: Reads the model's, where they are wanted.
            predicted: What they said of the valid rows.
        """
        name, better = self._settings.monitor, is_better(self._settings.monitor)
        value = history[-1][name]
        if np.isnan(value):  # not defined on these rows, which says nothing about the epoch
            return
        earlier = [epoch[name] for epoch in history[:-1] if not np.isnan(epoch[name])]
        if not earlier or all(better(value, other) for other in earlier):
            self.stale_epochs = 0
            if self._settings.select == "best":
                self.weights, self.predicted = weights(), predicted
            return
        self.stale_epochs += 1
        if self._settings.schedule == "plateau":
            self.factor *= PLATEAU_FACTOR

    def best(self, history: list[dict[str, float]]) -> dict[str, float]:
        """Metrics of the best epoch."""
        name = self._settings.monitor
        epochs = [epoch for epoch in history if not np.isnan(epoch[name])] or history
        sign = 1 if is_better(name)(1.0, 0.0) else -1
        return max(epochs, key=lambda epoch: sign * epoch[name])

    def state(self) -> tuple[dict[str, Any], Parts]:
        """As `storage.state` writes it: values, and arrays by what they are of and by name."""
        values = {"plateau": self.factor, "stale_epochs": self.stale_epochs}
        alone = {} if self.predicted is None else {_PREDICTED: self.predicted}
        return values, {"best": self.weights, "": alone}

    def load(self, values: Mapping[str, Any], parts: Parts) -> None:
        """Goes on from what `state` told."""
        self.factor, self.stale_epochs = values["plateau"], values["stale_epochs"]
        self.weights, alone = dict(parts.get("best", {})), parts.get("", {})
        self.predicted = alone.get(_PREDICTED, alone.get("best_proba"))  # its name before there were taggers
