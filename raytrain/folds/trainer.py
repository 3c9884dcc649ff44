"""A Ray Train run that starts quickly: the trainer of its workers."""

import asyncio
import importlib
import json
import os
import socket
import tempfile
from collections.abc import Callable
from typing import Any

import ray
import ray.train
from ray.train.backend import Backend, BackendConfig
from ray.train.v2.api.config import FailureConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from ray.train.v2.tensorflow.tensorflow_trainer import TensorflowTrainer

# What a leaner start needs of Ray's private modules, all of it here. Where a Ray has moved one, folds start
# as the stock trainer does, some seconds later each.
PRIVATE = {
    "DatasetsCallback": "ray.train.v2._internal.callbacks.datasets",
    "PlacementGroupCleanerCallback": "ray.train.v2._internal.callbacks.placement_group_callback",
    "TrainController": "ray.train.v2._internal.execution.controller.controller",
}
NO_ROOM = "WorkerGroupStartupTimeoutError"  # the name of what Ray raises where no machine had room in time


def find_private(name: str) -> Any:
    """A class of `PRIVATE`; None where this Ray has none of that name in that place."""
    try:
        return getattr(importlib.import_module(PRIVATE[name]), name)
    except (ImportError, AttributeError):
        return None


def found_no_room(error: BaseException) -> bool:
    """Whether Ray Train gave up waiting for a machine with room for the workers."""
    return any(kind.__name__ == NO_ROOM for kind in type(error).__mro__)


def causes_of(error: BaseException) -> list[BaseException]:
    """The errors inside Ray Train's: each failed worker's, or the controller's."""
    inner = [*getattr(error, "worker_failures", {}).values(), getattr(error, "controller_failure", None)]
    found = [error]
    for cause in inner:
        if cause is not None:
            found.append(getattr(cause, "_base_exc", None) or cause)
    return found


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


class LightTrainer(TensorflowTrainer):
    """A TensorflowTrainer whose constructor leaves TensorFlow out of the driver.

    A failure ends it: what is tried again, and how, is for `folds.attempts` to say. A node that is about to
    be taken away is no failure; Ray then trains on where there is room.

    Args:
        function: What each worker runs.
        arguments: What it is given.
        name: Of the run.
        scaling: Its workers and what each takes.
    """

    def __init__(
        self,
        function: Callable[[dict[str, Any]], None],
        arguments: dict[str, Any],
        name: str,
        scaling: ray.train.ScalingConfig,
    ):
        # Ray wants a directory; what lasts is written by ours.
        self._scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        DataParallelTrainer.__init__(
            self,
            function,
            train_loop_config=arguments,
            backend_config=LightTensorflowConfig(),
            scaling_config=scaling,
            run_config=ray.train.RunConfig(
                name=name,
                storage_path=self._scratch.name,
                failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),
            ),
        )

    def fit(self) -> ray.train.Result:
        with self._scratch:
            return super().fit()

    def _create_default_callbacks(self) -> list[Any]:
        """Ray's, without the processes for datasets, of which a fold has none, and for dead controllers."""
        callbacks = super()._create_default_callbacks()
        names = ("DatasetsCallback", "PlacementGroupCleanerCallback")
        unneeded = tuple(kind for name in names if (kind := find_private(name)) is not None)
        return [callback for callback in callbacks if not isinstance(callback, unneeded)]

    def _initialize_and_run_controller(self, **arguments: Any) -> ray.train.Result:
        """Runs Ray's controller in this thread.

        As an actor it would cost every fold a process, and a second one that frees its resources should
        it die. Here it lives and dies with the process that launches the folds, and Ray frees these then.
        """
        controller_class = find_private("TrainController")
        if controller_class is None:
            stock: ray.train.Result = super()._initialize_and_run_controller(**arguments)
            return stock
        controller = controller_class(**arguments)
        asyncio.run(controller.run())
        return controller.get_result()
