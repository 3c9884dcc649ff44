"""The page: its sections in order, and how it is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from raytrain.errors import ArtifactError, InputError
from raytrain.messages import counted, logging_console
from raytrain.report.calibration import calibration_section, decisions_section
from raytrain.report.curves import curves_section
from raytrain.report.facts import Facts, read_facts
from raytrain.report.markup import Child, Markup, element, told
from raytrain.report.mistakes import find_worst, mistakes_section
from raytrain.report.origins import config_section, cost_section, provenance_section
from raytrain.report.question import question_section
from raytrain.report.rows import rows_section
from raytrain.report.scores import scores_section
from raytrain.report.slices import slices_section
from raytrain.report.spans import read_tagged, spans_section, types_section
from raytrain.report.words import WordEffects, ask_ensemble
from raytrain.stages import Stages
from raytrain.storage.directory import Directory
from raytrain.storage.files import sha256, whole_or_not

REPORT = "report.html"  # in the run's directory
STYLE = Path(__file__).with_name("page.css")
WORST, MOST_WORST = 20, 500
# Nothing is fetched and nothing runs, whatever a text of the corpus says.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class ReportOptions:
    """What a report is to tell.

    Attributes:
        worst: Most mistakes that are shown.
        words: Whether to ask the ensemble which words moved it.
        slices: Columns of the corpus's file to slice by.
    """

    worst: int = WORST
    words: bool = True
    slices: tuple[str, ...] = ()


def build_page(facts: Facts, options: ReportOptions, stages: Stages) -> str:
    """The whole page as text."""
    sections = [question_section(facts), scores_section(facts), curves_section(facts)]
    sections += (
        _of_classifier(facts, options, stages) if facts.said is not None else _of_tagger(facts, options)
    )
    sections += [rows_section(facts), cost_section(facts), config_section(facts), provenance_section(facts)]
    title = f"{facts.config.name} – raytrain"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="raytrain-summary", content=_state(facts.run, options.words)),
        element("title", title),
        element("style", Markup(STYLE.read_text(encoding="utf-8"))),
    )
    body = element("body", _header(facts), element("main", [one for one in sections if one is not None]))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _state(run: Directory, words: bool) -> str:
    return f"{sha256(run.read_bytes('summary.json'))} {'full' if words else 'plain'}"


def is_told(run: str, words: bool) -> bool:
    """Whether the report that lies in a run tells its present summary, with words where they are wanted."""
    directory = Directory(run)
    if not (directory.exists(REPORT) and directory.exists("summary.json")):
        return False
    page = directory.read_bytes(REPORT)
    states = [_state(directory, kind) for kind in ((True,) if words else (True, False))]
    return any(f'name="raytrain-summary" content="{state}"'.encode() in page for state in states)


def _header(facts: Facts) -> Markup:
    config, summary = facts.config, facts.summary
    kind = "text classification" if config.task == "classify" else "spans in texts"
    folds = f"{config.folds.num_folds} folds" + (
        f" × {config.folds.repeats} repeats" if config.folds.repeats > 1 else ""
    )
    names = ", ".join(config.model.architectures)
    line: list[Child] = [
        f"{kind} · {names} · {folds} · {counted(summary['rows'], 'text')} of ",
        told(config.data.path),
    ]
    return element(
        "header",
        element("p", "raytrain report", class_="kicker"),
        element("h1", told(config.name)),
        element("p", line),
    )


def _of_classifier(facts: Facts, options: ReportOptions, stages: Stages) -> list[Markup | None]:
    assert facts.said is not None
    said, worst = facts.said, find_worst(facts.said, options.worst)
    effects: dict[int, WordEffects] | None = None
    if options.words and facts.texts is not None and len(worst):
        texts = [facts.texts[row] for row in said.rows[worst].tolist()]
        classes = said.predicted[worst].tolist()
        found = ask_ensemble(str(facts.run), texts, classes, stages)
        effects = dict(zip(worst.tolist(), found, strict=False))
    return [
        calibration_section(facts, said),
        decisions_section(facts, said),
        slices_section(facts, said, options.slices),
        mistakes_section(facts, said, worst, effects),
    ]


def _of_tagger(facts: Facts, options: ReportOptions) -> list[Markup | None]:
    texts = read_tagged(facts)
    return [types_section(facts, texts), spans_section(facts, texts, options.worst)]


def write_report(
    run: str,
    output: str | None = None,
    worst: int = WORST,
    words: bool = True,
    slices: Sequence[str] = (),
    console: Console | None = None,
) -> str:
    """Writes the report of a run that has ended; the file appears whole or not at all.

    Args:
        run: Its directory or URI.
        output: A file on this machine; None for `report.html` in the run's directory.
        worst: Most mistakes that are shown.
        words: Whether to ask the ensemble which words moved it.
        slices: Columns of the corpus's file to slice by.
        console: Where progress is told; None logs each line to the logger `raytrain`.

    Returns:
        Where it lies.

    Raises:
        ArtifactError: There is no run that has ended, or it is damaged.
        InputError: The output's folder does not exist, or a slice's column does not; or too many mistakes.

    Example:
        >>> import raytrain
        >>> raytrain.write_report("runs/mine", slices=["source"], worst=50)  # doctest: +SKIP
        'runs/mine/report.html'
    """
    if not 0 <= worst <= MOST_WORST:
        raise InputError(f"--worst: expected 0 to {MOST_WORST}, found {worst}")
    if output is not None and not Path(output).absolute().parent.is_dir():
        raise InputError(f"{output}: its folder does not exist; make it first")
    stages, directory = Stages(console or logging_console()), Directory(run)
    facts = read_facts(directory, stages)
    if slices and facts.said is None:
        raise InputError(f"--slice: expected none of a run of task=tag, found {', '.join(slices)}")
    try:
        page = build_page(facts, ReportOptions(worst, words, tuple(slices)), stages).encode()
    except (LookupError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{directory} is damaged: {error!r}; run the same command again to mend it"
        ) from error
    if output is None:
        directory.write_bytes(REPORT, page)
        return f"{directory}/{REPORT}"
    with whole_or_not(output) as unfinished:
        unfinished.write_bytes(page)
    return str(output)
