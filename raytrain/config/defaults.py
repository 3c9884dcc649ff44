"""What a config leaves open: rates, epochs, which heads read words, which train the encoder."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raytrain.config.schema import WITHOUT_ENCODER, Config
from raytrain.tasks import ARCHITECTURES, reads_encoder

# Of the models this project follows, and of what is trained from nothing.
BERT_BASE_RATE, HEAD_RATE, UNTRAINED_RATE = 1e-5, 1e-3, 5e-4
BERT_BASE_WEIGHTS = 101e6
# Found with pretrained encoders of 6 M and 14 M weights, which want thirty and ten times BERT-base's rate.
SIZE_EXPONENT = 1.2
# Of masked language modelling. BERT-base's was 1e-4 from nothing (Devlin et al. 2019), 5e-5 further on (Sun
# et al. 2019); an encoder of 6 M weights learns best with ten times that, and nearly nothing with twenty.
PRETRAINED_MLM_RATE, UNTRAINED_MLM_RATE, MOST_MLM_RATE, MLM_SIZE_EXPONENT = 5e-5, 1e-4, 1e-3, 0.8
# BERT's three are few on a small corpus, whose models gain by more updates (Zhang et al. 2021, Mosbach et al.
# 2021); of a head on a frozen encoder those cost little.
EPOCHS, MOST_EPOCHS, FROZEN_UPDATES = 3, 10, 1000
CRF_LEARNING_RATE = 1e-2  # a thousand times a pretrained encoder's, as bert4keras's CRF examples have it


@dataclass(frozen=True)
class EncoderStart:
    """How an encoder begins.

    Attributes:
        pretrained: Whether with weights of a checkpoint.
        rate: Its learning rate where the config names none.
    """

    pretrained: bool
    rate: float


def reads_words(architecture: str) -> bool:
    return architecture != "finetune" and reads_encoder(architecture)


def unread_keys(architectures: Sequence[str]) -> dict[str, Any]:
    """Keys that only other architectures read, and the values that say so: of any other these are refused."""
    unread: dict[str, Any] = {} if "finetune" in architectures else {"model.pooling": "first"}
    if not any(reads_encoder(name) for name in architectures):
        unread |= {**WITHOUT_ENCODER, "words.keywords": None, "train.pseudo_labels": None}
    return unread


def trains_encoder(config: Config, architecture: str, pretrained: bool) -> bool:
    """Whether the encoder trains: an untrained one does by default, for frozen it would be noise."""
    if not reads_encoder(architecture):
        return False
    if config.model.train_encoder is not None:
        return config.model.train_encoder
    return architecture in ("finetune", *ARCHITECTURES["tag"]) or not pretrained


def encoder_start(config: Mapping[str, Any], pretrained: bool) -> EncoderStart:
    """How the encoder of a config, with Google's names, begins."""
    rate = _rate_by_size(_num_weights(config)) if pretrained else UNTRAINED_RATE
    return EncoderStart(pretrained, rate)


def _rate_by_size(num_weights: float) -> float:
    rate = BERT_BASE_RATE * (BERT_BASE_WEIGHTS / num_weights) ** SIZE_EXPONENT
    return float(f"{min(max(rate, BERT_BASE_RATE), UNTRAINED_RATE):.1e}")


def pretraining_rate(config: Mapping[str, Any], pretrained: bool) -> float:
    """The learning rate of masked language modelling by an encoder's size."""
    least = PRETRAINED_MLM_RATE if pretrained else UNTRAINED_MLM_RATE
    rate = least * (BERT_BASE_WEIGHTS / _num_weights(config)) ** MLM_SIZE_EXPONENT
    return float(f"{min(max(rate, least), MOST_MLM_RATE):.1e}")


def _num_weights(config: Mapping[str, Any]) -> float:
    """Of the matrices, as if ALBERT's layers did not share theirs: it is the depth that wants care."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    layers = config["num_hidden_layers"] * (4 * hidden**2 + 2 * hidden * inner)
    return layers + config["vocab_size"] * (config.get("embedding_size") or hidden)


def num_epochs(config: Config, architecture: str, pretrained: bool, num_rows: int) -> int:
    """Passes over a fold's training rows, the default filled in; n-grams are fitted in one.

    Args:
        pretrained: Whether the encoder is.
        num_rows: Of the features that a fold trains on.
    """
    if not reads_encoder(architecture):
        return 1
    told: int | None = config.train.of(architecture)["epochs"]
    if told is not None:
        return told
    if trains_encoder(config, architecture, pretrained):
        return EPOCHS
    enough = math.ceil(FROZEN_UPDATES * config.train.batch_size / max(1, num_rows))
    return min(max(enough, EPOCHS), MOST_EPOCHS)


def learning_rates(config: Config, architecture: str, start: EncoderStart) -> tuple[float, float]:
    """(head's, encoder's) learning rate, defaults filled in."""
    train = config.train.of(architecture)
    encoder = train["encoder_learning_rate"] or start.rate
    if train["learning_rate"] is not None:
        return train["learning_rate"], encoder
    with_encoder = architecture == "finetune" and trains_encoder(config, architecture, start.pretrained)
    return (encoder if with_encoder else HEAD_RATE), encoder
