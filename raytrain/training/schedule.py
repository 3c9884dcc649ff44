"""What the learning rates are multiplied by at each step."""

import numpy as np


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
