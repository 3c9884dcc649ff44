"""A run that has ended: what of it a later training takes over, and what may be said otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raytrain.config.defaults import unread_keys
from raytrain.config.load import override_values
from raytrain.config.schema import Config
from raytrain.config.stored import load_stored
from raytrain.crossval.directory import read_summary
from raytrain.errors import ArtifactError, ConfigError
from raytrain.storage.directory import Directory

_ELSEWHERE = ("cache.", "cluster.", "tracking.")  # where and how it is computed


@dataclass(frozen=True)
class FinishedRun:
    """A run all of whose folds are trained.

    Attributes:
        directory: Where it lies.
        config: What it was begun with.
        summary: Of its summary.json.
    """

    directory: Directory
    config: Config
    summary: dict[str, Any]

    @property
    def ensemble(self) -> str:
        """Where its artifact lies."""
        return f"{self.directory}/ensemble"

    @property
    def dropped(self) -> list[str]:
        """Where the dead folds lie that the ensemble was made without."""
        return [f"{self.directory}/folds/{name}" for name in self.summary.get("dropped", [])]

    @property
    def voting(self) -> list[str]:
        """The architectures that the ensemble's rule gives a weight; all without a rule."""
        rule = (self.summary.get("fusion") or {}).get("rule") or {}
        weights = {} if rule.get("stack") else rule.get("members", {})
        silent = {name.partition("/")[0] for name in weights} - {
            name.partition("/")[0] for name, weight in weights.items() if weight > 0
        }
        return [name for name in self.config.model.architectures if name not in silent]

    def kept_epochs(self, architecture: str) -> int:
        """Epochs that the folds' kept models have learned: the median, of the folds that are not dead."""
        folds = self.summary["architectures"][architecture]["folds"]
        living = [fold for fold in folds if not fold.get("dead")] or folds
        kept = np.median([fold["metrics"]["epoch"] for fold in living])
        return max(1, int(np.floor(kept + 0.5)))

    def scores(self, architectures: Sequence[str]) -> dict[str, Any]:
        """What the folds of these architectures scored on rows that they had not seen."""
        entries, keys = self.summary["architectures"], ("mean", "sd", "oof", "interval")
        parts = {name: {key: entries[name][key] for key in keys} for name in architectures}
        return {"run": str(self.directory), "architectures": parts, "ensemble": self.summary["ensemble"]}


def read_finished(location: str) -> FinishedRun:
    """Opens a finished run.

    Args:
        location: Its directory or URI.

    Raises:
        ArtifactError: There is none, it is damaged, or some of its folds are not trained.
    """
    directory = Directory(location)
    if directory.exists("manifest.json") and not directory.exists("config.yaml"):
        raise ArtifactError(f"{location}: expected a run's directory, found an artifact; give the run's")
    config, summary = load_stored(directory), read_summary(directory)
    if summary is None:
        raise ArtifactError(
            f"{location}: expected a finished run, found one with folds to train",
            ["run the same kfold command again to finish it"],
        )
    run = FinishedRun(directory, config, summary)
    try:
        run.scores(config.model.architectures)["ensemble"]["oof"].items()
        for name in config.model.architectures:
            run.kept_epochs(name)
        assert run.voting and all(isinstance(name, str) for name in summary.get("dropped", []))
    except (LookupError, TypeError, ValueError, AttributeError, AssertionError) as error:
        raise ArtifactError(f"{location}/summary.json is damaged: {error!r}") from error
    return run


def keys_unread_by(overrides: Sequence[str]) -> dict[str, Any]:
    """`unread_keys` of the architectures that the overrides name last."""
    chosen = override_values(overrides).get("model.architecture")
    return unread_keys([str(name) for name in (chosen if isinstance(chosen, list) else [chosen])])


def change_config(run: FinishedRun, overrides: Sequence[str], allowed: Sequence[str]) -> Config:
    """The run's config with overrides.

    Args:
        run: The run.
        overrides: Each `key.path=value`.
        allowed: Beginnings of the keys that may be other than the run's, beside where it is computed.

    Raises:
        ConfigError: An override cannot be read, makes the config invalid or sets another key.
    """
    config = load_stored(run.directory, overrides)
    old, new = run.config.flat(), config.flat()
    fixed = [
        f"{key}: the run has {old[key]!r}, found {new[key]!r}"
        for key in new
        if new[key] != old[key] and not key.startswith((*_ELSEWHERE, *allowed))
    ]
    if fixed:
        advice = f"of this run only {', '.join(f'{key}*' if key[-1] == '.' else key for key in allowed)} and "
        raise ConfigError(
            f"these keys are what {run.directory} was trained with",
            [*fixed, advice + "where it is computed may be said otherwise"],
        )
    return config


def without_test(config: Config) -> Config:
    """The config without the texts to predict, where nothing is learned of them."""
    if config.encoder.adapt or config.train.pseudo_labels is not None or config.data.test is None:
        return config
    return config.without_test()
