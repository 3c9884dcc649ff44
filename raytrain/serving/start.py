"""Serve is begun on Ray, watched, and ended once all is answered."""

import contextlib
import io
import logging
import os
import socket
import time
from typing import Any

import ray
from ray import serve
from ray.serve.api import RunTarget
from ray.serve.config import ProxyLocation
from ray.serve.context import _get_global_client

from raytrain.cluster import connect
from raytrain.devices import hushed_stderr
from raytrain.ensemble.artifact import load_ensemble
from raytrain.errors import ClusterError, ConfigError
from raytrain.serving.ingress import Ingress
from raytrain.serving.replica import Replica
from raytrain.serving.settings import ServeSettings, read_deployed
from raytrain.stages import Stage

APPLICATION = "raytrain"
QUESTIONS_OF_REPLICA = 64  # that it has in hand at a time, to make batches of
HTTP_OF_INGRESS = 4096  # that it holds; beyond `Limits.queued` it refuses them itself
START_SECONDS = 600.0
DRAIN_SECONDS = 60.0  # for what is in flight when the service is told to stop
SENT_SECONDS = 0.5  # for answers on their way through the proxy
LOOK_SECONDS = 1.0  # between looks at whether Serve is alive
QUIET = {"enable_access_log": False, "log_level": "WARNING"}


class Running:
    """A service that answers, or is about to.

    Args:
        is_own: Whether Ray was begun for it alone.
        began_serve: Whether Serve was.
    """

    def __init__(self, is_own: bool, began_serve: bool):
        self._is_own, self._began_serve, self._is_deployed = is_own, began_serve, False
        self._handle: Any = None  # of its ingress

    def deploy(self, settings: ServeSettings, host: str, port: int) -> None:
        """Begins Serve and what it serves. Raises ClusterError where something else is there."""
        serve.start(
            proxy_location=ProxyLocation.HeadOnly,
            http_options={"host": host, "port": port},
            logging_config=QUIET,
        )
        others = serve.status().applications
        if others:
            raise ClusterError(f"expected no application of Serve on this cluster, found {', '.join(others)}")
        _check_listening(host, port)
        target = RunTarget(build_application(settings), APPLICATION, "/", QUIET)
        self._is_deployed = True
        [self._handle] = serve.run_many([target], wait_for_applications_running=False)

    def watch(self) -> None:
        """Returns never. Raises ClusterError where Serve is lost."""
        while True:
            time.sleep(LOOK_SECONDS)
            try:
                found = serve.status().applications
            except Exception as error:  # whatever Ray makes of its own end
                raise ClusterError(f"expected Serve to answer, found it gone: {error}") from error
            if APPLICATION not in found:
                raise ClusterError("expected the service on this cluster, found that it was deleted")

    def stop(self) -> int:
        """Answers what is in flight, takes nothing new, and ends.

        Returns:
            How many requests were given up after `DRAIN_SECONDS`.
        """
        try:
            left: int = self._handle.drain.remote(DRAIN_SECONDS).result(timeout_s=2 * DRAIN_SECONDS)
            time.sleep(SENT_SECONDS)
        finally:
            self.end()
        return left

    def end(self) -> None:
        """Ends it, whatever is in flight: on a cluster it would go on without this process."""
        # Of the controller, which it ends itself, Ray tells on either stream that it is gone.
        with hushed_stderr(), contextlib.redirect_stdout(io.StringIO()):
            # Serve listens as it was begun: left behind, it would do so for whatever comes next.
            if self._is_own or (self._began_serve and {*serve.status().applications} <= {APPLICATION}):
                serve.shutdown()
            elif self._is_deployed:
                serve.delete(APPLICATION)
            ray.shutdown()


def start(settings: ServeSettings, host: str, port: int, stage: Stage) -> Running:
    """Deploys, and returns once requests are answered.

    Args:
        settings: What is served.
        host: Address to listen on.
        port: Of it.
        stage: Where the waiting is told.

    Raises:
        InputError: An artifact is damaged; the port is taken; Serve has another application on that cluster,
            or listens elsewhere; the cluster is too small; or the replicas do not come up. Nothing of the
            service is left then.
    """
    for location in settings.ensembles.values():
        load_ensemble(location)
    is_own = "RAY_ADDRESS" not in os.environ
    if is_own:
        check_port(host, port)
    connect(None, dashboard=False)
    if is_own:
        _check_room(settings)
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    running = Running(is_own, _get_global_client(raise_if_no_controller_running=False) is None)
    try:
        running.deploy(settings, host, port)
        _wait_until_running(stage)
    except BaseException:
        with contextlib.suppress(Exception):  # why it did not come up is what is to be told
            running.end()
        raise
    return running


def _check_listening(host: str, port: int) -> None:
    """Raises ClusterError where Serve was begun before, for another address: it keeps that silently."""
    client = _get_global_client()
    assert client is not None  # it was begun just now
    found = client.http_config
    if (found.host, found.port) != (host, port):
        advice = f"give --host {found.host} --port {found.port}, or end it by `serve shutdown`"
        raise ClusterError(
            f"expected Serve to listen on {host}, port {port}; on this cluster it does on {found.host}, port "
            f"{found.port}, since before",
            [advice],
        )


def build_application(settings: ServeSettings) -> serve.Application:
    """Replicas of each ensemble, and the ingress before them."""
    models = {}
    for number, (name, location) in enumerate(settings.ensembles.items()):
        deployment: Any = serve.deployment(
            Replica,
            name=f"model-{number}",
            num_replicas=settings.replicas,
            ray_actor_options={"num_cpus": settings.cpus, "num_gpus": settings.gpus},
            max_ongoing_requests=QUESTIONS_OF_REPLICA,
            max_queued_requests=settings.limits.queued,
            health_check_period_s=2,
        )
        models[name] = deployment.bind(location, max(1, int(settings.cpus)), settings.gpus > 0)
    ingress: Any = serve.deployment(
        Ingress,
        name="ingress",
        num_replicas=1,  # one queue, and one count of all requests
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=HTTP_OF_INGRESS,
    )
    application: serve.Application = ingress.bind(models, settings.limits, settings.digest)
    return application


def deployed(args: dict[str, Any]) -> serve.Application:
    """What `import_path` of a file for `serve deploy` names.

    Args:
        args: As `settings.Deployed` has them.

    Raises:
        InputError: They are not as expected, or an artifact is not there or damaged; Serve tells it.
    """
    settings = read_deployed(args)
    for location in settings.ensembles.values():
        load_ensemble(location)
    return build_application(settings)


def check_port(host: str, port: int) -> None:
    """Raises ConfigError where nothing can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}, port {port}: {error.strerror}; give another"
            ) from error


def _check_room(settings: ServeSettings) -> None:
    """Raises ClusterError where not all replicas have room on this machine."""
    there, count = ray.cluster_resources(), settings.replicas * len(settings.ensembles)
    for flag, kind, each in (("cpus", "CPU", settings.cpus), ("gpus", "GPU", settings.gpus)):
        wanted, found = count * each, there.get(kind, 0)
        if wanted > found:
            told = f"expected {wanted:g} {kind}s for {count} replicas of --{flag} {each:g}, found {found:g}"
            raise ClusterError(f"{told}; ask for fewer replicas, or a smaller --{flag}")


def _wait_until_running(stage: Stage) -> None:
    """Raises ClusterError where the replicas do not come up."""
    end = time.monotonic() + START_SECONDS
    while True:
        found = serve.status().applications[APPLICATION]
        if found.status == "RUNNING":
            return
        if found.status in ("DEPLOY_FAILED", "UNHEALTHY") or time.monotonic() > end:
            told = [one.message for one in found.deployments.values() if one.message]
            raise ClusterError(f"the replicas do not come up ({found.status})", told or [found.message])
        stage.check()
        time.sleep(0.2)
