"""Spans as files have them, laid on characters and written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.corpus.spans import span_record, tags_of

TEXT = "王五在北京"
LOC = {"start": 3, "end": 5, "label": "LOC"}


@st.composite
def tagged_texts(draw):
    """A text, and (start, end, type) of spans that do not overlap but may touch."""
    text, spans = "", []
    for kind in draw(st.lists(st.sampled_from([None, "LOC", "人名"]), max_size=6)):
        part = draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4))
        if kind is not None:
            spans.append((len(text), len(text) + len(part), kind))
        text += part
    return text, spans


def laid(text, spans):
    tags = ["O"] * len(text)
    for start, end, kind in spans:
        for place in range(start, end):
            tags[place] = f"{'B' if place == start else 'I'}-{kind}"
    return tags


@given(tagged_texts(), st.randoms(use_true_random=False), st.floats(0, 1))
def test_written_spans_are_read_back_whatever_their_order(tagged, random, confidence):
    text, spans = tagged
    records = [span_record(text, *span, confidence) for span in spans]
    random.shuffle(records)
    stored = json.loads(json.dumps(records, ensure_ascii=False))
    assert tags_of(stored, text) == (laid(text, spans), [])
    assert all(record["text"] == text[record["start"] : record["end"]] for record in stored)


def test_a_written_span_has_text_type_place_and_a_short_confidence():
    record = span_record(TEXT, 3, 5, "LOC", 0.123456789)
    assert record == {"text": "北京", "type": "LOC", "start": 3, "end": 5, "confidence": 0.123457}


def test_predicted_spans_are_read_as_tagged_ones_are():
    assert tags_of([span_record(TEXT, 3, 5, "LOC", 0.9)], TEXT) == tags_of([LOC], TEXT)


def test_a_label_counts_before_a_type():
    assert tags_of([LOC | {"type": "PER"}], TEXT)[0][3:] == ["B-LOC", "I-LOC"]


def test_spans_that_touch_are_two():
    spans = [{"start": 0, "end": 2, "label": "X"}, {"start": 2, "end": 4, "label": "X"}]
    assert tags_of(spans, TEXT) == (["B-X", "I-X", "B-X", "I-X", "O"], [])


def test_a_span_may_be_the_whole_text():
    assert tags_of([{"start": 0, "end": 5, "label": "X"}], TEXT)[0] == ["B-X", *["I-X"] * 4]


@pytest.mark.parametrize("text", ["", TEXT])
def test_no_spans_leave_everything_outside(text):
    assert tags_of([], text) == (["O"] * len(text), [])


@pytest.mark.parametrize(
    ("span", "words"),
    [
        ({"start": 0, "end": 6, "label": "X"}, "inside the text's 5 characters"),
        ({"start": 2, "end": 2, "label": "X"}, "inside the text"),
        ({"start": 2, "end": 1, "label": "X"}, "inside the text"),
        ({"start": -1, "end": 2, "label": "X"}, "inside the text"),
        ({"start": 4, "end": 5, "label": "Y"}, "do not overlap"),
        ({"start": 0, "end": 5, "label": "LOC"}, "do not overlap"),
        ({"start": 0.0, "end": 2, "label": "X"}, "places as integers"),
        ({"start": True, "end": 2, "label": "X"}, "places as integers"),
        ({"start": "0", "end": "2", "label": "X"}, "places as integers"),
        ({"start": 0, "end": None, "label": "X"}, "places as integers"),
        ({"start": 0, "end": 2, "label": "X Y"}, "label without blanks"),
        ({"start": 0, "end": 2, "label": ""}, "label without blanks"),
        ({"start": 0, "end": 2, "label": 7}, "label without blanks"),
        ({"start": 0, "end": 2, "label": "X\ud83d"}, "label without blanks"),
        ({"start": 0, "end": 2}, "expected a span"),
        ({"end": 2, "label": "X"}, "expected a span"),
        ([0, 2, "X"], "expected a span"),
        (None, "expected a span"),
    ],
)
def test_a_bad_span_is_told_and_leaves_the_others(span, words):
    tags, [problem] = tags_of([LOC, span], TEXT)
    assert words in problem
    assert tags == laid(TEXT, [(3, 5, "LOC")])


@pytest.mark.parametrize("spans", [None, "0-2", 3, LOC])
def test_what_is_no_list_has_no_spans(spans):
    tags, [problem] = tags_of(spans, TEXT)
    assert tags == ["O"] * 5 and "expected a list of spans" in problem


def test_each_bad_span_is_a_problem_of_its_own():
    assert len(tags_of([LOC, LOC, {"start": 9, "end": 10, "label": "X"}, 3], TEXT)[1]) == 3


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.fixed_dictionaries({"start": inner, "end": inner}, optional={"label": inner, "type": inner})
    ),
    max_leaves=9,
)


@given(json_values | st.lists(json_values, max_size=4))
def test_whatever_a_file_holds_each_character_has_one_tag_of_the_form(spans):
    tags, problems = tags_of(spans, TEXT)
    assert len(tags) == len(TEXT)
    assert all(tag == "O" or tag[:2] in ("B-", "I-") for tag in tags)
    assert all("\n" not in problem and "found" in problem for problem in problems)
