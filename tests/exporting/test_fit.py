import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import numpy as np
import pytest

from raytrain.exporting import fit
from raytrain.exporting.driver import _notes
from raytrain.exporting.fit import chosen, problems_of
from raytrain.exporting.settings import CheckFile, ExportSettings
from raytrain.fusion.rule import FusionRule
from raytrain.fusion.stack import Stack

ONNX = ExportSettings("onnx")


@pytest.fixture(scope="module")
def written(new_ensemble, tmp_path_factory):
    ensemble = new_ensemble(tmp_path_factory.mktemp("ensemble"))
    ensemble.add_architecture("finetune", False, repeats=2)
    ensemble.add_architecture("textcnn", False, folds=1)
    file = ensemble.add("tfidf/r0-fold-00.safetensors", b"n-grams")
    model = {"train_encoder": False, "embedding": [1, 4], "num_classes": 3, "dropout": 0.1}
    ensemble.manifest["architectures"]["tfidf"] = {
        "model": model,
        "folds": [{"file": file, "fold": 0, "repeat": 0}],
    }
    return ensemble


@pytest.fixture
def opened(written):
    """The ensemble, with a manifest that is changed for one test."""

    def make(**changes):
        before = dict(written.manifest)
        try:
            written.manifest.update(changes)
            return written.open()
        finally:
            written.manifest.clear()
            written.manifest.update(before)

    return make


def fusion(stack=None, **weights):
    named = {f"{name[:-1]}/r{name[-1]}": weight for name, weight in weights.items()}
    return FusionRule(named, stack=stack, temperature=2.0).to_dict()


def test_ngrams_are_left_out_by_name(opened):
    [told] = problems_of(opened(), ONNX)
    assert told.startswith("tfidf counts n-grams") and "only=finetune,textcnn" in told
    assert problems_of(opened(), ExportSettings("onnx", only=("finetune", "textcnn"))) == []
    [told] = problems_of(opened(), ExportSettings("savedmodel", only=("tfidf",)))
    assert "n-grams alone" in told


def test_weights_alone_are_those_of_networks(opened):
    settings = ExportSettings("keras-weights")
    assert problems_of(opened(), settings) == []
    assert [*chosen(opened(), settings).manifest.architectures] == ["finetune", "textcnn"]


def test_what_is_taken_of_a_rule_weighs_one_again(opened):
    ensemble = opened(fusion=fusion(finetune0=0.2, finetune1=0.3, textcnn0=0.1, tfidf0=0.4))
    settings = ExportSettings("onnx", only=("finetune", "textcnn"))
    assert problems_of(ensemble, settings) == []
    rule = chosen(ensemble, settings).manifest.rule
    weights = {"finetune/r0": 2 / 6, "finetune/r1": 3 / 6, "textcnn/r0": 1 / 6}
    assert rule.weights == pytest.approx(weights) and rule.temperature == 2
    assert [*ensemble.manifest.architectures] == ["finetune", "textcnn", "tfidf"]


def test_a_rule_that_needs_all_or_gives_no_weight_is_told(opened):
    settings = ExportSettings("onnx", only=("textcnn",))
    nothing = fusion(finetune0=0.5, finetune1=0.5, textcnn0=0.0, tfidf0=0.0)
    assert "have no weight" in problems_of(opened(fusion=nothing), settings)[0]
    stack = Stack(np.ones((3, 12)), np.zeros(3))
    stacked = fusion(stack, finetune0=0.25, finetune1=0.25, textcnn0=0.25, tfidf0=0.25)
    assert "stacking" in problems_of(opened(fusion=stacked), settings)[0]


def test_without_its_ngrams_a_stack_gives_way_to_the_mean(opened):
    settings = ExportSettings("keras-weights")
    stack, costs = Stack(np.ones((3, 12)), np.zeros(3)), np.array([[0, 1, 1], [9, 0, 1], [5, 1, 0]])
    stacked = fusion(stack, finetune0=0.25, finetune1=0.25, textcnn0=0.25, tfidf0=0.25)
    ensemble = opened(fusion=stacked | {"costs": costs.tolist()})
    assert problems_of(ensemble, settings) == []
    rule = chosen(ensemble, settings).manifest.rule
    assert (rule.stack, rule.average, rule.temperature) == (None, "proba", 1)
    assert rule.weights == pytest.approx({"finetune/r0": 0.25, "finetune/r1": 0.25, "textcnn/r0": 0.5})
    np.testing.assert_array_equal(rule.costs, costs)
    told = _notes(ensemble, chosen(ensemble, settings), has_graph=False)
    assert "tfidf" in told[0] and "stack" in told[1] and len(told) == 2


def test_all_that_is_wrong_is_told_at_once(opened, monkeypatch):
    monkeypatch.setattr(fit, "missing_packages", lambda format: ["onnx"])
    monkeypatch.setattr(fit, "MOST_BYTES", 100)
    told = "\n".join(problems_of(opened(), ExportSettings("onnx", int8=True)))
    assert "raytrain[export]" in told and "tfidf" in told and "100 bytes at most" in told
    settings = ExportSettings("keras-weights", int8=True, check=CheckFile("a.csv"))
    told = "\n".join(problems_of(opened(), settings))
    assert "int8: expected format=onnx" in told and "check: " in told


def test_names_of_architectures_are_known(opened):
    [told] = problems_of(opened(), ExportSettings("onnx", only=("rnn_cnn",)))
    assert told == "only: expected finetune, textcnn, tfidf, found rnn_cnn"


def test_taggers_are_refused(opened):
    ensemble = opened()
    manifest = ensemble.manifest.model_copy(update={"task": "tag"})
    [told] = problems_of(type(ensemble)(ensemble.directory, manifest), ONNX)
    assert "tagger" in told and "raytrain predict" in told


def test_words_that_jieba_alone_does_not_find_and_keywords_are_refused(new_ensemble, tmp_path):
    ensemble = new_ensemble(tmp_path, dictionary="A·B公司 99\n")
    ensemble.add_architecture("textcnn", False, folds=1)
    ensemble.add_architecture("finetune", False, folds=1)
    name = ensemble.add("words/keywords.json", b'{"\xe5\xa5\xbd": 0}')
    for entry in ensemble.manifest["architectures"].values():
        entry["model"]["num_keyword_classes"] = 3
        entry["folds"][0]["keywords"] = name
    told = "\n".join(problems_of(ensemble.open(), ONNX))
    assert "words.user_dict" in told and "words.keywords" in told
    told = "\n".join(problems_of(ensemble.open(), ExportSettings("onnx", only=("finetune",))))
    assert "words.user_dict" not in told
