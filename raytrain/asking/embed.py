"""Makes a vector of each text of a file, for search, clustering or one's own models."""

import argparse
import typing

from raytrain.commands.shared import (
    AS_PROGRAM,
    Named,
    add_reading,
    asked_reading,
    check_least,
    check_output,
    describe,
    tell_reading,
)
from raytrain.messages import counted
from raytrain.vectors.settings import LEAST_TOKENS, MAXLEN, NumberType, Pooling, VectorSettings

if typing.TYPE_CHECKING:
    from raytrain.stages import Stages
    from raytrain.vectors.load import MakesVectors

EXAMPLES = """{embed} --encoder mini --input posts.csv --output vectors.parquet
{embed} --ensemble runs/mine/ensemble --input posts.csv --output vectors.parquet
{embed} --encoder mini --whiten --size 128 --input posts.csv --output vectors.parquet"""
WHEN_INTERRUPTED = "nothing was written"


def main(arguments: list[str] | None = None, named: Named = AS_PROGRAM) -> None:
    """Parses, makes the vectors, and says what was written."""
    parser = _parser(named)
    options = parser.parse_args(arguments)
    check_output(parser, options.output, ".parquet", inputs=[options.input])
    if options.size is not None and not options.whiten:
        parser.error("--size: only whitened vectors can be shorter; add --whiten")
    check_least(parser, options, size=1)
    check_source(parser, options)
    embed(options)


def add_source(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of a command that say what makes its vectors."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--encoder", metavar="NAME", help="as encoder.checkpoint")
    source.add_argument("--ensemble", metavar="DIR", help="a classifier's: what its folds read of a text")
    add = parser.add_argument
    add("--pooling", choices=typing.get_args(Pooling), help="of an encoder's last layer (mean)")
    add("--maxlen", type=int, metavar="N", help=f"most tokens that an encoder reads of a text ({MAXLEN})")
    add("--windows", type=int, metavar="N", help="most windows of maxlen of a longer text (1)")
    add("--batch-size", type=int, metavar="N", help="texts per pass; default: as many as suit the device")


def check_source(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Ends with a usage error where numbers are too small, or say how an ensemble reads, which it knows."""
    check_least(parser, options, maxlen=LEAST_TOKENS, windows=1, batch_size=1)
    for name in ("pooling", "maxlen", "windows"):
        if options.ensemble is not None and getattr(options, name) is not None:
            parser.error(f"--{name}: an ensemble reads texts as it was trained; leave it out")


def open_source(options: argparse.Namespace, stages: "Stages") -> "MakesVectors":
    """What the flags of `add_source` name. Imports TensorFlow.

    Raises:
        ArtifactError: The ensemble cannot be used.
        CheckpointError: The encoder cannot be used.
        ConfigError: It cannot be named so.
    """
    from raytrain.pretrained.start import find_start
    from raytrain.vectors.load import build_encoder, load_vectors, named_checkpoint

    if options.ensemble is not None:
        return load_vectors(options.ensemble, options.batch_size)
    maxlen = options.maxlen or MAXLEN
    encoder = find_start(named_checkpoint(options.encoder, maxlen), lambda: [], stages.console, key="")
    windows = options.windows or 1
    return build_encoder(encoder, maxlen, options.pooling or "mean", windows, options.batch_size)


def _parser(named: Named) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=named("embed"),
        description=describe(__doc__, EXAMPLES, named),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add_source(parser)
    add("--input", required=True, metavar="FILE", help=".csv .tsv .jsonl .parquet .txt, also compressed")
    add("--output", required=True, metavar="FILE.parquet", help="id and vector of each text, in order")
    add("--column", action="append", metavar="NAME", help="text column (twice for a pair); default: text")
    add("--id", metavar="NAME", help="id column; default: the row number")
    add("--whiten", action="store_true", help="uncorrelated and of length 1, by all of the file's vectors")
    add("--size", type=int, metavar="N", help="of a whitened vector; default: every direction")
    add("--type", choices=typing.get_args(NumberType), default="float32", help="of the numbers stored")
    add_reading(parser)
    return parser


def embed(options: argparse.Namespace) -> None:
    """Makes the vectors, and tells how far it is."""
    from rich.console import Console

    from raytrain.corpus.unlabelled import count_texts
    from raytrain.files.told import reading_lines
    from raytrain.stages import Stages
    from raytrain.vectors.files import write_vectors

    columns, reading = options.column or ["text"], asked_reading(options)
    settings = VectorSettings(options.whiten, options.size, options.type)
    stages = Stages(Console(stderr=True))
    num_rows, num_empty = count_texts(options.input, columns, options.id, reading)
    tell_reading(options.input, reading_lines(options.input, reading))
    model = open_source(options, stages)
    with stages.stage("embedding", num_rows, "texts") as stage:
        given = (options.input, options.output, columns, options.id, settings, reading)
        for done in write_vectors(model.embed, *given):
            stage.advance(done - stage.done)
    note = f", {num_empty:,} of them with an empty text" if num_empty else ""
    print(f"{options.output}: {counted(num_rows, 'vector')}{note}")
