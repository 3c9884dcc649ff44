"""Texts with tagged spans: BIO files, a character and its tag a line, and rows of text and spans."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from raytrain.characters import is_blank
from raytrain.config.data import DropKind
from raytrain.corpus.cells import (
    FEW,
    check_cells,
    named_columns,
    numbered_rows,
    refuse,
    remedy_of,
    repeated_id,
    table_schema,
    told_once,
)
from raytrain.corpus.corpus import Corpus
from raytrain.corpus.label_spelling import merge_alike, merged_lines, two_spellings
from raytrain.corpus.spans import tags_of
from raytrain.corpus.tag_spelling import Sentence, one_spelling, read_tags
from raytrain.corpus.tags import OUTSIDE, tag_names
from raytrain.corpus.times import read_times, times_lines
from raytrain.errors import CorpusError
from raytrain.files.bio import bio_lines, is_bio, split_line, wrong_line
from raytrain.files.encodings import Problem
from raytrain.files.reading import AS_FOUND, Reading
from raytrain.files.told import reading_lines
from raytrain.storage.files import hash_file

_ROW_FORMATS = (".jsonl", ".ndjson", ".parquet")


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
    merge_labels: bool = False,
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
        merge_labels: Whether types that look alike are one, spelt as most texts have it; else they are
            refused.

    Raises:
        CorpusError: With every problem of the file at once.
    """
    problems: list[Problem] = []
    _check_format(path, {"data.id": id, "folds.group": group, "folds.time": time})
    if is_bio(path):
        columns = {"text": "text"}
        sentences = list(_read_bio(path, problems, reading))
    else:
        columns = named_columns([text], id) | ({"group": group} if group else {})
        sentences = list(_read_rows(path, columns, spans, drop, problems, time, reading))
    kept, dropped = _without_dropped(sentences, problems, frozenset(drop))
    told, types = read_tags(kept, scheme, strict, problems) if is_bio(path) else ((), one_spelling(kept))
    if not merge_labels:
        problems += two_spellings(types, None if is_bio(path) else spans, reading, "type of spans", "text")
    problems += [problem for sentence in kept for problem in sentence.problems]
    problems += _none_kept(dropped) if not kept and not problems else []
    found = [(sentence.row, value) for sentence in kept for value in sentence.times]
    times, wrong = read_times(found, time or "")
    problems = _told_once([*problems, *wrong])
    names = tag_names(tag[2:] for sentence in kept for tag in sentence.tags if tag != OUTSIDE)
    if not problems and len(names) == 1:
        message = f"expected tagged spans, found none in {len(kept):,} texts; is it the right file?"
        problems.append(Problem("no_spans", None, None, message))
    refuse(f"{path}: these texts cannot be used", path, problems, reading)
    table = _table(kept, columns, names)
    if times is not None:
        table = table.append_column("time", times)
    told = (*reading_lines(path, reading), *times_lines(found, time or ""), *told)
    told += tuple(merged_lines(merge_alike(types), "type of spans"))
    return Corpus(table, names, hash_file(Path(path)), str(path), dict(sorted(dropped.items())), reading=told)


def _check_format(path: str | Path, columns: dict[str, str | None]) -> None:
    """Refuses a file that cannot hold spans, or not the columns that are named, by their keys."""
    if is_bio(path):
        if problems := [f"{key} needs .jsonl or .parquet" for key, name in columns.items() if name]:
            raise CorpusError(f"{path}: a BIO file has no columns", problems)
    elif not {suffix.lower() for suffix in Path(path).suffixes[-2:]} & {*_ROW_FORMATS}:
        raise CorpusError(f"{path}: expected .bio, or {', '.join(_ROW_FORMATS)}, which can hold spans")


def _told_once(problems: list[Problem]) -> list[Problem]:
    """A tag that is none, or what many rows have, is a way to spell, not a slip."""
    problems = told_once(problems, "unknown_tag", lambda problem: problem.message)
    for kind in ("malformed_row", "bad_tag", "bad_span"):
        problems = told_once(problems, kind, remedy_of, FEW)
    return problems


def _table(sentences: Sequence[Sentence], columns: dict[str, str], names: Sequence[str]) -> pa.Table:
    numbers = {name: number for number, name in enumerate(names)}
    cells = [sentence.cells for sentence in sentences]
    tags = [[numbers[tag] for tag in sentence.tags] for sentence in sentences]
    table = pa.Table.from_pylist(cells, schema=table_schema(columns))
    return table.append_column("tags", pa.array(tags, pa.large_list(pa.int32())))


def _without_dropped(
    sentences: Sequence[Sentence], problems: list[Problem], drop: frozenset[str]
) -> tuple[list[Sentence], Counter[str]]:
    """Leaves out what may be dropped, also of `problems`, and counts it."""
    dropped = Counter(problem.kind for problem in problems if problem.kind in drop)
    problems[:] = [problem for problem in problems if problem.kind not in drop]
    kept = []
    for sentence in sentences:
        kind = next((problem.kind for problem in sentence.problems if problem.kind in drop), None)
        if kind is None:
            kept.append(sentence)
        else:
            dropped[kind] += 1
    return kept, dropped


def _none_kept(dropped: Counter[str]) -> list[Problem]:
    message = f"expected texts to train on, found none after dropping {dict(dropped)}"
    return [Problem("no_rows", None, None, f"{message}; mend the file, or drop less")]


def _read_bio(path: str | Path, problems: list[Problem], reading: Reading) -> Iterator[Sentence]:
    for number, lines in enumerate(bio_lines(path, problems, reading)):
        sentence = Sentence(lines[0][0], {"id": number}, [], [], [])
        parts = []
        for row, line in lines:
            fields = split_line(line)
            if fields is None:
                sentence.problems.append(Problem("malformed_row", row, None, wrong_line(line)))
                sentence.gaps.add(len(sentence.lines))
                continue
            parts.append(fields[0])
            sentence.pieces.append((row, fields[1], len(fields[0])))
            sentence.lines += [row] * len(fields[0])
        sentence.cells["text"] = "".join(parts)
        if parts and is_blank(sentence.cells["text"]):
            message = "expected a text, found nothing that can be seen; fill it in"
            sentence.problems.append(Problem("empty_text", sentence.row, None, message))
        yield sentence


def _read_rows(
    path: str | Path,
    columns: dict[str, str],
    spans: str,
    drop: Collection[str],
    problems: list[Problem],
    time: str | None,
    reading: Reading,
) -> Iterator[Sentence]:
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
        yield Sentence(row, {"id": number, **cells}, tags, [], found, times=times)
