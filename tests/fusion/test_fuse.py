import json

import numpy as np
from fusion.test_fit import FOLDS, LABELS, members

from raytrain.fusion.fit import FusionSettings, fit_rule
from raytrain.fusion.fuse import fuse_members
from raytrain.fusion.nested import fuse_nested
from raytrain.fusion.temperature import scale
from raytrain.scores.oof import mean_oof
from raytrain.storage.files import json_bytes

NAMES = ["假", "真"]


def fused(own, labels=LABELS, folds=FOLDS, **settings):
    return fuse_members(own, mean_oof(own), labels, folds, FusionSettings(**settings), NAMES)


def test_what_is_said_of_a_row_is_nested_and_the_rule_is_of_all_rows():
    own = members()
    settings = FusionSettings("greedy", threshold="macro_f1")
    found = fuse_members(own, mean_oof(own), LABELS, FOLDS, settings, NAMES)
    nested = fuse_nested(own, LABELS, FOLDS, settings)
    np.testing.assert_array_equal(found.proba, nested.proba)
    assert found.rule.to_dict() == fit_rule(own, LABELS, FOLDS, settings).to_dict()
    assert found.told["rule"] == found.rule.to_dict() and found.told["rows"] == len(LABELS)
    assert found.told["members"]["tfidf/r0"]["weight"] == found.rule.weights["tfidf/r0"]
    assert len(found.told["alternatives"]) == 9 and found.told["unfit"] is None
    assert json.loads(json_bytes(found.told)) == found.told


def test_the_plain_mean_is_left_as_it_is():
    own = members()
    found = fused(own, average="proba", calibrate=False)
    np.testing.assert_array_equal(found.proba, mean_oof(own))
    assert found.rule.is_plain and found.told["plain"] and found.decisions is None
    assert found.told["calibration"]["before"] == found.told["calibration"]["after"]


def test_calibration_and_threshold_are_told_before_and_after():
    found = fused(members(), average="proba", threshold="cost", costs=np.array([[0, 1.0], [4, 0]]))
    before, after = (found.told["calibration"][when] for when in ("before", "after"))
    assert after["log_loss"] < before["log_loss"] and after["ece"] < before["ece"]
    assert sum(part["rows"] for part in after["bins"]) == len(LABELS)
    threshold = found.told["threshold"]
    assert threshold["metric"] == "cost" and threshold["after"] < threshold["before"]
    assert found.told["decision"] == "真 where its probability is above 0.200"
    assert found.decisions.tolist() == (found.proba[:, 1] > 0.2).astype(int).tolist()


def test_rows_that_not_all_members_cover_are_not_fitted_by_and_keep_the_mean():
    own, missing = members(), FOLDS == 2
    own["tfidf/r0"][missing] = np.nan
    found = fused(own, calibrate=True)
    np.testing.assert_array_equal(found.proba[missing], own["textcnn/r0"][missing])
    left = {name: proba[~missing] for name, proba in own.items()}
    whole = fuse_nested(left, LABELS[~missing], FOLDS[~missing], FusionSettings(calibrate=True))
    np.testing.assert_array_equal(found.proba[~missing], whole.proba)
    assert found.told["rows"] == int((~missing).sum())


def test_rows_that_not_all_members_cover_are_decided_as_the_artifact_will():
    """A threshold is fitted to what the temperature has divided."""
    own, missing = members(), FOLDS == 2
    own["tfidf/r0"][missing] = np.nan
    found = fused(own, calibrate=True, threshold="cost", costs=np.array([[0, 1.0], [4, 0]]))
    assert found.rule.temperature != 1
    expected = scale(own["textcnn/r0"][missing], found.rule.temperature)[:, 1] > 0.2
    assert found.decisions[missing].tolist() == expected.astype(int).tolist()
    assert expected.tolist() != (own["textcnn/r0"][missing][:, 1] > 0.2).tolist()


def test_rows_that_nobody_covers_stay_so():
    own = members()
    for proba in own.values():
        proba[:7] = np.nan
    found = fused(own, threshold="accuracy")
    assert np.isnan(found.proba[:7]).all() and np.isfinite(found.proba[7:]).all()


def test_rows_that_nobody_covers_decide_nothing():
    """Of nothing the costs would make the second label."""
    own = {"textcnn/r0": np.where(LABELS[:, None] == [0, 1], 0.98, 0.02)}
    own["textcnn/r0"][LABELS == 1] += [-0.01, 0.01]  # so that a temperature helps
    own["textcnn/r0"][:7] = np.nan
    found = fused(own, calibrate=True, threshold="cost", costs=np.array([[0, 1.0], [2, 0]]))
    assert found.rule.temperature != 1 and found.decisions is None


def test_of_too_few_rows_the_mean_is_taken_and_why_is_told_where_more_was_asked_for():
    own = {name: proba[:50] for name, proba in members().items()}
    for settings, told in (({}, False), ({"weights": "stack"}, True), ({"threshold": "f1"}, True)):
        found = fused(own, LABELS[:50], FOLDS[:50], **settings)
        assert found.rule.is_plain and (found.told["unfit"] is not None) is told
        assert found.told["alternatives"] == []
    assert found.told["unfit"].startswith("50 rows are covered by all members")


def test_costs_need_no_fitting():
    own = {name: proba[:50] for name, proba in members().items()}
    found = fused(own, LABELS[:50], FOLDS[:50], threshold="cost", costs=np.array([[0, 1.0], [9, 0]]))
    assert found.rule.costs is not None and not found.rule.is_plain
    assert found.decisions.tolist() == (found.proba[:, 1] > 0.1).astype(int).tolist()


def test_members_without_a_common_row_have_their_mean():
    own = members()
    own["textcnn/r0"][:300], own["tfidf/r0"][300:] = np.nan, np.nan
    found = fused(own, calibrate=True)
    np.testing.assert_array_equal(found.proba, mean_oof(own))
    assert found.told["rows"] == 0 and found.rule.is_plain
