"""Lists, fetches and shows the encoders that a run can start from by name."""

import argparse
import os
from pathlib import Path

from rich.console import Console

from raytrain.commands.shared import AS_PROGRAM, Named, describe, job_console
from raytrain.errors import CheckpointError, InputError

_MIRROR = (
    "a base URL, a directory or a URI such as s3://bucket/folder that holds the same archives; "
    "default: RAYTRAIN_MIRROR, else their publishers"
)

EXAMPLES = """{checkpoints} list
{checkpoints} fetch albert_tiny_zh albert_base_zh
{checkpoints} show albert_tiny_zh"""
WHEN_INTERRUPTED = "what came so far is kept: fetch goes on from there"


def main(arguments: list[str] | None = None, named: Named = AS_PROGRAM) -> None:
    """Parses and does what was asked."""
    parser = argparse.ArgumentParser(
        prog=named("checkpoints"),
        description=describe(__doc__, EXAMPLES, named),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="list | fetch | show")
    commands.add_parser("list", help="every name, what it is, and whether it is here")
    fetching = commands.add_parser("fetch", help="download, verify and unpack")
    fetching.add_argument("names", nargs="+", metavar="NAME")
    fetching.add_argument("--mirror", metavar="URL", help=_MIRROR)
    showing = commands.add_parser("show", help="config, variables and what is missing")
    showing.add_argument(
        "checkpoint", metavar="NAME-or-DIR", help="a name that is here, a directory, an archive"
    )
    options = parser.parse_args(arguments)
    console = job_console()
    if options.command == "list":
        list_zoo(console)
    elif options.command == "fetch":
        fetch_all(options.names, options.mirror, console)
    else:
        show(options.checkpoint, console, named)


def list_zoo(console: Console) -> None:
    """Prints the table of all names."""
    from raytrain.pretrained.fetch import zoo_table

    console.print(zoo_table())


def fetch_all(names: list[str], mirror: str | None, console: Console) -> None:
    """Fetches one after another; one that fails does not keep the others back."""
    from raytrain.pretrained.fetch import fetch
    from raytrain.pretrained.zoo import find_entry

    entries = [find_entry(name) for name in names]
    problems = []
    for entry in entries:
        try:
            directory = fetch(entry, console, mirror)
        except InputError as error:
            problems.append(str(error))
            continue
        console.print(f"{entry.name}: {directory}", highlight=False, markup=False, soft_wrap=True)
    if problems:
        raise CheckpointError(f"{len(problems)} of {len(entries)} cannot be fetched", problems)


def show(checkpoint: str, console: Console, named: Named) -> None:
    """Prints what a checkpoint holds and whether it can be loaded."""
    from raytrain.pretrained.fetch import find_fetched, locate_checkpoint
    from raytrain.pretrained.zoo import ZOO

    is_name = checkpoint in ZOO and not Path(checkpoint).exists()
    if is_name and find_fetched(ZOO[checkpoint]) is None:
        advice = [f"fetch it first: {named('checkpoints')} fetch {checkpoint}"]
        raise CheckpointError(f"{checkpoint} is not here", advice)
    directory = locate_checkpoint(checkpoint, console)
    from raytrain.devices import set_up_tensorflow
    from raytrain.pretrained.report import report_checkpoint

    set_up_tensorflow(os.cpu_count() or 1, None, "float32")  # a card may be training something
    if not report_checkpoint(directory, console):
        raise CheckpointError(f"{checkpoint} cannot be loaded", ["what is wrong is listed above"])
