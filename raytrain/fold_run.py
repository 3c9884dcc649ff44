"""One fold as one Ray Train run: what its workers do, and the trainer that starts them.

The driver imports this module, so TensorFlow is imported inside the functions that workers run.
"""

import asyncio
import hashlib
import json
import os
import socket
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import ray
import ray.train
from ray.train.backend import Backend, BackendConfig
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.controller.controller import TrainController
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from ray.train.v2.tensorflow.tensorflow_trainer import TensorflowTrainer

from raytrain.batches import FeatureRows
from raytrain.devices import quick_imports, set_up_tensorflow
from raytrain.fold_result import FoldSpec, commit_fold
from raytrain.storage import Directory, json_bytes

if TYPE_CHECKING:
    from raytrain.training import FoldTraining

PROGRESS_SECONDS = 0.5


# ── what a worker does ─────────────────────────────────────────────────────────────────────────────


def train_fold(loop_config: dict[str, FoldSpec]) -> None:
    """The training function of one fold; every worker of the fold runs it."""
    spec = loop_config["spec"]
    started = time.monotonic()
    context = ray.train.get_context()
    rank, num_workers = context.get_world_rank(), context.get_world_size()
    with quick_imports():
        import raytrain.training  # noqa: F401
    set_up_tensorflow(spec.threads, spec.gpu_share, spec.precision)
    data = ray.get(spec.data)
    training = build_training(spec, data, rank, num_workers)
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as directory:
            training.load(directory)
    report = _reporter(spec) if rank == 0 else None
    while not training.finished:
        metrics = training.run_epoch(report)
        with tempfile.TemporaryDirectory() as directory:
            saved = None
            if rank == 0 and not training.finished:  # after the last epoch comes the result itself
                training.save(directory)
                saved = ray.train.Checkpoint.from_directory(directory)
            ray.train.report(metrics, checkpoint=saved)
        if rank == 0:
            _push(spec, epoch=training.epoch, **{k: v for k, v in metrics.items() if k != "epoch"})
            lines = [json_bytes(epoch, indent=None) for epoch in training.history]
            Directory(spec.location).write_bytes("log.jsonl", b"".join(lines))
    if rank == 0:
        weights, proba, metrics = training.selected()
        ids = data["ids"].take(pa.array(spec.valid_rows))
        commit_fold(spec, weights, ids, proba, metrics, training.history, time.monotonic() - started)


def build_training(spec: FoldSpec, data: dict[str, Any], rank: int, num_workers: int) -> "FoldTraining":
    """The fold's model with all it starts from, ready to train.

    Args:
        spec: The fold.
        data: What `spec.data` refers to.
        rank: This worker's number among `num_workers`.
        num_workers: Workers of the fold.
    """
    import contextlib

    import tensorflow as tf

    from raytrain.schedule import TrainSettings
    from raytrain.training import FoldTraining

    strategy = tf.distribute.MultiWorkerMirroredStrategy() if num_workers > 1 else None
    with strategy.scope() if strategy else contextlib.nullcontext():
        return FoldTraining(
            build_initial_model(spec, data),
            fold_features(spec, data),
            data["labels"],
            spec.train_rows,
            spec.valid_rows,
            TrainSettings(**spec.settings),
            spec.seed,
            strategy,
            rank,
            num_workers,
        )


def fold_features(spec: FoldSpec, data: dict[str, Any]) -> FeatureRows:
    """The whole corpus as the fold's head reads it: the keywords it counts are the fold's own."""
    states = spec.hidden_states.open() if spec.hidden_states else None
    counts = None
    if spec.keywords is not None:
        counts = data["held_words"].count(spec.keywords, spec.model["num_keyword_classes"])
    return FeatureRows(data["features"], states, counts)


def build_initial_model(spec: FoldSpec, data: dict[str, Any]) -> Any:
    """The fold's model before its first step; the head alone where the encoder's output is at hand."""
    from raytrain.models import (
        assign_variables,
        build_head,
        build_model,
        encoder_variables,
        head_variables,
    )

    if spec.hidden_states is not None:
        own = {key: spec.model[key] for key in ("architecture", "num_classes", "embedding", "dropout")}
        own["num_keyword_classes"] = spec.model.get("num_keyword_classes", 0)
        model = build_head(**own, hidden_size=spec.model["config"]["hidden_size"], seed=spec.seed)
    else:
        model = build_model(**spec.model, seed=spec.seed)
        if spec.encoder_weights is not None:
            assign_variables(encoder_variables(model), ray.get(spec.encoder_weights), "the encoder")
    head = head_variables(model)
    if data["embedding"] is not None and "word_embedding.0.embeddings" in head:
        head["word_embedding.0.embeddings"].assign(data["embedding"])
    return model


def _reporter(spec: FoldSpec) -> Callable[[int, int, float], None]:
    """Returns an on_step callback that tells the driver a few times a second how far the fold is."""
    last = {"time": time.monotonic(), "step": 0}
    batch_size = spec.settings["batch_size"]

    def on_step(step: int, num_steps: int, loss: float) -> None:
        now = time.monotonic()
        if step < last["step"]:
            last.update(time=now, step=0)
        if now - last["time"] >= PROGRESS_SECONDS or step == num_steps:
            rate = (step - last["step"]) * batch_size / max(now - last["time"], 1e-9)
            _push(spec, step=step, num_steps=num_steps, loss=loss, rate=rate)
            last.update(time=now, step=step)

    return on_step


def _push(spec: FoldSpec, **event: Any) -> None:
    if spec.progress is not None:
        spec.progress.push.remote(spec.name, event)


# max_calls: the process would keep a second copy of the encoder for as long as it idles.
@ray.remote(num_cpus=0, max_retries=1, num_returns=2, max_calls=1)
def load_encoder_weights(
    kind: str, config: dict[str, Any], path: str | None, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads an encoder's checkpoint, or draws untrained weights that all folds share frozen.

    Returns:
        Arrays by the names of `models.encoder_variables`; and their `digest`, the checkpoint's `layout`
        (None where untrained), and the names in it that no encoder reads as `unread`.
    """
    with quick_imports():
        from raytrain.encoders import build_transformer
        from raytrain.layers import DropoutSeed
        from raytrain.models import encoder_variables, read_variables
        from raytrain.weights import load_weights, open_weights

    transformer = build_transformer(kind, config, seed, DropoutSeed())
    layout: str | None = None
    unread: list[str] = []
    if path is not None:
        opened = open_weights(kind, path)
        layout, unread = opened.layout, load_weights(transformer, opened)
    weights = read_variables(encoder_variables(transformer.model))
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].tobytes())
    return weights, {"digest": digest.hexdigest(), "layout": layout, "unread": unread}


# ── the Ray Train run ──────────────────────────────────────────────────────────────────────────────


class LightTensorflowConfig(BackendConfig):
    """Does what Ray's TensorflowConfig does, from a module that does not import TensorFlow.

    Ray's own drags TensorFlow into the process that launches the folds.
    """

    @property
    def backend_cls(self) -> type[Backend]:
        return _LightTensorflowBackend


class _LightTensorflowBackend(Backend):
    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        if len(worker_group) == 1:
            return
        addresses = worker_group.execute(_free_address)
        for rank in range(len(worker_group)):
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
            worker_group.execute_single(rank, _set_tf_config, json.dumps(task))


def _set_tf_config(value: str) -> None:
    os.environ["TF_CONFIG"] = value


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return f"{ray.util.get_node_ip_address()}:{probe.getsockname()[1]}"


class FoldTrainer(TensorflowTrainer):
    """A TensorflowTrainer whose constructor leaves TensorFlow out of the driver."""

    def __init__(self, spec: FoldSpec, scaling: ray.train.ScalingConfig, max_failures: int):
        storage, name = spec.location.rsplit("/", 1)
        DataParallelTrainer.__init__(
            self,
            train_fold,
            train_loop_config={"spec": spec},
            backend_config=LightTensorflowConfig(),
            scaling_config=scaling,
            run_config=ray.train.RunConfig(
                name=name,
                storage_path=storage,
                failure_config=ray.train.FailureConfig(max_failures=max_failures),
                checkpoint_config=ray.train.CheckpointConfig(num_to_keep=1),
            ),
        )

    def _create_default_callbacks(self) -> list[Any]:
        """Ray's, without the processes for datasets, of which a fold has none, and for dead controllers."""
        callbacks = super()._create_default_callbacks()
        unneeded = (DatasetsCallback, PlacementGroupCleanerCallback)
        return [callback for callback in callbacks if not isinstance(callback, unneeded)]

    def _initialize_and_run_controller(self, **arguments: Any) -> ray.train.Result:
        """Runs Ray's controller in this thread.

        As an actor it would cost every fold a process, and a second one that frees its resources should
        it die. Here it lives and dies with the process that launches the folds, and Ray frees these then.
        """
        controller = TrainController(**arguments)
        asyncio.run(controller.run())
        return controller.get_result()
