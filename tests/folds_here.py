"""Runs whose folds are trained in this process, one after another.

Workers' starts take most of a tiny run's time. What they do, and what launches and watches them, is tested
where it is the matter; a test that asks what comes out of a run's folds does not need them.
"""

import contextlib
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray

from raytrain.devices import set_precision
from raytrain.ensemble import apart
from raytrain.ensemble.files import predict_file, tell
from raytrain.folds import launch, worker
from raytrain.folds.attempts import run_fold
from raytrain.folds.build import Builder
from raytrain.hidden_states import encode


class _Events:
    """Stands for the actor that takes what a fold tells: hands it on at once."""

    def __init__(self, take):
        self.push = SimpleNamespace(remote=take)


def _run(self, waiting):
    """As `launch._Launch.run`."""
    outcomes, builders = {}, {}

    def push(name, event, _time):
        self._take(name, event, len(waiting))

    while waiting and not self._capacity.is_over:
        spec = waiting.popleft()
        builder = builders.setdefault(spec.precision, Builder())
        spec = replace(spec, progress=_Events(push), deadline=self._capacity.deadline)
        outcomes[spec.name] = run_fold(
            spec,
            self._max_failures,
            lambda spec, builder=builder: worker.train_fold(spec, builder),
            lambda event, name=spec.name: push(name, event, time.time()),
        )
        self._table.set_state(spec.name, launch._end_state(outcomes[spec.name]))
    return outcomes


def _encode(encoder, features, workers, missing, chunks, stage):
    """As `encode._encode`."""
    here = encode._EncoderWorker(encoder.kind, encoder.config, encoder.precision, workers.cpus, None)
    weights = ray.get(encoder.weights)
    for number in missing:
        stage.check()
        yield here.encode(int(number), chunks[number], features, weights)


def _predict(ensemble, texts, directory, name, text_columns, id_column, stages, reading):
    """As `apart.predict_apart`."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / name
        told = predict_file(ensemble, texts, str(output), text_columns, id_column, None, None, reading)
        with stages.stage(f"predicting {texts}", unit="rows") as stage:
            rows = tell(told, stage)
        directory.write_bytes(name, output.read_bytes())
    return rows


@contextlib.contextmanager
def trained_here():
    """Has runs train their folds, encode with a frozen encoder and predict new texts in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch._Launch, "run", _run)
        patch.setattr(encode, "_encode", _encode)
        patch.setattr(apart, "predict_apart", _predict)
        patch.setattr(worker.ray.train, "get_preemption_info", lambda: None)
        for module in (worker, encode):
            patch.setattr(module, "set_up_tensorflow", lambda threads, share, name, **_: set_precision(name))
        try:
            yield
        finally:
            set_precision("float32")
