import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.config.load import load_config
from raytrain.errors import ArtifactError, ConfigError
from raytrain.scores.classes import METRICS
from raytrain.storage.directory import Directory
from raytrain.sweep.records import (
    TrialRecord,
    begin_sweep,
    best_trial,
    rank_trials,
    read_trials,
    trials_table,
    write_trial,
)


def config_of(*overrides):
    return load_config(None, ["data.path=a.csv", "sweep.num_folds=3", *overrides])


def record_of(number, values, state="finished", **changes):
    scores = {name: list(values) for name in METRICS}
    return TrialRecord(number, {"train.epochs": number + 1}, state, scores, [1.5] * len(values), **changes)


@pytest.fixture
def sweep(tmp_path):
    return Directory(tmp_path / "sweep")


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1) | st.just(float("nan")), max_size=4))
def test_records_round_trip(tmp_path_factory, values):
    sweep = Directory(tmp_path_factory.mktemp("sweep"))
    record = record_of(3, values, error="why", ended=12.5)
    write_trial(sweep, record)
    [found] = read_trials(sweep)
    for metric in METRICS:
        np.testing.assert_equal(
            [found.mean(metric), found.sd(metric)], [record.mean(metric), record.sd(metric)]
        )
    assert dataclasses.replace(found, scores={}) == dataclasses.replace(record, scores={})


def test_mean_and_sd_are_of_the_folds_so_far():
    record = record_of(0, [0.8, 0.9, 0.7])
    assert record.mean("auc") == pytest.approx(0.8)
    assert record.sd("auc") == pytest.approx(0.1)
    assert np.isnan(record_of(0, [0.8]).sd("auc")) and np.isnan(record_of(0, [0.8, None]).sd("auc"))
    assert np.isnan(record_of(0, []).mean("auc"))
    assert record_of(0, [0.8, float("nan")]).mean("auc") == 0.8


def test_trials_come_by_number_and_unended_ones_are_stopped(sweep):
    for record in (
        record_of(11, [0.5], "running"),
        record_of(2, [0.5, 0.6, 0.7]),
        record_of(3, [0.1], "pruned"),
    ):
        write_trial(sweep, record)
    sweep.write_bytes("trials/0004.json.abc.tmp", b"{")  # of a process that was killed
    assert [(record.number, record.state) for record in read_trials(sweep)] == [
        (2, "finished"),
        (3, "pruned"),
        (11, "stopped"),
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda r: "{",
        lambda r: "[]",
        lambda r: json.dumps(r | {"state": "x"}),
        lambda r: json.dumps(r | {"seconds": []}),
    ],
)
def test_a_damaged_record_is_named(sweep, change):
    record = dataclasses.asdict(record_of(0, [0.5]))
    sweep.write_bytes("trials/0000.json", change(record).encode())
    with pytest.raises(ArtifactError, match=r"0000\.json is damaged"):
        read_trials(sweep)


def test_more_folds_rank_before_better_scores_of_fewer():
    records = [
        record_of(0, [0.9], "pruned"),
        record_of(1, [0.5, 0.5, 0.5]),
        record_of(2, [0.7, 0.7, 0.7]),
        record_of(3, [], "failed", error="x"),
        record_of(4, [0.7, 0.7, 0.7]),
    ]
    assert [record.number for record in rank_trials(records, "accuracy")] == [2, 4, 1, 0]
    assert [record.number for record in rank_trials(records, "log_loss")] == [1, 2, 4, 0]


def test_the_best_trial_has_all_its_folds():
    records = [record_of(0, [0.9], "pruned"), record_of(1, [0.5, 0.5, 0.5])]
    assert best_trial(records, "accuracy").number == 1
    assert best_trial(records[:1], "accuracy") is None


def test_the_table_has_a_row_a_trial_with_its_whole_config():
    records = [record_of(0, [0.8, 0.9, 0.7]), record_of(1, [], "failed", error="why")]
    rows = trials_table(records, config_of()).to_pylist()
    assert [(row["trial"], row["state"], row["error"], row["folds"]) for row in rows] == [
        (0, "finished", None, 3),
        (1, "failed", "why", 0),
    ]
    assert rows[0]["auc_per_fold"] == [0.8, 0.9, 0.7]
    assert json.loads(rows[1]["config"])["train"]["epochs"] == rows[1]["train.epochs"] == 2


def test_values_of_several_kinds_fit_into_one_column():
    records = [
        TrialRecord(0, {"train.class_weight": "balanced"}),
        TrialRecord(1, {"train.class_weight": {"a": 2.0}}),
    ]
    column = trials_table(records, config_of())["train.class_weight"].to_pylist()
    assert [json.loads(value) for value in column] == ["balanced", {"a": 2.0}]


def test_a_sweep_goes_on_with_more_trials(sweep):
    begin_sweep(sweep, config_of(), {"data.path": "x"})
    begin_sweep(
        sweep, config_of("sweep.num_trials=50", "sweep.time_budget=9", "sweep.then=kfold"), {"data.path": "x"}
    )


@pytest.mark.parametrize(
    ("override", "hashes", "key"),
    [
        ("train.epochs=9", {"data.path": "x"}, "train.epochs"),
        ("sweep.num_folds=2", {"data.path": "x"}, "sweep.num_folds"),
        ("sweep.space={train.epochs: [1, 2]}", {"data.path": "x"}, "sweep.space"),
        ("seed=42", {"data.path": "y"}, "inputs"),
    ],
)
def test_a_sweep_of_another_config_is_refused(sweep, override, hashes, key):
    begin_sweep(sweep, config_of(), {"data.path": "x"})
    with pytest.raises(ConfigError) as caught:
        begin_sweep(sweep, config_of(override), hashes)
    assert caught.value.problems[0].startswith(f"{key}:")
    assert len(caught.value.problems) == 2


SPACE = ("train.epochs: [1, 2]", "train.batch_size: [8, 16]", "model.architecture: [textcnn]")


def space_of(*keys):
    return f"sweep.space={{{', '.join(keys)}}}"


@pytest.mark.parametrize("search", ["random", "grid", "optuna"])
def test_a_space_in_another_order_would_give_other_points_and_is_refused(sweep, search):
    begin_sweep(sweep, config_of(space_of(*SPACE), f"sweep.search={search}"), {})
    begin_sweep(sweep, config_of(space_of(*SPACE), f"sweep.search={search}"), {})
    other = config_of(space_of(*SPACE[::-1]), f"sweep.search={search}")
    if search == "optuna":  # learns from the trials that there are, whatever the order
        begin_sweep(sweep, other, {})
        return
    with pytest.raises(ConfigError) as caught:
        begin_sweep(sweep, other, {})
    told = caught.value.problems[0]
    # The architecture is drawn first wherever it stands.
    first = config_of(space_of(SPACE[-1], *SPACE[:-1]), f"sweep.search={search}")
    begin_sweep(sweep, first, {})
    assert "begun with train.epochs, train.batch_size, model.architecture, found model.arch" in told
    assert told.endswith("give them in that order")


def test_damaged_settings_are_told(sweep):
    sweep.write_bytes("sweep.json", b"{")
    with pytest.raises(ArtifactError, match=r"sweep\.json is damaged"):
        begin_sweep(sweep, config_of(), {})


def test_values_that_do_not_go_together_leave_a_row_without_a_config():
    point = {"model.architecture": "finetune", "model.pooling": "layers", "model.train_encoder": False}
    table = trials_table([TrialRecord(0, point, "failed"), TrialRecord(1, {"train.epochs": 2})], config_of())
    unfit, fit = table["config"].to_pylist()
    assert unfit is None and json.loads(fit)["train"]["epochs"] == 2
