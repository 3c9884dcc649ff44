import pytest
from fake_run import write_tag_run
from tiny_run import silent_stages

from raytrain.report.facts import read_facts
from raytrain.report.spans import (
    AROUND,
    INVENTED,
    MISSED,
    MOST_CHARACTERS,
    OTHER_BOUNDS,
    TaggedText,
    count_confusions,
    find_worst_texts,
    read_tagged,
    spans_section,
    types_section,
)
from raytrain.storage.directory import Directory


def read(run):
    return read_facts(Directory(run), silent_stages())


def tagged(there, found, row=0, surest=0.0):
    return TaggedText(row, tuple(there), tuple(found), surest)


@pytest.mark.parametrize(
    ("there", "found", "expected"),
    [
        ([(0, 2, "A")], [(0, 2, "A")], {("A", "A"): 1}),
        ([(0, 2, "A")], [(0, 2, "B")], {("A", "B"): 1}),
        ([(0, 2, "A")], [(1, 3, "A")], {("A", OTHER_BOUNDS): 1}),
        ([(0, 2, "A")], [], {("A", MISSED): 1}),
        ([(0, 2, "A")], [(2, 4, "B")], {("A", MISSED): 1, (INVENTED, "B"): 1}),
        ([], [(2, 4, "B")], {(INVENTED, "B"): 1}),
        ([(0, 2, "A"), (2, 4, "B")], [(0, 4, "B")], {("A", OTHER_BOUNDS): 1, ("B", OTHER_BOUNDS): 1}),
    ],
)
def test_what_spans_are_found_as(there, found, expected):
    assert count_confusions([tagged(there, found)]) == expected


def test_every_span_is_counted_once(tmp_path):
    facts = read(write_tag_run(tmp_path))
    texts = read_tagged(facts)
    counts = count_confusions(texts)
    types = facts.summary["ensemble"]["types"]
    for kind, entry in types.items():
        assert sum(count for (own, _), count in counts.items() if own == kind) == entry["spans"]
        assert counts[kind, kind] == pytest.approx(entry["recall"] * entry["spans"])
    assert counts["LOC", "PER"] > 0 and counts["LOC", MISSED] > 0


def test_the_most_wrong_texts_come_first_then_the_surest():
    one = tagged([(0, 1, "A")], [], 0)
    two = tagged([(0, 1, "A")], [(0, 1, "B")], 1, 0.5)
    sure = tagged([(0, 1, "A")], [(0, 1, "B")], 2, 0.9)
    right = tagged([(0, 1, "A")], [(0, 1, "A")], 3)
    assert find_worst_texts([one, two, sure, right], 9) == [sure, two, one]
    assert find_worst_texts([one, two, sure, right], 1) == [sure]


def test_how_sure_a_wrong_span_was_is_read(tmp_path):
    texts = read_tagged(read(write_tag_run(tmp_path)))
    assert {text.surest for text in texts} == {0.0, 0.9}


def test_types_have_scores_and_confusions(tmp_path):
    facts = read(write_tag_run(tmp_path))
    told = types_section(facts, read_tagged(facts))
    assert f"{facts.summary['ensemble']['types']['LOC']['recall']:.4f}" in told
    assert told.count('class="cell right"') == 2


def test_spans_are_marked_in_their_texts(tmp_path):
    long = "丑" * 200
    spans = [(f"{long}<丁{long}", [(200, 202, "人")]), (f"甲乙{long}", [(0, 2, "地")])]
    facts = read(write_tag_run(tmp_path, [*spans, *spans, *spans]))
    told = spans_section(facts, read_tagged(facts), 20)
    assert f"…{'丑' * AROUND}<span" in told and f"</span>{'丑' * AROUND}…" in told
    assert "&lt;丁" in told and "span alone" in told and "丑" * (AROUND + 1) not in told


def test_spans_far_behind_in_a_text_are_not_shown(tmp_path):
    text = f"丁{'丑' * MOST_CHARACTERS}甲"
    own = [(text, [(0, 1, "人"), (len(text) - 1, len(text), "人")]), ("乙", [(0, 1, "地")])]
    facts = read(write_tag_run(tmp_path, own * 3))
    told = spans_section(facts, read_tagged(facts), 20)
    assert "丁<small>" in told and "甲" not in told


def test_a_text_without_mistakes_is_not_shown(tmp_path):
    facts = read(write_tag_run(tmp_path))
    right = [text for text in read_tagged(facts) if not text.num_wrong]
    assert right and spans_section(facts, right, 20) is None


def test_a_text_that_no_fold_covered_is_left_out(tmp_path):
    facts = read(write_tag_run(tmp_path))
    values = facts.oof["predicted"].to_pylist()
    values[0] = None
    place = facts.oof.column_names.index("predicted")
    oof = facts.oof.set_column(place, "predicted", [values])
    assert read_tagged(type(facts)(**(vars(facts) | {"oof": oof})))[0].row == 1


def test_without_the_corpus_why_is_told(tmp_path):
    run = write_tag_run(tmp_path)
    (tmp_path / "files.bio").unlink()
    facts = read(run)
    assert "Their texts are not shown" in spans_section(facts, read_tagged(facts), 20)
