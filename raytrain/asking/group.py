"""Finds groups of texts without labels, and tells what each is about."""

import argparse
import typing
from pathlib import Path

from raytrain.asking.embed import add_source, check_source, open_source
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
from raytrain.errors import InputError
from raytrain.groups.settings import GroupSettings, Method
from raytrain.messages import counted
from raytrain.storage.files import is_same_file

if typing.TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from raytrain.groups.driver import Grouped

EXAMPLES = """{group} --encoder mini --input posts.csv --output groups.csv
{group} --ensemble runs/mine/ensemble --groups 12 --input posts.csv --output groups.csv"""
WHEN_INTERRUPTED = "nothing was written"


def main(arguments: list[str] | None = None, named: Named = AS_PROGRAM) -> None:
    """Parses, finds the groups, and says what was written."""
    parser = _parser(named)
    options = parser.parse_args(arguments)
    check_output(parser, options.output, ".csv", inputs=[options.input])
    check_source(parser, options)
    check_least(parser, options, groups=2, least_size=2)
    if options.groups is not None and options.method == "hdbscan":
        parser.error("--groups: hdbscan finds how many there are; say --least-size, or take kmeans")
    if options.least_size is not None and options.method == "kmeans":
        parser.error("--least-size: of --method hdbscan alone")
    group(options)


def _parser(named: Named) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=named("group"),
        description=describe(__doc__, EXAMPLES, named),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add_source(parser)
    add("--input", required=True, metavar="FILE", help=".csv .tsv .jsonl .parquet .txt, also compressed")
    add(
        "--output",
        required=True,
        metavar="FILE.csv",
        help="a row a text; beside it a table, a page, a picture",
    )
    add("--column", metavar="NAME", default="text", help="text column; default: text")
    add("--id", metavar="NAME", help="id column; default: the row number")
    add(
        "--method",
        choices=typing.get_args(Method),
        default="kmeans",
        help="hdbscan leaves texts outside dense places out",
    )
    add("--groups", type=int, metavar="N", help="of kmeans; default: what halves of the texts agree on most")
    add(
        "--least-size", type=int, metavar="N", help="of hdbscan: texts of a group; default: n/200, 5 at least"
    )
    add("--no-words", action="store_true", help="group by the vectors alone, not by the texts' words, too")
    add("--seed", type=int, default=0, metavar="N", help="of what is drawn (0)")
    add_reading(parser)
    return parser


def group(options: argparse.Namespace) -> None:
    """Finds the groups, and tells how far it is."""
    from rich.console import Console

    from raytrain.corpus.unlabelled import count_texts, iter_texts
    from raytrain.files.told import reading_lines
    from raytrain.groups.driver import group_texts
    from raytrain.groups.files import table_path, write_groups
    from raytrain.groups.picture import choose_points, lay_out
    from raytrain.stages import Stages

    stages, reading = Stages(Console(stderr=True)), asked_reading(options)
    if is_same_file(table_path(options.output), options.input):
        raise InputError(f"{options.input} would be replaced by the table of groups; give another --output")
    count_texts(options.input, [options.column], options.id, reading)
    tell_reading(options.input, reading_lines(options.input, reading))
    model = open_source(options, stages)
    tables = list(iter_texts(options.input, [options.column], options.id, reading=reading))
    ids = [id for table in tables for id in table["id"].to_pylist()]
    texts = [text for table in tables for text in table["text"].to_pylist()]
    settings = GroupSettings(
        options.method,
        options.groups,
        options.least_size,
        words=not options.no_words,
        whiten=options.ensemble is None,
        seed=options.seed,
    )
    grouped = group_texts(texts, model.embed, settings, stages)
    with stages.stage("laying out"):  # all that is slow comes before anything is written
        rows = choose_points(grouped.found.groups, grouped.groups, options.seed)
        places = lay_out(grouped.vectors[rows], options.seed)
    write_groups(options.output, ids, texts, grouped.found, grouped.groups)
    notes = _draw(options, texts, grouped, rows, places)
    for line in _told(grouped):
        print(line)
    page = Path(options.output).with_suffix(".html")
    table = table_path(options.output)
    told, groups = counted(len(texts), "text"), counted(len(grouped.groups), "group")
    print(f"{options.output}: {told}; {table}, {page}: {groups}")
    for line in notes:
        print(line)


def _draw(
    options: argparse.Namespace,
    texts: "Sequence[str]",
    grouped: "Grouped",
    rows: "np.ndarray",
    places: "np.ndarray",
) -> list[str]:
    """Writes the page and the picture. Returns why there is no picture, if there is none."""
    from raytrain.groups.page import write_page
    from raytrain.groups.picture import draw_groups

    output, found = Path(options.output), grouped.found
    page, picture = output.with_suffix(".html"), output.with_suffix(".png")
    write_page(page, Path(options.input).name, texts, found, grouped.groups, rows, places)
    note = draw_groups(places, found.groups[rows], grouped.groups, picture)
    return [f"no {picture}: {note}"] if note else []


def _told(grouped: "Grouped") -> list[str]:
    """A line for each group, and how their number was found."""
    lines = [f"{group.size:>8,}  {' '.join(group.words)}" for group in grouped.groups]
    outside = int((grouped.found.groups < 0).sum())
    lines += [f"{outside:>8,}  in no group"] * bool(outside)
    stability = grouped.found.stability
    if stability:
        tried = ", ".join(f"{number}: {value:.2f}" for number, value in stability.items())
        lines.append(f"how far two halves of the texts agree, by the number of groups: {tried}")
    return lines
