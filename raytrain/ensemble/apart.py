"""Predicting a file in another process, where TensorFlow may be imported, into a run's directory."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raytrain.cluster import WITHOUT_GPU, connect, on_this_node
from raytrain.config.schema import Config
from raytrain.ensemble.files import PredictedRows, predict_file, tell
from raytrain.files.reading import AS_FOUND, Reading
from raytrain.stages import Stages
from raytrain.storage.directory import Directory

# The file is written once all is predicted.
NOT_KEPT = "none of them is kept, the same command begins with the first one again"
TEST_OUTPUT = {"classify": "predictions.csv", "tag": "predictions.jsonl"}


def predict_test(run_location: str, config: Config, stages: Stages) -> PredictedRows:
    """Predicts config.data.test with the run's ensemble into `TEST_OUTPUT` beside it."""
    run, data = Directory(run_location), config.data
    connect(config.cluster.address)
    name, texts = TEST_OUTPUT[config.task], str(data.test)
    return predict_apart(
        f"{run}/ensemble", texts, run, name, data.text_columns, data.id, stages, Reading.of(data)
    )


def predict_apart(
    ensemble: str,
    texts: str,
    directory: Directory,
    name: str,
    text_columns: Sequence[str],
    id_column: str | None,
    stages: Stages,
    reading: Reading = AS_FOUND,
) -> PredictedRows:
    """As `predict_file`, on Ray, which is connected, and into a directory on any storage.

    TensorFlow stays out of this process: a Ray task on the same machine, whose files it reads, predicts.

    Args:
        ensemble: The artifact's directory or URI.
        texts: The file to predict.
        directory: Where the predictions are to lie.
        name: Of their file there.
        text_columns: As of `predict_file`.
        id_column: As of `predict_file`.
        stages: Where progress is told.
        reading: As of `predict_file`.

    Raises:
        TimeBudgetError: Before all is predicted; nothing of it is kept.
    """
    import ray

    task: Any = ray.remote(num_cpus=0, num_returns="streaming", runtime_env=WITHOUT_GPU)(predict_file)
    task = task.options(scheduling_strategy=on_this_node())
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / name
        told = task.remote(ensemble, texts, str(output), text_columns, id_column, None, None, reading)
        with stages.stage(f"predicting {texts}", unit="rows", kept=NOT_KEPT) as stage:
            rows = tell(stage.follow(told), stage)
        directory.write_bytes(name, output.read_bytes())
    return rows
