"""An encoder or an ensemble, ready to make vectors in this process."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, get_args

import numpy as np
from pydantic import ValidationError

from raytrain.config.sections import CheckpointConfig
from raytrain.devices import (
    grow_card_memory,
    hushed_stderr,
    in_precision,
    predict_side_by_side,
    quick_imports,
)
from raytrain.ensemble.artifact import load_ensemble
from raytrain.ensemble.load import build_predictor, check_keras
from raytrain.errors import ArtifactError, ConfigError
from raytrain.messages import logging_console
from raytrain.pretrained.directory import EncoderFiles
from raytrain.pretrained.start import find_start
from raytrain.vectors.settings import MAXLEN, Pooling

if TYPE_CHECKING:
    from raytrain.vectors.encoder import EncoderVectors

REFUSED = "the encoder cannot be used"


class MakesVectors(Protocol):
    """What gives each text a vector."""

    def embed(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """(len(texts), dim) float32."""
        ...


def load_vectors(ensemble: str, batch_size: int | None = None) -> MakesVectors:
    """Opens an artifact whose networks give texts vectors, as `ensemble.models.Predictor.embed` does.

    Args:
        ensemble: Its directory, or its URI.
        batch_size: Texts per forward pass.

    Raises:
        ArtifactError: It is none, or one of n-grams alone, or a tagger's.
    """
    artifact = load_ensemble(ensemble)
    if artifact.task == "tag" or not artifact.has_networks:
        found = "a tagger's" if artifact.task == "tag" else "one of n-grams alone"
        problem = f"found {found}; make vectors with an encoder"
        raise ArtifactError(f"{ensemble}: expected a classifier's ensemble with a network", [problem])
    predictor: MakesVectors = build_predictor(artifact, batch_size)  # type: ignore[assignment]
    return predictor


def load_encoder(
    checkpoint: str = "mini",
    maxlen: int = MAXLEN,
    pooling: Pooling = "mean",
    windows: int = 1,
    batch_size: int | None = None,
) -> "EncoderVectors":
    """Loads an encoder that makes vectors of texts. Imports TensorFlow, which takes seconds.

    Args:
        checkpoint: As of the key `encoder.checkpoint`: a name, a directory, an archive.
        maxlen: Most tokens that are read of a text.
        pooling: What is read of the last layer: the mean of its positions, or the first.
        windows: Most windows of `maxlen` tokens that are read of a longer text.
        batch_size: Texts per forward pass; None takes as many as suit the device.

    Returns:
        Its `embed(texts)` gives (len(texts), dim) float32.

    Raises:
        ConfigError: It cannot be named or read so, with all that is wrong.
        CheckpointError: It cannot be fetched or read.
        RaytrainError: Keras 3 is in use in this process.

    Example:
        >>> import raytrain
        >>> encoder = raytrain.load_encoder("mini")  # doctest: +SKIP
        >>> encoder.embed(["网传明天停水", "记者核实后说没有停水"]).shape  # doctest: +SKIP
        (2, 312)
    """
    problems = []
    if pooling not in (known := get_args(Pooling)):
        problems.append(f"pooling: expected one of {', '.join(known)}, found {pooling}")
    for name, value in (("windows", windows), ("batch_size", batch_size)):
        if value is not None and value < 1:
            problems.append(f"{name}: expected 1 or more, found {value}")
    try:
        named = named_checkpoint(checkpoint, maxlen)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(REFUSED, problems)
    files = find_start(named, lambda: [], logging_console(), key="")
    return build_encoder(files, maxlen, pooling, windows, batch_size)


def named_checkpoint(name: str, maxlen: int) -> CheckpointConfig:
    """What an encoder's name means. Raises ConfigError where it is none, or reads too few tokens."""
    try:
        return CheckpointConfig(checkpoint=name, maxlen=maxlen)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors()]
        raise ConfigError(REFUSED, problems) from error


def build_encoder(
    encoder: EncoderFiles,
    maxlen: int,
    pooling: Pooling = "mean",
    windows: int = 1,
    batch_size: int | None = None,
    precision: str = "auto",
) -> "EncoderVectors":
    """Builds an encoder of this process alone. Imports TensorFlow, which takes seconds.

    Args:
        encoder: Of `pretrained.start.find_start`.
        maxlen: As of `vectors.encoder.EncoderVectors`, and so the next.
        pooling: What is read of the last layer.
        windows: Most windows of a text.
        batch_size: Texts per forward pass.
        precision: As of `devices.set_precision`.

    Raises:
        CheckpointError: Its weights cannot be read.
        RaytrainError: Keras 3 is in use in this process.
    """
    check_keras()
    with hushed_stderr():
        with quick_imports():
            from raytrain.vectors.encoder import EncoderVectors
        predict_side_by_side()
        grow_card_memory()
        with in_precision(precision):
            return EncoderVectors(encoder, maxlen, pooling, windows, batch_size)
