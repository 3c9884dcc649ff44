"""The process on Ray that speaks HTTP, and passes questions on to the replicas."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError

from raytrain.cluster import own_error
from raytrain.errors import InputError
from raytrain.serving.answers import Answer, Facts
from raytrain.serving.app import Service
from raytrain.serving.metrics import Metrics
from raytrain.serving.questions import Limits
from raytrain.serving.refusals import RefusedError, too_busy

AGAIN_SECONDS = 120.0  # for which a question is asked again where replicas are lost
PAUSE_SECONDS = 0.1  # before that

Told = TypeVar("Told")


class ServeBackend:
    """Asks replicas; of one that dies its questions are asked of another, for predicting changes nothing.

    Args:
        handles: By the ensembles' names.
        metrics: Where it is counted what was asked again.
    """

    def __init__(self, handles: dict[str, Any], metrics: Metrics):
        self._handles, self._metrics = handles, metrics

    async def predict(self, ensemble: str, texts: list[str], pairs: list[str] | None) -> Answer:
        return await self._ask(lambda: self._handles[ensemble].predict.remote(texts, pairs))

    async def words(self, ensemble: str, text: str, pair: str | None) -> dict[str, Any]:
        return await self._ask(lambda: self._handles[ensemble].words.remote(text, pair))

    async def facts(self, ensemble: str) -> Facts:
        return await self._ask(lambda: self._handles[ensemble].facts.remote())

    async def _ask(self, call: Callable[[], Awaitable[Told]]) -> Told:
        end = time.monotonic() + AGAIN_SECONDS
        while True:
            try:
                return await call()
            except BackPressureError as error:
                raise too_busy() from error
            except InputError as error:  # Ray makes it an error of its own beside, with a remote traceback
                raise own_error(error) or error from None
            except (RayActorError, ReplicaUnavailableError, DeploymentUnavailableError) as error:
                if time.monotonic() > end:
                    raise _unavailable() from error
                self._metrics.asked_again()
                await asyncio.sleep(PAUSE_SECONDS)


def _unavailable() -> RefusedError:
    return RefusedError(503, "expected a replica that answers, found none; try again later", 5)


@serve.ingress()
class Ingress:
    """What Serve's proxy hands requests to.

    Args:
        handles: Of the replicas, by the ensembles' names.
        limits: How much one request may ask.
        digest: Of the token, or None.
    """

    def __init__(self, handles: dict[str, Any], limits: Limits, digest: bytes | None):
        metrics = Metrics()
        self._service = Service(ServeBackend(handles, metrics), [*handles], limits, digest, metrics)

    def __serve_build_asgi_app__(self) -> Any:
        """What Serve asks for the ASGI application by."""
        return self._service.build_app()

    async def drain(self, seconds: float) -> int:
        """As `Service.drain`."""
        return await self._service.drain(seconds)
