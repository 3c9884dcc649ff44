import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax
from sklearn import metrics as reference

from raytrain.scores.classes import (
    METRICS,
    WeightedScores,
    auc,
    bootstrap_interval,
    is_better,
    log_loss,
    proba_from_logits,
    score_proba,
)
from raytrain.tasks import LOWER_IS_BETTER


@st.composite
def scored_rows(draw):
    """Labels of which each class is met, and probabilities with ties among them."""
    num_classes = draw(st.integers(2, 4))
    num_rows = draw(st.integers(num_classes, 30))
    labels = np.array(draw(st.permutations([i % num_classes for i in range(num_rows)])))
    steps = draw(
        st.lists(st.integers(0, 4), min_size=num_rows * num_classes, max_size=num_rows * num_classes)
    )
    return labels, softmax(np.reshape(steps, (num_rows, num_classes)) / 2, axis=1)


def ordinary_rows(num_rows=400, num_classes=2, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, num_rows)
    return labels, softmax(
        rng.normal(size=(num_rows, num_classes)) + 1.5 * np.eye(num_classes)[labels], axis=1
    )


def reference_scores(labels, proba):
    one_vs_rest = [reference.roc_auc_score(labels == c, proba[:, c]) for c in range(proba.shape[1])]
    classes = np.arange(proba.shape[1])
    return {
        "accuracy": reference.accuracy_score(labels, proba.argmax(1)),
        "macro_f1": reference.f1_score(
            labels, proba.argmax(1), labels=classes, average="macro", zero_division=0
        ),
        "auc": np.mean(one_vs_rest[1:] if proba.shape[1] == 2 else one_vs_rest),
        "log_loss": reference.log_loss(labels, proba, labels=classes),
    }


@settings(max_examples=40)
@given(scored_rows())
def test_scores_are_scikit_learns(rows):
    assert score_proba(*rows) == pytest.approx(reference_scores(*rows), abs=1e-9)


@settings(max_examples=40)
@given(scored_rows())
def test_scores_of_the_bootstrap_are_scikit_learns(rows):
    once = np.ones(len(rows[0]), int)
    assert WeightedScores(*rows).score(once) == pytest.approx(reference_scores(*rows), abs=1e-9)


@settings(max_examples=40)
@given(scored_rows(), st.data())
def test_a_row_that_counts_several_times_is_as_many_rows(rows, data):
    labels, proba = rows
    size = len(labels)
    counts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)))
    counts[0] += not counts.any()
    repeated = np.repeat(np.arange(size), counts)
    expected = score_proba(labels[repeated], proba[repeated])
    assert WeightedScores(*rows).score(counts) == pytest.approx(expected, abs=1e-9, nan_ok=True)


@settings(max_examples=40)
@given(scored_rows(), st.data())
def test_scores_of_the_bootstrap_agree_where_a_class_is_missing(rows, data):
    labels, proba = rows
    labels = np.full_like(labels, data.draw(st.integers(0, proba.shape[1] - 1)))
    scores = WeightedScores(labels, proba).score(np.ones(len(labels), int))
    assert scores == pytest.approx(score_proba(labels, proba), abs=1e-9, nan_ok=True)


@settings(max_examples=40)
@given(scored_rows(), st.permutations(METRICS), st.integers(1, 4))
def test_no_more_scores_than_are_wanted(rows, names, count):
    found = WeightedScores(*rows, names=names[:count]).score(np.ones(len(rows[0]), int))
    whole = WeightedScores(*rows).score(np.ones(len(rows[0]), int))
    assert list(found) == names[:count]
    assert found == {name: pytest.approx(whole[name], nan_ok=True) for name in found}


def test_scores_are_plain_floats():
    assert {name: type(value) for name, value in score_proba(*ordinary_rows()).items()} == dict.fromkeys(
        METRICS, float
    )


@pytest.mark.parametrize("num_classes", [2, 3])
def test_auc_is_not_defined_where_a_class_is_missing(num_classes):
    proba = np.full((4, num_classes), 1 / num_classes)
    assert math.isnan(auc(np.zeros(4, int), proba))
    assert math.isnan(score_proba(np.zeros(4, int), proba)["auc"])


def test_auc_of_three_classes_is_scikit_learns_one_vs_rest():
    labels, proba = ordinary_rows(num_classes=3)
    assert auc(labels, proba) == pytest.approx(
        reference.roc_auc_score(labels, proba, multi_class="ovr", average="macro")
    )


def test_log_loss_of_a_certain_error_is_finite():
    assert log_loss(np.array([0]), np.array([[0.0, 1.0]])) == pytest.approx(-math.log(1e-7))


@given(
    st.integers(1, 5).flatmap(
        lambda width: st.lists(
            st.lists(st.floats(-1000, 1000, width=32), min_size=width, max_size=width), min_size=1, max_size=5
        )
    )
)
def test_rows_of_probabilities_sum_to_one(logits):
    proba = proba_from_logits(np.array(logits, np.float32))
    assert proba.dtype == np.float64
    assert proba.shape == (len(logits), max(2, len(logits[0])))
    assert ((proba >= 0) & (proba <= 1)).all()
    assert proba.sum(axis=1) == pytest.approx(1)


@given(st.lists(st.floats(-800, 800), min_size=1, max_size=8))
def test_one_column_of_logits_is_a_sigmoid(logits):
    proba = proba_from_logits(np.array(logits)[:, None])
    assert proba[:, 1] == pytest.approx(expit(logits), abs=1e-15)
    assert proba[:, 0] == pytest.approx(expit(-np.array(logits)), abs=1e-15)


def test_more_columns_of_logits_are_a_softmax():
    logits = np.random.default_rng(0).normal(size=(5, 4))
    assert proba_from_logits(logits) == pytest.approx(softmax(logits, axis=1))


@pytest.mark.parametrize("num_classes", [2, 3])
def test_interval_contains_the_score(num_classes):
    rows = ordinary_rows(num_classes=num_classes)
    scores = score_proba(*rows)
    for name, (lower, upper) in bootstrap_interval(*rows, seed=1, resamples=200).items():
        assert lower < scores[name] < upper


def test_interval_is_repeatable_and_the_seed_moves_it():
    rows = ordinary_rows(100)
    first = bootstrap_interval(*rows, seed=1, resamples=50)
    assert first == bootstrap_interval(*rows, seed=1, resamples=50)
    assert first != bootstrap_interval(*rows, seed=2, resamples=50)


def test_interval_narrows_with_rows_and_widens_with_the_level():
    def width(num_rows, level):
        lower, upper = bootstrap_interval(*ordinary_rows(num_rows), seed=0, resamples=200, level=level)[
            "accuracy"
        ]
        return upper - lower

    assert width(1600, 0.95) < width(100, 0.95)
    assert width(400, 0.5) < width(400, 0.95)


def test_interval_of_a_metric_that_is_not_defined_is_nan():
    labels, proba = ordinary_rows(20)
    interval = bootstrap_interval(np.zeros_like(labels), proba, seed=0, resamples=5)
    assert np.isnan(interval["auc"]).all()
    assert np.isfinite(interval["accuracy"]).all()


def test_resamples_that_lack_a_class_do_not_spoil_the_interval_of_auc():
    labels, proba = ordinary_rows(30)
    labels = (np.arange(30) == 0).astype(int)  # more than a third of the resamples lack row 0
    assert np.isfinite(bootstrap_interval(labels, proba, seed=0, resamples=50)["auc"]).all()


@pytest.mark.parametrize("name", [*METRICS, "loss"])
def test_better(name):
    low, high = (0.1, 0.9) if name not in LOWER_IS_BETTER else (0.9, 0.1)
    better = is_better(name)
    assert better(high, low)
    assert not better(low, high)
    assert not better(low, low)
    assert not better(math.nan, low)
    assert not better(low, math.nan)


# ── decisions that are not the most probable label ─────────────────────────────────────────────────


def test_decisions_count_for_accuracy_and_macro_f1_alone():
    labels = np.array([0, 0, 1, 1])
    proba = np.array([[0.9, 0.1], [0.6, 0.4], [0.55, 0.45], [0.2, 0.8]])
    decided = score_proba(labels, proba, np.array([0, 0, 1, 1]))
    most = score_proba(labels, proba)
    assert (decided["accuracy"], decided["macro_f1"], most["accuracy"]) == (1, 1, 0.75)
    assert (decided["auc"], decided["log_loss"]) == (most["auc"], most["log_loss"])
    assert score_proba(labels, proba, proba.argmax(axis=1)) == most


def test_intervals_are_of_decisions_too():
    labels, proba = np.arange(60) % 2, np.full((60, 2), 0.5)
    intervals = bootstrap_interval(labels, proba, 0, resamples=50, decisions=labels)
    assert intervals["accuracy"] == (1, 1) and intervals["macro_f1"] == (1, 1)
    lower, upper = bootstrap_interval(labels, proba, 0, resamples=50)["accuracy"]
    assert lower < 0.5 < upper < 1


def test_classes_that_are_nowhere_count_in_no_mean():
    labels, proba = np.array([0, 1, 0]), np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.7, 0.2, 0.1]])
    assert score_proba(labels, proba)["macro_f1"] == 1
    assert WeightedScores(labels, proba).score(np.array([1, 1, 1]))["macro_f1"] == 1
    proba[2] = [0.1, 0.2, 0.7]  # said, but never right
    expected = (2 / 3 + 1 + 0) / 3
    assert score_proba(labels, proba)["macro_f1"] == pytest.approx(expected)
    assert WeightedScores(labels, proba).score(np.array([1, 1, 1]))["macro_f1"] == pytest.approx(expected)
