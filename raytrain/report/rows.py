"""What is known of the rows themselves: suspects, near-duplicates, and what was dropped."""

import csv
import io
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

from raytrain.files.detection import detect_encoding
from raytrain.files.spreadsheets import restore_cell
from raytrain.messages import counted
from raytrain.report.facts import Facts
from raytrain.report.markup import Child, Markup, element, paragraph, table, told
from raytrain.splits.duplicates import treatment

SUSPECTS = "suspects.csv"
MOST_SUSPECTS, MOST_COLUMNS, MOST_CHARACTERS = 10, 10, 200
_SUSPECTED = "Labels that may be wrong"
UNSHOWN = ("proba_label", "neighbours", "new_label")  # for whoever works in the file


def rows_section(facts: Facts) -> Markup | None:
    """Suspects, near-duplicates and dropped rows; None where there is nothing to say."""
    parts = [*_suspects(facts), *_duplicates(facts), *_dropped(facts)]
    return element("section", element("h2", "Rows to look at"), parts, id="rows") if parts else None


def read_suspects(data: bytes) -> tuple[list[str], list[list[str]]]:
    """The header and the first rows of a CSV file; what it holds is text, whatever it looks like.

    Raises:
        UnicodeError: It cannot be told how its characters are encoded.
        csv.Error: It is none.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / SUSPECTS
        path.write_bytes(data)
        encoding = detect_encoding(path, [])
    if encoding is None:
        raise UnicodeError("expected text whose encoding can be told")
    text = data.decode(encoding, errors="replace")
    lines = csv.reader(io.StringIO(text, newline=""))
    header = next(lines, [])[:MOST_COLUMNS]
    width = len(header)
    rows = [(row + [""] * width)[:width] for row in itertools.islice(lines, MOST_SUSPECTS) if row]
    return header, rows


def _suspects(facts: Facts) -> list[Markup]:
    if not facts.run.exists(SUSPECTS):
        return []
    try:
        header, rows = read_suspects(facts.run.read_bytes(SUSPECTS))
    except csv.Error:  # a person may have written anything into it
        return []
    except UnicodeError:
        told_why = f"{SUSPECTS} is not shown: it cannot be told how it is encoded; save it as UTF-8."
        return [element("h3", _SUSPECTED), paragraph(told_why, class_="note")]
    places = [place for place, name in enumerate(header) if name not in UNSHOWN]
    if not rows or not places:
        return []
    shown: list[Sequence[Child]] = [
        [told(restore_cell(row[place]), MOST_CHARACTERS) for place in places] for row in rows
    ]
    return [
        element("h3", _SUSPECTED),
        paragraph(f"The first rows of {SUSPECTS} in the run's directory.", class_="note"),
        table([told(header[place], 40) for place in places], shown, "suspects", "texts"),
    ]


def _duplicates(facts: Facts) -> list[Markup]:
    found = facts.summary.get("duplicates")
    if not found or not found.get("rows"):
        return []
    policy = found["policy"]
    line = (
        f"{found['rows']:,} rows are near-duplicates of others, in {counted(found['groups'], 'group')}; "
        f"{treatment(policy, facts.config.folds.time is not None)} (folds.duplicates={policy})."
    )
    mixed = found.get("groups_of_several_labels")
    if mixed:
        line += f" Of {counted(mixed, 'group')} the texts are nearly the same, and the labels are not."
    return [element("h3", "Near-duplicates"), paragraph(line)]


def _dropped(facts: Facts) -> list[Markup]:
    dropped = facts.corpus.get("dropped") or {}
    if not dropped:
        return []
    kinds = [[told(kind.replace("_", " ")), f"{count:,}"] for kind, count in dropped.items()]
    return [element("h3", "Dropped"), table(["kind", "rows"], kinds, "dropped rows", "numbers")]
