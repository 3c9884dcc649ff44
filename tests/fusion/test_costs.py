import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.errors import ConfigError
from raytrain.fusion.costs import (
    _scores_by_count,
    class_costs,
    cost_matrix,
    decide,
    decision_score,
    describe_costs,
    fit_class_weights,
    mean_cost,
)

PROBA = np.array([[0.9, 0.1], [0.7, 0.3], [0.4, 0.6]])


@given(st.integers(0, 1000), st.integers(2, 5))
def test_costs_of_1_beside_the_diagonal_decide_for_the_most_probable(seed, num_classes):
    proba = np.random.default_rng(seed).dirichlet(np.ones(num_classes), 50)
    ordered = np.sort(proba, axis=1)
    proba = proba[ordered[:, -1] - ordered[:, -2] > 1e-9]
    np.testing.assert_array_equal(decide(proba, 1 - np.eye(num_classes)), proba.argmax(axis=1))


def test_the_least_expected_cost_by_hand():
    costs = np.array([[0, 1], [5, 0]])  # to say 0 where 1 is true costs 5
    assert decide(PROBA, costs).tolist() == [0, 1, 1]  # 0.5 < 0.9, 1.5 > 0.7
    assert decide(PROBA).tolist() == [0, 0, 1]
    assert mean_cost(np.array([1, 1, 0]), np.array([0, 1, 1]), costs) == 2


@pytest.mark.parametrize("threshold", [0.05, 0.25, 0.8])
def test_class_weights_of_two_labels_are_a_threshold(threshold):
    second = np.array([threshold - 0.01, threshold + 0.01])
    proba = np.stack([1 - second, second], axis=1)
    costs = class_costs(np.array([threshold, 1 - threshold]))
    assert decide(proba, costs).tolist() == [0, 1]
    assert describe_costs(costs, ["a", "b"]) == f"b where its probability is above {threshold:.3f}"


@given(st.integers(0, 1000))
def test_class_weights_decide_for_the_greatest_weighted_probability(seed):
    rng = np.random.default_rng(seed)
    proba, weights = rng.dirichlet(np.ones(4), 30), rng.dirichlet(np.ones(4))
    weighted = np.sort(proba * weights, axis=1)
    proba = proba[weighted[:, -1] - weighted[:, -2] > 1e-9]
    np.testing.assert_array_equal(decide(proba, class_costs(weights)), (proba * weights).argmax(axis=1))


def test_costs_that_are_not_named_are_1():
    found = cost_matrix({"1": {"0": 5.0, "2": 0.0}, "2": {"2": 0.0}}, [0, 1, 2])
    assert found.tolist() == [[0, 1, 1], [5, 0, 0], [1, 1, 0]]


def test_all_that_is_wrong_with_costs_is_told():
    with pytest.raises(ConfigError) as caught:
        cost_matrix({"真": {"假": 1.0, "真": 2.0}, "谣": {"真": 1.0}, "假": {"x": 1.0}}, ["假", "真"])
    assert caught.value.problems == [
        "ensemble.costs.真.真: expected 0, for that is right; found 2.0",
        "ensemble.costs.谣: no such label; the corpus has 假, 真",
        "ensemble.costs.假.x: no such label; the corpus has 假, 真",
    ]


def rare(num_rows=4000, share=0.1, seed=0):
    """Two labels, the second one rare and said with half the log-odds too few."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(num_rows) < share).astype(int)
    log_odds = np.where(labels == 1, 0.0, -4.0) + rng.normal(0, 1.5, num_rows) - 1
    second = 1 / (1 + np.exp(-log_odds))
    return labels, np.stack([1 - second, second], axis=1)


@pytest.mark.parametrize("metric", ["accuracy", "f1", "macro_f1"])
def test_a_threshold_that_was_moved_is_found(metric):
    (labels, proba), (others, their) = rare(), rare(seed=1)
    weights = fit_class_weights(proba, labels, metric)
    assert weights.sum() == pytest.approx(1) and 0.05 < weights[0] < 0.45  # its threshold is below a half
    decisions = decide(their, class_costs(weights))
    most = decision_score(others, their.argmax(axis=1), 2, metric)
    assert decision_score(others, decisions, 2, metric) > most


def test_weights_of_several_labels_raise_macro_f1():
    rng = np.random.default_rng(5)
    labels = rng.choice(3, 3000, p=[0.8, 0.15, 0.05])
    logits = 2 * np.eye(3)[labels] + rng.normal(size=(3000, 3)) + [2, 0, -2]
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    weights = fit_class_weights(proba, labels, "macro_f1")
    assert weights[2] > weights[1] > weights[0] > 0 and weights.sum() == pytest.approx(1)
    before = decision_score(labels, proba.argmax(axis=1), 3, "macro_f1")
    after = decision_score(labels, decide(proba, class_costs(weights)), 3, "macro_f1")
    assert after > before + 0.1
    assert "a 0." in describe_costs(class_costs(weights), "abc")


def test_where_the_most_probable_label_is_best_there_are_no_weights():
    assert (
        fit_class_weights(np.array([[0.9, 0.1], [0.2, 0.8]] * 20), np.array([0, 1] * 20), "accuracy") is None
    )


@pytest.mark.parametrize("num_classes", [2, 6, 7, 10, 14])
@pytest.mark.parametrize("seed", range(8))
def test_rows_that_thresholds_separate_without_a_mistake(num_classes, seed):
    """Whose score is 1, however it is summed."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, 300)
    proba = rng.dirichlet(np.ones(num_classes), 300) + 1.5 * np.eye(num_classes)[labels]
    proba /= proba.sum(axis=1, keepdims=True)
    assert fit_class_weights(proba, labels, "macro_f1") is None


@settings(max_examples=40)
@given(st.integers(0, 1000), st.integers(2, 4), st.sampled_from(["accuracy", "macro_f1"]))
def test_on_the_rows_it_was_chosen_by_it_is_never_worse(seed, num_classes, metric):
    rng = np.random.default_rng(seed)
    proba = np.round(rng.dirichlet(np.ones(num_classes), 40), 1) + 1e-3  # with many ties
    proba /= proba.sum(axis=1, keepdims=True)
    labels = rng.integers(0, num_classes, 40)
    weights = fit_class_weights(proba, labels, metric)
    before = decision_score(labels, proba.argmax(axis=1), num_classes, metric)
    if weights is not None:
        after = decision_score(labels, decide(proba, class_costs(weights)), num_classes, metric)
        assert after >= before - 1e-9


@settings(max_examples=100)
@given(st.integers(0, 10_000), st.integers(2, 6), st.sampled_from(["accuracy", "macro_f1", "f1"]))
def test_the_score_of_each_threshold_is_that_of_its_decisions(seed, num_classes, metric):
    rng = np.random.default_rng(seed)
    num_classes = 2 if metric == "f1" else num_classes
    place = 1 if metric == "f1" else int(rng.integers(num_classes))
    labels = rng.integers(0, rng.integers(1, num_classes + 1), 40)  # some classes are not there
    rival = rng.choice(np.delete(np.arange(num_classes), place), 40)
    scores = _scores_by_count(labels, rival, place, num_classes, metric)
    expected = [
        decision_score(labels, np.where(np.arange(40) < count, place, rival), num_classes, metric)
        for count in range(41)
    ]
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)


def test_other_costs_are_told_as_such():
    assert describe_costs(None, "ab") == "the most probable label"
    assert describe_costs(np.array([[0, 1, 2], [1, 0, 1], [3, 1, 0.0]]), "abc") == (
        "the label of the least expected cost"
    )
