"""The README says what the code says."""

import ast
import json
import re
import shlex
from pathlib import Path

import pytest

from raytrain.commands.shared import config_parser
from raytrain.config.load import describe_keys, load_config

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("key", "default", "description"), describe_keys())
def test_config_table_has_every_key(key, default, description):
    cells = [description.replace("|", "\\|"), f"`{key}`", f"`{default}`"]
    assert f"| {cells[1]} | {cells[2]} | {cells[0]} |" in README


@pytest.mark.parametrize(
    "room", sorted(ROOT.glob("raytrain/*/__init__.py")), ids=lambda path: path.parent.name
)
def test_a_room_has_a_line_with_its_own_words(room):
    words = ast.get_docstring(ast.parse(room.read_text(encoding="utf-8"))).rstrip(".")
    words = words if words.startswith(("TensorFlow", "Ray")) else words[0].lower() + words[1:]
    assert f"| `{room.parent.name}/` | {words} |" in README


def test_nothing_is_left_to_fill_in():
    assert not re.findall(r"@[A-Z]+@", README)


def test_make_targets_of_the_readme_exist():
    targets = set(re.findall(r"^make (\w+)", README, re.MULTILINE))
    defined = set(" ".join(re.findall(r"^([\w ]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)).split())
    assert targets and targets <= defined


def commands(job):
    """What follows `python jobs/NAME` in the README's blocks, as a shell splits it."""
    blocks = "".join(re.split(r"^```.*\n", README, flags=re.MULTILINE)[1::2]).replace("\\\n", " ")
    found = re.findall(rf"python {re.escape(job)}(.*)", blocks)
    return [shlex.split(line, comments=True) for line in found]


@pytest.mark.parametrize("job", ["jobs/kfold.py", "jobs/sweep.py"])
def test_commands_of_the_readme_name_keys_that_exist(job, monkeypatch):
    monkeypatch.setenv("RAYTRAIN_STORAGE", "s3://bucket/runs")
    found = commands(job)
    assert found
    for arguments in found:
        overrides = config_parser("", job).parse_args(arguments).overrides
        load_config(None, ["data.path=train.csv", *overrides])


def test_runtime_env_of_the_readme_is_one_that_ray_takes():
    from ray.runtime_env import RuntimeEnv

    spec = json.loads(re.search(r"--runtime-env-json '(.+?)'", README, re.DOTALL)[1])
    pip = RuntimeEnv(**spec).pip_config()
    assert pip["packages"] == ["-r ${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}/requirements.lock"]
    assert "--no-deps" in pip["pip_install_options"]
