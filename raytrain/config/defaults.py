"""What a config leaves open: rates, which heads read words, which train the encoder."""

from raytrain.config.schema import Config
from raytrain.tasks import ARCHITECTURES

CRF_LEARNING_RATE = 1e-2  # a thousand times a pretrained encoder's, as bert4keras's CRF examples have it


def reads_words(architecture: str) -> bool:
    return architecture != "finetune"


def trains_encoder(config: Config, architecture: str, pretrained: bool) -> bool:
    """Whether the encoder trains: an untrained one does by default, for frozen it would be noise."""
    if config.model.train_encoder is not None:
        return config.model.train_encoder
    return architecture in ("finetune", *ARCHITECTURES["tag"]) or not pretrained


def learning_rates(config: Config, architecture: str, pretrained: bool) -> tuple[float, float]:
    """(head's, encoder's) learning rate, defaults filled in.

    1e-5 and 1e-3 are the rates of the models this project follows; an untrained encoder needs more.
    """
    encoder = config.train.encoder_learning_rate or (1e-5 if pretrained else 5e-4)
    if config.train.learning_rate is not None:
        return config.train.learning_rate, encoder
    with_encoder = architecture == "finetune" and trains_encoder(config, architecture, pretrained)
    return (encoder if with_encoder else 1e-3), encoder
