"""candidates.csv: written for a person to mark, and written anew without losing the marks."""

import csv
from pathlib import Path
from typing import Any

from raytrain.corpus.encodings import Problem
from raytrain.corpus.tables import iter_rows
from raytrain.errors import CorpusError
from raytrain.keywords.candidates import Candidates
from raytrain.keywords.marks import CLASS, KEEP, WORD


def write_candidates(candidates: Candidates, path: str | Path) -> int:
    """Writes candidates.csv with empty columns `keep` and `class`; marks that are there already stay.

    The columns before them: the word; the texts of which it is a keyword, and that hold it at all; the
    former per class, and where there are several files per file; how strongly it tells of the class of
    which it tells most, and which that is.

    Returns:
        How many words were marked before. A marked word that is no candidate any more goes to the end.

    Raises:
        CorpusError: There is a file of that name that is none of ours.
    """
    target = Path(path)
    marks = read_marks(target)
    unfinished = target.with_name(f".{target.name}.unfinished")
    # With its byte order mark, spreadsheets read the file as UTF-8.
    with unfinished.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream)
        header = _header(candidates)
        writer.writerow([*header, KEEP, CLASS])
        left = dict(marks)
        for number, word in enumerate(candidates.words):
            writer.writerow([*_cells(candidates, number), *left.pop(word, ("", ""))])
        for word, mark in left.items():
            writer.writerow([word, *[""] * (len(header) - 1), *mark])
    unfinished.replace(target)
    return len(marks)


def _header(candidates: Candidates) -> list[str]:
    names = [WORD, "count", "texts", *(f"count_{label}" for label in candidates.labels)]
    if len(candidates.sources) > 1:
        names += [f"in_{name}" for name in candidates.sources]
    return names + (["association", "tells"] if candidates.labels else [])


def _cells(candidates: Candidates, number: int) -> list[Any]:
    cells = [candidates.words[number], candidates.counts[number], candidates.texts[number]]
    cells += [*candidates.by_class[number]]
    if len(candidates.sources) > 1:
        cells += [*candidates.by_source[number]]
    if candidates.labels:
        best = int(candidates.scores[number].argmax())
        cells += [f"{candidates.scores[number, best]:.3f}", candidates.labels[best]]
    return cells


def read_marks(path: Path) -> dict[str, tuple[str, str]]:
    """What a person wrote into `keep` and `class` of an earlier file, by word; {} where there is none."""
    if not path.exists():
        return {}
    problems: list[Problem] = []
    marks = {}
    for _, values in iter_rows(path, (WORD, KEEP, CLASS), problems):
        if len(values) == 3 and (values[KEEP] or values[CLASS]):
            marks[str(values[WORD])] = (str(values[KEEP]), str(values[CLASS]))
    if problems:
        raise CorpusError(
            f"{path} is there and is not a file of candidates; choose another name",
            [problem.line(path) for problem in problems],
        )
    return marks
