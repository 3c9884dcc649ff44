"""Each section's types and ranges, without the others."""

import math
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from pydantic import ValidationError

from raytrain.config import data, sections, training
from raytrain.config.data import DataConfig, FoldsConfig
from raytrain.config.ensemble import EnsembleConfig
from raytrain.config.sections import (
    Autoscaler,
    CacheConfig,
    ClusterConfig,
    EncoderConfig,
    ModelConfig,
    Section,
    SweepConfig,
    TrackingConfig,
    WordsConfig,
    yaml_value,
)
from raytrain.config.training import TrainConfig

SECTIONS = [
    section
    for section in {**vars(data), **vars(sections), **vars(training)}.values()
    if isinstance(section, type) and issubclass(section, Section) and section is not Section
]


def errors_of(section, **values):
    with pytest.raises(ValidationError) as caught:
        section(**values)
    return caught.value.errors()


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (FoldsConfig, "num_folds", 1),
        (FoldsConfig, "repeats", 0),
        (EncoderConfig, "maxlen", 3),
        (EncoderConfig, "truncate", "middle"),
        (EncoderConfig, "windows", 0),
        (EncoderConfig, "windows", 1025),
        (WordsConfig, "num_keywords", 0),
        (WordsConfig, "dim", 0),
        (WordsConfig, "min_count", 0),
        (TrainConfig, "epochs", 0),
        (TrainConfig, "epochs", 1.5),
        (TrainConfig, "batch_size", 0),
        (TrainConfig, "learning_rate", 0),
        (TrainConfig, "learning_rate", 1.01),
        (TrainConfig, "encoder_learning_rate", -1e-5),
        (TrainConfig, "learning_rate", "fast"),
        (TrainConfig, "adversarial", "fast"),
        (TrainConfig, "adversarial_size", 0),
        (TrainConfig, "ema", 1),
        (TrainConfig, "ema", 0),
        (TrainConfig, "layer_decay", 0),
        (TrainConfig, "layer_decay", 1.1),
        (TrainConfig, "mixup", -0.1),
        (TrainConfig, "multi_sample_dropout", 0),
        (TrainConfig, "r_drop", -1),
        (TrainConfig, "epochs", {"finetune": 0}),
        (TrainConfig, "epochs", {"finetune": True}),
        (TrainConfig, "epochs", [3]),
        (TrainConfig, "r_drop", {"textcnn": -1}),
        (TrainConfig, "adversarial", {"textcnn": "fast"}),
        (TrainConfig, "adversarial", {"text_cnn": "fgm"}),
        (TrainConfig, "adversarial", {"tfidf": "fgm"}),
        (TrainConfig, "dropout", {"crf": 1}),
        (TrainConfig, "warmup", {"crf": 0.5}),
        (TrainConfig, "warmup", 1),
        (TrainConfig, "dropout", 1),
        (TrainConfig, "label_smoothing", -0.1),
        (TrainConfig, "clip_norm", 0),
        (TrainConfig, "early_stopping", 0),
        (TrainConfig, "restarts", -1),
        (TrainConfig, "monitor", "f2"),
        (EnsembleConfig, "drop_dead", "some"),
        (EnsembleConfig, "weights", "best"),
        (EnsembleConfig, "metric", "f1"),
        (EnsembleConfig, "average", "median"),
        (EnsembleConfig, "calibrate", "perhaps"),
        (EnsembleConfig, "threshold", "auc"),
        (EnsembleConfig, "costs", {"a": {"b": -1}}),
        (EnsembleConfig, "costs", {"a": 1}),
        (TrainConfig, "precision", "float16"),
        (TrainConfig, "class_weight", {"a": "heavy"}),
        (TrainConfig, "class_weight", "even"),
        (CacheConfig, "max_gb", -1),
        (ClusterConfig, "gpus_per_fold", -1),
        (ClusterConfig, "gpus_per_fold", 1.5),
        (ClusterConfig, "gpus_per_fold", 2),
        (ClusterConfig, "gpus_per_fold", "all"),
        (ClusterConfig, "cpus_per_fold", 0),
        (ClusterConfig, "max_failures", -1),
        (ClusterConfig, "time_budget", 0),
        (ClusterConfig, "autoscaler", {"nodes": 1}),
        (Autoscaler, "gpus", -1),
        (DataConfig, "drop", ["bad_mood"]),
        (DataConfig, "scheme", "bmes"),
        (SweepConfig, "num_trials", 0),
        (SweepConfig, "metric", "luck"),
        (SweepConfig, "then", "sleep"),
        (TrackingConfig, "tensorboard", "perhaps"),
    ],
)
def test_value_out_of_range_is_refused_under_its_key(section, key, value):
    needed = {DataConfig: {"path": "a.csv"}, Autoscaler: {"nodes": 1, "cpus": 1}}.get(section, {})
    section(**needed)
    assert {error["loc"][0] for error in errors_of(section, **needed | {key: value})} == {key}


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (FoldsConfig, "num_folds", 2),
        (EncoderConfig, "maxlen", 4),
        (EncoderConfig, "windows", 1024),
        (TrainConfig, "learning_rate", 1),
        (TrainConfig, "warmup", 0),
        (TrainConfig, "clip_norm", None),
        (TrainConfig, "restarts", 0),
        (CacheConfig, "max_gb", 0),
        (ClusterConfig, "gpus_per_fold", 0),
        (ClusterConfig, "gpus_per_fold", 0.25),
        (ClusterConfig, "gpus_per_fold", 1),
        (ClusterConfig, "gpus_per_fold", "auto"),
        (ClusterConfig, "gpus_per_fold", None),
        (ClusterConfig, "max_failures", 0),
    ],
)
def test_the_ends_of_a_range_belong_to_it(section, key, value):
    assert getattr(section(**{key: value}), key) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("section", "key"),
    [
        (TrainConfig, "weight_decay"),
        (TrainConfig, "learning_rate"),
        (TrainConfig, "clip_norm"),
        (TrainConfig, "dropout"),
        (CacheConfig, "max_gb"),
        (ClusterConfig, "gpus_per_fold"),
        (ClusterConfig, "time_budget"),
        (SweepConfig, "time_budget"),
    ],
)
def test_values_are_finite(section, key, value):
    assert {error["loc"][0] for error in errors_of(section, **{key: value})} == {key}


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300])
def test_class_weights_are_finite(value):
    assert errors_of(TrainConfig, class_weight={"a": value})


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_unknown_keys_are_refused(section):
    found = [error for error in errors_of(section, nonsense=1) if error["type"] == "extra_forbidden"]
    assert [error["loc"] for error in found] == [("nonsense",)]


def test_one_text_column_or_two():
    assert DataConfig(path="a.csv").text_columns == ["text"]
    assert DataConfig(path="a.csv", text=["a"]).text_columns == ["a"]
    assert DataConfig(path="a.csv", text=["a", "b"]).text_columns == ["a", "b"]


@pytest.mark.parametrize("columns", [[], ["a", "b", "c"]])
def test_no_text_column_and_three_are_refused(columns):
    [error] = errors_of(DataConfig, path="a.csv", text=columns)
    assert f"one column, or two for a text pair; found {len(columns)}" in error["msg"]


def test_one_architecture_is_a_list_of_one():
    assert ModelConfig(architecture="textcnn").architectures == ["textcnn"]
    assert ModelConfig(architecture=["textcnn", "rnn_cnn"]).architectures == ["textcnn", "rnn_cnn"]


@pytest.mark.parametrize("names", [[], ["textcnn", "textcnn"]])
def test_each_architecture_is_named_once(names):
    [error] = errors_of(ModelConfig, architecture=names)
    assert f"lists each name once; found {names}" in error["msg"]


@pytest.mark.parametrize(
    ("label", "name"), [(1, "1"), (True, "true"), (None, "null"), (-0.5, "-0.5"), ("谣言", "谣言")]
)
def test_labels_with_weights_are_the_strings_that_yaml_has(label, name):
    assert TrainConfig(class_weight={label: 2}).class_weight == {name: 2.0}


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)


@given(scalars)
def test_a_value_as_yaml_writes_it_is_read_as_itself(value):
    found = OmegaConf.create(f"key: {yaml_value(value)}")["key"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_a_section_is_read_back_from_its_own_values(section):
    needed = {DataConfig: {"path": "a.csv"}, Autoscaler: {"nodes": 1, "cpus": 1}}.get(section, {})
    made = section(**needed)
    assert section(**made.model_dump(mode="json")) == made


def test_kinds_of_rows_to_drop_are_read_in_their_order():
    kinds = list(typing.get_args(data.DropKind))
    assert DataConfig(path="a.csv", drop=kinds).drop == kinds


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (TrainConfig, {"class_weight": {"a": True, "b": 1}}),
        (TrainConfig, {"epochs": True}),
        (TrainConfig, {"learning_rate": True}),
        (FoldsConfig, {"num_folds": False}),
        (ClusterConfig, {"gpus_per_fold": True}),
        (EnsembleConfig, {"threshold": "cost", "costs": {"a": {"b": True}}}),
    ],
    ids=str,
)
def test_a_boolean_is_no_number(section, values):
    [error] = errors_of(section, **values)
    assert "expected a number; found " in error["msg"]


def test_booleans_are_taken_where_they_are_meant():
    assert (
        TrainConfig(compile=False).compile is False and DataConfig(path="a.csv", strict=False).strict is False
    )
