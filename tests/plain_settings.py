"""Plain folds, and hyperparameters without a warm-up, clipping or decay: an update is what a formula says."""

from typing import Any

from raytrain.folds.spec import FoldSpec, ModelSettings
from raytrain.training.settings import TrainSettings


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


def plain_spec(location: object, **changes: Any) -> FoldSpec:
    """The first fold of a finetuned classifier of two labels, its directory at `location`."""
    plain = {
        "name": "finetune/r0-fold-00",
        "architecture": "finetune",
        "fold": 0,
        "repeat": 0,
        "seed": 42,
        "location": str(location),
        "identity": "this run",
        "settings": plain_settings(batch_size=8),
        "model": ModelSettings("finetune", "bert", {}, 2, (2, 1), train_encoder=True, dropout=0.0),
        "data": None,
        "encoder_weights": None,
        "precision": "float32",
    }
    return FoldSpec(**plain | changes)
