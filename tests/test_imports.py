import ast
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import raytrain

PACKAGE = Path(raytrain.__file__).parent
# The rooms in the order of the data's way: a room imports only rooms before it; "" is the ground floor.
ROOMS = [
    *("", "storage", "config", "files", "corpus", "splits", "text", "keywords", "scores", "fusion", "ngrams"),
    *("suspects", "tensors", "hub", "network", "training", "pretrained", "hidden_states", "folds"),
    *("pretraining", "ensemble", "vectors", "matching", "crossval", "refit", "report", "sweep", "groups"),
    *("bulk", "exporting", "serving", "commands", "asking"),
]
MOST_MODULES = 14  # of a room that a stranger still understands
# Beside the rooms below.
WITH_TENSORFLOW = {
    *("ensemble.models", "ensemble.fold_models", "pretrained.cost", "pretrained.report"),
    *("pretrained.weights", "pretraining.model", "pretraining.loop", "vectors.encoder"),
    *("exporting.graph", "exporting.fused"),
}
TENSORFLOW_ROOMS = {"network", "training"}
FREE_OF_IT = {f"training.{name}" for name in ("selection", "settings")}


def name_of(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


MODULES = sorted(name_of(path) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


def room_of(module):
    return "commands" if module == "__main__" else module.rpartition(".")[0]


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
    """Modules and rooms of the package that a module imports anywhere, within functions and for types too."""
    tree = ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    own = {name.removeprefix("raytrain.") for name in found if name.startswith("raytrain.")}
    return own & {*MODULES, *ROOMS}


def test_every_room_has_its_place_and_is_not_too_full():
    assert {room_of(module) for module in MODULES} == set(ROOMS)
    counts = Counter(room_of(module) for module in MODULES if module != "__main__")
    assert {room: count for room, count in counts.items() if count > MOST_MODULES} == {}


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_rooms_before_its_own(module):
    rooms = {room_of(other) if other in MODULES else other for other in imports_of(module)}
    assert rooms <= set(ROOMS[: ROOMS.index(room_of(module)) + 1])


def test_imports_within_a_room_go_one_way():
    waiting = {module: {o for o in imports_of(module) if room_of(o) == room_of(module)} for module in MODULES}
    while free := {module for module, others in waiting.items() if not others & waiting.keys()}:
        waiting = {module: others for module, others in waiting.items() if module not in free}
    assert waiting == {}


def test_imports_are_seen():
    assert {"storage.directory", "training.loop", "folds.build"} <= imports_of("folds.worker")
    assert imports_of("errors") == set()


def test_no_module_of_the_driver_imports_tensorflow():
    with_tensorflow = WITH_TENSORFLOW | {m for m in MODULES if room_of(m) in TENSORFLOW_ROOMS} - FREE_OF_IT
    modules = [name for name in MODULES if name not in with_tensorflow]
    command = [sys.executable, "-c", SCRIPT, *modules]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert json.loads(answer.stdout) == {}


def test_no_warning_of_a_library_reaches_the_console(tmp_path):
    """Compiled anew, as on a fresh machine: Python warns when it compiles."""
    modules = "import raytrain.crossval.driver, raytrain.keywords.textrank, raytrain.text.segmentation"
    command = [sys.executable, "-X", f"pycache_prefix={tmp_path}", "-c", modules]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert answer.stdout + answer.stderr == ""
