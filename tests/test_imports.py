import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import raytrain

PACKAGE = Path(raytrain.__file__).parent
# The one order of the package: a module imports only modules that stand before it.
ORDER = [
    *("errors", "tasks", "config", "binding"),
    *("outages", "filesystems", "storage", "config_file", "zoo", "download", "archives", "fetch"),
    *("encodings", "tables", "cells", "bio", "tags"),
    *("corpus", "labelled_texts", "tagged_texts", "unlabelled_texts", "folds", "metrics", "tag_metrics"),
    *("ragged", "tokens", "sentencepieces", "words"),
    *("segmentation", "textrank", "association", "kept_words", "keywords", "text_sources"),
    *("features", "windows", "decoding", "tagging"),
    *("checkpoints", "layers", "recurrent", "crf", "transformer"),
    *("encoders", "weights", "models", "batches", "inference", "optimizer", "schedule", "objectives"),
    *("step", "training"),
    *("devices", "provenance", "cluster", "resources", "inputs", "hidden_states", "fold_result"),
    *("fold_checkpoint", "fold_report", "fold_run", "fold_trainer", "attempts"),
    *("tracking", "progress", "launch"),
    *("baseline", "summary", "scoring", "run_directory", "plan", "preflight", "manifest", "ensemble"),
    *("results", "crossval"),
    *("space", "trials", "trial", "search", "trial_table", "trial_recorder", "tuning", "pictures", "sweep"),
    *("candidates", "candidate_file", "fonts", "candidate_report"),
    *("artifact_words", "predict", "proba_output", "span_output", "predictions"),
    *("commands", "example", "checkpoint_report"),
]
WITH_TENSORFLOW = {
    "layers",
    "recurrent",
    "crf",
    "transformer",
    "encoders",
    "weights",
    "models",
    "inference",
    "optimizer",
    "objectives",
    "step",
    "training",
    "predict",
    "checkpoint_report",
}
# Imports each module named on the command line and says after which of them a library was first there.
SCRIPT = """
import importlib, json, sys
first = {}
for name in sys.argv[1:]:
    importlib.import_module(f"raytrain.{name}")
    for library in ("tensorflow", "tf_keras", "keras", "bert4keras"):
        if library in sys.modules:
            first.setdefault(library, name)
print(json.dumps(first))
"""


def imports_of(module):
    """Modules of the package that a module imports, anywhere but under TYPE_CHECKING."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    places = [name.split(".") for name in found]
    return {parts[1] for parts in places if parts[0] == "raytrain" and parts[1:] and parts[1] in ORDER}


def test_every_module_has_its_place():
    assert sorted(ORDER) == sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("module", ORDER)
def test_module_imports_only_what_stands_before_it(module):
    assert imports_of(module) <= set(ORDER[: ORDER.index(module)])


def test_imports_are_seen():
    assert {"storage", "models", "batches", "training"} <= imports_of("fold_run")
    assert imports_of("errors") == set()


def test_no_module_of_the_driver_imports_tensorflow():
    modules = [name for name in ORDER if name not in WITH_TENSORFLOW]
    command = [sys.executable, "-c", SCRIPT, *modules]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert json.loads(answer.stdout) == {}
