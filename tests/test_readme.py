"""The README says what the code says."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from raytrain.config import describe_keys

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODULES = sorted([*ROOT.glob("raytrain/*.py"), *ROOT.glob("jobs/*.py")])


@pytest.mark.parametrize(("key", "default", "description"), describe_keys())
def test_config_table_has_every_key(key, default, description):
    cells = [description.replace("|", "\\|"), f"`{key}`", f"`{default}`"]
    assert f"| {cells[1]} | {cells[2]} | {cells[0]} |" in README


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_tree_has_a_line_per_module_with_its_own_words(path):
    words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).split("\n")[0].rstrip(".")
    assert re.search(rf"^\s*{re.escape(path.name)}\s+{re.escape(words)}$", README, re.MULTILINE)


def test_nothing_is_left_to_fill_in():
    assert not re.findall(r"@[A-Z]+@", README)


def test_make_targets_of_the_readme_exist():
    targets = set(re.findall(r"^make (\w+)", README, re.MULTILINE))
    defined = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets and targets <= defined


def test_cluster_config_is_valid_for_ray():
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(yaml.safe_load((ROOT / "cluster.yaml").read_text())))
