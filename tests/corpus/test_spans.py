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


def test_a_type_counts_where_the_label_is_null_as_tables_of_both_kinds_have_it():
    span = {"start": 3, "end": 5, "label": None, "type": "LOC"}
    assert tags_of([span], TEXT) == tags_of([LOC], TEXT)


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


def test_a_text_without_a_list_is_told_how_to_say_that_it_has_no_spans():
    tags, [problem] = tags_of(None, TEXT)
    assert tags == ["O"] * 5 and "write [] where a text has no spans" in problem


@pytest.mark.parametrize("spans", ["0-2", 3, LOC])
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


@pytest.mark.parametrize(
    ("text", "start", "end", "remedy"),
    [
        ("在北京呢", 1, 2, "write one more"),
        ("在北京呢", 1, 4, "write one less"),
        ("在北京呢", 2, 3, "counted from 1: write one less for `start`"),
        ("在北京呢", 2, 4, "counted from 1: write one less for both"),
        ("在北京", 2, 4, "counted from 1: write one less for both"),
        ("在北京呢", 0, 2, "write one more for both"),
        ("😀在北京呢啊", 3, 5, "UTF-16"),
        ("在北京呢", 3, 9, "in bytes"),
        ("在北京呢天气好", 4, 6, "counted in characters from 0"),
    ],
)
def test_places_that_hold_another_text_than_the_span_says_are_refused(text, start, end, remedy):
    span = {"start": start, "end": end, "label": "LOC", "text": "北京"}
    _, [problem] = tags_of([span], text)
    assert f"expected '北京' from {start} to {end}" in problem and remedy in problem


def test_a_span_of_one_character_whose_end_is_its_own_is_told_so():
    _, [problem] = tags_of([{"start": 1, "end": 1, "label": "LOC", "text": "京"}], "北京")
    assert "write one more" in problem


@pytest.mark.parametrize("own", ["北京", " 北京", "", None, 3])
def test_a_spans_text_may_be_missing_or_differ_in_blanks(own):
    span = {"start": 1, "end": 3, "label": "LOC", "text": own}
    assert tags_of([span], "在北京呢") == (["O", "B-LOC", "I-LOC", "O"], [])


def test_a_spans_text_may_be_of_another_case_and_width():
    assert tags_of([{"start": 0, "end": 3, "label": "ORG", "text": "ibm"}], "ＩＢＭ")[1] == []


@pytest.mark.parametrize(
    ("own", "held"),
    [
        ("“小米”手机", '"小米"手机'),
        ("l'hôtel", "l’hôtel"),
        ("AT&T", "AT&amp;T"),
        ("北京大学", "北京\u200b大学"),
        ("北京-上海", "北京—上海"),
        ("台北", "臺北"),
        ("北京大…", "北京大学"),
        ("\\n好", "\n好"),
        ("——", "、、"),
    ],
)
def test_a_spans_text_may_have_been_cleaned(own, held):
    span = {"start": 1, "end": 1 + len(held), "label": "X", "text": own}
    assert tags_of([span], f"在{held}呢啊") == (["O", "B-X", *["I-X"] * (len(held) - 1), "O", "O"], [])


@pytest.mark.parametrize(
    ("own", "held"),
    [
        ("阿里巴巴", "“阿里”巴巴"),
        ("A&B", "A&amp;B"),
        ("北京", "北\u200b京"),
        ("红楼", "《红楼》梦"),
        ("北京大…", "北京大学"),
    ],
)
def test_a_spans_text_may_have_been_cleaned_and_stand_there_as_it_is_too(own, held):
    span = {"start": 1, "end": 1 + len(held), "label": "X", "text": own}
    assert tags_of([span], f"在{held}呢啊{own}")[1] == []


@pytest.mark.parametrize(
    ("own", "start", "end"), [("ibm", 1, 3), ("I B M", 2, 5), ("上海", 1, 4), ("。", 1, 4)]
)
def test_places_that_hold_another_text_are_refused_however_it_was_cleaned(own, start, end):
    _, [problem] = tags_of([{"start": start, "end": end, "label": "X", "text": own}], "在IBM呢啊")
    assert "leave `text` out" in problem


LINES = "第一行\n第二行\n王小明在北京大学上学"


@pytest.mark.parametrize(
    ("text", "own", "start", "end", "remedy"),
    [
        (LINES, "北京大学", 14, 18, "other line breaks"),
        (LINES.replace("\n", "\r\n"), "北京大学", 12, 16, "other line breaks"),
        ("张三和张小明都在", "张小明", 0, 2, "counted in characters from 0"),
        ("他在北京大学上学", "北京大学", 4, 8, "counted in characters from 0"),
        ("他在北京大学上学", "北京 大学", 0, 4, "counted in characters from 0"),
    ],
)
def test_a_text_that_stands_elsewhere_is_refused_though_the_places_hold_some_of_it(
    text, own, start, end, remedy
):
    _, [problem] = tags_of([{"start": start, "end": end, "label": "X", "text": own}], text)
    assert f"found {text[start:end]!r}" in problem and remedy in problem


def test_more_than_a_spans_text_may_be_marked():
    span = {"start": 1, "end": 5, "label": "X", "text": "北京"}
    assert tags_of([span], "在北京大学，北京") == (["O", "B-X", *["I-X"] * 3, "O", "O", "O"], [])


@given(st.text("甲乙丙丁", min_size=2), st.integers(0, 9), st.integers(1, 4), st.integers(-9, 9))
def test_places_that_drift_are_told_where_they_do_not_hold_the_spans_text(text, start, size, drift):
    own = text[start : start + size]
    span = {"start": start + drift, "end": start + size + drift, "label": "X", "text": own}
    held = text[max(start + drift, 0) : max(start + size + drift, 0)]
    if own and own not in held:
        assert tags_of([span], text)[1]
