"""What a run says of folds by time: which rows each learns from; and how a baseline does at random."""

from typing import Any

import numpy as np

from raytrain.crossval.baselines import follow_folds, start_folds
from raytrain.crossval.plan import Plan
from raytrain.scores.oof import score_oof
from raytrain.splits.by_time import deal_again
from raytrain.stages import Stages

COMPARED = "tfidf_logistic"  # a network would have to be trained a second time


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


class Comparison:
    """A baseline under random folds of the same rows, computed on Ray beside the folds.

    Args:
        plan: The run, of folds by time.
    """

    def __init__(self, plan: Plan):
        self._plan = plan
        self._valid, is_train = deal_again(plan.folds, plan.targets, plan.config.seed)
        self._stream = start_folds(plan, "baselines/random", self._valid, is_train)

    def finish(self, baselines: dict[str, np.ndarray], stages: Stages) -> dict[str, Any] | None:
        """Waits for it.

        Args:
            baselines: Each one's (num_rows, num_classes) probabilities by time; none where they failed.
            stages: Told of the wait.

        Returns:
            Both scores as in summary.json; None where one of the two is not there.
        """
        plan = self._plan
        random = follow_folds(plan, self._stream, self._valid, "random folds", stages)
        if not baselines or not random:
            return None
        scores = {
            kind: score_oof(plan.targets, oof[COMPARED], plan.config.seed)
            for kind, oof in (("time", baselines), ("random", random))
        }
        return {"model": COMPARED, **scores}
