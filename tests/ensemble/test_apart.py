"""What is said of a prediction in another process; Ray itself is not asked."""

import pytest
import ray
from tiny_run import silent_console

from raytrain.ensemble import apart
from raytrain.ensemble.apart import predict_apart
from raytrain.errors import TimeBudgetError
from raytrain.stages import Stage, Stages
from raytrain.storage.directory import Directory


class Task:
    """Stands for the remote function, which predicts seven rows in time."""

    def options(self, **_):
        return self

    def remote(self, *_):
        return [7]


def tell(told, stage):
    for count in told:
        stage.advance(count)
        stage.check()


def test_a_time_budget_that_ends_it_says_that_it_begins_again(tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "remote", lambda **_: lambda _: Task())
    monkeypatch.setattr(Stage, "follow", lambda self, told: told)
    monkeypatch.setattr(apart, "on_this_node", lambda: None)
    monkeypatch.setattr(apart, "tell", tell)
    directory, stages = Directory(tmp_path), Stages(silent_console(), deadline=0.0)
    with pytest.raises(TimeBudgetError, match=r"predicting a\.csv, 7 rows; none of them is kept, .* again"):
        predict_apart("甲", "a.csv", directory, "said.parquet", ["text"], None, stages)
    assert directory.files() == []
