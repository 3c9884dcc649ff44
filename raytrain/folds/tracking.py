"""Logging of folds and trials where people look: TensorBoard's event files, and MLflow."""

import contextlib
import importlib
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from raytrain.config.schema import Config
from raytrain.errors import ConfigError
from raytrain.storage.directory import Directory


class Tracker:
    """Takes the numbers of fold runs or trials as they come.

    Args:
        run: The run's or the sweep's directory; event files lie in its folder tensorboard/.
        config: Its config.

    Raises:
        ConfigError: MLflow is asked for and not installed, or nothing answers at its URI.
    """

    def __init__(self, run: Directory, config: Config):
        self._run = run
        self._writers: dict[str, SummaryWriter] = {}
        self._events: Path | None = None
        if config.tracking.tensorboard:
            # On object storage the files are gathered here and written at the end.
            self._events = Path(run.path) / "tensorboard" if run.is_local else Path(tempfile.mkdtemp())
        self._mlflow = _MlflowRuns(config.tracking.mlflow, config.name) if config.tracking.mlflow else None

    def log(
        self, name: str, step: int, metrics: Mapping[str, Any], parameters: Mapping[str, Any] | None = None
    ) -> None:
        """Logs what is known of one fold run or trial.

        Args:
            name: Of the fold run or trial.
            step: Epochs or folds done.
            metrics: Name to number; others are left out, and so are NaN.
            parameters: What it was trained with; only the first call's count.
        """
        numbers = {
            key: float(value)
            for key, value in metrics.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
        with self._unharmed():
            self._log(name, step, numbers, parameters or {})

    @contextlib.contextmanager
    def _unharmed(self) -> Iterator[None]:
        """A log that fails is told once and given up; what is logged goes on."""
        try:
            yield
        except Exception as error:  # of whatever library
            print(f"tracking is given up: {error}", file=sys.stderr)
            self._events, self._mlflow, self._writers = None, None, {}

    def _log(self, name: str, step: int, numbers: dict[str, float], parameters: Mapping[str, Any]) -> None:
        if self._events is not None:
            if name not in self._writers:
                self._writers[name] = SummaryWriter(str(self._events / name))
                for key, value in parameters.items():
                    self._writers[name].add_text(key, str(value), step)
            for key, number in numbers.items():
                self._writers[name].add_scalar(key, number, step)
            self._writers[name].flush()
        if self._mlflow is not None:
            self._mlflow.log(name, step, numbers, parameters)

    def close(self) -> None:
        """Ends what is open."""
        with self._unharmed():
            self._close()

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        if self._events is not None and not self._run.is_local:
            for path in self._events.rglob("events*"):
                name = path.relative_to(self._events).as_posix()
                self._run.write_bytes(f"tensorboard/{name}", path.read_bytes())
            shutil.rmtree(self._events, ignore_errors=True)
        if self._mlflow is not None:
            self._mlflow.close()


def check_tracking(config: Config) -> None:
    """Raises ConfigError where nothing answers at `tracking.mlflow`; nothing is written there."""
    if config.tracking.mlflow:
        _ask_mlflow(config.tracking.mlflow, config.name)


@contextlib.contextmanager
def tracking(run: Directory, config: Config) -> Iterator[Tracker]:
    """A tracker that is closed when the block ends."""
    tracker = Tracker(run, config)
    try:
        yield tracker
    finally:
        tracker.close()


def _ask_mlflow(uri: str, experiment: str, create: bool = False) -> tuple[Any, Any]:
    """A client of an MLflow server or folder, and there the experiment of this name, or None."""
    if "://" not in uri or uri.startswith("file:"):
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # newer ones ask for a database
    try:
        client = importlib.import_module("mlflow").MlflowClient
    except ImportError as error:
        advice = "install it: pip install 'mlflow-skinny>=3'"
        raise ConfigError("tracking.mlflow: MLflow is not installed", [advice]) from error
    try:
        asked = client(tracking_uri=uri)
        found = asked.get_experiment_by_name(experiment)
        if found is None and create:
            return asked, asked.create_experiment(experiment)
    except Exception as error:  # MLflow's, requests' and SQLAlchemy's have no root in common
        raise ConfigError(f"tracking.mlflow={uri}: cannot be used: {error}") from error
    return asked, found.experiment_id if found else None


class _MlflowRuns:
    """One MLflow run a name, in an experiment named after ours."""

    def __init__(self, uri: str, experiment: str):
        self._client, self._experiment = _ask_mlflow(uri, experiment, create=True)
        self._runs: dict[str, str] = {}

    def log(self, name: str, step: int, metrics: dict[str, float], parameters: Mapping[str, Any]) -> None:
        if name not in self._runs:
            run = self._client.create_run(self._experiment, run_name=name)
            self._runs[name] = run.info.run_id
            for key, value in parameters.items():
                self._client.log_param(self._runs[name], key, value)
        for key, number in metrics.items():
            self._client.log_metric(self._runs[name], key, number, step=step)

    def close(self) -> None:
        for run_id in self._runs.values():
            self._client.set_terminated(run_id)
