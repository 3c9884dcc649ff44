"""What clusters do to a run: the outcome is that of an undisturbed one."""

import os
import sys
import threading
import time
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
import ray
from folds_here import trained_here
from ray._raylet import GcsClient
from ray.cluster_utils import Cluster
from ray.core.generated import autoscaler_pb2
from tiny_run import read_oof, silent_console, tiny_config
from waiting import wait_until

from raytrain.crossval import preflight
from raytrain.crossval.driver import train_run
from raytrain.crossval.preflight import check_nodes, storage_problem
from raytrain.ensemble.artifact import load_ensemble
from raytrain.errors import ClusterError, TimeBudgetError
from raytrain.folds import crews, launch
from raytrain.folds.log import read_log
from raytrain.storage.directory import Directory

pytestmark = [pytest.mark.slow, pytest.mark.long]
# Epochs of a second or two: something can happen within one.
LONG = {
    "num_rows": 400,
    "train__batch_size": 2,
    "train__epochs": 4,
    "cluster__max_concurrent_folds": "null",
}


def run(config):
    console = silent_console()
    summary = train_run(config, console)
    return summary, console.file.getvalue()


def events(run_directory, name, fold="finetune/r0-fold-00"):
    """The lines of a fold's log that tell of an event; none while it is being written."""
    try:
        log = read_log(str(run_directory / "folds" / fold))
    except ValueError:
        return []
    return [entry for entry in log if entry["event"] == name]


@pytest.fixture
def beside():
    """Runs a function beside the test, and hands its exception on."""
    threads, errors = [], []

    def start(function):
        def watched():
            try:
                function()
            except BaseException as error:
                errors.append(error)

        threads.append(threading.Thread(target=watched, daemon=True))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join(30)
    assert not errors, errors


@pytest.fixture(scope="module")
def simulated():
    """A head without CPUs; nodes are added to it and lost."""
    os.environ.pop("RAY_ADDRESS", None)
    os.environ["RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S"] = "0.5"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield cluster
    ray.shutdown()
    cluster.shutdown()
    del os.environ["RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S"]


@pytest.fixture
def cluster(simulated):
    """The cluster with two nodes of one CPU each."""
    while len(simulated.worker_nodes) < 2:
        simulated.add_node(num_cpus=1)
    return simulated


@pytest.fixture(scope="module")
def calm(simulated, tmp_path_factory):
    """The undisturbed run: its ids and probabilities."""
    for _ in range(2):
        simulated.add_node(num_cpus=1)
    directory = tmp_path_factory.mktemp("calm")
    with trained_here():
        run(tiny_config(directory, **LONG))
    return read_oof(directory / "runs" / "tiny")


def assert_equal(directory, calm):
    ids, proba = read_oof(directory / "runs" / "tiny")
    assert ids == calm[0]
    np.testing.assert_allclose(proba, calm[1], atol=1e-5)


def node_of(cluster, node_id):
    return next(node for node in cluster.worker_nodes if node.node_id == node_id)


def test_a_lost_node_costs_its_folds_an_epoch(calm, cluster, tmp_path, beside):
    run_directory, lost = tmp_path / "runs" / "tiny", []

    def lose_the_node_of_fold_0():
        wait_until(lambda: events(run_directory, "epoch"))
        lost.append(events(run_directory, "start")[0]["node"]["id"])
        cluster.remove_node(node_of(cluster, lost[0]), allow_graceful=False)

    beside(lose_the_node_of_fold_0)
    run(tiny_config(tmp_path, cluster__max_failures=2, **LONG))
    assert_equal(tmp_path, calm)
    starts = events(run_directory, "start")
    assert len(starts) > 1 and starts[-1]["node"]["id"] != lost[0] and starts[-1]["epoch"] >= 1
    manifest = load_ensemble(str(run_directory / "ensemble")).manifest
    fold = manifest.architectures["finetune"].folds[0].model_dump()
    assert fold["node"]["id"] == starts[-1]["node"]["id"]
    assert fold["device"] and fold["packages"]["ray"] == ray.__version__


def test_a_node_that_is_taken_away_with_warning_costs_no_step(calm, cluster, tmp_path, beside):
    run_directory = tmp_path / "runs" / "tiny"

    def drain_the_node_of_fold_0():
        node_id = wait_until(lambda: events(run_directory, "start"))[0]["node"]["id"]
        deadline = int(time.time() * 1000) + 60_000
        reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
        accepted, _ = GcsClient(address=cluster.address).drain_node(node_id, reason, "spot", deadline)
        assert accepted
        wait_until(lambda: events(run_directory, "preemption"))
        cluster.remove_node(node_of(cluster, node_id), allow_graceful=False)

    beside(drain_the_node_of_fold_0)
    run(tiny_config(tmp_path, cluster__max_failures=0, **LONG))  # a warning is no failure
    assert_equal(tmp_path, calm)
    [warned] = events(run_directory, "preemption")
    first, second = [(start["epoch"], start["step"]) for start in events(run_directory, "start")]
    # Training goes on until the node is gone, and may save at the end of an epoch before that.
    saved_later = [(epoch, 0) for epoch in range(warned["epoch"] + 1, LONG["train__epochs"])]
    assert first == (0, 0)
    assert second in [(warned["epoch"], warned["step"]), *saved_later]


def starved(loop_config):
    """A crew whose workers have no memory for more than two texts at once."""
    import tensorflow as tf

    from raytrain.folds import worker
    from raytrain.training.batches import Batches

    lay = Batches._lay

    def lay_two(self, features, rows, *rest):
        if len(rows) > 2:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[8,16]")
        return lay(self, features, rows, *rest)

    Batches._lay = lay_two
    return worker.train_folds(loop_config)


class StarvedLauncher(launch.FoldLauncher):
    def _trainer(self, number, resources):
        crews.train_folds = starved
        return super()._trainer(number, resources)


def test_short_memory_is_answered_by_smaller_pieces(cluster, tmp_path, monkeypatch):
    """Without dropout, whose masks depend on the pieces, the outcome is the same."""
    options = {"dropout": 0.0, "train__dropout": 0, "cluster__max_failures": 0}
    with trained_here():
        run(tiny_config(tmp_path, name="calm", **options))
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(launch, "FoldLauncher", StarvedLauncher)
    _, said = run(tiny_config(tmp_path, name="hungry", **options))
    for size in (4, 2):
        assert f"out of memory: again with batches in {8 // size} pieces of {size}" in said
    manifest = load_ensemble(str(tmp_path / "runs" / "hungry" / "ensemble")).manifest
    assert [fold.accumulation for fold in manifest.architectures["finetune"].folds] == [4, 4]
    expected = read_oof(tmp_path / "runs" / "calm")[1]
    np.testing.assert_allclose(read_oof(tmp_path / "runs" / "hungry")[1], expected, atol=1e-5)


def test_every_node_is_asked_for_the_storage(cluster, tmp_path):
    with pytest.raises(ClusterError) as raised:
        check_nodes(Directory(tmp_path / "nowhere"), needed=0)
    alive = [node for node in ray.nodes() if node["Alive"]]
    assert str(raised.value).count("config.yaml is missing") == len({n["NodeManagerAddress"] for n in alive})


def dies_at_first(location, needed):
    """A probe whose worker is gone before it answers, once."""
    marker = Path(location).parent / "died"
    if not marker.exists():
        marker.touch()
        os._exit(1)
    return storage_problem(location, needed)


def test_a_worker_that_dies_while_asked_is_no_problem_of_the_storage(cluster, tmp_path, monkeypatch):
    run_directory = Directory(tmp_path / "run")
    run_directory.write_bytes("config.yaml", b"name: x\n")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(preflight, "storage_problem", dies_at_first)
    check_nodes(run_directory, needed=0)
    assert (tmp_path / "died").exists()


def run_within_budget(directory, **options):
    """A budget in which the first of two folds, one after another, learns something but never finishes."""
    for budget in (40, 160):
        try:
            return run(tiny_config(directory, cluster__time_budget=budget, **options))
        except TimeBudgetError:  # on a slow machine a worker's start takes that long
            continue
    raise AssertionError("no fold learned anything")


def test_the_time_budget_ends_folds_where_they_are_and_a_later_run_goes_on(cluster, tmp_path):
    options = LONG | {"train__epochs": 1000, "cluster__max_concurrent_folds": 1}
    run_directory = tmp_path / "runs" / "tiny"
    summary, said = run_within_budget(tmp_path, **options)
    assert summary["stopped_early"] == ["finetune/r0-fold-00"]
    assert summary["missing"] == ["finetune/r0-fold-01"]
    assert "cluster.time_budget is used up: 1 fold run stopped early, 1 not trained" in said
    manifest = load_ensemble(str(run_directory / "ensemble")).manifest
    assert manifest.complete is False
    assert [fold.stopped_early for fold in manifest.architectures["finetune"].folds] == [True]
    covered = np.isfinite(read_oof(run_directory)[1]).all(axis=1)
    assert covered.sum() == summary["ensemble"]["rows"] == 200

    summary, _ = run_within_budget(tmp_path, **options)
    assert summary["stopped_early"] == ["finetune/r0-fold-00"]
    ends, starts = events(run_directory, "committed"), events(run_directory, "start")
    assert (starts[-1]["epoch"], starts[-1]["step"]) == (ends[0]["epoch"], ends[0]["step"]) > (0, 0)


def test_a_budget_too_small_for_anything_is_told(cluster, tmp_path):
    with pytest.raises(TimeBudgetError, match="time_budget was used up"):
        run(tiny_config(tmp_path, cluster__time_budget=0.1))


def test_metrics_of_the_folds_stand_among_rays(cluster, tmp_path, beside):
    found = {}

    def scrape():
        ports = [node["MetricsExportPort"] for node in ray.nodes() if node["Alive"]]

        def all_three():
            for port in ports:
                text = urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
                for line in text.splitlines():
                    name = line.split("{")[0]
                    if name.startswith("ray_raytrain_") and 'fold="finetune/r0-fold-00"' in line:
                        found[name] = line
            return len(found) == 3

        wait_until(all_three)

    beside(scrape)
    run(tiny_config(tmp_path, **LONG | {"train__epochs": 12}))
    names = {"ray_raytrain_epoch", "ray_raytrain_loss", "ray_raytrain_examples_per_second"}
    assert set(found) == names
    assert all('run="tiny"' in line for line in found.values())


def test_a_full_object_store_spills(tmp_path, calm):
    """Objects of three times the store's size are alive while the folds train."""
    ray.shutdown()
    store = {"object_store_memory": 100 << 20, "num_cpus": 2}
    ray.init("local", **store, log_to_driver=False, include_dashboard=False)
    ballast = [ray.put(np.full(50 << 20, number, np.uint8)) for number in range(6)]
    run(tiny_config(tmp_path, **LONG))
    assert_equal(tmp_path, calm)
    assert [int(ray.get(piece)[0]) for piece in ballast] == list(range(6))
    ray.shutdown()
