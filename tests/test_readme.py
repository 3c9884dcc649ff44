"""README and docs say what the code says, and their links lead somewhere."""

import ast
import json
import re
import shlex
import sys
from pathlib import Path

import pytest

import raytrain
from raytrain.commands.reference import commands_page, config_page
from raytrain.commands.shared import config_parser
from raytrain.config.load import load_config, read_config
from raytrain.config.pretraining import PretrainConfig

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
BLOCKS = "".join("".join(re.split(r"^```.*\n", text, flags=re.MULTILINE)[1::2]) for text in TEXTS.values())


def test_the_readme_is_short():
    assert len(TEXTS["README.md"].splitlines()) <= 200


def test_generated_pages_are_what_the_code_says():
    """Else: python -m raytrain.commands.reference."""
    assert TEXTS["docs/config.md"] == config_page()
    if sys.version_info < (3, 13):  # argparse says some of it otherwise from then on
        assert TEXTS["docs/commands.md"] == commands_page()


@pytest.mark.parametrize(
    "room", sorted(ROOT.glob("raytrain/*/__init__.py")), ids=lambda path: path.parent.name
)
def test_a_room_has_a_line_with_its_own_words(room):
    words = ast.get_docstring(ast.parse(room.read_text(encoding="utf-8"))).rstrip(".")
    words = words if words.startswith(("TensorFlow", "Ray")) else words[0].lower() + words[1:]
    assert f"| `{room.parent.name}/` | {words} |" in TEXTS["docs/architecture.md"]


def headings(text):
    """The anchors of a page's headings, as GitHub makes them."""
    # A block's comments are no headings.
    outside = "".join(re.split(r"^```.*\n", text, flags=re.MULTILINE)[::2])
    found = re.findall(r"^#+ (.+)$", outside, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[page]):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        linked = (ROOT / page).parent / name if name else ROOT / page
        assert linked.exists(), target
        assert not anchor or anchor in headings(linked.read_text(encoding="utf-8")), target


def test_every_page_can_be_reached_from_the_readme():
    linked = set(re.findall(r"\]\((docs/[^)#]+\.md)", TEXTS["README.md"]))
    assert linked == {name for name in TEXTS if name.startswith("docs/")}


def test_modules_of_the_pages_exist_and_hold_what_they_are_said_to():
    named = {name for text in TEXTS.values() for name in re.findall(r"\braytrain(?:\.[a-z]\w*)+", text)}
    assert named
    for name in named:
        holder, _, last = name.rpartition(".")
        path = ROOT / holder.replace(".", "/")
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if (path / f"{last}.py").exists() or (path / last).is_dir():
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        assert last in defined | ({*raytrain.__all__} if holder == "raytrain" else set()), name


def test_nothing_is_left_to_fill_in():
    assert not re.findall(r"@[A-Z]+@", "".join(TEXTS.values()))


def test_make_targets_of_the_pages_exist():
    targets = set(re.findall(r"^make ([\w-]+)", BLOCKS, re.MULTILINE))
    rules = re.findall(r"^([\w -]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets and targets <= set(" ".join(rules).split())


def commands(name):
    """What follows the command in the pages' blocks, however it is called, as a shell splits it."""
    lines = re.findall(
        rf"(?:python jobs/{name}\.py|^raytrain {name})(.*)", BLOCKS.replace("\\\n", " "), re.MULTILINE
    )
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.parametrize("name", ["kfold", "sweep"])
def test_commands_of_the_pages_name_keys_that_exist(name, monkeypatch):
    monkeypatch.setenv("RAYTRAIN_STORAGE", "s3://bucket/runs")
    found = [arguments for arguments in commands(name) if "[-h]" not in arguments]
    assert found
    for arguments in found:
        overrides = config_parser("", name).parse_args(arguments).overrides
        load_config(None, ["data.path=train.csv", *overrides])


def test_pretrainings_of_the_pages_name_keys_that_exist():
    found = [arguments for arguments in commands("pretrain") if "[-h]" not in arguments]
    assert found
    for arguments in found:
        overrides = config_parser("", "pretrain", PretrainConfig).parse_args(arguments).overrides
        read_config(PretrainConfig, None, overrides)


def test_runtime_env_of_the_pages_is_one_that_ray_takes():
    from ray.runtime_env import RuntimeEnv

    spec = json.loads(re.search(r"--runtime-env-json '(.+?)'", TEXTS["docs/cluster.md"], re.DOTALL)[1])
    pip = RuntimeEnv(**spec).pip_config()
    assert pip["packages"] == ["-r ${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}/requirements.lock"]
    assert "--no-deps" in pip["pip_install_options"]
