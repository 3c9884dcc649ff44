"""Teaches one small model what a finished run's ensemble says of its rows, and of texts without labels."""

from raytrain.commands.refit import run_parser
from raytrain.commands.shared import (
    AS_PROGRAM,
    Named,
    add_reading,
    asked_reading,
    describe,
    job_console,
    tell_artifact,
)

EXAMPLES = """{distill} runs/mine
{distill} runs/mine --texts unlabelled.csv --column content
{distill} runs/mine --output models/small distill.temperature=4 distill.hard=0 train.epochs=10
{predict} --ensemble runs/mine/distilled --input posts.csv --output predictions.csv"""
WHEN_INTERRUPTED = "its last checkpoint is kept: run the same command again to go on"


def main(arguments: list[str] | None = None, named: Named = AS_PROGRAM) -> None:
    """Parses, trains, and says where the artifact lies."""
    parser = run_parser(describe(__doc__, EXAMPLES, named), named("distill"), "distilled")
    parser.add_argument(
        "--texts", metavar="FILE", help="texts without labels, of which the ensemble's word is learned, too"
    )
    parser.add_argument(
        "--column",
        action="append",
        metavar="NAME",
        help="their text column (twice for a pair); default: as trained",
    )
    add_reading(parser)
    options = parser.parse_intermixed_args(arguments)
    is_read_so = options.column or options.encoding or options.columns or options.quoting != "auto"
    if options.texts is None and is_read_so:
        parser.error("--column, --encoding, --quoting, --columns: of the file of --texts; name it")
    console = job_console()
    from raytrain.refit.distill import distill_run

    reading = asked_reading(options)
    run, texts, columns = options.run, options.texts, options.column
    student = distill_run(run, texts, columns, options.output, options.overrides, console, reading)
    tell_artifact("artifact", student.artifact, student.task, console, named)
