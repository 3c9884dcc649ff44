"""Texts with tagged spans: BIO files, a character and its tag a line, and rows of text and spans."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from raytrain.config.data import DropKind
from raytrain.corpus.cells import (
    check_cells,
    named_columns,
    numbered_rows,
    refuse,
    repeated_id,
    table_schema,
    told_once,
)
from raytrain.corpus.corpus import Corpus
from raytrain.corpus.spans import tags_of
from raytrain.corpus.tag_spelling import Spelling, find_spelling
from raytrain.corpus.tags import OUTSIDE, TagReader, tag_names
from raytrain.corpus.times import read_times, times_lines
from raytrain.errors import CorpusError
from raytrain.files.bio import bio_lines, is_bio, split_line, spread_tag
from raytrain.files.encodings import Problem
from raytrain.files.reading import AS_FOUND, Reading
from raytrain.files.told import reading_lines
from raytrain.storage.files import hash_file

_TAG_KINDS = {"bad_tag", "unknown_tag"}
_ROW_FORMATS = (".jsonl", ".ndjson", ".parquet")


@dataclass
class _Sentence:
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


def read_tagged_corpus(
    path: str | Path,
    text: str,
    spans: str,
    id: str | None = None,
    group: str | None = None,
    scheme: str = "auto",
    strict: bool = True,
    drop: Collection[DropKind] = (),
    time: str | None = None,
    reading: Reading = AS_FOUND,
) -> Corpus:
    """Reads texts with spans, and refuses them unless every one is usable.

    Args:
        path: `.bio`, or a file of rows that `raytrain.files.tables.iter_rows` reads and that can hold lists.
        text: The text column. A BIO file has no columns.
        spans: The column of spans, each {start, end, label}.
        id: The id column; None numbers the texts.
        group: The group column, if any.
        scheme: Of a BIO file: `bio`, `bioes`, or `auto`.
        strict: Whether an I- that continues no span is refused; else it begins one.
        drop: Kinds of unusable texts to leave out and count.
        time: The column of times, if any, as `corpus.times.read_times` reads it.
        reading: What is said of the file.

    Raises:
        CorpusError: With every problem of the file at once.
    """
    problems: list[Problem] = []
    if not is_bio(path) and not {suffix.lower() for suffix in Path(path).suffixes[-2:]} & {*_ROW_FORMATS}:
        raise CorpusError(f"{path}: expected .bio, or {', '.join(_ROW_FORMATS)}, which can hold spans")
    if is_bio(path):
        columns = {"text": "text"}
        if id or group or time:
            raise CorpusError(
                f"{path}: a BIO file has no columns",
                [
                    f"{key} needs .jsonl or .parquet"
                    for key, name in (("data.id", id), ("folds.group", group), ("folds.time", time))
                    if name
                ],
            )
        sentences = list(_read_bio(path, problems, reading))
        told = _read_tags(sentences, scheme, strict, problems)
    else:
        told = ()
        columns = named_columns([text], id) | ({"group": group} if group else {})
        sentences = list(_read_rows(path, columns, spans, drop, problems, time, reading))
    kept, dropped = _usable(sentences, problems, frozenset(drop))
    found = [(sentence.row, value) for sentence in kept for value in sentence.times]
    times, wrong = read_times(found, time or "")
    problems += wrong
    # A tag that is none is a way to spell, not a slip.
    problems = told_once(problems, "unknown_tag", lambda problem: problem.message)
    names = tag_names(tag[2:] for sentence in kept for tag in sentence.tags if tag != OUTSIDE)
    if not problems and len(names) == 1:
        message = f"expected tagged spans, found none in {len(kept):,} texts; is it the right file?"
        problems.append(Problem("no_spans", None, None, message))
    refuse(f"{path}: these texts cannot be trained on", path, problems, reading)
    table = _table(kept, columns, names)
    if times is not None:
        table = table.append_column("time", times)
    told = (*reading_lines(path, reading), *times_lines(found, time or ""), *told)
    return Corpus(table, names, hash_file(Path(path)), str(path), dict(sorted(dropped.items())), reading=told)


def _table(sentences: Sequence[_Sentence], columns: dict[str, str], names: Sequence[str]) -> pa.Table:
    numbers = {name: number for number, name in enumerate(names)}
    cells = [sentence.cells for sentence in sentences]
    tags = [[numbers[tag] for tag in sentence.tags] for sentence in sentences]
    table = pa.Table.from_pylist(cells, schema=table_schema(columns))
    return table.append_column("tags", pa.array(tags, pa.large_list(pa.int32())))


def _usable(
    sentences: Sequence[_Sentence], problems: list[Problem], drop: frozenset[str]
) -> tuple[list[_Sentence], Counter[str]]:
    """Leaves out what may be dropped, and gathers what is wrong with the others in `problems`."""
    dropped = Counter(problem.kind for problem in problems if problem.kind in drop)
    problems[:] = [problem for problem in problems if problem.kind not in drop]
    kept = []
    for sentence in sentences:
        kinds = [problem.kind for problem in sentence.problems if problem.kind in drop]
        if kinds:
            dropped[kinds[0]] += 1
            continue
        problems += sentence.problems
        kept.append(sentence)
    if not kept and not problems:
        message = f"expected texts to train on, found none after dropping {dict(dropped)}"
        problems.append(Problem("no_rows", None, None, f"{message}; mend the file, or drop less"))
    return kept, dropped


def _read_bio(path: str | Path, problems: list[Problem], reading: Reading) -> Iterator[_Sentence]:
    for number, lines in enumerate(bio_lines(path, problems, reading)):
        sentence = _Sentence(lines[0][0], {"id": number}, [], [], [])
        parts = []
        for row, line in lines:
            fields = split_line(line)
            if fields is None:
                expected = "expected a character, a blank and its tag"
                message = f"{expected}, found {line!r:.60}; mend the line"
                sentence.problems.append(Problem("malformed_row", row, None, message))
                sentence.gaps.add(len(sentence.lines))
                continue
            parts.append(fields[0])
            sentence.pieces.append((row, fields[1], len(fields[0])))
            sentence.lines += [row] * len(fields[0])
        sentence.cells["text"] = "".join(parts)
        if parts and not sentence.cells["text"].strip():
            message = "expected a text, found blanks alone; fill it in"
            sentence.problems.append(Problem("empty_text", sentence.row, None, message))
        yield sentence


def _read_tags(
    sentences: Sequence[_Sentence], scheme: str, strict: bool, problems: list[Problem]
) -> tuple[str, ...]:
    """Reads the sentences' tags as BIO. Returns what is to be said of how they were read, a line each."""
    counts = Counter(tag for sentence in sentences for _, tag, _ in sentence.pieces)
    first_rows: dict[str, int] = {}
    for sentence in sentences:
        for row, tag, _ in sentence.pieces:
            first_rows.setdefault(tag, row)
    spelling = find_spelling(counts, scheme)
    if spelling.bare:
        message = _without_types(spelling.bare, sum(counts[tag] for tag in spelling.bare))
        problems.append(Problem("bad_tag", first_rows[spelling.bare[0]], None, message))
        return ()
    reader = TagReader(spelling.scheme, strict)
    for sentence in sentences:
        _read_sentence(sentence, spelling, reader)
    wrong = [sentence for sentence in sentences if _TAG_KINDS & {one.kind for one in sentence.problems}]
    if wrong and spelling.reason:
        row = first_rows[spelling.reason]
        guess = (
            f"read as bioes because of {spelling.reason} in row {row}; if that is a slip, say data.scheme=bio"
        )
        wrong[0].problems.insert(0, Problem("bad_tag", None, None, guess))
    return spelling.lines


def _read_sentence(sentence: _Sentence, spelling: Spelling, reader: TagReader) -> None:
    tags = [part for _, tag, size in sentence.pieces for part in spread_tag(spelling.tags[tag], size)]
    sentence.tags, found = reader.read(tags, sentence.gaps)
    sentence.problems += [
        Problem(
            "unknown_tag" if reader.unknown(tags[place]) else "bad_tag", sentence.lines[place], None, message
        )
        for place, message in found
    ]


def _without_types(letters: Sequence[str], count: int) -> str:
    forms = ", ".join(f"{letter}-NAME" for letter in letters)
    found = f"found {', '.join(letters)} alone, from here on in {count:,} rows"
    remedy = "write the type of its span behind each, any one word where there is but one type"
    return f"expected tags with a type, such as {forms}; {found}; {remedy}"


def _read_rows(
    path: str | Path,
    columns: dict[str, str],
    spans: str,
    drop: Collection[str],
    problems: list[Problem],
    time: str | None,
    reading: Reading,
) -> Iterator[_Sentence]:
    first_rows: dict[str, int] = {}
    read = {**columns, "spans": spans} | ({"time": time} if time else {})
    for row, number, values in numbered_rows(path, read, problems, reading):
        cells, found = check_cells(row, values, columns)
        tags, wrong = tags_of(values.get(spans), cells["text"])
        if spans in values and all(problem.column != columns["text"] for problem in found):
            found += [Problem("bad_span", row, spans, message) for message in wrong]
        key = cells.get("id", "")
        if key in first_rows:
            found.append(repeated_id(key, row, columns["id"], first_rows[key]))
        elif key and not any(problem.kind in drop for problem in found):
            first_rows[key] = row
        times = [values[time]] if time in values else []
        yield _Sentence(row, {"id": number, **cells}, tags, [], found, times=times)
