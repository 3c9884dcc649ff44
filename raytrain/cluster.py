"""Where the folds run: connecting to Ray, and how many folds fit at once."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raytrain.config import ClusterConfig
from raytrain.errors import ClusterError, RaytrainError


@dataclass(frozen=True)
class FoldResources:
    """What one fold takes and how many folds fit.

    Attributes:
        cpus: CPUs per worker; also its TensorFlow threads.
        gpus: GPUs per worker; fractions pack several folds on a card.
        workers: Workers per fold.
        slots: Folds that fit at once.
    """

    cpus: int
    gpus: float
    workers: int
    slots: int

    def scaling(self) -> ray.train.ScalingConfig:
        resources: dict[str, float] = {"CPU": self.cpus}
        if self.gpus:
            resources["GPU"] = self.gpus
        return ray.train.ScalingConfig(
            num_workers=self.workers, use_gpu=self.gpus > 0, resources_per_worker=resources
        )


def connect(address: str | None) -> None:
    """Connects to the cluster, or starts Ray on this machine with its dashboard on loopback only.

    Args:
        address: Of a cluster; None takes RAY_ADDRESS (which a submitted job has set), else local Ray.

    Raises:
        ClusterError: Nothing answers at the address.
    """
    if ray.is_initialized():
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options |= {"include_dashboard": True, "dashboard_host": "127.0.0.1"}
    elif "RAY_JOB_CONFIG_JSON_ENV_VAR" not in os.environ:
        # A submitted job ships its working directory; a plain script ships the package itself.
        options["runtime_env"] = {"py_modules": [str(Path(__file__).parent)]}
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"cannot connect to Ray at {address}: {error}",
            ["expected a running cluster; leave cluster.address=null and RAY_ADDRESS unset for local Ray"],
        ) from error


def on_this_node() -> NodeAffinitySchedulingStrategy:
    """Keeps a task or actor on the driver's machine, whose files it reads and whose life it shares."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


# For TensorFlow in tasks that own no GPU: it would otherwise take the memory of one that a fold owns.
WITHOUT_GPU = {"env_vars": {"CUDA_VISIBLE_DEVICES": "-1"}}


def get_result(reference: ray.ObjectRef) -> Any:
    """ray.get, but an error of ours comes back as itself and not wrapped in a remote traceback."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, RaytrainError):
            raise error.cause from None
        raise


def check_storage(storage: str) -> None:
    """Refuses a relative directory in a submitted job, whose working directory Ray deletes.

    Raises:
        ClusterError: With the key to set.
    """
    if (
        "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ
        and "://" not in storage
        and not Path(storage).is_absolute()
    ):
        raise ClusterError(
            f"storage={storage}: a submitted job's working directory is temporary",
            ["expected an absolute directory that all nodes reach, or a URI such as s3://bucket/runs"],
        )


def quicken_controllers() -> None:
    """Settings of the Train controllers that this process runs; the user's own pace is kept.

    A finished epoch is noticed when the controller next looks at its workers; Ray's default of 2 s would
    be most of a short fold. A cluster of one machine has nobody to warn of its end.
    """
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.3")
    # Each would set up the logging of this process, which they share, and two that start at once can then
    # wait for each other's locks for ever.
    os.environ["RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING"] = "0"
    if len(ray.nodes()) == 1:
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")


def plan_resources(cluster: ClusterConfig, num_runs: int) -> FoldResources:
    """Fits fold runs into the cluster as it is now.

    Args:
        cluster: What the user asked for; null is filled in here.
        num_runs: All fold runs, committed ones too: what a fold takes must not depend on how many are left.

    Raises:
        ClusterError: Not even one fold fits.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus_of = [int(node.get("CPU", 0)) for node in nodes]
    gpus_of = [float(node.get("GPU", 0)) for node in nodes]
    gpus = cluster.gpus_per_fold
    if gpus is None:
        gpus = 1.0 if any(gpus_of) else 0.0
    cpus = cluster.cpus_per_fold
    if cpus is None:
        workers = max(1, num_runs * cluster.workers_per_fold)
        share = [c / (g / gpus) for c, g in zip(cpus_of, gpus_of, strict=True) if g] if gpus else []
        spread = min(share) if share else min(sum(cpus_of) / workers, max(cpus_of, default=1))
        cpus = max(1, math.floor(spread))
    fits = sum(
        math.floor(min(c / cpus, g / gpus if gpus else math.inf))
        for c, g in zip(cpus_of, gpus_of, strict=True)
    )
    slots = fits // cluster.workers_per_fold
    if slots < 1:
        raise ClusterError(
            "no fold fits into the cluster",
            [
                f"a fold needs {cluster.workers_per_fold} worker(s) with {cpus} CPU and {gpus:g} GPU each; "
                f"the cluster has {sum(cpus_of)} CPU and {sum(gpus_of):g} GPU on {len(nodes)} node(s); "
                "set cluster.gpus_per_fold=0 to train on CPU, or ask for less"
            ],
        )
    return FoldResources(
        cpus, gpus, cluster.workers_per_fold, min(slots, cluster.max_concurrent_folds or slots)
    )
