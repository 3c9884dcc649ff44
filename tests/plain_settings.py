"""Hyperparameters without a warm-up, clipping or decay, so that an update is what a formula says."""

from typing import Any

from raytrain.network.schedule import TrainSettings


def plain_settings(**changes: Any) -> TrainSettings:
    plain = {
        "epochs": 3,
        "batch_size": 32,
        "learning_rate": 1e-3,
        "encoder_learning_rate": 1e-5,
        "crf_learning_rate": 1e-2,
        "schedule": "linear",
        "warmup": 0.0,
        "weight_decay": 0.0,
        "clip_norm": None,
        "label_smoothing": 0.0,
        "class_weight": None,
        "early_stopping": None,
        "monitor": "log_loss",
        "select": "last",
    }
    return TrainSettings(**plain | changes)
