"""Hyperparameters of a fold."""

from dataclasses import dataclass
from typing import Literal

from raytrain.tasks import Adversarial


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
    layer_decay: float = 1.0
    adversarial: Adversarial | None = None
    adversarial_size: float = 0.01
    r_drop: float = 0.0
    mixup: float = 0.0
    multi_sample_dropout: int = 1
    ema: float | None = None
    pseudo_labels: float | None = None
