"""Matches each query with the best of the candidates: questions with answers, a text with its like."""

import argparse
import typing
from dataclasses import dataclass
from typing import Any

from raytrain.commands.shared import (
    AS_PROGRAM,
    Named,
    add_reading,
    asked_reading,
    check_least,
    check_output,
    describe,
    job_console,
    tell_reading,
)
from raytrain.matching.settings import DEPTH, RERANK, TOP
from raytrain.messages import counted
from raytrain.vectors.settings import LEAST_TOKENS, MAXLEN

if typing.TYPE_CHECKING:
    from raytrain.config.sections import CheckpointConfig
    from raytrain.ensemble.artifact import Ensemble
    from raytrain.matching.fused import Search
    from raytrain.matching.judge import Judge
    from raytrain.matching.texts import Texts
    from raytrain.stages import Stages

EXAMPLES = """{match} --query posts.csv --candidates answers.csv --candidate-id id --output matches.csv
{match} --query posts.csv --candidates answers.csv --encoder mini --output matches.csv
{match} --query posts.csv --candidates answers.csv --ensemble runs/pairs/ensemble --output matches.csv"""
WHEN_INTERRUPTED = "nothing was written"
FIRST = ("vectors", "words", "both")
OUTPUTS = (".csv", ".jsonl", ".parquet")
# Of vectors alone, and what they are where nothing is said.
OF_VECTORS: dict[str, Any] = {"encoder": "mini", "maxlen": MAXLEN, "whiten": True}


def main(arguments: list[str] | None = None, named: Named = AS_PROGRAM) -> None:
    """Parses, matches, and says what was written."""
    parser = _parser(named)
    options = parser.parse_args(arguments)
    check_output(parser, options.output, *OUTPUTS, inputs=(options.query, options.candidates))
    check_least(parser, options, top=1, rerank=1, maxlen=LEAST_TOKENS, batch_size=1)
    options.first = options.first or ("words" if options.encoder is None else "both")
    for name, default in OF_VECTORS.items():
        if options.first == "words" and getattr(options, name) is not None:
            parser.error(f"--{name}: of vectors; add --first both, or vectors")
        setattr(options, name, default if getattr(options, name) is None else getattr(options, name))
    if options.truth is not None and options.candidate_id is None:
        parser.error("--truth: name the column of the candidates' ids, too: --candidate-id")
    if options.label is not None and options.ensemble is None:
        parser.error("--label: of an ensemble; give --ensemble too")
    if options.ensemble is not None and options.rerank < options.top:
        parser.error(f"--rerank: expected at least --top, {options.top}; found {options.rerank}")
    counts_fused = options.truth is not None and options.ensemble is None and options.first == "both"
    # More would be fused to be counted than to be written, and other matches written than without.
    if counts_fused and options.rerank > (most := max(options.top, DEPTH)):
        told = f"--rerank: expected at most {most} ranks, which are fused; found {options.rerank}"
        parser.error(f"{told}; add --ensemble, which judges them, or --top {options.rerank}")
    match(options)


def _parser(named: Named) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=named("match"),
        description=describe(__doc__, EXAMPLES, named),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, switch = parser.add_argument, argparse.BooleanOptionalAction
    add("--query", required=True, metavar="FILE", help=".csv .tsv .jsonl .parquet .txt, also compressed")
    add("--candidates", required=True, metavar="FILE", help="of the same formats: what is matched with")
    add("--output", required=True, metavar="FILE", help=".csv .jsonl .parquet: a row a match, best first")
    add(
        "--top", type=int, default=TOP, metavar="N", help=f"candidates of each query that are written ({TOP})"
    )
    add("--first", choices=FIRST, help="what finds them; default: words, both with --encoder")
    add("--encoder", metavar="NAME", help="of the vectors, as encoder.checkpoint; default: mini")
    add("--ensemble", metavar="DIR", help="a classifier of pairs, query first, which orders what was found")
    add(
        "--rerank",
        type=int,
        default=RERANK,
        metavar="N",
        help=f"candidates of each query that it judges ({RERANK})",
    )
    add("--label", metavar="L", help="of the ensemble: says that two texts match; default: 1, true, yes, 是")
    add("--column", default="text", metavar="NAME", help="text column of the queries; default: text")
    add("--candidate-column", default="text", metavar="NAME", help="of the candidates; default: text")
    add("--id", metavar="NAME", help="id column of the queries; default: the row number")
    add("--candidate-id", metavar="NAME", help="of the candidates; default: the row number")
    add("--truth", metavar="NAME", help="column of the queries with the right candidate's id: tells how good")
    add("--whiten", action=switch, default=None, help="whiten vectors by all of both files; default: yes")
    add("--maxlen", type=int, metavar="N", help=f"most tokens of a text that vectors are made of ({MAXLEN})")
    add("--batch-size", type=int, metavar="N", help="texts per pass; default: as many as suit the device")
    add_reading(parser)
    return parser


def match(options: argparse.Namespace) -> None:
    """Matches, and tells how far it is."""
    from rich.console import Console

    from raytrain.files.told import reading_lines
    from raytrain.matching.fused import FirstStage
    from raytrain.matching.measures import Measures
    from raytrain.matching.run import write_matches
    from raytrain.stages import Stages

    stages = Stages(Console(stderr=True))
    given = _checked(options)
    for path in (options.query, options.candidates):
        tell_reading(path, reading_lines(path, asked_reading(options)))
    queries, candidates = given.queries, given.candidates
    first = FirstStage(_searches(options, given, stages))
    judge = _judge(options, given)
    measures = None if options.truth is None else Measures(queries, candidates)
    depth = options.top if judge is None and measures is None else max(options.top, options.rerank)
    with stages.stage("matching", len(queries.texts), "queries") as stage:
        found = (queries, candidates, first, judge, options.top, depth, measures)
        for done in write_matches(options.output, *found):
            stage.advance(done - stage.done)
    told = counted(len(queries.texts), "query"), counted(len(candidates.texts), "candidate")
    print(f"{options.output}: {', '.join(told)}")
    for path, texts in ((options.query, queries), (options.candidates, candidates)):
        if texts.num_empty:
            print(f"{path}: {counted(len(texts.texts), 'text')}, {texts.num_empty:,} of them empty")
    if measures is not None:
        job_console().print(measures.table((options.top, options.rerank)))


@dataclass(frozen=True)
class _Given:
    """What the options name, looked at and found to be well."""

    queries: "Texts"
    candidates: "Texts"
    checkpoint: "CheckpointConfig | None"
    ensemble: "Ensemble | None"
    label: int


def _checked(options: argparse.Namespace) -> _Given:
    """Reads and checks all that is cheap to check. Raises InputError with every problem."""
    from raytrain.ensemble.artifact import load_ensemble
    from raytrain.matching.judge import check_pairs, match_label
    from raytrain.matching.texts import Problems, check_truth, read_texts

    problems, reading = Problems(), asked_reading(options)
    queries = candidates = checkpoint = ensemble = None
    label = 0
    with problems.of():
        queries = read_texts(options.query, options.column, options.id, options.truth, reading)
    with problems.of():
        candidates = read_texts(
            options.candidates, options.candidate_column, options.candidate_id, None, reading
        )
    if queries is not None and candidates is not None and options.truth is not None:
        with problems.of():
            check_truth(queries, candidates, options.query, options.truth)
    if options.first != "words":
        with problems.of("--encoder"):
            checkpoint = _checkpoint(options)
    if options.ensemble is not None:
        with problems.of("--ensemble"):
            ensemble = load_ensemble(options.ensemble)
            check_pairs(ensemble, options.ensemble)
            label = match_label(ensemble.labels, options.label)
    problems.refuse("nothing can be matched")
    assert queries is not None and candidates is not None  # else there were problems
    return _Given(queries, candidates, checkpoint, ensemble, label)


def _checkpoint(options: argparse.Namespace) -> "CheckpointConfig":
    from raytrain.pretrained.start import check_start
    from raytrain.vectors.load import named_checkpoint

    checkpoint = named_checkpoint(options.encoder, options.maxlen)
    check_start(checkpoint, key="")
    return checkpoint


def _searches(options: argparse.Namespace, given: _Given, stages: "Stages") -> "dict[str, Search]":
    """The searches of the first stage; vectors are made here."""
    from raytrain.matching.run import open_searches

    embed = None
    if given.checkpoint is not None:
        from raytrain.pretrained.start import find_start
        from raytrain.vectors.load import build_encoder

        encoder = find_start(given.checkpoint, lambda: [], stages.console, key="")
        embed = build_encoder(encoder, options.maxlen, batch_size=options.batch_size).embed
    queries, candidates = given.queries.texts, given.candidates.texts
    return open_searches(queries, candidates, embed, options.first != "vectors", options.whiten, stages)


def _judge(options: argparse.Namespace, given: _Given) -> "Judge | None":
    if given.ensemble is None:
        return None
    from raytrain.devices import hushed_stderr, predict_side_by_side
    from raytrain.ensemble.load import build_predictor
    from raytrain.matching.judge import Judge

    with hushed_stderr():
        if given.ensemble.has_networks:
            predict_side_by_side()
        predictor: Any = build_predictor(given.ensemble, options.batch_size)
    return Judge(lambda *pairs: predictor.predict_proba(*pairs)[:, given.label], given.candidates.texts)
