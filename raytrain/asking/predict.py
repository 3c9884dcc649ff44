"""Predicts a file with an ensemble artifact."""

import argparse

from raytrain.commands.shared import AS_PROGRAM, Named, add_reading, asked_reading, describe

EXAMPLES = """{predict} --ensemble runs/mine/ensemble --input posts.csv --output predictions.csv"""
WHEN_INTERRUPTED = "nothing was written"


def main(arguments: list[str] | None = None, named: Named = AS_PROGRAM) -> None:
    """Parses, predicts, and says what was written."""
    parser = argparse.ArgumentParser(
        prog=named("predict"),
        description=describe(__doc__, EXAMPLES, named),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--ensemble", required=True, metavar="DIR", help="a run's ensemble directory, or its URI"
    )
    parser.add_argument(
        "--input", required=True, metavar="FILE", help=".csv .tsv .jsonl .parquet .txt .bio, also compressed"
    )
    parser.add_argument(
        "--output", required=True, metavar="FILE", help=".csv .jsonl .parquet; spans: .jsonl .bio"
    )
    parser.add_argument(
        "--column",
        action="append",
        metavar="NAME",
        help="text column (twice for a pair); default: as trained",
    )
    parser.add_argument("--id", metavar="NAME", help="id column; default: as trained, else the row number")
    parser.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        help="texts per forward pass; default: as many as suit the device",
    )
    parser.add_argument(
        "--reject",
        type=float,
        metavar="P",
        help="leave rows to a person whose greatest probability is below P: their label stays empty",
    )
    add_reading(parser)
    options = parser.parse_args(arguments)
    if options.batch_size is not None and options.batch_size < 1:
        parser.error("--batch-size: expected at least 1")
    if options.reject is not None and not 0 < options.reject <= 1:
        parser.error(f"--reject: expected a probability above 0 and up to 1, found {options.reject}")
    predict(options)


def predict(options: argparse.Namespace) -> None:
    """Runs the prediction, and tells how far it is."""
    from rich.console import Console

    from raytrain.ensemble.files import predict_file, tell
    from raytrain.stages import Stages

    with Stages(Console(stderr=True)).stage("predicting", unit="rows") as stage:
        predicted = predict_file(
            options.ensemble,
            options.input,
            options.output,
            options.column,
            options.id,
            options.batch_size,
            options.reject,
            asked_reading(options),
        )
        rows = tell(predicted, stage)
    note = f", {rows.num_empty:,} of them with an empty text" if rows.num_empty else ""
    if options.reject is not None:
        note += f"; {rows.num_rejected:,} are left to a person"
    print(f"{options.output}: {rows.total:,} rows{note}")
    for line in rows.told:
        print(f"{options.input}: {line}")
