"""What a run says of folds by time: which rows each learns from."""

from typing import Any

import numpy as np

from raytrain.crossval.plan import Plan


def time_lines(plan: Plan) -> list[str]:
    """What is told before the folds begin; nothing of folds at random."""
    told = time_summary(plan)
    if told is None:
        return []
    column, before, folds = told["column"], told["before"], told["folds"]
    sizes = [fold["train_rows"] for fold in folds]
    lines = [
        f"folds by time (folds.time={column}): the first {before['rows']:,} of {plan.corpus.num_rows:,} "
        f"rows, up to {before['last']}, are in no fold; each fold learns from what lies before it, from "
        f"{sizes[0]:,} to {sizes[-1]:,} rows"
    ]
    left_out = [fold["left_out"] for fold in folds]
    if any(left_out):
        lines.append(
            f"  not learned from, because a fold is judged by a row of their group: {sum(left_out):,} rows, "
            f"of one fold {max(left_out):,} at most"
        )
    return lines


def time_summary(plan: Plan) -> dict[str, Any] | None:
    """When each fold is and how many rows it learns from, as in summary.json; None of folds at random.

    And where no fold is judged by any row.
    """
    if plan.config.folds.time is None or not plan.folds.covered.any():
        return None
    times, folds = plan.corpus.table["time"].combine_chunks(), plan.folds

    def told(is_in: np.ndarray) -> dict[str, Any]:
        rows = np.flatnonzero(is_in)
        order = rows[np.argsort(times.to_numpy(zero_copy_only=False)[rows], kind="stable")]
        first, last = (times[int(order[place])].as_py() for place in (0, -1))
        first, last = (end if isinstance(end, int | float) else str(end) for end in (first, last))
        return {"rows": len(rows), "first": first, "last": last}

    blocks = [
        {
            "fold": fold,
            **told(folds.is_valid(0, fold)),
            "train_rows": int(folds.is_train(0, fold).sum()),
            "left_out": folds.num_left_out(0, fold),
        }
        for fold in range(folds.num_folds)
    ]
    return {"column": plan.config.folds.time, "before": told(~folds.covered), "folds": blocks}
