import numpy as np
import pytest

from raytrain.ensemble.labels import LabelPredictor, voice_of
from raytrain.fusion.rule import FusionRule

FOLDS = [("textcnn", 0, [0.9, 0.1]), ("tfidf", 0, [0.3, 0.7]), ("tfidf", 1, [0.5, 0.5])]


class Spoken(LabelPredictor):
    """Says the same of every text."""

    labels = ["真", "假"]  # noqa: RUF012

    def __init__(self, rule=None):
        self.rule, self.reads_pairs = rule, False

    def voices(self, texts, pairs):
        said = {}
        for architecture, repeat, proba in FOLDS:
            said.setdefault(voice_of(self.rule, architecture, repeat), []).append([proba] * len(texts))
        return {name: np.mean(folds, axis=0) for name, folds in said.items()}


def test_without_a_rule_architectures_are_averaged_and_the_most_probable_label_is_taken():
    np.testing.assert_allclose(Spoken().predict_proba(["甲", "乙"]), [[0.65, 0.35]] * 2)
    assert Spoken().predict(["甲", "乙"]) == ["真", "真"]


@pytest.mark.parametrize(("cost", "label"), [(1.0, "真"), (3.0, "假")])
def test_by_a_rule_members_are_fused_and_the_cheapest_label_is_taken(cost, label):
    costs = np.array([[0, 1.0], [cost, 0]])
    predictor = Spoken(FusionRule({"textcnn/r0": 0.5, "tfidf/r1": 0.25, "tfidf/r0": 0.25}, costs=costs))
    np.testing.assert_allclose(predictor.predict_proba(["甲"]), [[0.65, 0.35]])
    assert predictor.predict(["甲"]) == [label]
    assert predictor.decide(np.array([[0.9, 0.1]])).tolist() == [0]


def test_of_no_texts_nobody_is_asked():
    assert Spoken().predict_proba([]).shape == (0, 2) and Spoken().predict([]) == []
