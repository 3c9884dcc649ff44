"""A real head of Ray for tests: on loopback, with a token, a home and a temporary directory of its own."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from waiting import wait_until

ROOT = Path(__file__).parents[1]
RAY = str(Path(sys.executable).with_name("ray"))


@dataclass(frozen=True)
class Head:
    """A running head and the environment of a client that has its token."""

    address: str
    job_server: str
    client: dict[str, str]
    storage: Path
    process: psutil.Process

    def run(self, *command: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess:
        """Runs a command in the checkout, as a user there would."""
        return subprocess.run(
            command, capture_output=True, text=True, cwd=cwd, env=self.client | environment, timeout=600
        )

    def job(self, verb: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return self.run(RAY, "job", verb, "--address", self.job_server, *arguments, **environment)

    def submit(self, *entrypoint: str, **environment: str) -> subprocess.CompletedProcess:
        return self.job("submit", "--working-dir", ".", "--", *entrypoint, **environment)

    def script(self, *overrides: str, **environment: str) -> subprocess.CompletedProcess:
        """Runs jobs/kfold.py here, its folds on the cluster."""
        environment |= {"RAY_ADDRESS": self.address, "PYTHONPATH": str(ROOT)}
        return self.run(sys.executable, "jobs/kfold.py", *overrides, **environment)

    def ask(self, code: str) -> Any:
        """Runs code in a plain script that has connected as the jobs do; returns its last line, as JSON.

        Elsewhere than in the checkout: Ray adds a script's directory to the workers' path.
        """
        connect = "from raytrain.cluster import connect\nconnect(None)\nimport json, ray\n"
        environment = {"RAY_ADDRESS": self.address, "PYTHONPATH": str(ROOT)}
        done = self.run(sys.executable, "-c", connect + code, cwd=self.storage, **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def job_processes(self) -> list[str]:
        """The command lines of drivers and fold workers that this head has running."""
        lines = []
        for process in self.process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                lines.append(" ".join(process.cmdline()))
        return [line for line in lines if "RayTrainWorker" in line or "jobs/kfold.py" in line]


def free_ports(count: int) -> list[str]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [str(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def answers(job_server: str) -> bool:
    try:
        urllib.request.urlopen(f"{job_server}/api/version")
    except urllib.error.HTTPError as refusal:
        return refusal.code == 401  # it wants the token
    except OSError:
        return False
    raise AssertionError("the job server answers whoever asks")


@contextlib.contextmanager
def start_head(home: Path, storage: Path, num_cpus: int = 2, machine: dict | None = None) -> Iterator[Head]:
    """Starts a head and ends it with all that belongs to it.

    Args:
        home: Where the token lies.
        storage: Where its jobs write.
        num_cpus: Of the head.
        machine: Resources of the machines of which Ray's autoscaler may add two; None for no autoscaler.
    """
    temp = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # paths of sockets may have 107 bytes
    foreign = ("RAY_", "RAYTRAIN_", "PYTHONPATH", "TF_")
    client = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    client |= {"HOME": str(home), "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
    made = subprocess.run([RAY, "get-auth-token", "--generate"], capture_output=True, text=True, env=client)
    assert made.returncode == 0 and (home / ".ray" / "auth_token").read_text() == made.stdout

    port, dashboard, agent, client_server = free_ports(4)
    start = [
        RAY,
        "start",
        "--head",
        "--block",
        f"--num-cpus={num_cpus}",
        "--num-gpus=0",
        f"--temp-dir={temp}",
    ]
    start += [f"--port={port}", "--node-ip-address=127.0.0.1", "--min-worker-port=0", "--max-worker-port=0"]
    start += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"]
    start += [f"--dashboard-agent-listen-port={agent}", f"--ray-client-server-port={client_server}"]
    path = f"{Path(RAY).parent}{os.pathsep}{client['PATH']}"  # as in the image, `python` is the environment's
    environment = client | {"RAYTRAIN_STORAGE": str(storage), "PATH": path}
    environment["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"] = "0"  # nobody waits for it
    if machine is not None:
        config = home / "autoscaler.json"
        config.write_text(json.dumps(autoscaling(f"127.0.0.1:{port}", machine)))
        start.append(f"--autoscaling-config={config}")
        environment |= {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
    log = (home / "head.log").open("w")
    process = subprocess.Popen(start, env=environment, cwd=home, stdout=log, stderr=subprocess.STDOUT)
    watched = psutil.Process(process.pid)
    running = Head(f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}", client, storage, watched)
    try:
        wait_until(lambda: process.poll() is not None or answers(running.job_server))
        assert process.poll() is None, (home / "head.log").read_text()
        yield running
    finally:
        started = watched.children(recursive=True)
        process.terminate()
        process.wait(120)
        _, left = psutil.wait_procs(started, 60)
        for each in left:
            each.kill()
        log.close()
        shutil.rmtree(temp, ignore_errors=True)


def autoscaling(address: str, machine: dict[str, int]) -> dict[str, Any]:
    """A config of Ray's autoscaler whose provider, made for tests, starts real nodes on this machine."""
    commands = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
    return {
        "cluster_name": "simulated",
        "max_workers": 2,
        "upscaling_speed": 10,
        "idle_timeout_minutes": 5,
        "provider": {"type": "fake_multinode", "gcs_address": address, "use_node_id_as_ip": True},
        "auth": {},
        "docker": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "fold": {"resources": machine, "node_config": {}, "min_workers": 0, "max_workers": 2},
        },
        **{f"{name}_commands": [] for name in commands},
    }
