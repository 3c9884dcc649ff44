"""Hyperparameters of a fold."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TrainSettings:
    """Hyperparameters of a fold; the meaning of each, and its default, stands in the config.

    `class_weight` has a weight per label index, or is None.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    encoder_learning_rate: float
    crf_learning_rate: float
    schedule: str
    warmup: float
    weight_decay: float
    clip_norm: float | None
    label_smoothing: float
    class_weight: tuple[float, ...] | None
    early_stopping: int | None
    monitor: str
    select: str
    compile: Literal["auto"] | bool = "auto"
    restarts: int = 0
