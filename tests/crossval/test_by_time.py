"""What is said of folds by time; whole comparisons are in tests/runs/."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from crossval.test_plan import LABELS, NUM_ROWS, corpus_of, keywords_of, plan_of, shared_of

from raytrain.crossval.plan import Plan
from raytrain.crossval.results import time_lines, time_summary
from raytrain.crossval.specs import build_specs
from raytrain.splits.folds import NO_FOLD, UNLABELLED, Folds

VALID = np.array([[0, NO_FOLD, 0, NO_FOLD, 1, NO_FOLD, 1, NO_FOLD]], np.int32)
TIMES = pa.array([5, 1, 6, 2, 7, 3, 8, 4])
ALONE, TOGETHER = np.arange(NUM_ROWS), np.array([0, 1, 2, 3, 1, 5, 2, 7])


def time_plan(groups=ALONE, times=TIMES, **changes) -> Plan:
    """Rows 1, 3, 5, 7 come first, then fold 0 (0 and 2) and fold 1 (4 and 6)."""
    corpus = corpus_of(table=corpus_of().table.append_column("time", times))
    plan = plan_of("folds.time=day", "folds.repeats=1", corpus=corpus, **changes)
    return replace(plan, folds=Folds(VALID, groups))


def test_each_fold_is_told_with_its_time_and_what_it_learns_from():
    told = time_summary(time_plan(TOGETHER))
    assert told == {
        "column": "day",
        "before": {"rows": 4, "first": 1, "last": 4},
        "folds": [
            {"fold": 0, "rows": 2, "first": 5, "last": 6, "train_rows": 4, "left_out": 0},
            {"fold": 1, "rows": 2, "first": 7, "last": 8, "train_rows": 4, "left_out": 2},
        ],
    }
    assert time_lines(time_plan(TOGETHER)) == [
        "folds by time (folds.time=day): the first 4 of 8 rows, up to 4, are in no fold; each fold learns "
        "from what lies before it, from 4 to 4 rows",
        "  not learned from, because a fold is judged by a row of their group: 2 rows, of one fold 2 at most",
    ]


def test_without_groups_there_is_nothing_more_to_tell():
    [line] = time_lines(time_plan())
    assert line.endswith("from 4 to 6 rows")


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_dates_are_told_as_they_are_written(zone):
    days = [(day - 1) * 86_400_000_000 for day in TIMES.to_pylist()]
    told = time_summary(time_plan(times=pa.array(days, pa.timestamp("us", zone))))
    assert told["before"]["first"].startswith("1970-01-01 00:00:00") and json.loads(json.dumps(told)) == told
    assert told["folds"][1]["last"].startswith("1970-01-08 00:00:00")


def test_of_folds_at_random_nothing_is_told():
    assert time_summary(plan_of()) is None and time_lines(plan_of()) == []


def test_what_a_fold_is_told_knows_nothing_of_later_rows():
    """Its keywords, its rows, and how many rows it is thought to have."""
    keywords = keywords_of()
    plan = time_plan(TOGETHER, shared=shared_of(keywords=keywords, features=pa.table({"x": range(NUM_ROWS)})))
    assert plan.num_train_rows == 4
    data = plan.fold_data()
    for spec, learned in zip(build_specs(plan, None), ([1, 3, 5, 7], [0, 3, 5, 7]), strict=True):
        assert spec.rows(data)[0].tolist() == learned
        assert spec.keywords.tolist() == keywords.choose(np.array(learned), np.array(LABELS), 2).tolist()


def test_texts_without_a_label_are_not_taken_for_the_first_in_time():
    data = time_plan(shared=shared_of(num_unlabelled=2)).fold_data()
    assert data.folds.valid[0, NUM_ROWS:].tolist() == [UNLABELLED] * 2
    for spec in build_specs(time_plan(), None):
        learned, judged = spec.rows(data)
        assert max(learned) < NUM_ROWS and max(judged) < NUM_ROWS
        assert spec.unlabelled_rows(data).tolist() == [NUM_ROWS, NUM_ROWS + 1]
