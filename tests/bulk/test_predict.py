import pytest

from raytrain.bulk import driver
from raytrain.bulk.driver import Workers
from raytrain.bulk.predict import predict_files
from raytrain.errors import ClusterError, InputError
from raytrain.folds.resources import Node


def test_all_numbers_that_mean_nothing_are_told_at_once():
    with pytest.raises(InputError) as raised:
        predict_files("e", "in", "out", reject=float("nan"), replicas=0, cpus=0, gpus=-1)
    assert [problem.split(":")[0] for problem in raised.value.problems] == [
        *("reject", "replicas", "cpus", "gpus")
    ]


@pytest.mark.parametrize(
    ("workers", "nodes", "room"),
    [
        (Workers(), [Node(2, 0), Node(3, 0)], 5),
        (Workers(cpus=2), [Node(3, 0), Node(1, 0)], 1),
        (Workers(cpus=1, gpus=0.5), [Node(8, 1), Node(8, 0)], 2),
        (Workers(cpus=1, gpus=0.1), [Node(16, 1)], 10),
        (Workers(cpus=1, gpus=0.6), [Node(8, 2)], 2),  # a share lies on one card
        (Workers(cpus=1, gpus=2), [Node(8, 4), Node(8, 3)], 3),
        (Workers(cpus=4), [Node(0, 0), Node(8, 0, alive=False)], 1),
    ],
)
def test_there_is_room_for_what_the_machines_hold(monkeypatch, workers, nodes, room):
    monkeypatch.setattr(driver, "cluster_nodes", lambda autoscaler: nodes)
    assert driver._room(workers) == room


@pytest.mark.parametrize("workers", [Workers(cpus=64), Workers(gpus=1)])
def test_what_no_machine_holds_is_refused_and_not_waited_for(monkeypatch, workers):
    monkeypatch.setattr(driver, "cluster_nodes", lambda autoscaler: [Node(2, 0)])
    with pytest.raises(ClusterError, match="expected a machine with"):
        driver._room(workers)
