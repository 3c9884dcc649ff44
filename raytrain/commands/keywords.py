"""Finds the words that tell of each class and leaves them as a CSV file for a person to pick from."""

import argparse
import time
import typing
from pathlib import Path

from raytrain.commands.shared import (
    AS_PROGRAM,
    Named,
    add_reading,
    asked_reading,
    check_least,
    check_output,
    describe,
    job_console,
)
from raytrain.config.data import DropKind
from raytrain.messages import counted, shell_word

if typing.TYPE_CHECKING:
    from rich.console import Console

    from raytrain.keywords.candidates import Candidates

EXAMPLES = """{keywords} --input train.csv --output candidates.csv
{keywords} --input train.csv --input test.csv --output candidates.csv
{kfold} data.path=train.csv words.keywords=candidates.csv"""
WHEN_INTERRUPTED = "nothing was written"


def main(arguments: list[str] | None = None, named: Named = AS_PROGRAM) -> None:
    """Parses, counts, and says what was written."""
    parser = _parser(named)
    options = parser.parse_args(arguments)
    check_least(parser, options, min_count=1, workers=1)
    check_output(parser, options.output, ".csv", inputs=options.input)
    find_keywords(options)


def _parser(named: Named) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=named("keywords"),
        description=describe(__doc__, EXAMPLES, named),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--input",
        required=True,
        action="append",
        metavar="FILE",
        help="texts: .csv .tsv .jsonl .parquet .txt, also compressed; several count side by side",
    )
    add("--output", required=True, metavar="FILE.csv", help="marks in an earlier one are kept")
    add("--column", action="append", metavar="NAME", help="text column (twice for a pair); default: text")
    add("--label", metavar="NAME", help="label column; default: label, in the files that have one")
    add("--drop", action="append", default=[], choices=typing.get_args(DropKind), help="as data.drop")
    add("--merge-labels", action="store_true", help="as data.merge_labels")
    add_reading(parser)
    add("--user-dict", metavar="FILE", help="extra words for jieba, in its dictionary format")
    add("--pos", metavar="TAGS", help="only words of these parts of speech, by jieba's tags: n,v,ns (slow)")
    add("--min-count", type=int, default=2, metavar="N", help="leave out words of fewer texts (2)")
    add("--workers", type=int, metavar="N", help="processes at once; default: one per CPU")
    add("--picture", metavar="FILE", help=".png or .svg; default: beside the output, as .png")
    return parser


def find_keywords(options: argparse.Namespace) -> None:
    """Counts and tells how far it is, then writes, prints and draws."""
    from raytrain.keywords.marks import read_marks, write_candidates
    from raytrain.keywords.report import check_picture, draw_candidates, top_tables

    picture = options.picture or str(Path(options.output).with_suffix(".png"))
    check_picture(picture)
    read_marks(Path(options.output))  # what cannot be overwritten is told before anything is counted
    console = job_console()
    candidates = _count(options, console)
    marked = write_candidates(candidates, options.output)
    kept = f"; the marks of the earlier file at {counted(marked, 'word')} are kept" if marked else ""
    why_not = draw_candidates(candidates, picture)
    console.print("", *top_tables(candidates), "", sep="\n")
    _say(console, f"{options.output}: {counted(len(candidates.words), 'word')}{kept}")
    _say(
        console,
        f"{picture}: {f'not drawn: {why_not}' if why_not else 'the most telling words of each class'}",
    )
    if not candidates.words and options.min_count > 1:
        _say(console, f"no word is in {options.min_count} texts or more; --min-count 1 lists all")
    key = shell_word(f"words.keywords={options.output}")
    _say(console, f"mark words to keep (x in keep, a label in class); then {key}")


def _count(options: argparse.Namespace, console: "Console") -> "Candidates":
    from rich.console import Console

    from raytrain.errors import InputError
    from raytrain.keywords.candidates import find_candidates
    from raytrain.keywords.sources import agree_on_labels, open_source
    from raytrain.keywords.textrank import parse_tags
    from raytrain.stages import Stages
    from raytrain.text.dictionary import dictionary_lines, read_user_dict
    from raytrain.text.words import dictionary_notes

    tags = parse_tags(options.pos) if options.pos is not None else []
    user_dict = read_user_dict(options.user_dict, "--user-dict") if options.user_dict else None
    lines = dictionary_lines(options.user_dict, "--user-dict") if options.user_dict else []
    for note in (*lines, *dictionary_notes(user_dict, "--user-dict")):
        _say(console, note)
    columns, label = options.column or ["text"], options.label or "label"
    reading, merge = asked_reading(options), options.merge_labels
    sources = [open_source(path, columns, label, options.drop, reading, merge) for path in options.input]
    sources = agree_on_labels(sources, label, reading, merge)
    if options.label and not any(source.labels for source in sources):
        raise InputError(f"--label: expected a file with the column {label!r}, found none")
    for source in sources:
        labels = ", ".join(map(str, source.labels)) if source.labels else "none"
        _say(console, f"{source.path}: {counted(source.num_rows, 'text')}, labels: {labels}")
        for line in source.told:
            _say(console, f"  {line}")
    started, total = time.monotonic(), sum(source.num_rows for source in sources) * len(columns)
    with Stages(Console(stderr=True)).stage("counting", total, "texts") as stage:
        candidates = find_candidates(
            sources,
            user_dict,
            tags,
            options.min_count,
            options.workers,
            on_progress=lambda done: stage.advance(done - stage.done),
        )
    seconds = time.monotonic() - started
    _say(console, f"counted in {seconds:.1f} s, {total / max(seconds, 1e-9):,.0f} texts/s")
    return candidates


def _say(console: "Console", line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
