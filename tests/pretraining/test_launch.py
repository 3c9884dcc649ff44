"""What the workers of a pre-training take of a cluster."""

import pytest

from raytrain.config.pretraining import PretrainCluster
from raytrain.errors import ClusterError
from raytrain.folds.resources import Node
from raytrain.pretraining.launch import fit_workers


@pytest.mark.parametrize(
    ("cluster", "nodes", "expected"),
    [
        ({}, [Node(8, 0)], (8, 0.0, 1)),
        ({}, [Node(8, 0), Node(4, 0)], (8, 0.0, 1)),
        ({"workers": 2}, [Node(8, 0)], (4, 0.0, 2)),
        ({}, [Node(8, 2)], (4, 1.0, 1)),
        ({"gpus_per_worker": 0}, [Node(8, 2)], (8, 0, 1)),
        ({"cpus_per_worker": 3, "workers": 2}, [Node(4, 0), Node(4, 0)], (3, 0.0, 2)),
    ],
)
def test_workers_take_an_even_share_or_what_they_are_told_to(cluster, nodes, expected):
    resources = fit_workers(PretrainCluster(**cluster), nodes)
    assert (resources.cpus, resources.gpus, resources.workers) == expected
    assert resources.scaling().num_workers == expected[2]


@pytest.mark.parametrize(
    "cluster", [{"cpus_per_worker": 9}, {"gpus_per_worker": 1}, {"workers": 9, "cpus_per_worker": 1}]
)
def test_workers_that_do_not_fit_are_refused_with_what_to_do(cluster):
    with pytest.raises(ClusterError, match=r"8 CPU and 0 GPU on 1 node; ask for less by cluster\.workers"):
        fit_workers(PretrainCluster(**cluster), [Node(8, 0)])
