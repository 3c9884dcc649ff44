"""Cross-validated BERT/ALBERT fusion models for Chinese text, folds trained by Ray Train."""

import importlib
import os
import warnings
from typing import TYPE_CHECKING, Any

# bert4keras speaks Keras 2. Both variables must stand before anything imports TensorFlow, in every
# process; whoever imports a module of this package has imported this file first.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# Ray ends the process, without a word, where its own one does not answer so often, a second each; on a busy
# machine its ten are too few.
os.environ.setdefault("RAY_raylet_client_num_connect_attempts", "60")

# What jieba's own source makes Python and setuptools say is nobody's to mend here; nothing else is hushed.
warnings.filterwarnings("ignore", category=SyntaxWarning, module=r".*[/\\]jieba[/\\]")
warnings.filterwarnings("ignore", message="pkg_resources is deprecated", module=r"jieba\._compat")

__version__ = "0.1.0"
__all__ = [
    "CheckFile",
    "ExportSettings",
    "GroupSettings",
    "OneModel",
    "Run",
    "cross_validate",
    "distill_run",
    "export",
    "group_texts",
    "list_suspects",
    "load",
    "load_config",
    "load_encoder",
    "load_pretrain_config",
    "match_texts",
    "predict_files",
    "pretrain",
    "refit_run",
    "run_sweep",
    "write_report",
]

if TYPE_CHECKING:
    from raytrain.bulk.predict import predict_files
    from raytrain.config.load import load_config, load_pretrain_config
    from raytrain.crossval.run import Run, cross_validate
    from raytrain.crossval.suspects import list_suspects
    from raytrain.ensemble.load import load
    from raytrain.exporting.driver import export
    from raytrain.exporting.settings import CheckFile, ExportSettings
    from raytrain.groups.driver import group_texts
    from raytrain.groups.settings import GroupSettings
    from raytrain.matching.run import match_texts
    from raytrain.pretraining.driver import pretrain
    from raytrain.refit.distill import distill_run
    from raytrain.refit.driver import refit_run
    from raytrain.refit.model import OneModel
    from raytrain.report.page import write_report
    from raytrain.sweep.driver import run_sweep
    from raytrain.vectors.load import load_encoder

# Imported when they are asked for: a worker must not pay for the driver, nor --help for Ray.
_PUBLIC = {
    "load_config": "raytrain.config.load",
    "load_pretrain_config": "raytrain.config.load",
    "Run": "raytrain.crossval.run",
    "cross_validate": "raytrain.crossval.run",
    "list_suspects": "raytrain.crossval.suspects",
    "load": "raytrain.ensemble.load",
    "export": "raytrain.exporting.driver",
    "CheckFile": "raytrain.exporting.settings",
    "ExportSettings": "raytrain.exporting.settings",
    "group_texts": "raytrain.groups.driver",
    "GroupSettings": "raytrain.groups.settings",
    "match_texts": "raytrain.matching.run",
    "predict_files": "raytrain.bulk.predict",
    "pretrain": "raytrain.pretraining.driver",
    "distill_run": "raytrain.refit.distill",
    "refit_run": "raytrain.refit.driver",
    "OneModel": "raytrain.refit.model",
    "write_report": "raytrain.report.page",
    "run_sweep": "raytrain.sweep.driver",
    "load_encoder": "raytrain.vectors.load",
}


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
