"""Queries and candidates, read from their files; what is wrong with them, told together."""

import contextlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from raytrain.characters import is_blank
from raytrain.corpus.unlabelled import count_texts, iter_texts
from raytrain.errors import CorpusError, InputError
from raytrain.files.bio import is_bio
from raytrain.files.reading import AS_FOUND, Reading

SHOWN_IDS = 5
_WHOLE = re.compile(r"-?[0-9]+\.0")


@dataclass(frozen=True)
class Texts:
    """Texts to match.

    Attributes:
        ids: Of the id column, or row numbers.
        texts: As they stand in the file.
        right: Of queries whose right candidates are known their ids as the file has them (`known_id` finds
            the candidate's), else None; empty where it is not told.
    """

    ids: list[int] | list[str]
    texts: list[str]
    right: list[str] | None = None

    @property
    def num_empty(self) -> int:
        """How many hold nothing that can be seen."""
        return sum(map(is_blank, self.texts))


def read_texts(
    path: str, column: str, id: str | None = None, truth: str | None = None, reading: Reading = AS_FOUND
) -> Texts:
    """Reads a file whole.

    Args:
        path: A file that `corpus.unlabelled.iter_texts` reads.
        column: Of the texts.
        id: Of the ids; None numbers the rows.
        truth: Of the right candidates' ids, or None.
        reading: What is said of the file.

    Raises:
        CorpusError: With every problem of the file.
    """
    if truth is not None and is_bio(path):
        raise CorpusError(f"{path}: expected a file with the column {truth}; a BIO file has none")
    columns = [column] if truth is None else [column, truth]
    count_texts(path, columns, id, reading)
    ids, texts, right = [], [], []
    for table in iter_texts(path, columns, id, reading=reading):
        ids += table["id"].to_pylist()
        texts += table["text"].to_pylist()
        right += [cell.strip() for cell in table["text_pair"].to_pylist()] if truth is not None else []
    return Texts(ids, texts, right if truth is not None else None)


def known_ids(candidates: Texts) -> list[str]:
    """The candidates' ids as `known_id` knows them."""
    return [str(id).strip() for id in candidates.ids]


def known_id(told: str, known: Collection[str]) -> str:
    """The id of a candidate that is told as right: as it stands where a candidate has it.

    A column of whole numbers with empty cells holds floats: there 1.0 is 1, but where there is a 1.0.
    """
    return told.removesuffix(".0") if told not in known and _WHOLE.fullmatch(told) else told


def check_truth(queries: Texts, candidates: Texts, path: str, column: str) -> None:
    """Refuses right candidates that are not there.

    Raises:
        CorpusError: No query tells one, or some tell ids that no candidate has.
    """
    known = set(known_ids(candidates))
    told = [id for id in queries.right or [] if id]
    if not told:
        raise CorpusError(f"{path}: expected ids of right candidates in the column {column}, found none")
    if unknown := list(dict.fromkeys(id for id in told if known_id(id, known) not in known)):
        shown = ", ".join(repr(id) for id in unknown[:SHOWN_IDS])
        more = f" and {len(unknown) - SHOWN_IDS:,} more" if len(unknown) > SHOWN_IDS else ""
        raise CorpusError(
            f"{path}: the column {column} holds ids that no candidate has: {shown}{more}; say with "
            "--candidate-id in which column the candidates' ids are"
        )


class Problems:
    """What is wrong with several things, looked at one after another.

    Attributes:
        lines: One of each problem.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextlib.contextmanager
    def of(self, what: str = "") -> Iterator[None]:
        """Takes what the block raises of wrong input; `what` says of what, where the lines do not."""
        try:
            yield
        except InputError as error:
            found = error.problems if error.problems and isinstance(error, CorpusError) else []
            summary = "; ".join([error.summary, *error.problems])
            self.lines += found or [f"{what}: {summary}" if what else summary]

    def refuse(self, summary: str) -> None:
        """Raises InputError with all of them, if any."""
        if self.lines:
            raise InputError(summary, self.lines)
