"""Fold runs whose valid rows are none, laid by hand; nothing of them is on Ray."""

from dataclasses import replace

import numpy as np
import pytest
import ray
from crossval.test_plan import BOTH, NUM_ROWS, keywords_of, plan_of, shared_of

from raytrain.refit.train import build_specs_of_all, result_lines
from raytrain.splits.folds import UNLABELLED, learn_all

ALL_ROWS = learn_all(NUM_ROWS)


@pytest.fixture(autouse=True)
def plain_references(monkeypatch):
    monkeypatch.setattr(ray, "put", lambda value: value)


def specs_of(plan, epochs=None, **settings):
    return build_specs_of_all(plan, plan.fold_data(), epochs or {}, **settings)


def test_each_architecture_has_one_model_which_learns_all_rows():
    plan = plan_of("model.architecture=[textcnn,tfidf]", folds=ALL_ROWS)
    specs = specs_of(plan, {"textcnn": 5})
    assert [spec.name for spec in specs] == ["textcnn/all", "tfidf/all"]
    assert [spec.settings.epochs for spec in specs] == [5, 1]
    for spec in specs:
        assert spec.location == f"/runs/甲/folds/{spec.name}" and spec.run == "/runs/甲"
        learned, valid = spec.rows(spec.data)
        np.testing.assert_array_equal(learned, np.arange(NUM_ROWS))
        assert not len(valid)


def test_nothing_is_chosen_by_scores_that_are_not_there():
    plan = plan_of(
        "train.select=best", "train.early_stopping=2", "train.schedule=plateau", "train.batch_size=4",
        folds=ALL_ROWS,
    )  # fmt: skip
    [spec] = specs_of(plan, {"finetune": 2}, temperature=3.0, hard=0.25)
    settings = spec.settings
    assert (settings.select, settings.early_stopping, settings.monitor) == ("last", None, "loss")
    assert (settings.schedule, settings.batch_size) == ("plateau", 4)
    assert (settings.temperature, settings.hard) == (3.0, 0.25)


def test_texts_without_a_label_are_left_to_pseudo_labels():
    shared = shared_of(num_unlabelled=2)
    [spec] = specs_of(plan_of("model.architecture=textcnn", folds=ALL_ROWS, shared=shared))
    assert spec.data.folds.valid[0, NUM_ROWS:].tolist() == [UNLABELLED] * 2
    np.testing.assert_array_equal(spec.rows(spec.data)[0], np.arange(NUM_ROWS))
    np.testing.assert_array_equal(spec.unlabelled_rows(spec.data), [NUM_ROWS, NUM_ROWS + 1])


def test_keywords_are_chosen_by_all_rows():
    plan = plan_of("model.architecture=textcnn", folds=ALL_ROWS, shared=shared_of(keywords=keywords_of()))
    [spec] = specs_of(plan)
    expected = keywords_of().choose(np.arange(NUM_ROWS), plan.targets, 2)
    np.testing.assert_array_equal(spec.keywords, expected)


def test_other_inputs_are_other_models():
    one, other = (plan_of(folds=ALL_ROWS, hashes={"refit": f"finetune {epochs}"}) for epochs in (2, 3))
    assert specs_of(one)[0].identity != specs_of(other)[0].identity
    assert specs_of(one)[0].identity == specs_of(replace(one))[0].identity


def test_both_architectures_begin_with_the_same_seed():
    assert {spec.seed for spec in specs_of(plan_of(BOTH, "seed=9", folds=ALL_ROWS))} == {9}


def test_a_person_is_told_what_was_trained_what_is_dead_and_that_there_are_no_scores():
    told = {"epochs": 1, "loss": 0.5, "seconds": 12.3}
    scores = {"ensemble": {"oof": {"accuracy": 0.9, "auc": None}}}
    lines = result_lines(
        {"training": {"textcnn": told}, "rows": 1234, "dead": ["textcnn/all"], "folds": scores}
    )
    assert lines[0] == "textcnn: 1,234 rows, 1 epoch, training loss 0.5000, 12 s"
    assert "learned nothing" in lines[1] and "textcnn/all" in lines[1]
    assert "no scores of it" in lines[2] and lines[2].endswith("out of fold: accuracy 0.9000")
