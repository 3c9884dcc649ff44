import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from raytrain.config.load import load_config
from raytrain.config.sections import Autoscaler
from raytrain.errors import ClusterError, ConfigError
from raytrain.folds.resources import (
    FoldResources,
    Node,
    cards_hold,
    describe_resources,
    divide_resources,
    even_slots,
    possible_nodes,
)

CARD = 16 << 30


def plan(nodes, num_runs=10, num_missing=None, **cluster):
    overrides = [f"cluster.{key}={value}" for key, value in cluster.items()]
    config = load_config(None, ["data.path=x.csv", *overrides]).cluster
    return divide_resources(config, num_runs, num_runs if num_missing is None else num_missing, nodes)


def test_ten_folds_with_room_for_six_run_five_and_five():
    assert plan([Node(8, 1)] * 6).slots == 5


@given(st.integers(1, 300), st.integers(1, 300))
def test_even_waves_are_no_more_and_no_larger_than_need_be(num_folds, fitting):
    slots = even_slots(num_folds, fitting)
    waves = -(-num_folds // slots)
    assert 1 <= slots <= fitting
    assert waves == -(-num_folds // fitting)  # as few as without evening out
    assert (slots - 1) * waves < num_folds  # with a slot less they would not do


def test_a_cluster_with_cards_gives_each_fold_one_and_the_cpus_beside_it():
    assert plan([Node(4, 0), Node(8, 2), Node(8, 2)]) == FoldResources(4, 1.0, 1, 4)


def test_a_cluster_without_cards_shares_its_cpus_out():
    assert plan([Node(32, 0)], num_runs=5) == FoldResources(6, 0.0, 1, 5)


def test_what_a_fold_takes_does_not_depend_on_how_many_are_left():
    few, all_of_them = (plan([Node(32, 0)], num_missing=missing) for missing in (2, 10))
    assert (few.cpus, few.gpus) == (all_of_them.cpus, all_of_them.gpus)
    assert (few.slots, all_of_them.slots) == (2, 10)


def test_fractions_pack_folds_on_one_card():
    resources = plan([Node(8, 1)], gpus_per_fold=0.25)
    assert (resources.cpus, resources.gpus, resources.slots) == (2, 0.25, 4)


@pytest.mark.parametrize(("gpus", "share", "workers"), [(1, 0.4, 2), (2, 0.4, 4), (1, 1 / 3, 3), (3, 1, 3)])
def test_a_fraction_of_a_gpu_lies_on_one_card(gpus, share, workers):
    assert cards_hold(gpus, share) == workers


def test_workers_of_one_fold_may_lie_on_several_nodes():
    assert plan([Node(1, 0)] * 5, cpus_per_fold=1, workers_per_fold=2).slots == 2


def test_a_gpu_fold_on_a_cluster_without_cards_is_told_what_to_set():
    with pytest.raises(ClusterError) as raised:
        plan([Node(8, 0)], gpus_per_fold=1)
    assert "a fold needs 1 CPU and 1 GPU" in str(raised.value)
    assert "the cluster has 8 CPU and 0 GPU on 1 node" in str(raised.value)
    assert "set cluster.gpus_per_fold=0 to train on CPU" in str(raised.value)


def test_a_fold_larger_than_every_node_is_refused():
    with pytest.raises(ClusterError, match="a fold needs 4 CPU and 0 GPU; the cluster has 6 CPU"):
        plan([Node(3, 0), Node(3, 0)], cpus_per_fold=4)


def test_machines_that_may_come_count():
    coming = [Node(8, 1, alive=False)] * 10
    resources = plan([Node(0, 0), *coming])
    assert (resources.gpus, resources.slots) == (1.0, 10)
    text = describe_resources(resources, 10, [Node(0, 0), *coming])
    assert "0 CPU and 0 GPU on 1 node" in text and "may add 80 CPU and 10 GPU on 10 nodes" in text


def test_the_plan_tells_waves():
    nodes = [Node(8, 1)] * 6
    text = describe_resources(plan(nodes), 10, nodes)
    assert text == (
        "a fold takes 8 CPU, 1 GPU; the cluster has 48 CPU and 6 GPU on 6 nodes "
        "(the largest: 8 CPU, 1 GPU): 10 folds in 2 waves of 5"
    )


def test_the_autoscaler_of_the_config_adds_what_is_not_there_yet():
    alive = [Node(2, 0), Node(8, 1), Node(8, 1)]
    coming = possible_nodes(Autoscaler(nodes=5, cpus=8, gpus=1), alive)
    assert coming == [Node(8, 1, alive=False)] * 3


def test_the_file_of_the_cluster_launcher_tells_what_may_come(tmp_path, monkeypatch):
    path = tmp_path / "ray_bootstrap_config.yaml"
    types = {
        "head": {"resources": {"CPU": 0}, "max_workers": 0},
        "gpu": {"resources": {"CPU": 8, "GPU": 1}, "max_workers": 3},
    }
    path.write_text(yaml.safe_dump({"available_node_types": types}))
    monkeypatch.setattr("raytrain.folds.resources.LAUNCHER_FILE", path)
    assert possible_nodes(None, [Node(8, 1)]) == [Node(8, 1, alive=False)] * 2


@pytest.mark.parametrize("text", ["", "[]", "available_node_types: 3", "{", "available_node_types: {a: {}}"])
def test_a_strange_file_of_the_launcher_means_no_autoscaler(tmp_path, monkeypatch, text):
    path = tmp_path / "file.yaml"
    path.write_text(text)
    monkeypatch.setattr("raytrain.folds.resources.LAUNCHER_FILE", path)
    assert possible_nodes(None, []) == []


def test_auto_probes_a_whole_card_first_and_packs_by_the_peak():
    resources = plan([Node(8, 1)], gpus_per_fold="auto")
    assert resources.probe and resources.gpus == 1
    packed = resources.packed(peak_bytes=3 << 30, card_bytes=CARD)
    assert not packed.probe
    assert cards_hold(1, packed.gpus) == 3  # 3 GiB with a tenth and a half, and a context: 4.04 of 16


def test_folds_that_share_a_card_share_the_cpus_beside_it():
    """Else the first fold's CPUs, all that come with the card, would let but one run at a time."""
    node = Node(8, 1)
    packed = plan([node], gpus_per_fold="auto").packed(peak_bytes=3 << 30, card_bytes=CARD)
    assert (packed.cpus, packed.fitting([node])) == (2, 3)
    given = plan([node], gpus_per_fold="auto", cpus_per_fold=4).packed(peak_bytes=3 << 30, card_bytes=CARD)
    assert (given.cpus, given.fitting([node])) == (4, 2)


@given(st.integers(1, CARD))
def test_packed_folds_fit_on_the_card(peak):
    packed = FoldResources(1, 1.0, 1, 1, probe=True).packed(peak, CARD)
    folds = cards_hold(1, packed.gpus)
    assert folds >= 1 and folds * packed.gpus <= 1
    assert folds == 1 or folds * peak <= CARD


def test_auto_without_cards_trains_on_cpus():
    resources = plan([Node(8, 0)], gpus_per_fold="auto")
    assert resources.gpus == 0 and not resources.probe


@pytest.mark.parametrize("value", ["1.5", "-1", "many"])
def test_a_share_that_is_none_is_refused(value):
    with pytest.raises(ConfigError, match=r"gpus_per_fold: expected a number from 0 to 1, auto or null"):
        plan([Node(8, 1)], gpus_per_fold=value)
