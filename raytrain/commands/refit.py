"""Trains one model of each architecture of a finished run on all its rows: one instead of ten."""

import argparse

from raytrain.commands.shared import AS_PROGRAM, Named, describe, job_console, tell_artifact

EXAMPLES = """{refit} runs/mine
{refit} runs/mine --output models/mine model.architecture=textcnn train.epochs=5
{predict} --ensemble runs/mine/refit --input posts.csv --output predictions.csv"""
WHEN_INTERRUPTED = "its last checkpoint is kept: run the same command again to go on"


def main(arguments: list[str] | None = None, named: Named = AS_PROGRAM) -> None:
    """Parses, trains, and says where the artifact lies."""
    parser = run_parser(describe(__doc__, EXAMPLES, named), named("refit"), "refit")
    options = parser.parse_intermixed_args(arguments)
    console = job_console()
    from raytrain.refit.driver import refit_run

    model = refit_run(options.run, options.output, options.overrides, console)
    tell_artifact("artifact", model.artifact, model.task, console, named)


def run_parser(description: str, program: str, folder: str) -> argparse.ArgumentParser:
    """A parser of `RUN [--output DIR] [key.path=value ...]`; by default the output lies in the run."""
    parser = argparse.ArgumentParser(
        prog=program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", metavar="RUN", help="a finished run's directory, or its URI")
    parser.add_argument(
        "--output", metavar="DIR", help=f"where the artifact is to lie; default: RUN/{folder}"
    )
    parser.add_argument("overrides", nargs="*", metavar="key.path=value", help="laid over the run's config")
    return parser
