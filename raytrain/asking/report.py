"""Writes the page that tells what a run found, anew."""

import argparse

from raytrain.commands.shared import AS_PROGRAM, Named, describe, job_console

EXAMPLES = """{report} runs/mine
{report} runs/mine --slice source --worst 50 --output mine.html"""
WHEN_INTERRUPTED = "nothing was written"
WORST = 20


def main(arguments: list[str] | None = None, named: Named = AS_PROGRAM) -> None:
    """Parses, writes, and says where it lies."""
    parser = argparse.ArgumentParser(
        prog=named("report"),
        description=describe(__doc__, EXAMPLES, named),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="a run's directory, or its URI")
    add("--output", metavar="FILE", help="default: report.html in the run's directory")
    add("--worst", type=int, default=WORST, metavar="N", help=f"mistakes to show ({WORST})")
    add(
        "--slice",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column of the corpus's file whose values are scored apart; several times for several",
    )
    add("--no-words", action="store_true", help="do not ask the ensemble which words moved it")
    options = parser.parse_args(arguments)
    tell(options)


def tell(options: argparse.Namespace) -> None:
    """Makes the report, and tells how far it is."""
    from rich.console import Console

    from raytrain.report.page import write_report

    place = write_report(
        options.run,
        options.output,
        options.worst,
        not options.no_words,
        options.slice,
        Console(stderr=True),
    )
    job_console().print(f"report: {place}", highlight=False, markup=False, soft_wrap=True)
