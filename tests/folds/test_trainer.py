"""What a crew's trainer takes of Ray's private modules, and what it does where a Ray lacks it."""

import pytest
import ray.train
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from raytrain.folds import trainer
from raytrain.folds.trainer import PRIVATE, LightTrainer, causes_of, find_private, found_no_room


@pytest.fixture
def light_trainer():
    return LightTrainer(print, {}, "crew-0", ray.train.ScalingConfig(num_workers=1))


@pytest.mark.parametrize("name", PRIVATE)
def test_this_ray_has_each_private_class(name):
    assert isinstance(find_private(name), type)


def test_this_ray_tells_that_there_was_no_room():
    assert found_no_room(WorkerGroupStartupTimeoutError(1))
    assert not found_no_room(RuntimeError("no room"))


def test_a_class_that_is_gone_is_none(monkeypatch):
    monkeypatch.setitem(PRIVATE, "TrainController", "ray.train.v2.moved")
    monkeypatch.setitem(PRIVATE, "DatasetsCallback", "ray.train")
    assert find_private("TrainController") is None and find_private("DatasetsCallback") is None


def test_callbacks_that_a_fold_does_not_need_are_left_out_where_they_are_known(light_trainer, monkeypatch):
    stock = [
        type(callback).__name__ for callback in DataParallelTrainer._create_default_callbacks(light_trainer)
    ]
    lean = [type(callback).__name__ for callback in light_trainer._create_default_callbacks()]
    assert set(stock) - set(lean) == {"DatasetsCallback", "PlacementGroupCleanerCallback"}
    monkeypatch.setattr(trainer, "find_private", lambda name: None)
    assert [type(callback).__name__ for callback in light_trainer._create_default_callbacks()] == stock


def test_without_its_controller_the_stock_trainer_runs(light_trainer, monkeypatch):
    ran = []
    monkeypatch.setattr(trainer, "find_private", lambda name: None)
    monkeypatch.setattr(
        DataParallelTrainer, "_initialize_and_run_controller", lambda self, **given: ran.append(given)
    )
    light_trainer._initialize_and_run_controller(scaling=1)
    assert ran == [{"scaling": 1}]


def test_the_error_inside_a_workers_is_found_where_ray_keeps_it_and_where_it_does_not():
    inner, outer, plain = ValueError("inner"), RuntimeError("outer"), KeyError("plain")
    outer._base_exc = inner
    failed = RuntimeError("workers")
    failed.worker_failures = {0: outer, 1: plain}
    assert causes_of(failed) == [failed, inner, plain]
    failed.worker_failures, failed.controller_failure = {}, outer
    assert causes_of(failed) == [failed, inner]
    assert causes_of(plain) == [plain]
