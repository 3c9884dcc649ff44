"""Hyperparameters of a fold, and what its schedule makes of the learning rates."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from raytrain.tasks import Adversarial


@dataclass(frozen=True)
class TrainSettings:
    """Hyperparameters of a fold; the meaning of each, and its default, stands in the config.

    `class_weight` has a weight per label index, or is None. `temperature` and `hard` are those of `distill`.
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
    temperature: float = 1.0
    hard: float = 0.0


def rate_factor(schedule: str, step: int, num_steps: int, warmup: float) -> float:
    """What the learning rates are multiplied by at a step, from 0 to num_steps - 1.

    After the warm-up `linear` falls to 0 in a line (as BERT was trained: Devlin et al. 2019) and
    `cosine` in half a cosine (Loshchilov & Hutter 2017); the others stay at 1.
    """
    rising = warmup * num_steps
    if step < rising:
        return (step + 1) / (rising + 1)
    progress = (step - rising) / max(num_steps - rising, 1)
    if schedule == "linear":
        return 1 - progress
    if schedule == "cosine":
        return 0.5 * (1 + float(np.cos(np.pi * progress)))
    return 1.0
