"""Writes an ensemble so that programs without raytrain predict with it: ONNX, a SavedModel, or weights."""

import argparse

from raytrain.commands.shared import AS_PROGRAM, Named, add_reading, asked_reading, describe
from raytrain.exporting.settings import FORMATS, CheckFile, ExportSettings

EXAMPLES = """{export} --ensemble runs/mine/ensemble --format onnx --output exported
{export} --ensemble runs/mine/ensemble --format onnx --int8 --check labelled.csv --output exported
{export} --ensemble runs/mine/ensemble --format savedmodel --only textcnn --output exported"""
WHEN_INTERRUPTED = "nothing was written"


def main(arguments: list[str] | None = None, named: Named = AS_PROGRAM) -> None:
    """Parses, exports, and says what was written and how it compares with predict."""
    parser = _parser(named)
    options = parser.parse_args(arguments)
    for name in ("column", "label", "encoding", "columns", "quoting"):
        if getattr(options, name) != parser.get_default(name) and options.check is None:
            parser.error(f"--{name}: of --check alone")
    export(options)


def _parser(named: Named) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=named("export"),
        description=describe(__doc__, EXAMPLES, named),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--ensemble", required=True, metavar="DIR", help="a classifier's ensemble directory, or its URI")
    add("--format", required=True, choices=FORMATS, help="onnx needs the extra: raytrain[export]")
    add("--output", required=True, metavar="DIR", help="a new folder")
    add("--int8", action="store_true", help="of onnx: a model with matrices of eight bits, too")
    add("--only", action="append", metavar="NAME", help="an architecture to take, may recur; default: all")
    add("--check", metavar="FILE", help="labelled rows to compare with predict on; default: a few own texts")
    add("--column", action="append", metavar="NAME", help="its text column (twice for a pair); as trained")
    add("--label", metavar="NAME", help="its label column; default: as trained")
    add_reading(parser)
    return parser


def export(options: argparse.Namespace) -> None:
    """Exports, and tells how far it is."""
    from rich.console import Console

    from raytrain.exporting import driver
    from raytrain.exporting.check import check_table
    from raytrain.stages import Stages

    check = None
    if options.check is not None:
        check = CheckFile(options.check, options.column, options.label, asked_reading(options))
    settings = ExportSettings(options.format, options.int8, tuple(options.only or ()), check)
    exported = driver.export(options.ensemble, options.output, settings, Stages(Console(stderr=True)))
    print(f"{options.output}: {', '.join(exported.files)}")
    if exported.checks:
        print("\n".join(check_table(exported.checks)))
    for note in exported.notes:
        print(note)
