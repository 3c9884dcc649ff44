"""Before the first epoch: whether every node reaches the storage, and whether its disk has room."""

import shutil
from collections.abc import Sequence
from typing import Any

import ray

from raytrain.cluster import on_node
from raytrain.errors import ClusterError, RaytrainError
from raytrain.folds.spec import ModelSettings
from raytrain.kinds import encoder_parameters
from raytrain.ngrams.tfidf import MOST_NGRAMS
from raytrain.storage.directory import Directory
from raytrain.tasks import reads_encoder
from raytrain.training.settings import TrainSettings

ANSWER_SECONDS = 120.0
FLOAT_BYTES = 4
NGRAM_BYTES = 10  # of three characters and what closes them
CHECKPOINTS = 2  # the new one is whole before the old one is deleted


def check_nodes(run: Directory, needed: int) -> None:
    """Has a worker on every node write to the run's directory, now and not after the first epoch.

    Args:
        run: The run's directory, with the config.yaml that the driver wrote.
        needed: Bytes that the run will still write there.

    Raises:
        ClusterError: Naming each node that cannot write there, or sees another disk than the driver.
    """
    # A worker that dies says nothing of the storage: another one is asked.
    probe: Any = ray.remote(num_cpus=0, max_retries=3)(storage_problem)
    answers: dict[ray.ObjectRef, str] = {}
    for node in ray.nodes():
        if node["Alive"]:
            there = on_node(node["NodeID"])
            answer = probe.options(scheduling_strategy=there).remote(run.location, needed)
            answers[answer] = f"node {node['NodeManagerAddress']}"
    done, late = ray.wait(list(answers), num_returns=len(answers), timeout=ANSWER_SECONDS)
    found = {answers[answer]: _answer_of(answer) for answer in done}
    found |= {answers[answer]: f"no answer within {ANSWER_SECONDS:g} s" for answer in late}
    problems = [f"{node}: {problem}" for node, problem in sorted(found.items()) if problem is not None]
    if problems:
        advice = "storage must be a place that all nodes reach: a shared directory, or s3://bucket/runs"
        raise ClusterError("the storage cannot be used from every node", [*problems, advice])


def _answer_of(answer: ray.ObjectRef) -> str | None:
    """What a node said; a node that is lost meanwhile is no problem of the storage."""
    try:
        problem: str | None = ray.get(answer)
        return problem
    except ray.exceptions.TaskUnschedulableError:
        return None
    except ray.exceptions.RayError as error:
        return f"the probe failed: {str(error).strip().splitlines()[-1]}"


def storage_problem(location: str, needed: int) -> str | None:
    """What keeps this process from using a run's directory, or None."""
    try:
        run = Directory(location)
        if not run.exists("config.yaml"):
            return f"{location} is not the directory that the driver writes: config.yaml is missing"
        if not run.is_writable():
            return f"cannot write to {location}"
    except (OSError, RaytrainError) as error:
        return f"cannot use {location}: {error}"
    free = shutil.disk_usage(run.path).free if run.is_local else needed
    if free < needed:
        return f"{location} has {free / 1e9:,.1f} GB free; the run will write about {needed / 1e9:,.1f} GB"
    return None


def needed_bytes(folds: Sequence[tuple[int, int]], slots: int) -> int:
    """What a run will write: each fold's weights and their copy in the ensemble, and checkpoints.

    Args:
        folds: Of each that is still to train, bytes of what it learns and `state_copies`.
        slots: Folds in training at once.
    """
    states = sorted((weights * copies for weights, copies in folds), reverse=True)
    return 2 * sum(weights for weights, _ in folds) + CHECKPOINTS * sum(states[:slots])


def state_copies(settings: TrainSettings) -> int:
    """How often a checkpoint holds as much as the weights: these and Adam's two moments, average, best."""
    return 3 + (settings.ema is not None) + (settings.select == "best")


def learned_bytes(model: ModelSettings) -> int:
    """About how many bytes a fold learns, without building its model."""
    if not reads_encoder(model.architecture):
        outputs = 1 if model.num_labels == 2 else model.num_labels
        return MOST_NGRAMS * (FLOAT_BYTES * (outputs + 1) + NGRAM_BYTES)
    config = model.config
    rows, columns = model.embedding
    head = rows * columns + 3_000 * (config["hidden_size"] + columns) + 1_000_000
    encoder = encoder_parameters(model.kind, config) if model.train_encoder else 0
    return FLOAT_BYTES * (head + encoder)
