"""candidates.csv in both directions: written for a person to mark, and what comes back marked to keep."""

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from raytrain.errors import CorpusError
from raytrain.files.encodings import Problem
from raytrain.files.reading import without_keys
from raytrain.files.spreadsheets import find_named, protect_cell, restore_cell
from raytrain.files.tables import iter_rows, read_column_names
from raytrain.keywords.candidates import Candidates
from raytrain.storage.files import whole_or_not

WORD, KEEP, CLASS = "word", "keep", "class"  # columns of the file
_YES = ("x", "1", "1.0", "y", "yes", "true", "keep", "✓", "√", "是")
_NO = ("", "0", "0.0", "n", "no", "false", "否")
_UNCUT = re.compile("[a-zA-Z0-9]+")


def read_kept_words(path: str | Path, labels: Sequence[int | str]) -> dict[str, int]:
    """Reads the words that are marked in the column `keep`, and the class that each was given.

    Args:
        path: A file as `jobs/keywords.py` writes it, in any format of rows.
        labels: The corpus's, in order.

    Returns:
        Word in lower case to the index of its label, in the file's order.

    Raises:
        CorpusError: With every problem of the file: a missing column, a mark that is neither yes nor no,
            a kept word without a class or of two, a class that is no label, a word with a
            blank in it; or that no word is kept.
    """
    problems: list[Problem] = []
    index = {str(label): number for number, label in enumerate(labels)}
    kept: dict[str, int] = {}
    rows: dict[str, int] = {}
    for row, values in iter_rows(path, (WORD, KEEP, CLASS), problems):
        if len(values) < 3 or not _is_kept(row, values[KEEP], problems):
            continue
        word, number = _word(row, values[WORD], problems), _class(row, values[CLASS], index, problems)
        if word is None or number is None:
            continue
        if kept.setdefault(word, number) != number:
            message = f"expected one class of {word!r}, found another in row {rows[word]}; keep one"
            problems.append(Problem("two_classes", row, CLASS, message))
        rows.setdefault(word, row)
    if not kept and not problems:
        message = "expected an x at the words to keep, found none; mark some, and give each its class"
        problems.append(Problem("none_kept", None, KEEP, message))
    if problems:
        raise CorpusError(
            f"words.keywords: {path} cannot be used",
            [without_keys(problem.line(path)) for problem in problems],
        )
    return kept


def _is_kept(row: int, value: Any, problems: list[Problem]) -> bool:
    mark = "" if value is None else str(value).strip().lower()
    if mark not in (*_YES, *_NO):
        message = f"expected x or nothing, found {value!r:.60}; say yes with x"
        problems.append(Problem("bad_mark", row, KEEP, message))
    return mark in _YES


def _word(row: int, value: Any, problems: list[Problem]) -> str | None:
    word = _restored(value).lower()
    message = ""
    if not word:
        message = "expected a word, found an empty one; fill it in, or do not keep it"
    elif len(word.split()) > 1:
        message = f"expected one word, found {word!r}, which is cut at its blank; do not keep it"
    if message:
        problems.append(Problem("bad_word", row, WORD, message))
        return None
    return word


def _class(row: int, value: Any, index: dict[str, int], problems: list[Problem]) -> int | None:
    name = "" if value is None else str(value).strip()
    if (number := find_named(name, index)) is not None:
        return number
    expected = f"one of {', '.join(index)}"
    message = f"expected the class of a kept word, {expected}, found {name!r}; write one of them"
    if not name:
        message = f"expected a class for every kept word, {expected}, found none; fill it in"
    problems.append(Problem("no_label" if name else "no_class", row, CLASS, message))
    return None


def _restored(value: Any) -> str:
    """A cell without what kept a spreadsheet from rewriting it."""
    return "" if value is None else restore_cell(str(value).strip())


def extend_dictionary(user_dict: str | None, words: Iterable[str]) -> str | None:
    """Adds words to a jieba dictionary so that none of them is cut into smaller ones.

    jieba gives each the frequency at which it outweighs its own parts; they come by rising length, so
    that a longer word knows how frequent its parts have become. Where a text's characters belong to
    other words (产品和服务 holds no 和服), jieba still sees those. Single characters and words of Latin
    letters and digits alone are left out: jieba never cuts these, but would cut others that hold them.

    Args:
        user_dict: Text of a dictionary, or None.
        words: In lower case; a word with letters enters in upper case and capitalized, too.

    Returns:
        The text of the larger dictionary; None where there is nothing in it.
    """
    entering = {word for word in words if len(word) > 1 and not _UNCUT.fullmatch(word)}
    entering |= {other for word in entering for other in (word.upper(), word.capitalize())}
    lines = [f"{word}\n" for word in sorted(entering, key=lambda word: (len(word), word))]
    if not lines:
        return user_dict
    before = f"{user_dict.rstrip()}\n" if user_dict and user_dict.strip() else ""
    return before + "".join(lines)


def write_candidates(candidates: Candidates, path: str | Path) -> int:
    """Writes candidates.csv with empty columns `keep` and `class`; marks that are there already stay.

    No spreadsheet rewrites words and classes: before 007 stands an apostrophe, which is none of its own.

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
    # With its byte order mark, spreadsheets read the file as UTF-8.
    with whole_or_not(target) as new, new.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream)
        header = _header(candidates)
        writer.writerow([*header, KEEP, CLASS])
        left = dict(marks)
        for number, word in enumerate(candidates.words):
            keep, name = left.pop(word, ("", ""))
            writer.writerow([*_cells(candidates, number), keep, name])
        for word, (keep, name) in left.items():
            writer.writerow([protect_cell(word), *[""] * (len(header) - 1), keep, name])
    return len(marks)


def _header(candidates: Candidates) -> list[str]:
    names = [WORD, "count", "texts", *(f"count_{label}" for label in candidates.labels)]
    if len(candidates.sources) > 1:
        names += [f"in_{name}" for name in candidates.sources]
    return names + (["association", "tells"] if candidates.labels else [])


def _cells(candidates: Candidates, number: int) -> list[Any]:
    cells = [protect_cell(candidates.words[number]), candidates.counts[number], candidates.texts[number]]
    cells += [*candidates.by_class[number]]
    if len(candidates.sources) > 1:
        cells += [*candidates.by_source[number]]
    if candidates.labels:
        best = int(candidates.scores[number].argmax())
        cells += [f"{candidates.scores[number, best]:.3f}", protect_cell(str(candidates.labels[best]))]
    return cells


def read_marks(path: Path) -> dict[str, tuple[str, str]]:
    """What a person wrote into `keep` and `class` of an earlier file, as it stands there, by word; or {}."""
    if not path.exists():
        return {}
    problems: list[Problem] = []
    marks = {}
    for _, values in iter_rows(path, (WORD, KEEP, CLASS), problems):
        if len(values) == 3 and (values[KEEP] or values[CLASS]):
            marks[_restored(values[WORD]).lower()] = (str(values[KEEP]), str(values[CLASS]))
    if [problem.kind for problem in problems] == ["empty_file"] and {WORD, KEEP, CLASS} <= {
        *read_column_names(path)
    }:
        return {}  # no word was found in enough texts
    if problems:
        raise CorpusError(
            f"{path} is there and is not a file of candidates; choose another name",
            [without_keys(problem.line(path)) for problem in problems],
        )
    return marks
