"""The pages themselves are held to the code in test_readme."""

import os

import pytest

from raytrain.commands import reference
from raytrain.commands.reference import COLUMNS, commands_page, config_page
from raytrain.commands.shared import COMMANDS
from raytrain.config.pretraining import PretrainConfig
from raytrain.config.validate import config_keys


@pytest.fixture(scope="module")
def commands():
    return commands_page()


def test_each_key_has_a_row_of_three_cells_in_the_configs_order():
    rows = [line for line in config_page().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [*config_keys(), *config_keys(PretrainConfig)]
    for row in rows:
        assert row.replace("\\|", "").count("|") == 4 and row.endswith(" |"), row


def test_a_bar_within_a_meaning_ends_no_cell(monkeypatch):
    monkeypatch.setattr(reference, "describe_keys", lambda kind: [("a.b", "null", "x | y | z")])
    assert config_page().splitlines()[-1] == "| `a.b` | `null` | x \\| y \\| z |"


def test_each_command_is_described_once_in_order(commands):
    headings = [line.removeprefix("## ") for line in commands.splitlines() if line.startswith("## ")]
    assert headings == list(COMMANDS)
    for name in COMMANDS:
        assert commands.count(f"usage: raytrain {name} ") == 1


def test_keys_of_the_config_are_left_to_their_own_page(commands):
    assert "train.learning_rate=" not in commands
    assert commands.count("[config](config.md)") == 3  # of kfold, sweep and pretrain


def test_blocks_are_closed_and_lines_fit(commands):
    assert commands.count("```") == 2 * len(COMMANDS) and commands.endswith("\n")
    assert max(map(len, commands.splitlines())) <= 110


@pytest.mark.parametrize("width", ["40", None])
def test_pages_do_not_depend_on_the_terminal_and_leave_it_as_it_is(commands, monkeypatch, width):
    if width is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", width)
    assert commands_page() == commands
    assert os.environ.get("COLUMNS") == width != COLUMNS


def test_both_pages_are_written_beside_the_package(tmp_path, monkeypatch, commands):
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(reference, "__file__", str(tmp_path / "raytrain" / "commands" / "reference.py"))
    assert reference.main() == 0
    assert (tmp_path / "docs" / "config.md").read_text(encoding="utf-8") == config_page()
    assert (tmp_path / "docs" / "commands.md").read_text(encoding="utf-8") == commands
