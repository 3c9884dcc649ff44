"""How files spell tags (other letters for BIOES, an underscore for the dash, no type at all); read as BIO."""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from raytrain.corpus.label_spelling import merge_alike
from raytrain.corpus.tags import IN_BIOES, OUTSIDE, TagReader, guess_scheme, split_tag
from raytrain.files.bio import spread_tag
from raytrain.files.encodings import Problem

# Of schemes that are BIOES by other letters, all of their letters.
_LETTERS = {"BMES": frozenset("BMES"), "BMEWO": frozenset("BMEW"), "BILOU": frozenset("BILU")}
_UNDERSCORED = re.compile(r"([BIESMLUW])_(\S+)")
_BARE = re.compile("[BIESMLUW]")


_TAG_KINDS = {"bad_tag", "unknown_tag"}
_IOB1 = (
    "expected B- where a span begins, found I- throughout: the tags are IOB1; let I- begin a span with "
    "data.strict=false"
)


@dataclass(frozen=True)
class Spelling:
    """How the tags of a file are read.

    Attributes:
        scheme: `bio` or `bioes`, as which they are read.
        tags: Each tag of the file, and the one of the scheme that it is; itself where it is none.
        lines: What is to be said of that, a line each.
        bare: The letters that stand alone, where all do; empty where any tag has a type.
        reason: The tag because of which they are read as bioes, where the scheme was guessed; else empty.
    """

    scheme: str
    tags: Mapping[str, str]
    lines: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    reason: str = ""


@dataclass
class Sentence:
    """One text as it is read.

    Attributes:
        row: Its first line, or its row.
        lines: Of each character, where it has one of its own.
        tags: Of each character, valid BIO.
        problems: What is wrong with it.
        pieces: Of a BIO file, (line, tag as it says, number of characters) of each piece of the text.
        gaps: Places of characters before which a line cannot be read.
        times: What stands in the column of times; empty where there is none.
    """

    row: int
    cells: dict[str, Any]
    tags: list[str]
    lines: list[int]
    problems: list[Problem]
    pieces: list[tuple[int, str, int]] = field(default_factory=list)
    gaps: set[int] = field(default_factory=set)
    times: list[Any] = field(default_factory=list)


def find_spelling(tags: Iterable[str], scheme: str) -> Spelling:
    """Finds how tags are spelt; nothing is guessed of what could be read in two ways.

    Args:
        tags: The different tags of a file, in its order.
        scheme: `bio`, `bioes`, or `auto`, which finds out.
    """
    found = list(tags)
    dashed = {tag: _UNDERSCORED.sub(r"\1-\2", tag) if split_tag(tag) is None else tag for tag in found}
    underscored = [tag for tag in found if dashed[tag] != tag]
    bare = tuple(tag for tag in found if _BARE.fullmatch(tag))
    is_bare = bool(bare) and all(tag in bare or tag == OUTSIDE for tag in found)
    name = None if scheme == "bio" else _named_letters(dashed.values())
    read = {tag: _in_bioes(dashed[tag]) if name else dashed[tag] for tag in found}
    lines = []
    if underscored:
        one = underscored[0]
        lines.append(f"tags with an underscore were read with a dash: {one} as {dashed[one]}")
    if name:
        others = ", ".join(
            f"{letter}- as {IN_BIOES[letter]}-" for letter in "MLUW" if letter in _LETTERS[name]
        )
        lines.append(f"the tags are {name}, which is BIOES by other letters: {others}")
    reason = ""
    if scheme == "auto":
        reason = next((tag for tag in found if guess_scheme([read[tag]]) == "bioes"), "")
        scheme = "bioes" if reason else "bio"
    return Spelling(scheme, read, tuple(lines), bare if is_bare else (), reason)


def _count_types(texts: Iterable[Iterable[str]]) -> Counter[str]:
    """How many texts have each type, by their tags."""
    types: Counter[str] = Counter()
    for tags in texts:
        parts = [split_tag(tag) for tag in set(tags)]
        types.update({part[1] for part in parts if part is not None and part[1]})
    return types


def _respell(tag: str, merged: Mapping[str, str]) -> str:
    """A tag with the spelling of its type that was taken for it."""
    parts = split_tag(tag)
    return f"{parts[0]}-{merged[parts[1]]}" if parts is not None and parts[1] in merged else tag


def _is_iob1(sentences: Iterable[Sequence[str]]) -> bool:
    """Whether spans begin with I-, and with B- only those that touch another one of their type."""
    begins_inside = False
    for tags in sentences:
        for before, tag in itertools.pairwise([OUTSIDE, *tags]):
            if tag[:2] == "B-" and before[1:] != tag[1:]:
                return False
            begins_inside |= tag[:2] == "I-" and before[1:] != tag[1:]
    return begins_inside


def _without_types(letters: Sequence[str], count: int) -> str:
    """What is wrong with tags that are letters alone."""
    forms = ", ".join(f"{letter}-NAME" for letter in letters)
    found = f"found {', '.join(letters)} alone, from here on in {count:,} rows"
    remedy = "write the type of its span behind each, any one word where there is but one type"
    return f"expected tags with a type, such as {forms}; {found}; {remedy}"


def _named_letters(tags: Iterable[str]) -> str | None:
    """The scheme by other letters of which all these tags are; None where they are BIOES, or of no one."""
    letters = {parts[0] for tag in tags if (parts := split_tag(tag)) is not None and parts[0]}
    if not letters & IN_BIOES.keys():
        return None
    return next((name for name, known in _LETTERS.items() if letters <= known), None)


def _in_bioes(tag: str) -> str:
    parts = split_tag(tag)
    return tag if parts is None or not parts[0] else f"{IN_BIOES.get(parts[0], parts[0])}{tag[1:]}"


def read_tags(
    sentences: Sequence[Sentence], scheme: str, strict: bool, problems: list[Problem]
) -> tuple[tuple[str, ...], Counter[str]]:
    """Reads the sentences' tags as BIO, of types that look alike as of one.

    Returns:
        What is to be said of how they were read, a line each; and how many texts have each type.
    """
    counts = Counter(tag for sentence in sentences for _, tag, _ in sentence.pieces)
    first_rows: dict[str, int] = {}
    for sentence in sentences:
        for row, tag, _ in sentence.pieces:
            first_rows.setdefault(tag, row)
    spelling = find_spelling(counts, scheme)
    if spelling.bare:
        message = _without_types(spelling.bare, sum(counts[tag] for tag in spelling.bare))
        problems.append(Problem("bad_tag", first_rows[spelling.bare[0]], None, message))
        return (), Counter()
    reader = TagReader(spelling.scheme, strict)
    types = _count_types([spelling.tags[tag] for _, tag, _ in one.pieces] for one in sentences)
    merged = merge_alike(types)
    spelling = replace(spelling, tags={tag: _respell(read, merged) for tag, read in spelling.tags.items()})
    for sentence in sentences:
        _read_sentence(sentence, spelling, reader)
    if spelling.scheme == "bio" and strict:
        _tell_iob1(sentences, spelling, problems)
    wrong = [sentence for sentence in sentences if _TAG_KINDS & {one.kind for one in sentence.problems}]
    if wrong and spelling.reason:
        row = first_rows[spelling.reason]
        guess = (
            f"read as bioes because of {spelling.reason} in row {row}; if that is a slip, say data.scheme=bio"
        )
        wrong[0].problems.insert(0, Problem("bad_tag", None, None, guess))
    return spelling.lines, types


def _tell_iob1(sentences: Sequence[Sentence], spelling: Spelling, problems: list[Problem]) -> None:
    """Where the tags are IOB1, that is the one thing to be said of those that begin a span."""
    wrong = [problem.row for one in sentences for problem in one.problems if problem.kind == "bad_tag"]
    if wrong and _is_iob1([spelling.tags[tag] for _, tag, _ in one.pieces] for one in sentences):
        problems.append(Problem("bad_tag", wrong[0], None, _IOB1))
        for one in sentences:
            one.problems = [problem for problem in one.problems if problem.kind != "bad_tag"]


def one_spelling(sentences: Sequence[Sentence]) -> Counter[str]:
    """Gives types that look alike one spelling. Returns how many texts have each as it was spelt."""
    types = _count_types(one.tags for one in sentences)
    if merged := merge_alike(types):
        for one in sentences:
            one.tags = [_respell(tag, merged) for tag in one.tags]
    return types


def _read_sentence(sentence: Sentence, spelling: Spelling, reader: TagReader) -> None:
    tags = [part for _, tag, size in sentence.pieces for part in spread_tag(spelling.tags[tag], size)]
    sentence.tags, found = reader.read(tags, sentence.gaps)
    sentence.problems += [
        Problem(
            "unknown_tag" if reader.unknown(tags[place]) else "bad_tag", sentence.lines[place], None, message
        )
        for place, message in found
    ]
