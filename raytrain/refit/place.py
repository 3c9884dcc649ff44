"""Where a model out of a run is made: its artifact, and beside it what only its training needs."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from raytrain.cluster import check_storage
from raytrain.config.keys import FREE_KEYS
from raytrain.config.schema import Config
from raytrain.config.stored import CONFIG_FILE, check_config, check_hashes
from raytrain.ensemble.artifact import load_ensemble
from raytrain.errors import ArtifactError, ConfigError
from raytrain.fusion.rule import FusionRule
from raytrain.storage.directory import Directory
from raytrain.storage.lock import lock_run

TRAINING = "-training"  # behind the artifact's name: the directory of its training
_FREE = tuple(key for key in FREE_KEYS if key != "distill.")


@dataclass(frozen=True)
class Place:
    """Two directories side by side.

    Attributes:
        artifact: What predicts; written once all is trained.
        training: Config, checkpoints, logs and results, as a run has them.
    """

    artifact: Directory
    training: Directory

    @property
    def advice(self) -> str:
        """What to do where it was begun with something else."""
        return f"give another --output, or delete {self.artifact} and {self.training}"

    def is_made(self, inputs: Mapping[str, str], rule: FusionRule | None = None) -> bool:
        """Whether the artifact is there, and decides so.

        Args:
            inputs: What it is to be made of, by name: hashes, or values.
            rule: How it is to decide; where it does otherwise it is made anew of what is trained already.

        Raises:
            ConfigError: Its training was begun with other inputs.
            ArtifactError: It is damaged.
        """
        if not self.training.exists(CONFIG_FILE):
            return False
        try:
            stored = json.loads(self.training.read_bytes("corpus.json"))["inputs"]
            check_hashes(self.training, stored, inputs, self.advice)
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(f"{self.training}/corpus.json is damaged: {error!r}") from error
        if not self.artifact.exists("manifest.json"):
            return False
        found = load_ensemble(str(self.artifact)).manifest.fusion
        return found == (None if rule is None else rule.to_dict())


@contextmanager
def take_place(artifact: str, config: Config) -> Iterator[Place]:
    """Holds the place for one driver.

    Args:
        artifact: Where the artifact is to lie.
        config: What it is trained with, to which a place that was begun is held.

    Raises:
        ConfigError: Another driver holds it, it was begun with another config, or something else lies there.
    """
    check_storage(artifact)
    place = Place(Directory(artifact), Directory(f"{Directory(artifact)}{TRAINING}"))
    if place.artifact.names() and not place.training.exists(CONFIG_FILE):
        raise ConfigError(
            f"{place.artifact}: expected a directory that is empty or not there, found other files",
            ["they would be deleted; give another --output"],
        )
    with lock_run(place.training):
        check_config(place.training, config, _FREE, place.advice)
        yield place
