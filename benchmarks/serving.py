"""Requests per second and latencies of `raytrain serve`, against processes that call Keras per request.

One calls all folds, the other, FastAPI, one model.

python benchmarks/serving.py --ensemble runs/mine/ensemble --clients 1 16 --rates 20 --seconds 30
python benchmarks/serving.py --ensemble runs/mine/ensemble --clients 8 --soak 60
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import numpy as np
from processes import ROOT, tree_megabytes, write_results
from rich.console import Console
from rich.table import Table

TOKEN = "a-token-of-the-benchmark"
START_SECONDS = 600
PATIENCE_SECONDS = 20  # for answers that are due when an open loop has ended
CHARACTERS = "网传明天停水快转给家人记者核实后说消息不是真的请大家要相信"


def serve_plainly(ensemble: str, port: int) -> None:
    """One process: Keras predicts each request on its own, fold after fold."""
    from plain_prediction import PlainPredictor

    from raytrain.ensemble.artifact import load_ensemble

    predictor, lock = PlainPredictor(load_ensemble(ensemble), 64), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["texts"]
            with lock:
                proba = predictor.predict_proba(texts)
            body = json.dumps({"predictions": proba.tolist()}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def serve_one_model(ensemble: str, port: int) -> None:
    """FastAPI on uvicorn as its tutorials have it: one model, the first fold's, requests in threads."""
    import uvicorn
    from fastapi import Body, FastAPI, Header, HTTPException
    from plain_prediction import PlainPredictor

    from raytrain.ensemble.artifact import load_ensemble

    predictor, lock = PlainPredictor(load_ensemble(ensemble), 64, most_folds=1), threading.Lock()
    app = FastAPI()

    @app.post("/predict")
    def predict(
        texts: Annotated[list[str], Body(embed=True)], authorization: Annotated[str, Header()] = ""
    ) -> dict[str, Any]:
        if authorization != f"Bearer {TOKEN}":
            raise HTTPException(401)
        with lock:  # Keras's models are one call's at a time
            return {"predictions": predictor.predict_proba(texts).tolist()}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


@contextlib.contextmanager
def running(command: list[str], port: int) -> Iterator[int]:
    """Starts a server, waits until it listens, and ends it; yields its process's id."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'benchmarks'}"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    try:
        end = time.monotonic() + START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > end:
                sys.exit(f"it did not start: {' '.join(command)}")
            time.sleep(0.5)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)


def _listens(port: int) -> bool:
    """Whether an answer comes: Serve's proxy listens before its replicas are there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as connection:
        body = json.dumps({"texts": ["停水"]}).encode()
        head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        head += f"Content-Type: application/json\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.settimeout(60)
        connection.sendall(head.encode() + body)
        return connection.recv(64).split(b" ")[1:2] == [b"200"]
    return False


class Asking:
    """Requests of one text each, and how long they took."""

    def __init__(self, port: int, length: int, seed: int = 0):
        self._url, self._length, self._random = (
            f"http://127.0.0.1:{port}/predict",
            length,
            random.Random(seed),
        )
        self.seconds: list[float] = []
        self.failures = 0

    async def ask(self, session: aiohttp.ClientSession, began: float) -> None:
        text = "".join(self._random.choices(CHARACTERS, k=self._length))
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with session.post(self._url, json={"texts": [text]}, headers=headers) as answer:
            await answer.read()
            self.failures += answer.status != 200
        self.seconds.append(time.perf_counter() - began)

    async def closed_loop(self, clients: int, seconds: float) -> None:
        """Clients that ask anew as soon as they are answered."""
        end = time.perf_counter() + seconds

        async def client(session):
            while (now := time.perf_counter()) < end:
                await self.ask(session, now)

        async with _session() as session:
            await asyncio.gather(*(client(session) for _ in range(clients)))

    async def open_loop(self, rate: float, seconds: float) -> None:
        """Requests that come by chance, `rate` of them a second, whether the others are answered or not."""
        asked, began, due = [], time.perf_counter(), 0.0
        async with _session() as session:
            while (due := due + self._random.expovariate(rate)) < seconds:
                await asyncio.sleep(max(0.0, began + due - time.perf_counter()))
                asked.append(asyncio.create_task(self.ask(session, began + due)))
            answers = asyncio.gather(*asked, return_exceptions=True)
            with contextlib.suppress(TimeoutError):  # of a server that falls behind for ever
                await asyncio.wait_for(asyncio.shield(answers), PATIENCE_SECONDS)
            for task in asked:
                task.cancel()
            self.failures += sum(isinstance(answer, BaseException) for answer in await answers)

    def figures(self, seconds: float) -> dict[str, float]:
        p50, p99 = np.percentile(self.seconds, [50, 99]) if self.seconds else (np.nan, np.nan)
        figures = {
            "requests_per_second": len(self.seconds) / seconds,
            "p50_ms": 1000 * p50,
            "p99_ms": 1000 * p99,
        }
        return {key: round(float(value), 1) for key, value in figures.items()} | {"failures": self.failures}


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


def measure(port: int, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Both kinds of load, one after another."""
    found = {}
    loads = [("clients", "closed_loop", count) for count in options.clients]
    loads += [("per second", "open_loop", rate) for rate in options.rates]
    for name, method, size in loads:
        asking, began = Asking(port, options.length), time.perf_counter()
        asyncio.run(getattr(asking, method)(size, options.seconds))
        found[f"{size:g} {name}"] = asking.figures(time.perf_counter() - began)
    return found


def soak(port: int, pid: int, options: argparse.Namespace, console: Console) -> list[dict[str, float]]:
    """The memory of all its processes, minute after minute, under the first of the closed loops."""
    lines: list[dict[str, float]] = [{"minute": 0, "megabytes": round(tree_megabytes(pid), 1)}]
    console.print(lines[0])
    for minute in range(1, options.soak + 1):
        asking = Asking(port, options.length, minute)
        asyncio.run(asking.closed_loop(options.clients[0], 60))
        lines.append({"minute": minute, "megabytes": round(tree_megabytes(pid), 1), **asking.figures(60)})
        console.print(lines[-1])
    return lines


def print_table(console: Console, found: dict[str, dict[str, dict[str, float]]]) -> None:
    table = Table("load", "server", "requests/s", "p50 ms", "p99 ms", "failures")
    for load in next(iter(found.values())):
        for server, figures in found.items():
            table.add_row(load, server, *(f"{value:g}" for value in figures[load].values()))
    console.print(table)


def _commands(options: argparse.Namespace, token: Path, port: int) -> dict[str, list[str]]:
    own = ["--replicas", str(options.replicas), "--cpus", str(options.cpus), "--gpus", str(options.gpus)]
    serve = ["-m", "raytrain", "serve", "--ensemble", options.ensemble, "--port", str(port)]
    commands = {"raytrain serve": [*serve, "--token-file", str(token), "--max-queued", "4096", *own]}
    if not options.soak:
        plain = [__file__, "--ensemble", options.ensemble]
        commands["Keras per request, all folds"] = [*plain, "--plain", str(port)]
        commands["FastAPI, one model"] = [*plain, "--one", str(port)]
    return {name: [sys.executable, *command] for name, command in commands.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--ensemble", required=True, help="a classifier's ensemble directory")
    add("--clients", type=int, nargs="*", default=[1, 16], help="of closed loops (1 16)")
    add("--rates", type=float, nargs="*", default=[10.0], help="requests per second of open loops (10)")
    add("--seconds", type=float, default=20, help="of each load (20)")
    add("--length", type=int, default=40, help="characters of a text (40)")
    add("--replicas", type=int, default=1)
    add("--cpus", type=float, default=1)
    add("--gpus", type=float, default=0)
    add("--soak", type=int, default=0, metavar="MINUTES", help="print memory over time instead")
    add("--output", help="a name for results/NAME.json")
    add("--plain", type=int, metavar="PORT", help=argparse.SUPPRESS)
    add("--one", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.plain:
        return serve_plainly(options.ensemble, options.plain)
    if options.one:
        return serve_one_model(options.ensemble, options.one)
    console, found, minutes = Console(), {}, []
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        token = Path(folder) / "token"
        token.touch(mode=0o600)
        token.write_text(TOKEN)
        for name, command in _commands(options, token, port).items():
            with running(command, port) as pid:
                if options.soak:
                    minutes = soak(port, pid, options, console)
                else:
                    found[name] = measure(port, options)
    if found:
        print_table(console, found)
    if options.output:
        write_results(options.output, {"soak": minutes} if options.soak else found)


if __name__ == "__main__":
    main()
