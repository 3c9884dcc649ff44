"""The hyperparameters that a run has by default, for benchmarks that train without one."""

from typing import Any

from raytrain.config.defaults import CRF_LEARNING_RATE, EPOCHS
from raytrain.config.training import TrainConfig
from raytrain.training.settings import TrainSettings

RATES = {"learning_rate": 1e-3, "encoder_learning_rate": 1e-5, "crf_learning_rate": CRF_LEARNING_RATE}


def default_settings(**changes: Any) -> TrainSettings:
    values = TrainConfig().model_dump(exclude={"dropout", "encoder_dropout", "precision"})
    return TrainSettings(**values | {"epochs": EPOCHS} | RATES | changes)
