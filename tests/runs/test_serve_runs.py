"""`raytrain serve` as a process of its own: what it answers, and that it loses nothing."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest
from folds_here import trained_here
from tiny_run import make_rows, tiny_config
from waiting import wait_until

import raytrain

ROOT = Path(__file__).parents[2]
TEXTS = [row["text"] for row in make_rows(40, seed=5)]
TOKEN = "a-token-of-the-tests"
START_SECONDS = 400

pytestmark = [pytest.mark.slow, pytest.mark.long]


class Served:
    """A running service, and what may be asked of it."""

    def __init__(self, ensemble, directory):
        token = directory / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        own = ["--port", str(self.port), "--token-file", str(token), "--cpus", "0.5", "--replicas", "2"]
        command = [sys.executable, "-m", "raytrain", "serve", "--ensemble", f"tiny={ensemble}", *own]
        kept = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        self.output = directory / "output.txt"
        with self.output.open("wb") as stream:
            self.process = subprocess.Popen(
                command, stdout=stream, stderr=stream, cwd=directory, env=kept | {"PYTHONPATH": str(ROOT)}
            )
        wait_until(lambda: "serving tiny" in self.told() or self.process.poll() is not None, START_SECONDS)
        assert self.process.poll() is None, self.told()

    def told(self):
        return self.output.read_text(encoding="utf-8")

    def ask(self, texts, token=TOKEN):
        """Status, and the answer or None."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/predict",
            json.dumps({"texts": texts}).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=200) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, None

    def replicas(self):
        """Processes that hold the model."""
        own = psutil.Process(self.process.pid).children(recursive=True)
        return [
            one for one in own if one.is_running() and "model-0" in " ".join(one.cmdline() or [one.name()])
        ]

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(120)


class Load:
    """Clients that ask without end, each as soon as it has its answer."""

    def __init__(self, served, clients=6):
        self.statuses, self.versions, self._over = Counter(), Counter(), threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(served, n)) for n in range(clients)]

    def _ask(self, served, number):
        while not self._over.is_set():
            status, answer = served.ask([TEXTS[number]])
            self.statuses[status] += 1
            self.versions[answer["version"] if answer else None] += 1

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture(scope="module")
def ensembles(local_ray, tmp_path_factory):
    """Two of the same shape, as of a run and a later one."""
    made = []
    with trained_here():
        for number in range(2):
            folder = tmp_path_factory.mktemp(f"ensemble-{number}")
            config = tiny_config(folder, model__architecture="[textcnn]", seed=number, train__epochs=1)
            made.append(Path(raytrain.cross_validate(config).ensemble))
    return made


@pytest.fixture(scope="module")
def served(ensembles, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    place = shutil.copytree(ensembles[0], folder / "ensemble")
    service = Served(place, folder)
    service.place = place
    yield service
    service.close()


def test_it_answers_what_the_ensemble_says(served, ensembles):
    status, answer = served.ask(TEXTS)
    proba = [list(one["probabilities"].values()) for one in answer["predictions"]]
    predictor = raytrain.load(str(ensembles[0]))
    assert status == 200 and answer["labels"] == predictor.labels
    np.testing.assert_allclose(proba, predictor.predict_proba(TEXTS), atol=1e-6)
    assert [one["label"] for one in answer["predictions"]] == predictor.predict(TEXTS)


def test_without_the_token_it_answers_nothing_and_tells_none(served):
    assert served.ask(TEXTS[:1], token="another-token-of-tests") == (401, None)
    assert TOKEN not in served.told()


def test_it_listens_on_the_loopback_only_and_imports_no_tensorflow(served):
    own = psutil.Process(served.process.pid)
    everywhere = [own, *own.children(recursive=True)]
    ports = [c.laddr for one in everywhere for c in one.net_connections("inet") if c.laddr[1] == served.port]
    assert ports and {address.ip for address in ports} <= {"127.0.0.1"}
    maps = Path(f"/proc/{served.process.pid}/maps").read_text(encoding="utf-8")
    assert "libtensorflow" not in maps


def test_a_replica_that_is_killed_under_load_costs_no_request(served):
    with Load(served) as load:
        wait_until(lambda: load.statuses[200] > 20)
        victim = served.replicas()[0]
        victim.kill()
        seen = load.statuses[200]
        wait_until(lambda: load.statuses[200] > seen + 40)
    assert set(load.statuses) == {200}


def test_a_newer_artifact_is_rolled_in_under_load(served, ensembles):
    with Load(served) as load:
        wait_until(lambda: load.statuses[200] > 10)
        (served.place / "manifest.json").write_text("{", encoding="utf-8")  # damaged, and then whole
        time.sleep(3)
        assert len(load.versions) == 1
        for file in sorted(ensembles[1].rglob("*"), key=lambda path: path.name == "manifest.json"):
            if file.is_file():
                own = served.place / file.relative_to(ensembles[1])
                shutil.copy(file, own.with_suffix(".new"))
                own.with_suffix(".new").rename(own)
        wait_until(lambda: len(load.versions) == 2)
    assert set(load.statuses) == {200}
    predictor = raytrain.load(str(ensembles[1]))
    wait_until(lambda: len({served.ask(TEXTS[:1])[1]["version"] for _ in range(8)}) == 1)
    proba = [list(one["probabilities"].values()) for one in served.ask(TEXTS)[1]["predictions"]]
    np.testing.assert_allclose(proba, predictor.predict_proba(TEXTS), atol=1e-6)


def test_what_is_in_flight_is_answered_when_it_ends(served):
    """The last one of this file: it ends the service."""
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(served.ask(TEXTS * 6))) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    served.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert [status for status, _ in answers] == [200] * 4
    assert all(len(answer["predictions"]) == 240 for _, answer in answers)
    assert served.process.wait(120) == 0
    assert "stopped; no request was given up" in served.told()
