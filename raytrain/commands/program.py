"""The program `raytrain`: its commands by name, each imported when it runs."""

import difflib
import sys

import raytrain
from raytrain.commands.shared import AS_PROGRAM, AS_SCRIPT, COMMANDS, Named, command_of, run_job

__all__ = ["AS_SCRIPT", "main", "run_command"]


def main(arguments: list[str] | None = None) -> int:
    """Runs `raytrain COMMAND …`. Returns its exit code."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or [""]
    if name in COMMANDS:
        return run_command(name, rest, AS_PROGRAM)
    if name in ("-h", "--help"):
        print(_help())
        return 0
    if name == "--version":
        print(f"raytrain {raytrain.__version__}")
        return 0
    near = difflib.get_close_matches(name, COMMANDS, 1)
    advice = f"; did you mean {near[0]}?" if near else ""
    found = f"found {name!r}{advice}" if name else "found none"
    print(f"error: expected a command, {', '.join(COMMANDS)}; {found}", file=sys.stderr)
    return 2


def run_command(name: str, arguments: list[str], named: Named) -> int:
    """Runs one command.

    Args:
        name: One of `COMMANDS`.
        arguments: What follows its name.
        named: How the user called it.

    Returns:
        Its exit code, as `commands.shared.run_job` tells it.
    """
    command = command_of(name)
    return run_job(lambda: command.main(arguments, named), command.WHEN_INTERRUPTED)


def _help() -> str:
    lines = ["usage: raytrain COMMAND …", "", f"{raytrain.__doc__}", ""]
    for name in COMMANDS:
        lines.append(f"  {name:<12} {command_of(name).__doc__}")
    return "\n".join([*lines, "", "raytrain COMMAND --help tells what each takes."])
