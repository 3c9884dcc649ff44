import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.fusion.average import average_proba
from raytrain.fusion.weights import _auc, equal_weights, select_greedily
from raytrain.scores.classes import auc, is_better, score_proba

METRICS = ["log_loss", "accuracy", "macro_f1", "auc"]


def said(labels, sure):
    """Two classes: (num_rows, 2), so probable is the true one."""
    true = np.asarray(sure, float)
    proba = np.stack([true, 1 - true], axis=1)
    return np.where(labels[:, None] == 0, proba, proba[:, ::-1])


def test_architectures_count_alike_and_of_each_its_repeats():
    assert equal_weights(["a/r0", "a/r1", "b/r0"]).tolist() == [0.25, 0.25, 0.5]
    assert equal_weights(["a/r0"]).tolist() == [1]


def test_the_best_member_alone_where_no_other_helps():
    labels = np.array([0, 1] * 10)
    voices = np.stack([said(labels, [0.4] * 20), said(labels, [0.9] * 20), said(labels, [0.6] * 20)])
    assert select_greedily(voices, labels, "log_loss", "proba").tolist() == [0, 1, 0]


def test_members_that_err_on_other_rows_are_averaged():
    labels = np.array([0, 1] * 10)
    one, two = np.full(20, 0.9), np.full(20, 0.9)
    one[:4], two[4:8] = 0.3, 0.3
    weights = select_greedily(np.stack([said(labels, one), said(labels, two)]), labels, "log_loss", "proba")
    np.testing.assert_allclose(weights, [0.5, 0.5])


def test_a_small_share_is_found_though_half_would_hurt():
    """The selection goes on for some steps without a gain: then a second member's share is small enough."""
    labels = np.array([0, 1] * 20)
    good, odd = np.full(40, 0.95), np.full(40, 0.35)
    good[0], odd[0] = 0.001, 0.9
    voices = np.stack([said(labels, good), said(labels, odd)])
    half = score_proba(labels, voices.mean(axis=0))["log_loss"]
    assert half > score_proba(labels, voices[0])["log_loss"]
    weights = select_greedily(voices, labels, "log_loss", "proba")
    assert 0 < weights[1] < 0.4


@pytest.mark.parametrize("metric", METRICS)
def test_of_members_that_say_the_same_the_first_is_taken(metric):
    labels = np.array([0, 1, 1, 0])
    voices = np.stack([said(labels, [0.9, 0.8, 0.4, 0.6])] * 3)
    assert select_greedily(voices, labels, metric, "proba").tolist() == [1, 0, 0]


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from(METRICS), st.sampled_from(["proba", "logits"]))
def test_on_the_rows_it_was_chosen_by_it_is_never_worse_than_the_best_member(seed, metric, average):
    rng = np.random.default_rng(seed)
    num_classes = int(rng.integers(2, 4))
    labels = np.arange(30) % num_classes
    voices = rng.dirichlet(np.ones(num_classes), (int(rng.integers(1, 5)), 30))
    weights = select_greedily(voices, labels, metric, average)
    assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
    found = score_proba(labels, average_proba(voices, weights, average))[metric]
    for member in voices:
        alone = score_proba(labels, member)[metric]
        assert not is_better(metric)(alone, found) or alone == pytest.approx(found, abs=1e-6)


@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(1, 4))
def test_auc_by_ranks_is_the_same(seed, num_classes, num_there):
    rng = np.random.default_rng(seed)
    proba = np.round(rng.dirichlet(np.ones(num_classes), 30), 1)  # with ties
    labels = rng.integers(0, num_there, 30) % num_classes  # a class may be missing
    np.testing.assert_allclose(_auc(labels, proba), auc(labels, proba), rtol=0, atol=1e-12)
