"""What is answered over HTTP, whoever predicts."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from raytrain.errors import InputError, printable
from raytrain.serving.access import is_known, is_own_name
from raytrain.serving.answers import Backend
from raytrain.serving.metrics import CONTENT_TYPE, Metrics
from raytrain.serving.openapi import openapi_document
from raytrain.serving.questions import Limits, parse_json, parse_question, parse_words
from raytrain.serving.refusals import RETRY_SECONDS, RefusedError, too_busy

BODY_SECONDS = 30.0  # within which a body must have come
DRAIN_LOOK_SECONDS = 0.05
CLIENT_GONE = 499  # as nginx counts it: nobody is there to answer
# Nothing from elsewhere, nothing written into the page, and in nobody's frame.
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
PAGE = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/told.js": ("told.js", "text/javascript; charset=utf-8"),
}

_log = logging.getLogger("raytrain.serving")

Handler = Callable[[Request], Awaitable[Response]]


@dataclass
class Service:
    """Answers requests.

    Args:
        backend: Who predicts.
        names: Of the ensembles.
        limits: How much one request may ask.
        digest: Of the token, or None where none is asked for; then only requests to this machine's own
            names are answered.
        metrics: Where it is counted.
    """

    backend: Backend
    names: Sequence[str]
    limits: Limits
    digest: bytes | None
    metrics: Metrics = field(default_factory=Metrics)
    in_flight: int = 0
    is_stopping: bool = False

    def build_app(self) -> Starlette:
        """The ASGI application."""
        told: dict[str, tuple[str, Handler, bool]] = {
            "/predict": ("POST", self._predict, True),
            "/words": ("POST", self._words, True),
            "/ensembles": ("GET", self._ensembles, True),
            "/metrics": ("GET", self._metrics, True),
            "/health": ("GET", self._health, False),
            "/openapi.json": ("GET", self._openapi, False),
            **{path: ("GET", _page_part(*part), False) for path, part in PAGE.items()},
        }
        routes = [
            Route(path, self._watched(path, handler, guarded), methods=[method])
            for path, (method, handler, guarded) in told.items()
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: _no_route})

    async def drain(self, seconds: float) -> int:
        """Takes no more questions, and waits until all that came before are answered.

        Returns:
            How many were not within these seconds.
        """
        self.is_stopping = True
        end = time.monotonic() + seconds
        while self.in_flight and time.monotonic() < end:
            await asyncio.sleep(DRAIN_LOOK_SECONDS)
        return self.in_flight

    def _watched(self, path: str, handler: Handler, guarded: bool) -> Handler:
        """Counts and times a handler's requests, and tells as JSON what goes wrong."""

        async def answer(request: Request) -> Response:
            began, status = time.perf_counter(), 500
            self.in_flight += 1
            self.metrics.began()
            try:
                if guarded:
                    self._admit(request)
                response = await handler(request)
                status = response.status_code
                return response
            except RefusedError as refusal:
                status = refusal.status
                return _error(refusal)
            except InputError as error:
                status = 422
                return _error(RefusedError(422, printable(error.summary)))
            except (asyncio.CancelledError, ClientDisconnect):  # its client went away: nothing failed here
                status = CLIENT_GONE
                raise
            except Exception:
                _log.exception("%s failed", path)
                return _error(
                    RefusedError(500, "expected an answer, found an error in the service; its log tells more")
                )
            finally:
                self.in_flight -= 1
                self.metrics.ended(path, status, time.perf_counter() - began)

        return answer

    def _admit(self, request: Request) -> None:
        """Raises RefusedError where a request may not ask."""
        if self.digest is None:
            if not is_own_name(request.headers.get("host")):
                told = "expected localhost, 127.0.0.1 or [::1] as Host where no token is asked for"
                raise RefusedError(400, f"{told}, found another")
        elif not is_known(request.headers.get("authorization"), self.digest):
            found = "another" if "authorization" in request.headers else "none"
            raise RefusedError(401, f"expected the header Authorization: Bearer TOKEN, found {found}")

    async def _predict(self, request: Request) -> Response:
        question = parse_question(await self._body(request), self.names, self.limits)
        answer = await self.backend.predict(question.ensemble, question.texts, question.pairs)
        self.metrics.predicted(question.ensemble, len(question.texts))
        told = {"ensemble": question.ensemble, "version": answer.facts.version, "task": answer.facts.task}
        return JSONResponse({**told, "labels": list(answer.facts.labels), "predictions": answer.records()})

    async def _words(self, request: Request) -> Response:
        question = parse_words(await self._body(request), self.names, self.limits)
        pair = question.pairs[0] if question.pairs else None
        told = await self.backend.words(question.ensemble, question.texts[0], pair)
        return JSONResponse({"ensemble": question.ensemble, **told})

    async def _ensembles(self, request: Request) -> Response:
        told = [(await self.backend.facts(name)).record(name) for name in self.names]
        limits = {"texts": self.limits.texts, "characters": self.limits.characters}
        return JSONResponse({"ensembles": told, "limits": limits})

    async def _metrics(self, request: Request) -> Response:
        return Response(self.metrics.page(), headers={"Content-Type": CONTENT_TYPE})

    async def _health(self, request: Request) -> Response:
        if self.is_stopping:
            raise _stopping()
        return JSONResponse({"status": "ok", "token": self.digest is not None})

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(openapi_document(self.digest is not None))

    async def _body(self, request: Request) -> Any:
        """What a body says, read no further than it may go."""
        if self.is_stopping:
            raise _stopping()
        if self.in_flight > self.limits.queued:
            raise too_busy()
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != "application/json":
            raise RefusedError(422, "expected Content-Type: application/json, found another or none")
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self.limits.body:
            raise _too_large(self.limits.body)
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for part in request.stream():
                    body += part
                    if len(body) > self.limits.body:
                        raise _too_large(self.limits.body)
        except TimeoutError as error:
            raise RefusedError(
                408, f"expected a body within {BODY_SECONDS:.0f} seconds, found less"
            ) from error
        return parse_json(bytes(body))


def _too_large(most: int) -> RefusedError:
    return RefusedError(413, f"expected a body of at most {most:,} bytes, found a larger one")


def _stopping() -> RefusedError:
    return RefusedError(503, "expected a running service, found one that is stopping", RETRY_SECONDS)


def _error(refusal: RefusedError) -> Response:
    return JSONResponse({"error": refusal.told}, refusal.status, headers=refusal.headers)


async def _no_route(request: Request, error: Exception) -> Response:
    """Of a path or a method that is not there."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    found = printable(f"{request.method} {request.url.path}", 80)
    expected = "POST /predict, POST /words, GET /ensembles, /health, /metrics, /openapi.json or /"
    return _error(RefusedError(status, f"expected {expected}; found {found}"))


def _page_part(name: str, kind: str) -> Handler:
    content = (resources.files("raytrain.serving") / name).read_bytes()

    async def answer(request: Request) -> Response:
        return Response(content, headers={**PAGE_HEADERS, "Content-Type": kind})

    return answer
