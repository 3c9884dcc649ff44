"""Hyperparameters of a fold, and what its learning rates are multiplied by at each step."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TrainSettings:
    """Hyperparameters of a fold; the meaning of each stands in the config.

    `class_weight` has a weight per label index, or is None.
    """

    epochs: int = 3
    batch_size: int = 32
    learning_rate: float = 1e-3
    encoder_learning_rate: float = 1e-5
    crf_learning_rate: float = 1e-2
    schedule: str = "linear"
    warmup: float = 0.0
    weight_decay: float = 0.0
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    class_weight: tuple[float, ...] | None = None
    early_stopping: int | None = None
    monitor: str = "log_loss"
    select: str = "last"


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
