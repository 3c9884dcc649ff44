import gzip
import json
import lzma
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from text_files import write

from raytrain.corpus.tagged import read_tagged_corpus
from raytrain.corpus.tags import find_spans, type_names
from raytrain.errors import CorpusError

BIO = "我 O\n在 O\n北 B-LOC\n京 I-LOC\n\n王\tB-PER\n五\tI-PER\n"
SHARED = Path(__file__).parents[3] / "shared" / "data"


def write_jsonl(path, *rows):
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def spans_in(corpus):
    """(text, type) of every span, in order."""
    found, types = find_spans(*corpus.tags), type_names(corpus.labels)
    texts = corpus.table["text"].to_pylist()
    parts = (found.rows, found.starts, found.ends, found.types)
    return [(texts[r][s:e], types[t]) for r, s, e, t in zip(*(p.tolist() for p in parts), strict=True)]


def problems_of(path, **options):
    with pytest.raises(CorpusError) as raised:
        read_tagged_corpus(path, "text", "spans", **options)
    return raised.value.problems


def test_bio_gives_texts_and_their_spans(tmp_path):
    corpus = read_tagged_corpus(write(tmp_path / "a.bio", BIO), "text", "spans")
    assert corpus.table["text"].to_pylist() == ["我在北京", "王五"]
    assert corpus.table["id"].to_pylist() == [0, 1]
    assert corpus.labels == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert spans_in(corpus) == [("北京", "LOC"), ("王五", "PER")]


def test_several_blank_lines_and_line_ends_of_windows_change_nothing(tmp_path):
    other = "\r\n\r\n" + BIO.replace("\n", "\r\n").replace("\r\n\r\n", "\r\n\r\n \r\n") + "\r\n\r\n"
    path = tmp_path / "a.bio"
    path.write_bytes(other.encode())
    plain = read_tagged_corpus(write(tmp_path / "b.bio", BIO), "text", "spans")
    assert read_tagged_corpus(path, "text", "spans").table.equals(plain.table)


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress)])
def test_bio_may_be_compressed(tmp_path, suffix, pack):
    path = tmp_path / f"a.bio{suffix}"
    path.write_bytes(pack(BIO.encode()))
    assert len(spans_in(read_tagged_corpus(path, "text", "spans"))) == 2


def test_a_character_may_be_a_blank(tmp_path):
    corpus = read_tagged_corpus(
        write(tmp_path / "a.bio", "A B-X\n  I-X\n\u3000 I-X\nB I-X\n"), "text", "spans"
    )
    assert spans_in(corpus) == [("A \u3000B", "X")]


def test_a_word_in_one_line_has_its_tag_on_each_character(tmp_path):
    path = write(tmp_path / "a.bio", "在 O\nHP B-ORG\n公 I-ORG\n\nIBM S-ORG\n司 O\n")
    with pytest.raises(CorpusError, match="to end with E-"):
        read_tagged_corpus(path, "text", "spans")  # the first sentence does not close its span
    corpus = read_tagged_corpus(write(path, "在 O\nHP B-ORG\n公 E-ORG\n\nIBM S-ORG\n司 O\n"), "text", "spans")
    assert spans_in(corpus) == [("HP公", "ORG"), ("IBM", "ORG")]


def test_rows_give_texts_spans_ids_and_groups(tmp_path):
    rows = [
        {"key": "a", "text": "王五在北京", "spans": [{"start": 3, "end": 5, "label": "LOC"}], "who": "x"},
        {"key": "b", "text": "无", "spans": [], "who": "y"},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    for path in (write_jsonl(tmp_path / "a.jsonl", *rows), tmp_path / "a.parquet"):
        corpus = read_tagged_corpus(path, "text", "spans", id="key", group="who")
        assert spans_in(corpus) == [("北京", "LOC")]
        assert corpus.table["id"].to_pylist() == ["a", "b"]
        assert corpus.table["group"].to_pylist() == ["x", "y"]


def test_all_that_is_wrong_with_a_bio_file_is_told_at_once_with_its_lines(tmp_path):
    path = write(tmp_path / "a.bio", "我 O\n在\n\n北 I-LOC\n京 Q-LOC\n上 B-LOC x\n")
    problems = problems_of(path)
    assert [problem.split(":")[0].removeprefix(f"{path}, ") for problem in problems] == [
        "row 2",
        "row 4",
        "row 5",
        "row 6",
    ]
    assert "its tag, found '在'" in problems[0] and "data.strict=false" in problems[1]


def test_bad_span_is_told_with_its_row_and_column(tmp_path):
    span = {"start": 0, "end": 6, "label": "X"}
    path = write_jsonl(tmp_path / "a.jsonl", {"text": "王五在北京", "spans": [span]})
    [problem] = problems_of(path)
    assert problem.startswith(f"{path}, row 1, column spans: ") and "inside the text's 5 char" in problem


def test_what_follows_a_bad_line_or_tag_is_no_problem_of_its_own(tmp_path):
    path = write(tmp_path / "a.bio", "王\n伟 I-PER\n\n北 b-LOC\n京 I-LOC\n好 I-PER\n")
    problems = problems_of(path)
    assert [problem.split(":")[0].removeprefix(f"{path}, ") for problem in problems] == [
        "row 1",
        "row 4",
        "row 6",
    ]


def test_a_stray_tag_of_bioes_is_named_first(tmp_path):
    path = write(tmp_path / "a.bio", BIO * 5 + "\n上 S-LOC\n")
    problems = problems_of(path)
    assert "read as bioes because of S-LOC in row 37" in problems[0] and "data.scheme=bio" in problems[0]
    [problem] = problems_of(path, scheme="bio")
    assert "row 37" in problem and "found 'S-LOC'; mend it" in problem


BMES = "北 B-LOC\n京 M-LOC\n市 E-LOC\n的 O\n王 B-PER\n五 E-PER\n在 O\n沪 S-LOC\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (BMES, ["BMES"]),
        (BMES.replace("S-", "W-"), ["BMEWO"]),
        (BMES.replace("M-", "I-").replace("E-", "L-").replace("S-", "U-"), ["BILOU"]),
        (BMES.replace("-", "_"), ["B_LOC as B-LOC", "BMES"]),
        (BMES.replace("M-", "I-").replace("-", "_"), ["B_LOC as B-LOC"]),
    ],
)
def test_bioes_by_other_letters_and_with_underscores_is_read_and_told(tmp_path, content, told):
    for scheme in ("auto", "bioes"):
        path = write(tmp_path / "a.bio", content)
        corpus = read_tagged_corpus(path, "text", "spans", scheme=scheme)
        assert spans_in(corpus) == [("北京市", "LOC"), ("王五", "PER"), ("沪", "LOC")]
        assert len(corpus.reading) == len(told)
        assert all(words in line for words, line in zip(told, corpus.reading, strict=True))


def test_a_word_in_one_line_may_be_tagged_in_bmes(tmp_path):
    path = write(tmp_path / "a.bio", "北 B_LOC\nABC M_LOC\n市 E_LOC\nHP S_ORG\n")
    assert spans_in(read_tagged_corpus(path, "text", "spans")) == [("北ABC市", "LOC"), ("HP", "ORG")]


def test_letters_of_no_one_scheme_are_no_tags(tmp_path):
    path = write(tmp_path / "a.bio", "北 B-LOC\n京 M-LOC\n沿 I-LOC\n市 E-LOC\n" * 3)
    reason, problem = problems_of(path)
    assert "read as bioes because of E-LOC in row 4" in reason
    assert "row 2: " in problem and "write I-LOC, as BIOES has it (the first of 3 such rows)" in problem


@pytest.mark.parametrize("letters", ["BI", "BMES"])
def test_tags_without_types_are_one_problem(tmp_path, letters):
    rows = [f"字 {letter}\n" for letter in f"O{letters}O" * 40]
    [problem] = problems_of(write(tmp_path / "a.bio", "".join(rows)))
    assert f"row 2: expected tags with a type, such as {letters[0]}-NAME" in problem
    assert f"in {40 * len(letters):,} rows" in problem


def test_a_tag_that_is_none_is_told_once_but_not_of_texts_that_are_dropped(tmp_path):
    path = write(tmp_path / "a.bio", "坏\n北 X-LOC\n\n" + "北 loc\n京 B-LOC\n\n" * 60)
    problems = problems_of(path, drop=["malformed_row"])
    assert [problem.split(":")[0].removeprefix(f"{path}, ") for problem in problems] == ["row 4"]
    assert "found 'loc'" in problems[0] and "(the first of 60 such rows)" in problems[0]


def test_predicted_spans_are_a_corpus_too(tmp_path):
    span = {"text": "北京", "type": "LOC", "start": 3, "end": 5, "confidence": 0.9}
    path = write_jsonl(tmp_path / "a.jsonl", {"id": 0, "text": "王五在北京", "spans": [span]})
    assert spans_in(read_tagged_corpus(path, "text", "spans")) == [("北京", "LOC")]


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.conll", "a.csv.gz"])
def test_files_that_cannot_hold_spans_are_refused(tmp_path, name):
    with pytest.raises(CorpusError, match=r"expected \.bio, or \.jsonl"):
        read_tagged_corpus(write(tmp_path / name, "text\n"), "text", "spans")


def test_a_missing_text_column_is_one_problem(tmp_path):
    row = {"text": "王", "spans": [{"start": 0, "end": 1, "label": "X"}]}
    with pytest.raises(CorpusError) as raised:
        read_tagged_corpus(write_jsonl(tmp_path / "a.jsonl", *[row] * 5), "body", "spans")
    assert len(raised.value.problems) == 1


def test_bad_sentences_may_be_dropped_and_are_counted(tmp_path):
    path = write(tmp_path / "a.bio", BIO + "\n坏\n的 O\n")
    corpus = read_tagged_corpus(path, "text", "spans", drop=["malformed_row"])
    assert corpus.num_rows == 2 and corpus.dropped == {"malformed_row": 1}


def test_repeated_ids_are_refused(tmp_path):
    row = {"id": "a", "text": "王", "spans": [{"start": 0, "end": 1, "label": "X"}]}
    [problem] = problems_of(write_jsonl(tmp_path / "a.jsonl", row, row), id="id")
    assert "'a' in row 1 too" in problem


def test_first_of_repeated_ids_that_is_usable_stays(tmp_path):
    rows = [{"id": "a", "text": text, "spans": [{"start": 0, "end": 1, "label": "X"}]} for text in "王五"]
    rows.insert(0, {"id": "a", "text": " ", "spans": []})
    path = write_jsonl(tmp_path / "a.jsonl", *rows)
    corpus = read_tagged_corpus(path, "text", "spans", id="id", drop=["empty_text", "duplicate_id"])
    assert corpus.table["text"].to_pylist() == ["王"]
    assert corpus.dropped == {"duplicate_id": 1, "empty_text": 1}


@pytest.mark.parametrize(
    ("content", "words"),
    [("\n \n", "expected sentences, found none"), ("我 O\n", "expected tagged spans"), ("", "sentences")],
)
def test_file_without_spans_is_refused(tmp_path, content, words):
    [problem] = problems_of(write(tmp_path / "a.bio", content))
    assert words in problem


def test_bio_has_no_columns_for_ids_and_groups(tmp_path):
    problems = problems_of(write(tmp_path / "a.bio", BIO), id="id", group="who")
    assert problems == ["data.id needs .jsonl or .parquet", "folds.group needs .jsonl or .parquet"]


@pytest.mark.skipif(not SHARED.is_dir(), reason="public data beside the project")
def test_public_corpus_is_read_whole():
    path = SHARED / "msra_ner_dev.bio"
    corpus = read_tagged_corpus(path, "text", "spans")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert "".join(corpus.table["text"].to_pylist()) == "".join(line[0] for line in lines if line.strip())
    tags, _ = corpus.tags
    assert [corpus.labels[tag] for tag in tags] == [line.split()[1] for line in lines if line.strip()]
    assert np.bincount(corpus.strata(5)).min() > 100


def test_times_stand_beside_the_texts_that_stay(tmp_path):
    spans = [{"start": 0, "end": 1, "label": "LOC"}]
    rows = [
        {"text": text, "spans": spans, "at": at} for text, at in (("北京", 3), (" ", "何时"), ("上海", 1.5))
    ]
    path = write_jsonl(tmp_path / "a.jsonl", *rows)
    corpus = read_tagged_corpus(path, "text", "spans", time="at", drop=["empty_text"])
    assert corpus.table["time"].to_pylist() == [3.0, 1.5]
    assert "no time (row 2: '何时')" in "".join(problems_of(path, time="at"))


def test_bio_has_no_column_of_times(tmp_path):
    path = write(tmp_path / "a.bio", "北 B-LOC\n")
    with pytest.raises(CorpusError, match=r"no columns\n.*folds\.time needs \.jsonl or \.parquet"):
        read_tagged_corpus(path, "text", "spans", time="at")


ALIKE = "北 B-LOC\n京 I-LOC\n\n沪 B-ＬＯＣ\n市 I-Loc\n\n王 B-PER\n\n李 B-Per\u200b\n五 I-PER\n"


def test_types_that_look_alike_are_refused_beside_each_other_or_merged(tmp_path):
    path = write(tmp_path / "a.bio", ALIKE)
    per, loc = problems_of(path)
    assert all(
        part in loc for part in ("'LOC' (1 text)", "'Loc' (1 text)", "'ＬＯＣ'", "data.merge_labels=true")
    )
    assert "'PER' (2 texts)" in per and "Per\\u200b" in per
    corpus = read_tagged_corpus(path, "text", "spans", merge_labels=True)
    assert corpus.labels == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert spans_in(corpus) == [("北京", "LOC"), ("沪市", "LOC"), ("王", "PER"), ("李五", "PER")]
    assert "the type of spans 'LOC' is also spelt 'Loc', 'ＬＯＣ'" in corpus.reading[1]


def test_types_of_rows_that_look_alike_are_refused_or_merged(tmp_path):
    rows = [
        {"text": "北京", "spans": [{"start": 0, "end": 2, "label": name}]} for name in ("LOC", "LOC", "loc")
    ]
    path = write_jsonl(tmp_path / "a.jsonl", *rows)
    [problem] = problems_of(path)
    assert "column spans" in problem and "'LOC' (2 texts), 'loc' (1 text)" in problem
    corpus = read_tagged_corpus(path, "text", "spans", merge_labels=True)
    assert corpus.labels == ["O", "B-LOC", "I-LOC"] and spans_in(corpus) == [("北京", "LOC")] * 3


def test_texts_with_a_type_are_counted_not_its_spans_and_characters(tmp_path):
    one = [{"start": place, "end": place + 1, "label": "loc"} for place in range(4)]
    rows = [{"text": "北京上海", "spans": one}]
    rows += [{"text": "北京", "spans": [{"start": 0, "end": 2, "label": "LOC"}]}] * 2
    bio = "北 B-loc\n京 I-loc\n上 B-loc\n海 I-loc\n" + "\n北 B-LOC\n" * 2
    for path in (write_jsonl(tmp_path / "a.jsonl", *rows), write(tmp_path / "a.bio", bio)):
        [problem] = problems_of(path)
        assert "'LOC' (2 texts), 'loc' (1 text)" in problem
        assert read_tagged_corpus(path, "text", "spans", merge_labels=True).labels == ["O", "B-LOC", "I-LOC"]


def test_how_dropped_texts_spell_types_does_not_count(tmp_path):
    rows = [
        {"id": key, "text": "北京", "spans": [{"start": 0, "end": 2, "label": name}]}
        for key, name in ((1, "LOC"), (1, "Loc"), (1, "Loc"))
    ]
    blank = "  B-Loc\n\n" * 3
    for path, drop, options in (
        (write_jsonl(tmp_path / "a.jsonl", *rows), "duplicate_id", {"id": "id"}),
        (write(tmp_path / "a.bio", f"北 B-LOC\n\n{blank}"), "empty_text", {}),
        (write(tmp_path / "b.bio", "北 B-LOC\n\n" + "坏\n北 B-Loc\n京 S-Loc\n\n" * 3), "malformed_row", {}),
    ):
        for merges in (False, True):
            corpus = read_tagged_corpus(path, "text", "spans", drop=[drop], merge_labels=merges, **options)
            assert corpus.labels == ["O", "B-LOC", "I-LOC"] and corpus.reading == ()
            assert corpus.dropped == {drop: len(rows) - 1 if options else 3}


def test_types_that_do_not_look_alike_stay_two(tmp_path):
    path = write(tmp_path / "a.bio", "北 B-PER.NAM\n京 B-PER.NOM\n市 B-T1\n省 B-T10\n")
    assert len(read_tagged_corpus(path, "text", "spans").labels) == 9


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("我 r O\n北 ns B-LOC\n\n", "found 3 fields, '我 r O'; keep the first and the tag"),
        ("我,O\n北,B-LOC\n\n", "found '我,O'; write a blank or a tab in the place of ','"),
        ("今天天气很好\n\n", "found '今天天气很好'; mend the line"),
    ],
)
def test_lines_of_another_form_are_told_once(tmp_path, line, words):
    [problem] = problems_of(write(tmp_path / "a.bio", line * 40))
    number = 40 * (line.count("\n") - 1)
    assert words in problem and f"(the first of {number} such rows)" in problem


def test_a_few_bad_lines_are_each_told(tmp_path):
    path = write(tmp_path / "a.bio", BIO + "\n" + "我\n" * 5)
    assert [problem.split(": ")[0][-6:] for problem in problems_of(path)] == [
        " row 9",
        *(f"row {n}" for n in range(10, 14)),
    ]


def test_iob1_is_told_once_and_read_where_it_is_said(tmp_path):
    path = write(tmp_path / "a.bio", "我 O\n北 I-LOC\n京 I-LOC\n沪 B-LOC\n市 I-LOC\n\n" * 30)
    [problem] = problems_of(path)
    assert "row 2: " in problem and "the tags are IOB1" in problem and "data.strict=false" in problem
    corpus = read_tagged_corpus(path, "text", "spans", strict=False)
    assert spans_in(corpus) == [("北京", "LOC"), ("沪市", "LOC")] * 30


def test_a_stray_tag_of_bioes_among_many_spans_is_two_lines(tmp_path):
    path = write(tmp_path / "a.bio", "我 O\n北 B-LOC\n京 I-LOC\n好 O\n\n" * 30 + "我 S-PER\n")
    reason, form = problems_of(path)
    assert "read as bioes because of S-PER" in reason and "(the first of 30 such rows)" in form


def test_a_form_of_bad_spans_is_told_once(tmp_path):
    span = {"start": 1, "end": 2, "label": "LOC", "text": "北京"}
    [problem] = problems_of(write_jsonl(tmp_path / "a.jsonl", *[{"text": "在北京呢", "spans": [span]}] * 30))
    assert "where the places are right (the first of 30 such rows)" in problem
