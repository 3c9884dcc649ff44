"""The keywords that a person kept: candidates.csv as it comes back, and its words in jieba's dictionary."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jieba

from raytrain.corpus.encodings import Problem
from raytrain.corpus.tables import iter_rows
from raytrain.errors import CorpusError

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
            a kept word without a class or of two, a class that is no label, a word that jieba cannot
            make; or that no word is kept.
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
            f"words.keywords: {path} cannot be used", [problem.line(path) for problem in problems]
        )
    return kept


def _is_kept(row: int, value: Any, problems: list[Problem]) -> bool:
    mark = "" if value is None else str(value).strip().lower()
    if mark not in (*_YES, *_NO):
        message = f"expected x or nothing, found {value!r:.60}; say yes with x"
        problems.append(Problem("bad_mark", row, KEEP, message))
    return mark in _YES


def _word(row: int, value: Any, problems: list[Problem]) -> str | None:
    word = "" if value is None else str(value).strip().lower()
    message = ""
    if not word:
        message = "expected a word, found an empty one; fill it in, or do not keep it"
    elif len(word) > 1 and not jieba.re_han_default.fullmatch(word):
        apart = next(char for char in word if not jieba.re_han_default.fullmatch(char))
        message = f"expected one word, found {word!r}, which jieba always cuts at {apart!r}; do not keep it"
    if message:
        problems.append(Problem("bad_word", row, WORD, message))
        return None
    return word


def _class(row: int, value: Any, index: dict[str, int], problems: list[Problem]) -> int | None:
    name = "" if value is None else str(value).strip()
    if name not in index and name.endswith(".0"):  # spreadsheets make numbers of integers
        name = name.removesuffix(".0")
    if name in index:
        return index[name]
    expected = f"one of {', '.join(index)}"
    message = f"expected the class of a kept word, {expected}, found {name!r}; write one of them"
    if not name:
        message = f"expected a class for every kept word, {expected}, found none; fill it in"
    problems.append(Problem("no_label" if name else "no_class", row, CLASS, message))
    return None


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
