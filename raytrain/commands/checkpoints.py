"""Lists, fetches and shows the encoders that a run can start from by name."""

import argparse
import os
from typing import TYPE_CHECKING

from rich.console import Console

from raytrain.commands.shared import AS_PROGRAM, Named, describe, job_console
from raytrain.errors import CheckpointError, InputError

if TYPE_CHECKING:
    from raytrain.config.hub_address import HubAddress
    from raytrain.pretrained.zoo import ZooEntry

_MIRROR = (
    "a base URL, a directory or a URI such as s3://bucket/folder that holds the same archives; "
    "default: RAYTRAIN_MIRROR, else their publishers; of the Hugging Face hub, HF_ENDPOINT names another"
)

_LEAST_WIDTH = 100  # a name that is cut cannot be said back

EXAMPLES = """{checkpoints} list
{checkpoints} list --hub
{checkpoints} fetch albert_tiny_zh hf:hfl/rbt3
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
    listing = commands.add_parser("list", help="every name, what it is, and whether it is here")
    listing.add_argument(
        "--hub", action="store_true", help="of the Hugging Face hub the common ones of kinds that are read"
    )
    fetching = commands.add_parser("fetch", help="download, verify and unpack")
    fetching.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help="one of list or of list --hub, or hf:ORGANISATION/NAME[@REVISION]",
    )
    fetching.add_argument("--mirror", metavar="URL", help=_MIRROR)
    showing = commands.add_parser("show", help="config, variables and what is missing")
    showing.add_argument(
        "checkpoint", metavar="NAME-or-DIR", help="a name or hf:… that is here, a directory, an archive"
    )
    options = parser.parse_args(arguments)
    console = job_console()
    if options.command == "list":
        list_names(console, options.hub)
    elif options.command == "fetch":
        fetch_all(options.names, options.mirror, console)
    else:
        show(options.checkpoint, console, named)


def list_names(console: Console, of_hub: bool) -> None:
    """Prints the table of all names, of our own or of the hub's."""
    from raytrain.pretrained.fetch import hub_table, zoo_table

    table = hub_table() if of_hub else zoo_table()
    console.print(table, width=max(console.width, _LEAST_WIDTH), crop=False)


def fetch_all(names: list[str], mirror: str | None, console: Console) -> None:
    """Fetches one after another; one that fails does not keep the others back."""
    from raytrain.pretrained.fetch import fetch
    from raytrain.pretrained.hub import fetch_hub
    from raytrain.pretrained.zoo import ZooEntry

    entries = {name: _find(name) for name in names}
    of_hub = [name for name, entry in entries.items() if not isinstance(entry, ZooEntry)]
    if mirror is not None and of_hub:
        advice = "HF_ENDPOINT names another hub to fetch them from"
        raise CheckpointError(f"--mirror has no {', '.join(of_hub)}: these are of the hub", [advice])
    problems = []
    for name, entry in entries.items():
        try:
            if isinstance(entry, ZooEntry):
                directory = fetch(entry, console, mirror)
            else:
                directory = fetch_hub(entry, console, asks_again=True)
        except InputError as error:
            problems.append(str(error))
            continue
        console.print(f"{name}: {directory}", highlight=False, markup=False, soft_wrap=True)
    if problems:
        raise CheckpointError(f"{len(problems)} of {len(entries)} cannot be fetched", problems)


def _find(name: str) -> "ZooEntry | HubAddress":
    """What a name stands for. Raises CheckpointError where it is none."""
    from raytrain.config.hub_address import is_hub_address
    from raytrain.pretrained.hub import read_hub_address
    from raytrain.pretrained.zoo import ZooEntry, find_entry

    if is_hub_address(name):
        return read_hub_address(name)
    entry = find_entry(name)
    return entry if isinstance(entry, ZooEntry) else entry.address


def show(checkpoint: str, console: Console, named: Named) -> None:
    """Prints what a checkpoint holds and whether it can be loaded."""
    from raytrain.pretrained.fetch import is_fetched, locate_checkpoint

    if not is_fetched(checkpoint):
        advice = [f"fetch it first: {named('checkpoints')} fetch {checkpoint}"]
        raise CheckpointError(f"{checkpoint} is not here", advice)
    directory = locate_checkpoint(checkpoint, console, key="")
    from raytrain.devices import hushed_stderr, set_up_tensorflow

    with hushed_stderr():
        from raytrain.pretrained.report import report_checkpoint

        set_up_tensorflow(os.cpu_count() or 1, None, "float32")  # a card may be training something
    if not report_checkpoint(directory, console):
        raise CheckpointError(f"{checkpoint} cannot be loaded", ["what is wrong is listed above"])
