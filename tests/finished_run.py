"""A run that has ended, of which nothing was trained: its config, and a summary."""

from pathlib import Path
from typing import Any

from raytrain.config.schema import Config
from raytrain.storage.directory import Directory
from raytrain.storage.files import json_bytes

SCORES = {"accuracy": 0.9, "macro_f1": 0.9, "auc": 0.95, "log_loss": 0.3}


def fold_entry(epoch: float, dead: bool = False) -> dict[str, Any]:
    return {"metrics": {"epoch": epoch, "loss": 0.2, **SCORES}, "epochs": 9, "dead": dead}


def write_finished(config: Config, epochs: dict[str, list[float]], **summary: Any) -> Path:
    """Writes what `refit.finished.read_finished` reads; `epochs` are those that each fold kept."""
    run = Directory(config.storage) / config.name
    score = {"oof": SCORES, "interval": {}, "rows": 48}
    architectures = {
        name: {"folds": [fold_entry(epoch) for epoch in own], "mean": SCORES, "sd": SCORES, **score}
        for name, own in epochs.items()
    }
    told = {"architectures": architectures, "ensemble": score, "missing": [], "stopped_early": []}
    run.write_bytes("config.yaml", config.to_yaml().encode())
    run.write_bytes("summary.json", json_bytes(told | summary))
    run.write_bytes("ensemble/manifest.json", b"{}")
    return Path(run.path)
