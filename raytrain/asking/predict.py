"""Predicts a file with an ensemble artifact."""

import argparse
import itertools

from raytrain.commands.shared import (
    AS_PROGRAM,
    Named,
    add_reading,
    asked_reading,
    check_least,
    describe,
    tell_reading,
)
from raytrain.messages import counted

EXAMPLES = """{predict} --ensemble runs/mine/ensemble --input posts.csv --output predictions.csv
{predict} --cluster --ensemble runs/mine/ensemble --input posts --output predictions"""
WHEN_INTERRUPTED = "of a file nothing was written; with --cluster the same command goes on"
OF_CLUSTER = {"replicas": None, "cpus": 1.0, "gpus": 0.0, "format": None}


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
    _add_cluster(parser)
    add_reading(parser)
    options = parser.parse_args(arguments)
    check_least(parser, options, batch_size=1)
    if options.reject is not None and not 0 < options.reject <= 1:
        parser.error(f"--reject: expected a probability above 0 and up to 1, found {options.reject}")
    _check_cluster(parser, options)
    (predict_on_cluster if options.cluster else predict)(options)


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("on the cluster, by Ray Data").add_argument
    add(
        "--cluster",
        action="store_true",
        help="--input is a file or a directory of files, --output a directory, each local or a URI; the same "
        "command again goes on where it was",
    )
    add("--replicas", type=int, metavar="N", help="processes that predict; default: as many as have room")
    add("--cpus", type=float, metavar="X", help="CPUs of each (1)")
    add("--gpus", type=float, metavar="F", help="GPUs of each, or a share of one (0)")
    add("--format", choices=("csv", "jsonl", "parquet", "bio"), help="default: parquet, of a tagger jsonl")


def _check_cluster(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Ends with a usage error where flags do not fit; fills in what was left open."""
    for name, default in OF_CLUSTER.items():
        given = getattr(options, name)
        if given is None:
            setattr(options, name, default)
        elif not options.cluster:
            parser.error(f"--{name}: of --cluster alone")
        elif name != "format" and not (given > 0 or (name == "gpus" and given == 0)):
            parser.error(f"--{name}: expected a number above 0, found {given:g}")
    if options.cluster and options.batch_size is not None:
        parser.error("--batch-size: not with --cluster, which takes as many as suit the device")


def predict(options: argparse.Namespace) -> None:
    """Runs the prediction, and tells how far it is."""
    from rich.console import Console

    from raytrain.ensemble.files import predict_file, tell
    from raytrain.stages import Stages

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
    first = next(predicted)  # nothing slow has happened yet
    tell_reading(options.input, first.told)
    with Stages(Console(stderr=True)).stage("predicting", unit="rows") as stage:
        rows = tell(itertools.chain([first], predicted), stage)
    note = f", {rows.num_empty:,} of them with an empty text" if rows.num_empty else ""
    if options.reject is not None:
        note += f"; left to a person: {rows.num_rejected:,}"
    print(f"{options.output}: {counted(rows.total, 'row')}{note}")


def predict_on_cluster(options: argparse.Namespace) -> None:
    """Predicts by Ray Data, and tells how far it is."""
    from rich.console import Console

    from raytrain.bulk.predict import predict_files
    from raytrain.stages import Stages

    done = predict_files(
        *(options.ensemble, options.input, options.output, options.format),
        *(options.column or None, options.id, options.reject, asked_reading(options)),
        *(options.replicas, options.cpus, options.gpus),
        stages=Stages(Console(stderr=True)),
    )
    kept = f", {done.kept:,} of them before" if done.kept else ""
    now = f" of {done.rows_now:,} predicted now" if done.rows_now != done.rows else ""
    kept += f"; {done.num_empty:,} rows{now} with an empty text" if done.num_empty else ""
    note = f"; left to a person: {done.num_rejected:,}{now}" if options.reject is not None else ""
    rows, files = counted(done.rows, "row"), counted(done.files + done.kept, "file")
    print(f"{options.output}: {rows} of {files}{kept}{note}")
    for line in done.told:
        print(line)
