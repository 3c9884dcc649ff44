"""What a trial trains and reports; the training itself is left to network/test_loop and whole sweeps."""

import math
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from sweep.test_records import config_of, record_of

from raytrain.corpus.corpus import Corpus
from raytrain.crossval.plan import Plan
from raytrain.crossval.specs import build_specs
from raytrain.errors import RaytrainError
from raytrain.folds.spec import Shared
from raytrain.pretrained.directory import EncoderFiles
from raytrain.scores.classes import METRICS
from raytrain.splits.folds import Folds
from raytrain.storage.directory import Directory
from raytrain.sweep import trial
from raytrain.sweep.space import with_point
from raytrain.sweep.trial import TrialBasis, fold_report, input_key, run_trial, trial_specs
from raytrain.text.vocab import Vocab

CORPUS = Corpus(
    pa.table(
        {
            "id": pa.array(range(8), pa.int64()),
            "text": [f"第{i}条" for i in range(8)],
            "label": pa.array([0, 0, 0, 0, 0, 0, 1, 1], pa.int32()),
        }
    ),
    ["假", "真"],
    "a" * 64,
    "a.csv",
    {},
)
STATES = object()

SHAPE = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "vocab_size": 60}


@pytest.fixture
def basis(tmp_path):
    def make(*overrides, weights=None):
        config = config_of("folds.num_folds=4", *overrides)
        encoder = EncoderFiles("bert", SHAPE, Vocab(()), weights)
        shared = Shared(encoder, pa.table({}), None, ["停水"], np.zeros((3, 6), np.float32), {})
        folds = Folds(np.array([[0, 1, 2, 3, 0, 1, 2, 3]]))
        plan = Plan(Directory(tmp_path / "run"), config, CORPUS, folds, shared, None, {}, "weights", {})
        return TrialBasis(plan, config, "data", STATES)

    return make


@pytest.fixture
def reports(monkeypatch):
    """What is reported to Tune."""
    found = []
    monkeypatch.setattr(trial.tune, "report", found.append)
    return found


def test_a_report_has_the_means_so_far_beside_each_folds_own_numbers():
    scores = {"accuracy": [0.5, 0.75], "auc": [math.nan, 0.5], "log_loss": [math.nan, math.nan]}
    report = fold_report(scores, [1.5, 2.5])
    assert (report["folds"], report["accuracy"], report["auc"]) == (2, 0.625, 0.5)
    assert math.isnan(report["log_loss"])
    assert (report["scores"], report["seconds"]) == (scores, [1.5, 2.5])


def test_specs_are_the_first_folds_of_the_run_that_the_points_config_makes(basis):
    point = {"model.architecture": "textcnn", "train.epochs": 7, "train.learning_rate": 0.25}
    own = basis()
    specs = trial_specs(own, point, 3)
    assert [spec.name for spec in specs] == [f"textcnn/r0-fold-0{i}" for i in range(3)]
    assert {(spec.settings.epochs, spec.settings.learning_rate, spec.data) for spec in specs} == {
        (7, 0.25, "data")
    }
    whole = Plan(**{**vars(own.plan), "config": with_point(own.config, point)})
    assert [spec.seed for spec in specs] == [spec.seed for spec in build_specs(whole, "data")[:3]]


def test_a_trial_begins_no_fold_again(basis):
    for specs in (trial_specs(basis(), {}, 2), trial_specs(basis("train.restarts=5"), {}, 2)):
        assert {spec.settings.restarts for spec in specs} == {0}


def test_weights_of_classes_are_those_of_the_points_config(basis):
    [spec] = trial_specs(basis(), {"train.class_weight": "balanced"}, 1)
    assert spec.settings.class_weight == pytest.approx((8 / (2 * 6), 8 / (2 * 2)))
    assert trial_specs(basis(), {}, 1)[0].settings.class_weight is None


@pytest.mark.parametrize(
    ("point", "weights", "frozen"),
    [
        ({"model.architecture": "textcnn"}, "bert.ckpt", True),
        ({"model.architecture": "textcnn"}, None, False),
        ({"model.architecture": "finetune"}, "bert.ckpt", False),
        ({"model.architecture": "textcnn", "model.train_encoder": True}, "bert.ckpt", False),
        ({"model.architecture": "finetune", "model.train_encoder": False}, None, True),
    ],
)
def test_a_frozen_encoders_output_is_read_and_a_trained_ones_is_not(basis, point, weights, frozen):
    for spec in trial_specs(basis(weights=weights), point, 2):
        assert spec.hidden_states is (STATES if frozen else None)
        assert spec.model.train_encoder is not frozen


@pytest.mark.parametrize(
    ("override", "same"),
    [
        ("train.epochs=9", True),
        ("model.architecture=textcnn", True),
        ("sweep.num_trials=3", True),
        ("encoder.maxlen=64", False),
        ("encoder.truncate=tail", False),
        ("encoder.windows=2", False),
        ("words.min_count=5", False),
        ("words.keywords=auto", False),
    ],
)
def test_features_have_a_key_of_what_they_depend_on(override, same):
    assert (input_key(config_of(override)) == input_key(config_of())) is same


def run(basis, known=(), num_folds=3, number=1, point=None):
    earlier = {record.number: record for record in known}
    config = {"number": number, "point": point or {"train.epochs": 2}}
    run_trial(config, {input_key(basis.config): basis}, earlier, num_folds, threads=1, gpu_share=None)


@pytest.fixture
def trained(monkeypatch):
    """Trains nothing: each fold's scores are its number; the specs that would have been trained."""
    specs = []

    def train(given):
        for spec in given:
            specs.append(spec)
            yield dict.fromkeys(METRICS, float(spec.fold)), 2.0

    monkeypatch.setitem(sys.modules, "raytrain.training.loop", SimpleNamespace())
    monkeypatch.setattr(trial, "set_up_tensorflow", lambda *_: None)
    monkeypatch.setattr(trial, "_train_folds", train)
    return specs


def test_folds_are_reported_one_after_another_with_the_mean_so_far(basis, reports, trained):
    run(basis())
    assert [(report["folds"], report["accuracy"]) for report in reports] == [(1, 0.0), (2, 0.5), (3, 1.0)]
    assert reports[2]["seconds"] == [2.0, 2.0, 2.0]
    assert [spec.settings.epochs for spec in trained] == [2, 2, 2]


def test_a_trial_that_was_stopped_goes_on_behind_its_last_fold(basis, reports, trained):
    run(basis(), [record_of(1, [0.25, 0.75], "stopped")])
    assert [spec.fold for spec in trained] == [2]
    assert [report["folds"] for report in reports] == [1, 2, 3]
    assert [report["accuracy"] for report in reports] == [0.25, 0.5, 1.0]
    assert reports[2]["seconds"] == [1.5, 1.5, 2.0]


def test_records_of_other_trials_and_what_is_trained_later_leave_a_record_alone(basis, reports, trained):
    known = record_of(1, [0.25], "stopped")
    run(basis(), [known, record_of(2, [0.9, 0.9, 0.9])])
    assert known.scores["accuracy"] == [0.25] and known.seconds == [1.5]
    assert [spec.fold for spec in trained] == [1, 2]


@pytest.mark.parametrize("state", ["pruned", "finished"])
def test_a_trial_that_ended_is_reported_again_and_not_trained(basis, reports, trained, state):
    run(basis(), [record_of(1, [0.25, 0.75], state)])
    assert [(report["folds"], report["accuracy"]) for report in reports] == [(1, 0.25), (2, 0.5)]
    assert trained == []


def test_a_trial_with_all_its_folds_trains_no_more(basis, reports, trained):
    run(basis(), [record_of(1, [0.1, 0.2, 0.3], "stopped")], num_folds=3)
    assert [report["folds"] for report in reports] == [1, 2, 3] and trained == []


def test_a_trial_that_failed_fails_again_with_its_reason(basis, reports, trained):
    with pytest.raises(RaytrainError, match="the loss is not finite"):
        run(basis(), [record_of(1, [0.25], "failed", error="the loss is not finite")])
    assert [report["folds"] for report in reports] == [1] and trained == []


def test_a_taggers_trial_reports_a_taggers_scores(basis, reports, trained):
    config = config_of("task=tag", "folds.num_folds=4")
    known = record_of(1, [0.5], "pruned")
    known.scores = {name: [0.5] for name in ("precision", "recall", "f1", "accuracy", "log_loss")}
    run(SimpleNamespace(config=config), [known])
    assert reports[0].keys() == {*known.scores, "folds", "scores", "seconds"}


def test_of_folds_by_time_a_trial_trains_the_last_ones(basis):
    """They learn from the most."""
    specs = trial_specs(basis("folds.time=day"), {"model.architecture": "textcnn"}, 3)
    assert [spec.fold for spec in specs] == [1, 2, 3]
