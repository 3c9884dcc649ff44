"""What a fold is told: all that a worker needs to train it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
from ray.actor import ActorHandle

from raytrain.folds.hidden_states import HiddenStates
from raytrain.network.schedule import TrainSettings


@dataclass(frozen=True)
class FoldSpec:
    """All that a worker needs to train one fold.

    Attributes:
        name: `<architecture>/r<repeat>-fold-<fold>`.
        location: The fold's directory.
        identity: Hash of config and corpus; a committed result of another identity is not this fold's.
        settings: Hyperparameters.
        model: Keyword arguments of `network.build.build_model`, without the seed.
        data: ObjectRef of `crossval.plan.Plan.shared_data`.
        encoder_weights: ObjectRef of arrays by name, or None for an encoder that starts untrained.
        hidden_states: The frozen encoder's output, or None where the model runs its encoder itself.
        keywords: (num_words,) the class each of data's `held_words` is kept for, -1 where it is not; None
            where the head counts none.
        precision: As in `devices.set_up_tensorflow`.
        progress: The actor that takes what the fold tells, or None.
        threads: CPUs that a worker owns.
        gpu_share: Share of a card that it owns, or None.
        accumulation: Pieces of a batch, where memory is short.
        deadline: Unix time at which the fold stops where it is, or None.
        task: `classify` or `tag`.
    """

    name: str
    architecture: str
    fold: int
    repeat: int
    seed: int
    location: str
    identity: str
    settings: TrainSettings
    model: dict[str, Any]
    data: ray.ObjectRef
    encoder_weights: ray.ObjectRef | None
    precision: str
    hidden_states: HiddenStates | None = None
    keywords: np.ndarray | None = None
    progress: ActorHandle | None = None
    threads: int = 1
    gpu_share: float | None = None
    accumulation: int = 1
    deadline: float | None = None
    task: str = "classify"

    @property
    def run(self) -> str:
        """The run's directory."""
        return self.location.removesuffix(f"/folds/{self.name}")

    def rows(self, data: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the features' rows to learn from, and of those to predict out of fold.

        Args:
            data: What `data` refers to; its `folds` is (repeats, rows of the features).
        """
        assigned = data["folds"][self.repeat]
        return np.flatnonzero(assigned != self.fold), np.flatnonzero(assigned == self.fold)


def fold_name(repeat: int, fold: int) -> str:
    return f"r{repeat}-fold-{fold:02d}"
