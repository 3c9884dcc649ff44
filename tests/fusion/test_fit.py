import numpy as np
import pytest

from raytrain.fusion import fit
from raytrain.fusion.fit import FusionSettings, fit_rule, why_unfit
from raytrain.scores.classes import log_loss

FOLDS = np.arange(600) % 5
LABELS = np.arange(600) // 5 % 2


def members(seed=0, sure=(1.0, 3.0)):
    """Two members, whose log-odds are the truth with noise times `sure`: the second is too sure of itself."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, factor in zip(("textcnn/r0", "tfidf/r0"), sure, strict=True):
        log_odds = factor * ((2 * LABELS - 1) * 1.5 + rng.normal(0, 1.7, len(LABELS)))
        second = 1 / (1 + np.exp(-log_odds))
        made[name] = np.stack([1 - second, second], axis=1)
    return made


def fitted(**settings):
    return fit_rule(members(), LABELS, FOLDS, FusionSettings(**settings))


def test_a_temperature_is_fitted_where_it_helps_and_never_where_it_is_not_wanted():
    rule = fitted(average="proba")
    assert rule.weights == {"textcnn/r0": 0.5, "tfidf/r0": 0.5} and rule.temperature != 1
    assert fitted(average="proba", calibrate=True).temperature == rule.temperature
    assert fitted(average="proba", calibrate=False).is_plain


@pytest.mark.parametrize("calibrate", [False, True])
def test_what_is_averaged_by_itself_has_the_lower_log_loss(calibrate):
    auto = fitted(calibrate=calibrate)
    losses = {
        average: log_loss(LABELS, fitted(average=average, calibrate=calibrate).proba(members()))
        for average in ("proba", "logits")
    }
    assert auto.average == min(losses, key=losses.get)


def test_a_single_member_has_nothing_to_average():
    one = {"textcnn/r0": members()["textcnn/r0"]}
    for weights in ("equal", "greedy"):
        rule = fit_rule(one, LABELS, FOLDS, FusionSettings(weights, calibrate=False))
        assert rule.weights == {"textcnn/r0": 1} and rule.is_plain


def test_members_are_selected_or_stacked():
    greedy = fitted(weights="greedy", calibrate=False)
    assert greedy.weights["textcnn/r0"] > greedy.weights["tfidf/r0"] and greedy.stack is None
    stacked = fitted(weights="stack", calibrate=False)
    assert stacked.stack is not None and sum(stacked.weights.values()) == 1
    plain = fitted(average="proba", calibrate=False)
    losses = [log_loss(LABELS, rule.proba(members())) for rule in (stacked, greedy, plain)]
    assert losses[0] < losses[2] and losses[1] < losses[2]


def test_decisions_are_the_most_probable_unless_a_threshold_or_costs_are_asked_for():
    assert fitted().costs is None
    costs = np.array([[0, 1.0], [4, 0]])
    assert fitted(threshold="cost", costs=costs).costs is costs
    shifted = {name: proba[:, ::-1] * [0.3, 0.7] for name, proba in members().items()}
    shifted = {name: proba / proba.sum(axis=1, keepdims=True) for name, proba in shifted.items()}
    rule = fit_rule(shifted, 1 - LABELS, FOLDS, FusionSettings(threshold="accuracy"))
    assert rule.costs is not None and rule.costs[0, 1] > rule.costs[1, 0]


def test_without_rows_the_plain_mean_is_left():
    none = {name: proba[:0] for name, proba in members().items()}
    settings = FusionSettings("stack", calibrate=True, threshold="f1").unfitted()
    assert fit_rule(none, LABELS[:0], FOLDS[:0], settings).is_plain


def test_of_many_rows_some_of_each_label_are_fitted_by(monkeypatch):
    monkeypatch.setattr(fit, "MOST_ROWS", 200)
    rare = np.where(np.arange(600) < 3, 2, LABELS)
    kept = fit.spread_rows(rare)
    assert np.bincount(rare[kept]).tolist()[2] == 3 and 200 <= len(kept) <= 205
    assert (np.diff(kept) > 0).all()
    whole = fitted(average="proba").temperature
    monkeypatch.undo()
    assert whole == pytest.approx(fitted(average="proba").temperature, rel=0.3)


@pytest.mark.parametrize(
    ("labels", "folds", "said"),
    [
        (LABELS, FOLDS, None),
        (LABELS[:199], FOLDS[:199], "199 rows are covered by all members, fewer than 200"),
        (LABELS, np.zeros(600, int), "all rows that all members cover lie in one fold"),
        (np.where(np.arange(600) < 5, 1, 0), FOLDS, "a label has 4 rows outside of fold 0, fewer than 5"),
    ],
)
def test_too_few_rows_or_labels_are_told(labels, folds, said):
    assert why_unfit(labels, folds, 2) == said


def test_what_must_not_be_fitted_is_left_out_of_the_settings():
    costs = 1 - np.eye(2)
    settings = FusionSettings("greedy", "auc", "auto", True, "cost", costs).unfitted()
    assert settings == FusionSettings("equal", "auc", "proba", False, "cost", costs)
    assert FusionSettings(average="logits", threshold="f1").unfitted() == FusionSettings(
        average="logits", calibrate=False
    )


@pytest.mark.parametrize(
    ("settings", "explicit"),
    [
        ({}, False),
        ({"weights": "stack"}, True),
        ({"calibrate": True}, True),
        ({"calibrate": False, "average": "logits"}, False),
        ({"threshold": "f1"}, True),
        ({"threshold": "cost"}, False),
    ],
)
def test_what_is_asked_for_and_must_be_fitted(settings, explicit):
    assert FusionSettings(**settings).is_explicit is explicit
