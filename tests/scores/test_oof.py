"""Probabilities of fold models put together; more of it in test_tables.py beside their tables."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.scores.oof import (
    assemble_oof,
    mean_oof,
    oof_table,
    proba_of,
    score_baseline,
    score_folds,
    score_oof,
)
from raytrain.storage.files import parquet_bytes, read_parquet

LABELS = np.array([0, 1, 1, 0])
PROBA = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3]])


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(1, 4))
def test_any_split_into_folds_gives_each_row_what_was_said_of_it(folds, num_classes):
    folds = np.array(folds)
    proba = np.random.default_rng(len(folds)).random((len(folds), num_classes))
    parts = [(np.flatnonzero(folds == fold), proba[folds == fold]) for fold in range(4)]
    np.testing.assert_array_equal(assemble_oof(parts, *proba.shape), proba)


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=3))
def test_a_row_is_the_mean_of_the_architectures_that_covered_it(covered):
    said = np.random.default_rng(0).random((len(covered), 5, 2))
    oof = {
        str(number): np.where(np.array(rows)[:, None], said[number], np.nan)
        for number, rows in enumerate(covered)
    }
    found = mean_oof(oof)
    for row in range(5):
        own = [said[number, row] for number, rows in enumerate(covered) if rows[row]]
        expected = np.mean(own, axis=0) if own else [np.nan, np.nan]
        np.testing.assert_allclose(found[row], expected)


def test_rows_that_no_fold_covered_are_not_scored():
    whole = np.vstack([PROBA, [[np.nan, np.nan]]])
    assert score_oof(np.append(LABELS, 1), whole, seed=3) == score_oof(LABELS, PROBA, seed=3)


def test_the_table_comes_back_from_its_file():
    whole = PROBA.copy()
    whole[2] = np.nan
    folds = np.array([[0, 1, 0, 1], [1, 1, 0, 0]])
    table = oof_table(pa.array(["a", "b", "c", "d"]), folds, ["假", "真"], LABELS, {"textcnn": whole}, whole)
    stored = read_parquet(parquet_bytes(table))
    assert stored.schema == table.schema
    assert stored["fold"].to_pylist() == [0, 1, 0, 1]
    assert stored["id"].to_pylist() == ["a", "b", "c", "d"]
    assert stored["label"].to_pylist() == ["假", "真", "真", "假"]
    np.testing.assert_array_equal(stored["proba_真"].to_numpy(), whole[:, 1])


def test_a_metric_that_a_fold_lacks_is_not_defined_over_the_folds():
    scores = score_folds([{"auc": 0.5, "f1": 0.5}, {"auc": float("nan"), "f1": 1.0}], ["auc", "f1"])
    assert np.isnan(scores["mean"]["auc"]) and np.isnan(scores["sd"]["auc"])
    assert scores["mean"]["f1"] == 0.75 and scores["sd"]["f1"] == pytest.approx(0.125**0.5)


def test_a_baselines_rows_of_no_fold_do_not_count():
    labels, folds = np.array([0, 1, 0, 1, 1]), np.array([-1, 0, 0, 1, 1])
    proba = np.array([[np.nan] * 2, [0.2, 0.8], [0.9, 0.1], [0.6, 0.4], [0.1, 0.9]])
    entry = score_baseline(labels, folds, proba, seed=0)
    assert entry["rows"] == 4 and entry["oof"]["accuracy"] == 0.75
    assert entry["mean"]["accuracy"] == 0.75 and entry["sd"]["accuracy"] == pytest.approx(0.3535534)


def test_decisions_have_a_column_and_rows_that_no_fold_covered_none():
    proba, ids = PROBA.copy(), pa.array(["a", "b", "c", "d"])
    proba[2] = np.nan
    columns = (ids, np.zeros((1, 4), int), ["假", "真"], LABELS, {"textcnn": proba}, proba)
    assert "decision" not in oof_table(*columns).column_names
    table = read_parquet(parquet_bytes(oof_table(*columns, np.array([1, 1, 0, 0]))))
    assert table["decision"].to_pylist() == ["真", "真", None, "假"]
    scores = score_oof(LABELS, proba, 0, np.array([1, 1, 0, 0]))
    assert (scores["rows"], scores["oof"]["accuracy"]) == (3, pytest.approx(2 / 3))


def test_a_single_architecture_has_its_own_columns_where_the_whole_says_something_else():
    columns = (
        pa.array(["a", "b", "c", "d"]),
        np.zeros((1, 4), int),
        ["假", "真"],
        LABELS,
        {"textcnn": PROBA},
    )
    assert "textcnn_proba_真" not in oof_table(*columns, PROBA.copy()).column_names
    table = oof_table(*columns, PROBA**2)
    assert table["textcnn_proba_真"].to_pylist() == PROBA[:, 1].tolist()


def test_probabilities_are_read_and_rows_that_no_fold_covered_stay_nan():
    table = pa.table({"proba_a": [0.0, np.nan, None], "proba_b": [1.0 + 1e-7, np.nan, None]})
    np.testing.assert_allclose(proba_of(table, "ab"), [[0, 1], [np.nan] * 2, [np.nan] * 2], atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -0.01, 1.01, None])
def test_what_is_no_probability_is_told_with_its_row(bad):
    with pytest.raises(ValueError, match=r"found 0.5, .* in row 2"):
        proba_of(pa.table({"proba_a": [0.0, 0.5], "proba_b": [1.0, bad]}), "ab")


@pytest.mark.parametrize("column", [["0.5"], [1], [[0.5]]])
def test_columns_of_anything_else_are_told(column):
    with pytest.raises(ValueError, match="expected probabilities in proba_b"):
        proba_of(pa.table({"proba_a": [0.5], "proba_b": column}), "ab")
