import numpy as np
import pytest
from fusion.test_fit import FOLDS, LABELS, members

from raytrain.fusion import nested
from raytrain.fusion.fit import FusionSettings, fit_rule
from raytrain.fusion.nested import compare, fuse_nested, score_way
from raytrain.fusion.reliability import judge_proba
from raytrain.scores.classes import log_loss, score_proba

EVERYTHING = FusionSettings("greedy", threshold="accuracy")


def test_each_folds_rows_are_fused_by_a_rule_of_the_others():
    own = members()
    found = fuse_nested(own, LABELS, FOLDS, EVERYTHING)
    for fold in range(5):
        here = fold == FOLDS
        others = {name: proba[~here] for name, proba in own.items()}
        rule = fit_rule(others, LABELS[~here], FOLDS[~here], EVERYTHING)
        expected = rule.proba({name: proba[here] for name, proba in own.items()})
        np.testing.assert_array_equal(found.proba[here], expected)
        np.testing.assert_array_equal(found.decisions[here], rule.decide(expected))


def test_a_rows_own_label_has_no_say_in_what_is_said_of_it():
    """Labels of a fold turned around: its rows are fused as before."""
    own, here = members(), FOLDS == 3
    before = fuse_nested(own, LABELS, FOLDS, EVERYTHING)
    after = fuse_nested(own, np.where(here, 1 - LABELS, LABELS), FOLDS, EVERYTHING)
    np.testing.assert_array_equal(after.proba[here], before.proba[here])
    np.testing.assert_array_equal(after.decisions[here], before.decisions[here])
    assert not np.array_equal(after.proba[~here], before.proba[~here])


def test_every_way_is_scored_without_and_with_a_temperature_and_the_chosen_one():
    own = members()
    chosen = fuse_nested(own, LABELS, FOLDS, EVERYTHING)
    table = compare(own, LABELS, FOLDS, chosen, EVERYTHING)
    ways = ["equal (proba)", "equal (logits)", "greedy", "stack"]
    assert [(way["name"], way["calibrated"]) for way in table[:-1]] == [
        (name, calibrated) for name in ways for calibrated in (False, True)
    ]
    assert [way["chosen"] for way in table] == [False] * 8 + [True]
    mean = np.mean([*own.values()], axis=0)
    expected = {**score_proba(LABELS, mean), "ece": judge_proba(LABELS, mean).error}
    assert table[0]["scores"] == pytest.approx(expected)
    assert table[-1]["scores"] == score_way(LABELS, chosen.proba, chosen.decisions)
    by_name = {(way["name"], way["calibrated"]): way["scores"] for way in table[:-1]}
    worst = by_name["equal (proba)", False]["log_loss"]
    assert by_name["stack", False]["log_loss"] < worst and by_name["greedy", True]["log_loss"] < worst


def test_a_single_member_is_only_calibrated(monkeypatch):
    one = {"tfidf/r0": members()["tfidf/r0"]}
    chosen = fuse_nested(one, LABELS, FOLDS, FusionSettings())
    table = compare(one, LABELS, FOLDS, chosen, FusionSettings())
    assert [way["name"] for way in table] == ["equal (proba)"] * 2 + ["chosen"]
    assert table[1]["scores"]["log_loss"] < table[0]["scores"]["log_loss"]
    assert table[1]["scores"]["ece"] < table[0]["scores"]["ece"]


@pytest.mark.parametrize("weights", ["equal", "greedy", "stack"])
@pytest.mark.parametrize("num_classes", [2, 3])
def test_members_that_are_pure_noise_bring_no_gain(weights, num_classes):
    """Fitted to chance, rules look better on their own rows; nested they know nothing."""
    rng = np.random.default_rng(11)
    labels, folds = rng.integers(0, num_classes, 600), np.arange(600) % 6
    own = {f"m{chr(97 + i)}/r0": rng.dirichlet(np.ones(num_classes), 600) for i in range(8)}
    settings = FusionSettings(weights, threshold="accuracy")
    found = fuse_nested(own, labels, folds, settings)
    assert log_loss(labels, found.proba) > np.log(num_classes) - 0.005
    share = np.bincount(labels).max() / 600
    spread = np.sqrt(share * (1 - share) / 600)
    assert (found.decisions == labels).mean() < share + 2 * spread
    rule = fit_rule(own, labels, folds, settings)
    optimistic = rule.decide(rule.proba(own)) == labels
    assert optimistic.mean() > (found.decisions == labels).mean()


def test_noise_beside_a_member_that_knows_is_no_better_than_it_alone():
    rng = np.random.default_rng(2)
    knows = members(sure=(1.0, 1.0))["textcnn/r0"]
    own = {"textcnn/r0": knows} | {f"m{chr(97 + i)}/r0": rng.dirichlet(np.ones(2), 600) for i in range(6)}
    alone = fuse_nested({"textcnn/r0": knows}, LABELS, FOLDS, FusionSettings())
    for weights in ("greedy", "stack"):
        found = fuse_nested(own, LABELS, FOLDS, FusionSettings(weights))
        assert log_loss(LABELS, found.proba) > log_loss(LABELS, alone.proba) - 0.005


def test_nothing_is_fused_where_there_are_no_rows():
    none = {name: proba[:0] for name, proba in members().items()}
    settings = FusionSettings(average="logits", calibrate=False)
    assert nested.fuse_nested(none, LABELS[:0], FOLDS[:0], settings).proba.shape == (0, 2)
