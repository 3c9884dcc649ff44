"""What the commands share: their names, arguments, exit codes, and the last word after Ctrl-C."""

import argparse
import importlib
import os
import signal
import sys
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rich.console import Console

from raytrain.config.data import Quoting, check_encoding
from raytrain.config.schema import Config
from raytrain.config.sections import WholeConfig
from raytrain.config.validate import describe_keys
from raytrain.errors import RaytrainError
from raytrain.messages import shell_word
from raytrain.storage.files import is_same_file

if typing.TYPE_CHECKING:
    from raytrain.files.reading import Reading

EXIT_INTERRUPTED = 130

# What the user types for a command, by its name: messages name the way that was taken.
Named = Callable[[str], str]
AS_PROGRAM: Named = "raytrain {}".format
AS_SCRIPT: Named = "python jobs/{}.py".format
# To their rooms: commands that train, and commands that ask what was trained.
COMMANDS = {
    "kfold": "commands",
    "report": "asking",
    "suspects": "asking",
    "sweep": "commands",
    "predict": "asking",
    "refit": "commands",
    "distill": "commands",
    "keywords": "commands",
    "checkpoints": "commands",
    "embed": "asking",
    "group": "asking",
    "match": "asking",
    "pretrain": "commands",
    "serve": "asking",
    "export": "asking",
}


def command_of(name: str) -> Any:
    """The module of a command: its docstring says what it does, its `main` does it."""
    return importlib.import_module(f"raytrain.{COMMANDS[name]}.{name}")


def describe(summary: str | None, examples: str, named: Named) -> str:
    """What --help says first: the summary, and examples in which `{kfold}` stands for that command."""
    return f"{summary}\n\n{examples.format(**{name: named(name) for name in COMMANDS})}"


def config_parser(
    description: str | None, program: str, kind: type[WholeConfig] = Config
) -> argparse.ArgumentParser:
    """A parser of `[--config FILE.yaml] [key.path=value ...]` whose --help documents every key."""
    keys = describe_keys(kind)
    width = max(len(key) + len(default) for key, default, _ in keys) + 1
    lines = [f"  {key + '=' + default:<{width}}  {text}" for key, default, text in keys]
    parser = argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog="config keys, their defaults and meanings:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", metavar="FILE.yaml", help="a YAML file of config keys")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value", help="laid over the file")
    return parser


def check_output(
    parser: argparse.ArgumentParser, output: str, *suffixes: str, inputs: Iterable[str] = ()
) -> None:
    """Ends with a usage error where a file of one of these suffixes cannot be written there.

    Args:
        parser: Of the command.
        output: What it writes.
        suffixes: As they may be.
        inputs: Files that it reads, and must not replace.
    """
    if Path(output).suffix not in suffixes:
        parser.error(f"--output: expected a name that ends in {', '.join(suffixes)}, found {output}")
    if not Path(output).absolute().parent.is_dir():
        parser.error(f"--output: the folder of {output} does not exist; make it first")
    if any(is_same_file(output, path) for path in inputs):
        parser.error(f"--output: expected another file than the input, which {output} would replace")


def check_least(parser: argparse.ArgumentParser, options: argparse.Namespace, **least: int) -> None:
    """Ends with a usage error where a number that was given is smaller than it may be."""
    for name, bound in least.items():
        if (given := getattr(options, name)) is not None and given < bound:
            parser.error(f"--{name.replace('_', '-')}: expected at least {bound}")


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of a command that say how its input is read, as `data.encoding` and its like do."""
    add = parser.add_argument
    add("--encoding", type=_encoding, metavar="NAME", help="of the input, as big5; default: found out")
    add("--quoting", choices=typing.get_args(Quoting), default="auto", help="as data.quoting")
    add(
        "--columns",
        type=_columns,
        metavar="NAME,NAME",
        help="names of the columns of a file without a header",
    )


def tell_reading(path: str, lines: Iterable[str]) -> None:
    """Prints how a file is read, before anything slow."""
    for line in lines:
        print(f"{path}: {line}", flush=True)


def asked_reading(options: argparse.Namespace) -> "Reading":
    """What the flags say."""
    from raytrain.files.reading import Reading

    return Reading(options.encoding, options.quoting, options.columns, by_flags=True)


def _encoding(name: str) -> str:
    try:
        return check_encoding(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _columns(names: str) -> tuple[str, ...]:
    columns = tuple(names.strip("[]").split(","))
    if not all(columns) or len(set(columns)) < len(columns):
        raise argparse.ArgumentTypeError(f"expected names, each once, as text,label; found {names!r}")
    return columns


def job_console() -> Console:
    """A console as wide as the terminal; lines sent to a file or a pipe are not folded at 80."""
    return Console() if sys.stdout.isatty() else Console(width=120)


def tell_artifact(kind: str, artifact: str, task: str, console: Console, named: Named) -> None:
    """Says where an artifact lies, and what predicts with it.

    Args:
        kind: What it is called.
        artifact: Where it lies.
        task: Of its run.
        console: Where it is said.
        named: What the user types for a command.
    """
    from raytrain.ensemble.apart import TEST_OUTPUT

    output = f"FILE{Path(TEST_OUTPUT[task]).suffix}"
    command = f"{named('predict')} --ensemble {shell_word(artifact)} --input FILE --output {output}"
    lines = f"{kind}: {artifact}\npredict with: {command}"
    console.print(lines, highlight=False, markup=False, soft_wrap=True)


def run_job(main: Callable[[], None], when_interrupted: str) -> int:
    """Runs a job's main and turns how it ends into an exit code.

    Args:
        main: The job.
        when_interrupted: What to say of what is left after Ctrl-C.

    Returns:
        0 on success; 2 on a usage or input error and 1 on a failed run, with one message on standard
        error and no traceback; 130 after Ctrl-C or SIGTERM. An unforeseen exception keeps its traceback.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        main()
    except RaytrainError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"interrupted; {when_interrupted}", file=sys.stderr)
        _shut_down_ray()
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _interrupt(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _shut_down_ray() -> None:
    """Ends the folds and what Ray has started here; a second Ctrl-C must not cut this short."""
    if "ray" not in sys.modules:
        return
    import ray

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    ray.shutdown()
