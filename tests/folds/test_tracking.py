import struct

import pytest
from sweep.test_records import config_of

from raytrain.errors import ConfigError
from raytrain.folds.tracking import tracking
from raytrain.storage.directory import Directory


def read_scalars(path):
    """(tag, step, value) of an event file, whose records are length, checksum, protobuf, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    data, found = path.read_bytes(), []
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        event = Event.FromString(data[12 : 12 + size])
        found += [
            (v.tag, event.step, v.simple_value) for v in event.summary.value if v.HasField("simple_value")
        ]
        data = data[16 + size :]
    return found


def log(run, *overrides):
    with tracking(Directory(run), config_of(*overrides)) as tracker:
        tracker.log("trial-0001", 1, {"accuracy": 0.5, "auc": float("nan"), "note": "x"}, {"train.epochs": 3})
        tracker.log("trial-0001", 2, {"accuracy": 0.75})
        tracker.log("trial-0002", 1, {"accuracy": 0.25})


def test_tensorboard_gets_every_number(tmp_path):
    log(tmp_path)
    [events] = (tmp_path / "tensorboard" / "trial-0001").glob("events*")
    assert read_scalars(events) == [("accuracy", 1, 0.5), ("accuracy", 2, 0.75)]
    assert (tmp_path / "tensorboard" / "trial-0002").is_dir()


def test_nothing_is_written_where_it_is_not_wanted(tmp_path):
    log(tmp_path, "tracking.tensorboard=false")
    assert not list(tmp_path.iterdir())


def test_mlflow_gets_a_run_for_each_name(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    log(tmp_path / "run", "name=search", f"tracking.mlflow={tmp_path / 'store'}")
    client = mlflow.MlflowClient(tracking_uri=str(tmp_path / "store"))
    experiment = client.get_experiment_by_name("search")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"trial-0001", "trial-0002"}
    first = runs["trial-0001"]
    assert first.data.params == {"train.epochs": "3"}
    assert [(m.step, m.value) for m in client.get_metric_history(first.info.run_id, "accuracy")] == [
        (1, 0.5),
        (2, 0.75),
    ]
    assert first.info.status == "FINISHED"


def test_mlflow_that_cannot_be_used_is_told_before_anything_starts(tmp_path):
    with (
        pytest.raises(ConfigError, match=r"tracking\.mlflow"),
        tracking(Directory(tmp_path), config_of("tracking.mlflow=nonsense://host")),
    ):
        pass


def test_a_log_that_fails_is_told_once_and_harms_nothing(tmp_path, capsys):
    with tracking(Directory(tmp_path), config_of()) as tracker:
        (tmp_path / "tensorboard").write_text("")  # where a directory should be
        tracker.log("a", 1, {"accuracy": 1.0})
        tracker.log("a", 2, {"accuracy": 1.0})
    assert capsys.readouterr().err.count("tracking is given up") == 1
