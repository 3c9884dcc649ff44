"""Hyperparameters of a pre-training, and what its workers are told."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import ray
from ray.actor import ActorHandle

from raytrain.config.defaults import pretraining_rate
from raytrain.config.pretraining import PretrainConfig
from raytrain.pretrained.directory import EncoderFiles
from raytrain.training.settings import TrainSettings


@dataclass(frozen=True)
class MaskSettings:
    """Which tokens are to be told.

    Attributes:
        rate: Share of a sequence's tokens.
        ngrams: Whether one to four words are masked together.
    """

    rate: float = 0.15
    ngrams: bool = False


@dataclass(frozen=True)
class PretrainSettings:
    """Hyperparameters of a pre-training; the meaning of each, and its default, stands in the config.

    Attributes:
        steps: Updates in all.
        mask: Which tokens are to be told.
    """

    steps: int
    batch_size: int
    learning_rate: float
    warmup: float
    weight_decay: float
    clip_norm: float | None
    evaluate_every: int
    checkpoint_every: int
    mask: MaskSettings = MaskSettings()
    compile: Literal["auto"] | bool = "auto"

    def of_step(self) -> TrainSettings:
        """The same as a training step takes them."""
        return TrainSettings(
            epochs=1,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            encoder_learning_rate=self.learning_rate,
            crf_learning_rate=self.learning_rate,
            schedule="linear",
            warmup=self.warmup,
            weight_decay=self.weight_decay,
            clip_norm=self.clip_norm,
            label_smoothing=0.0,
            class_weight=None,
            early_stopping=None,
            monitor="log_loss",
            select="last",
            compile=self.compile,
        )


def choose_settings(config: PretrainConfig, encoder: EncoderFiles, num_sequences: int) -> PretrainSettings:
    """Hyperparameters, defaults filled in."""
    train = config.train
    steps = train.steps or max(1, math.ceil(train.epochs * num_sequences / train.batch_size))
    every = train.evaluate_every or math.ceil(steps / 10)
    return PretrainSettings(
        steps=steps,
        batch_size=train.batch_size,
        learning_rate=train.learning_rate or pretraining_rate(encoder.config, encoder.weights is not None),
        warmup=train.warmup,
        weight_decay=train.weight_decay,
        clip_norm=train.clip_norm,
        evaluate_every=every,
        checkpoint_every=train.checkpoint_every or every,
        mask=MaskSettings(config.mask.rate, config.mask.ngrams),
        compile=train.compile,
    )


@dataclass(frozen=True)
class PretrainSpec:
    """All that a worker needs to pre-train an encoder.

    Attributes:
        name: Of the run, for people.
        location: Its directory, where its sequences lie and its encoder will.
        identity: Hash of all that decides what is learned; a result of another is not this one's.
        seed: Of the order, the masks, dropout and untrained weights.
        settings: Hyperparameters.
        kind: Of the encoder, a key of `kinds.KINDS`.
        config: The encoder's, in Google's names.
        vocab: ObjectRef of its vocabulary.
        start: ObjectRef of the weights that it begins with, by Google's names, those of the language model's
            head among them where there are any; None for drawn ones.
        precision: As in `devices.set_up_tensorflow`.
        facts: What its provenance tells beside what the workers know.
        progress: The actor that takes what it tells, or None.
        threads: CPUs that a worker owns.
        gpu_share: Share of a card that it owns, or None.
        accumulation: Pieces of a batch, where memory is short.
        deadline: Unix time at which it stops where it is, or None.
    """

    name: str
    location: str
    identity: str
    seed: int
    settings: PretrainSettings
    kind: str
    config: dict[str, Any]
    vocab: ray.ObjectRef
    start: ray.ObjectRef | None
    precision: str
    facts: dict[str, Any]
    progress: ActorHandle | None = None
    threads: int = 1
    gpu_share: float | None = None
    accumulation: int = 1
    deadline: float | None = None

    @property
    def run(self) -> str:
        """The run's directory."""
        return self.location
