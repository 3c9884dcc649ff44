"""What one fold takes of a cluster, and how many folds fit at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import ray
import ray.train
import yaml

from raytrain.config.sections import Autoscaler, ClusterConfig
from raytrain.errors import ClusterError
from raytrain.messages import counted

LAUNCHER_FILE = Path("~/ray_bootstrap_config.yaml")  # where `ray up` leaves its config on the head
WHOLE_CARD = 1.0
CARD_HEADROOM = 1.15  # of a fold's peak memory: the next fold's longest batch may be longer
CARD_CONTEXT_BYTES = 600 << 20  # CUDA, cuDNN and cuBLAS take this beside TensorFlow's own memory


@dataclass(frozen=True)
class Node:
    """A machine of the cluster, or one that an autoscaler may add."""

    cpus: float
    gpus: float
    alive: bool = True


@dataclass(frozen=True)
class FoldResources:
    """What one fold takes and how many folds fit.

    Attributes:
        cpus: CPUs per worker; also its TensorFlow threads.
        gpus: GPUs per worker; fractions pack several folds on a card.
        workers: Workers per fold.
        slots: Folds that run at once.
        probe: Whether the first fold's peak memory decides how many share a card.
        divides_cpus: Whether folds that come to share a card share the CPUs beside it, too.
    """

    cpus: int
    gpus: float
    workers: int
    slots: int
    probe: bool = False
    divides_cpus: bool = False

    def scaling(self) -> ray.train.ScalingConfig:
        resources: dict[str, float] = {"CPU": self.cpus}
        if self.gpus:
            resources["GPU"] = self.gpus
        return ray.train.ScalingConfig(
            num_workers=self.workers, use_gpu=self.gpus > 0, resources_per_worker=resources
        )

    def fitting(self, nodes: Sequence[Node]) -> int:
        """How many folds the nodes hold, each worker whole on one node."""
        workers = 0
        for node in nodes:
            workers += node_holds(node, self.cpus, self.gpus)
        return workers // self.workers

    def packed(self, peak_bytes: int, card_bytes: int) -> "FoldResources":
        """The same on the share of a card that a fold with this peak memory needs.

        Args:
            peak_bytes: Most that TensorFlow held on the card during an epoch.
            card_bytes: The card's memory.
        """
        share = (peak_bytes * CARD_HEADROOM + CARD_CONTEXT_BYTES) / card_bytes
        folds = max(1, math.floor(1 / share))
        cpus = max(1, self.cpus // folds) if self.divides_cpus else self.cpus
        # Rounded down, so that so many shares are never more than the card.
        return replace(self, cpus=cpus, gpus=math.floor(1e4 / folds) / 1e4, probe=False)


def node_holds(node: Node, cpus: float, gpus: float) -> int:
    """Workers of so many CPUs and GPUs, or a share of one, that fit on a machine."""
    by_cpu = math.floor(node.cpus / cpus)
    return min(by_cpu, cards_hold(node.gpus, gpus)) if gpus else by_cpu


def cards_hold(gpus: float, share: float) -> int:
    """Workers that fit on a node's cards: a fraction of a GPU lies on one card, more are whole ones."""
    if share > WHOLE_CARD:
        return math.floor(gpus / share)
    return math.floor(gpus) * math.floor(WHOLE_CARD / share + 1e-9)


def cluster_nodes(autoscaler: Autoscaler | None) -> list[Node]:
    """The machines there are, and those that an autoscaler may add."""
    alive = current_nodes()
    return alive + possible_nodes(autoscaler, alive)


def current_nodes() -> list[Node]:
    """The cluster's machines that are alive."""
    return [
        Node(float(node["Resources"].get("CPU", 0)), float(node["Resources"].get("GPU", 0)))
        for node in ray.nodes()
        if node["Alive"]
    ]


def possible_nodes(autoscaler: Autoscaler | None, alive: Sequence[Node]) -> list[Node]:
    """Machines that an autoscaler may still add.

    Args:
        autoscaler: As the config tells it; None takes what Ray's cluster launcher left on the head.
        alive: The cluster's machines.
    """
    if autoscaler is not None:
        groups = [(Node(autoscaler.cpus, autoscaler.gpus, alive=False), autoscaler.nodes)]
    else:
        groups = _launcher_groups(LAUNCHER_FILE.expanduser())
    nodes: list[Node] = []
    for shape, most in groups:
        there = sum((node.cpus, node.gpus) == (shape.cpus, shape.gpus) for node in alive)
        nodes += [shape] * max(0, most - there)
    return nodes


def _launcher_groups(path: Path) -> list[tuple[Node, int]]:
    """Shape and greatest number of each type of machine that a file of `ray up` names, if it is there."""
    try:
        types = yaml.safe_load(path.read_text(encoding="utf-8"))["available_node_types"]
        return [
            (
                Node(float(kind["resources"].get("CPU", 0)), float(kind["resources"].get("GPU", 0)), False),
                int(kind.get("max_workers", 0)),
            )
            for kind in types.values()
        ]
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        return []  # it is Ray's file: what it says wrong, Ray says itself


def even_slots(num_folds: int, fitting: int) -> int:
    """Folds at once, waves evened out: 10 folds with room for 6 run 5 + 5, not 6 + 4."""
    waves = math.ceil(num_folds / fitting)
    return math.ceil(num_folds / waves)


def divide_resources(
    cluster: ClusterConfig,
    num_runs: int,
    num_missing: int,
    nodes: Sequence[Node],
) -> FoldResources:
    """Fits fold runs into the cluster, with the machines that an autoscaler may add.

    Args:
        cluster: What the user asked for; null is filled in here.
        num_runs: All fold runs, committed ones too: what a fold takes must not depend on how many are left.
        num_missing: Fold runs still to train.
        nodes: The machines there are and may be.

    Raises:
        ClusterError: Not even one fold fits.
    """
    gpus = cluster.gpus_per_fold
    if not isinstance(gpus, float):
        gpus = WHOLE_CARD if any(node.gpus for node in nodes) else 0.0
    probe = cluster.gpus_per_fold == "auto" and gpus > 0 and cluster.workers_per_fold == 1
    cpus = cluster.cpus_per_fold or cpu_share(num_runs * cluster.workers_per_fold, gpus, nodes)
    divides = probe and cluster.cpus_per_fold is None
    resources = FoldResources(cpus, gpus, cluster.workers_per_fold, 0, probe, divides)
    slots = count_slots(resources, cluster, max(num_missing, 1), nodes)
    if not slots:
        raise ClusterError("no fold fits into the cluster", [_too_little(resources, nodes)])
    return replace(resources, slots=slots)


def count_slots(
    resources: FoldResources, cluster: ClusterConfig, num_folds: int, nodes: Sequence[Node]
) -> int:
    """Folds at once of so many that are left, as the nodes and the user allow; 0 where not one fits."""
    fitting = resources.fitting(nodes)
    return even_slots(num_folds, min(fitting, cluster.max_concurrent_folds or fitting)) if fitting else 0


def cpu_share(num_workers: int, gpus: float, nodes: Sequence[Node]) -> int:
    """CPUs per worker: those that come with its share of a card, else an even share of all."""
    with_cards = [node for node in nodes if node.gpus] if gpus else []
    if with_cards:
        share = min(node.cpus / max(1, cards_hold(node.gpus, gpus)) for node in with_cards)
    else:
        largest = max((node.cpus for node in nodes), default=1)
        share = min(sum(node.cpus for node in nodes) / max(1, num_workers), largest)
    return max(1, math.floor(share))


def _too_little(resources: FoldResources, nodes: Sequence[Node]) -> str:
    each = f"{resources.cpus} CPU and {resources.gpus:g} GPU"
    needs = each if resources.workers == 1 else f"{resources.workers} workers with {each} each"
    advice = "ask for less"
    if resources.gpus and not any(node.gpus for node in nodes):
        advice = "set cluster.gpus_per_fold=0 to train on CPU"
    return f"a fold needs {needs}; the cluster has {describe_nodes(nodes)}; {advice}"


def describe_nodes(nodes: Sequence[Node]) -> str:
    """Their sums and the largest: `12 CPU and 2 GPU on 3 nodes (the largest: 8 CPU, 1 GPU)`."""
    text = f"{sum(node.cpus for node in nodes):g} CPU and {sum(node.gpus for node in nodes):g} GPU"
    if len(nodes) == 1:
        return f"{text} on 1 node"
    largest = max(nodes, key=lambda node: (node.gpus, node.cpus), default=Node(0, 0))
    return f"{text} on {len(nodes)} nodes (the largest: {largest.cpus:g} CPU, {largest.gpus:g} GPU)"


def describe_resources(resources: FoldResources, num_missing: int, nodes: Sequence[Node]) -> str:
    """One line: what a fold takes, what the cluster has, how many folds run at once."""
    workers = f"{resources.workers} workers × " if resources.workers > 1 else ""
    gpus = f", {resources.gpus:g} GPU" if resources.gpus else ""
    alive = [node for node in nodes if node.alive]
    more = [node for node in nodes if not node.alive]
    coming = f" (an autoscaler may add {describe_nodes(more)})" if more else ""
    waves = math.ceil(num_missing / resources.slots)
    pace = "at once" if waves == 1 else f"in {waves} waves of {resources.slots}"
    probed = "; the first one's peak memory decides how many share a card" if resources.probe else ""
    return (
        f"a fold takes {workers}{resources.cpus} CPU{gpus}; the cluster has {describe_nodes(alive)}{coming}: "
        f"{counted(num_missing, 'fold')} {pace}{probed}"
    )
