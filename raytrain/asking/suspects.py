"""Lists the texts of a finished run whose label is probably wrong, for a person to correct."""

import argparse
from pathlib import Path

from raytrain.commands.shared import AS_PROGRAM, Named, describe, job_console

EXAMPLES = """{suspects} runs/mine
{suspects} runs/mine --output suspects.csv --most 200
{kfold} --config my.yaml name=mine-2 data.labels=suspects.csv"""
WHEN_INTERRUPTED = "nothing was written"


def main(arguments: list[str] | None = None, named: Named = AS_PROGRAM) -> None:
    """Parses, looks, and says what was written."""
    parser = argparse.ArgumentParser(
        prog=named("suspects"),
        description=describe(__doc__, EXAMPLES, named),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help="a finished run's directory, or its URI")
    parser.add_argument("--output", metavar="FILE.csv", help="default: suspects.csv in the run's directory")
    parser.add_argument(
        "--most", type=int, default=1000, metavar="N", help="list the first N (1000); 0: all that there are"
    )
    options = parser.parse_args(arguments)
    if options.most < 0:
        parser.error("--most: expected 0 or more")
    if options.output is not None and Path(options.output).suffix != ".csv":
        parser.error(f"--output: expected a name that ends in .csv, found {options.output}")
    tell(options.run, options.output, options.most or None)


def tell(run: str, output: str | None, most: int | None) -> None:
    """Lists them, and says how many and where."""
    from raytrain.crossval.suspects import SUSPECTS_FILE, correction_advice, list_suspects

    console = job_console()
    table = list_suspects(run, output, most, console)
    file = output or f"{run.rstrip('/')}/{SUSPECTS_FILE}"
    line = f"{file}: {table.num_rows:,} labels that look wrong; {correction_advice(file)}"
    console.print(line, highlight=False, markup=False, soft_wrap=True)
