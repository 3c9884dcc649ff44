"""Running a benchmarked command: its wall time, and the peak memory of the whole tree of its processes."""

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
TIMED_OUT = 124  # exit code, as timeout(1) has it
GRACE_SECONDS = 10.0
SAMPLE_SECONDS = 5.0  # a look at all of Ray's processes costs 0.07 s of a core
PACKAGES = ("raytrain", "ray", "tensorflow", "tf-keras", "bert4keras", "torch", "transformers")


@dataclass(frozen=True)
class Measured:
    """What a command did: wall seconds from start to exit, peak memory in MB, exit code and output.

    `samples` are (seconds since its start, MB) while it ran.
    """

    seconds: float
    peak_mb: float
    exit_code: int
    stdout: str
    stderr: str
    samples: list[tuple[float, float]] = field(default_factory=list)

    def last_json(self) -> Any:
        return json.loads(self.stdout.strip().split("\n")[-1])

    def failure(self) -> str:
        """The last lines that the command wrote."""
        lines = (self.stdout + self.stderr).strip().split("\n")
        return f"exit code {self.exit_code}: " + " | ".join(lines[-3:])


def run_measured(
    command: list[str], environment: dict[str, str] | None = None, limit: float | None = None
) -> Measured:
    """Runs a command to its end; its processes import the package that lies beside these benchmarks.

    Args:
        command: What to run.
        environment: Variables beside those of this process.
        limit: Seconds after which it is ended, with exit code `TIMED_OUT`; None waits for ever.
    """
    kept = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    paths = os.pathsep.join([str(ROOT), *filter(None, [kept.get("PYTHONPATH")])])
    kept |= {"PYTHONPATH": paths, "RAY_USAGE_STATS_ENABLED": "0"} | (environment or {})
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr, cwd=ROOT, env=kept, text=True)
        samples, timed_out = [], False
        try:
            while process.poll() is None and not timed_out:
                samples.append((round(time.monotonic() - started, 1), round(tree_megabytes(process.pid), 1)))
                left = SAMPLE_SECONDS if limit is None else limit - (time.monotonic() - started)
                timed_out = left <= 0
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(min(SAMPLE_SECONDS, max(left, 0)))
        finally:
            process.terminate()  # after Ctrl-C here; without effect on one that has ended
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)
            process.kill()
            process.wait()
        seconds = time.monotonic() - started
        for stream in (stdout, stderr):
            stream.seek(0)
        code = TIMED_OUT if timed_out else process.returncode
        peak = max((megabytes for _, megabytes in samples), default=0.0)
        return Measured(seconds, peak, code, stdout.read(), stderr.read(), samples)


def median_seconds(call: Callable[[], Any], repeats: int, warm_ups: int = 2) -> float:
    """After some calls that trace, compile and warm up."""
    seconds = []
    for number in range(repeats + warm_ups):
        started = time.perf_counter()
        call()
        if number >= warm_ups:
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def tree_megabytes(pid: int) -> float:
    """Memory of a process and all its descendants, Ray's daemons too; shared pages count once (PSS)."""
    total = 0
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += process.memory_full_info().pss
    return total / 2**20


def kfold_command(**values: Any) -> list[str]:
    """Our job with config overrides; `__` in a name stands for the dot."""
    overrides = [f"{name.replace('__', '.')}={value}" for name, value in values.items()]
    return [sys.executable, "jobs/kfold.py", *overrides]


def has_config_key(key: str) -> bool:
    listed = run_measured([sys.executable, "jobs/kfold.py", "--help"]).stdout
    return f"{key}=" in listed


def describe_machine() -> dict[str, Any]:
    """What the numbers depend on beside the code."""
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "cpus": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "packages": versions,
    }


def write_results(name: str, figures: dict[str, Any]) -> Path:
    """Writes figures beside the machine they were measured on; returns the file."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = json.dumps(figures | {"machine": describe_machine()}, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path
