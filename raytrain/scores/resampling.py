"""Resamples of rows, by which intervals of scores are found; rows that belong together are drawn together."""

from collections.abc import Iterator

import numpy as np

LEAST, MOST = 100, 1000


def num_resamples(size: int, work: int, most: int = MOST) -> int:
    """How many resamples are taken: `LEAST` at least, then fewer the more each costs.

    Args:
        size: What each costs, in any unit.
        work: What all may cost in that unit.
        most: However little they cost.
    """
    return int(np.clip(work // max(size, 1), min(LEAST, most), most))


def draw_counts(
    num_rows: int, resamples: int, seed: int, groups: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Draws rows with replacement (Efron 1979), or whole groups of rows (Field & Welsh 2007).

    Rows of a group say much the same: drawn one by one they would make an interval too narrow.

    Args:
        num_rows: How many rows there are.
        resamples: How often they are drawn.
        seed: Of the draws.
        groups: (num_rows,) integers, equal ones of rows that belong together; None: each row stands alone.
            As many groups are drawn as there are, so that the number of rows varies.

    Yields:
        (num_rows,) how often each row was drawn.
    """
    rng = np.random.default_rng(seed)
    numbers = None if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    count = num_rows if numbers is None else int(numbers.max(initial=-1)) + 1
    for _ in range(resamples):
        drawn = np.bincount(rng.integers(0, count, count), minlength=count)
        yield drawn if numbers is None else drawn[numbers]
