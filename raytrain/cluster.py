"""Where the folds run: connecting to Ray, and what holds for its tasks and actors."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raytrain.errors import ClusterError, RaytrainError

STARTS, PAUSE_SECONDS = 3, 5.0  # of Ray on this machine
_START_ADVICE = (
    "expected its own processes to answer in time; where the machine is busy, or short of memory or disk, "
    "try again once it is less so",
    "what Ray says of it lies in /tmp/ray/session_latest/logs (raylet.out, gcs_server.out)",
)


def connect(address: str | None, dashboard: bool = True) -> None:
    """Connects to the cluster, or starts Ray on this machine with its dashboard on loopback only.

    Args:
        address: Of a cluster; None takes RAY_ADDRESS (which a submitted job has set), else local Ray.
        dashboard: Whether a local Ray has one.

    Raises:
        ClusterError: Nothing answers at the address, or what does wants another token; or Ray does not start
            on this machine, several times.
    """
    if ray.is_initialized():
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    # Of tasks that fail together the first is told; of the others Ray would print the tracebacks.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options |= {"include_dashboard": dashboard, "dashboard_host": "127.0.0.1"}
    elif "RAY_JOB_CONFIG_JSON_ENV_VAR" not in os.environ:
        # A submitted job ships its working directory; a plain script ships the package itself.
        options["runtime_env"] = {"py_modules": [str(Path(__file__).parent)]}
    try:
        if address == "local":
            _start_here(options)
        else:
            with _own_signals():
                ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.AuthenticationError) as error:
        raise ClusterError(
            f"cannot connect to Ray at {address}: {error}",
            [
                "expected a running cluster; leave cluster.address=null and RAY_ADDRESS unset for local Ray",
                "a cluster with a token expects RAY_AUTH_MODE=token and the token in ~/.ray/auth_token",
            ],
        ) from error


def _start_here(options: dict[str, Any]) -> None:
    """Starts Ray on this machine, again where it does not come up: a busy one may not answer in time.

    Raises:
        ClusterError: It came up at no attempt.
    """
    for attempt in range(1, STARTS + 1):
        try:
            with _own_signals():
                ray.init(address="local", **options)
            return
        except (Exception, SystemExit) as error:  # Ray ends the process where its raylet does not answer
            _clear_up()
            if _is_signal(error):
                raise
            if attempt == STARTS:
                reason = str(error).strip() if isinstance(error, Exception) else "it ended the process"
                found = f"Ray did not start on this machine at {STARTS} attempts: {reason or repr(error)}"
                raise ClusterError(found, _START_ADVICE) from error
            time.sleep(PAUSE_SECONDS * attempt)


def _clear_up() -> None:
    """Ends what a failed start has left; that this may fail, too, is no news."""
    with contextlib.suppress(Exception, SystemExit):
        ray.shutdown()


def _is_signal(error: BaseException) -> bool:
    """Whether it is what Ray makes of SIGTERM while it starts."""
    return isinstance(error, SystemExit) and error.code == signal.SIGTERM


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Gives SIGTERM back to who handled it: Ray takes it, and prints a trace of the stack when it comes."""
    handler = signal.getsignal(signal.SIGTERM)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield
        return
    try:
        yield
    except SystemExit as error:
        if _is_signal(error):
            handler(signal.SIGTERM, None)
        raise
    finally:
        signal.signal(signal.SIGTERM, handler)


def on_this_node() -> NodeAffinitySchedulingStrategy:
    """Keeps a task or actor on the driver's machine, whose files it reads and whose life it shares."""
    return on_node(ray.get_runtime_context().get_node_id())


def on_node(node_id: str) -> NodeAffinitySchedulingStrategy:
    """Keeps a task or actor on one machine."""
    return NodeAffinitySchedulingStrategy(node_id, soft=False)


# For TensorFlow in tasks that own no GPU: it would otherwise take the memory of one that a fold owns.
WITHOUT_GPU = {"env_vars": {"CUDA_VISIBLE_DEVICES": "-1"}}


def get_result(reference: ray.ObjectRef) -> Any:
    """ray.get, but an error of ours comes back as itself and not wrapped in a remote traceback."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if (ours := own_error(error)) is None:
            raise
        raise ours from None


def own_error(error: BaseException) -> RaytrainError | None:
    """The error of ours that Ray wrapped, once or several times; None where there is none."""
    cause = getattr(error, "cause", None)
    while cause is not None and not isinstance(cause, RaytrainError):
        cause = getattr(cause, "cause", None)
    return cause


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


def quicken_controllers(one_machine: bool) -> None:
    """Settings of the Train controllers that this process runs; the user's own pace is kept.

    A finished epoch is noticed when the controller next looks at its workers; Ray's default of 2 s would
    be most of a short fold. A cluster of one machine has nobody to warn of its end.

    Args:
        one_machine: Whether no other machine is there or may come.
    """
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.3")
    # Until a fold has room it is tried again and again; in between it is seen whether it still should.
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "30")
    # Each would set up the logging of this process, which they share, and two that start at once can then
    # wait for each other's locks for ever.
    os.environ["RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING"] = "0"
    if one_machine:
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
