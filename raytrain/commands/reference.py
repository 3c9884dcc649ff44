"""`python -m raytrain.commands.reference` writes docs/config.md and docs/commands.md from the code."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from raytrain.commands.shared import AS_PROGRAM, COMMANDS, command_of
from raytrain.config.pretraining import PretrainConfig
from raytrain.config.schema import Config
from raytrain.config.sections import WholeConfig
from raytrain.config.validate import describe_keys

COLUMNS = "100"  # of a terminal: argparse folds its help by it
_KEYS = "config keys, their defaults and meanings:"


def config_page() -> str:
    """Every key of the configs in a table each."""
    lines = [
        "# Config",
        "",
        "A YAML file, then `key.path=value` on the command line. Unknown keys are errors.",
        "`raytrain kfold --help` shows this table too. `{network: value}` says it for some architectures of",
        "a run, as `train.epochs={textcnn: 8}`; for the others the default holds. It adds to a mapping",
        "in the file.",
        "",
        *_key_table(Config),
        "",
        "## Of a pre-training",
        "",
        "What `raytrain pretrain` takes ([pre-training](pretraining.md)).",
        "",
        *_key_table(PretrainConfig),
    ]
    return "\n".join(lines) + "\n"


def _key_table(kind: type[WholeConfig]) -> list[str]:
    rows = [
        f"| `{key}` | `{default}` | {text.replace('|', chr(92) + '|')} |"
        for key, default, text in describe_keys(kind)
    ]
    return ["| key | default | meaning |", "| --- | --- | --- |", *rows]


def commands_page() -> str:
    """What --help says of each command, but for the config's keys."""
    parts = ["# Commands", "", "`python jobs/NAME.py` is the same as `raytrain NAME`."]
    for name in COMMANDS:
        said, cut, _ = _help(name).partition(_KEYS)
        keys = ["", "The keys are those of the [config](config.md)."] if cut else []
        parts += ["", f"## {name}", "", "```", said.rstrip(), "```", *keys]
    return "\n".join(parts) + "\n"


def _help(name: str) -> str:
    command = command_of(name)
    printed = io.StringIO()
    with _columns(), contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        command.main(["--help"], AS_PROGRAM)
    return printed.getvalue()


@contextlib.contextmanager
def _columns() -> Iterator[None]:
    """The same width whatever the terminal."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = COLUMNS
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def main() -> int:
    """Writes both pages beside the package."""
    docs = Path(__file__).parents[2] / "docs"
    (docs / "config.md").write_text(config_page(), encoding="utf-8")
    (docs / "commands.md").write_text(commands_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
