"""One model out of a run as an object: where it lies, what is known of it, and its predictor."""

import json
from dataclasses import dataclass
from typing import Any

from raytrain.ensemble.artifact import load_ensemble
from raytrain.ensemble.load import load
from raytrain.errors import ArtifactError
from raytrain.storage.directory import Directory


@dataclass(frozen=True)
class OneModel:
    """An artifact that was made of a finished run.

    Attributes:
        artifact: Where it lies, for `raytrain.load`.
        metrics: As in its manifest: what it was trained on, and under `folds` the scores of the run's folds,
            for there are none of its own.
    """

    artifact: str
    metrics: dict[str, Any]

    @property
    def task(self) -> str:
        """`classify` or `tag`."""
        return str(self.metrics["task"])

    def predictor(self) -> Any:
        """The model, ready to predict, as `raytrain.load` gives it."""
        return load(self.artifact)


def read_model(artifact: Directory) -> OneModel:
    """What an artifact that was made before tells. Raises ArtifactError where it is damaged."""
    load_ensemble(str(artifact))  # which looks at all else
    metrics = json.loads(artifact.read_bytes("manifest.json")).get("metrics")
    if not isinstance(metrics, dict) or "task" not in metrics:
        raise ArtifactError(
            f"{artifact}/manifest.json: expected `metrics` of a refit or a student, found none"
        )
    return OneModel(str(artifact), metrics)
