import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.corpus.tags import TagReader, find_spans, guess_scheme, lay_tags, tag_names, type_names

TYPES = ["LOC", "PER"]
NAMES = tag_names(TYPES)  # O B-LOC I-LOC B-PER I-PER


def spans_of(*texts):
    """Spans of texts given by their tags, as tuples."""
    numbers = np.array([NAMES.index(tag) for text in texts for tag in text], np.int32)
    found = find_spans(numbers, np.cumsum([0, *map(len, texts)]))
    parts = (found.rows, found.starts, found.ends, found.types)
    return list(zip(*(part.tolist() for part in parts), strict=True))


def test_tags_are_named_o_first_then_by_type():
    assert NAMES == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert tag_names(["PER", "LOC", "PER"]) == NAMES
    assert type_names(NAMES) == ["LOC", "PER"]


def test_spans_end_at_o_at_another_span_and_with_the_text():
    assert spans_of(["B-LOC", "I-LOC", "O", "B-PER"], ["B-LOC", "B-LOC", "I-LOC", "B-PER"]) == [
        (0, 0, 2, 0),
        (0, 3, 4, 1),
        (1, 0, 1, 0),
        (1, 1, 3, 0),
        (1, 3, 4, 1),
    ]


def test_an_inside_that_continues_nothing_begins_a_span():
    assert spans_of(["I-LOC", "I-LOC", "I-PER"], ["O", "I-PER"]) == [(0, 0, 2, 0), (0, 2, 3, 1), (1, 1, 2, 1)]


def test_a_span_does_not_reach_into_the_next_text():
    assert spans_of(["B-LOC"], [], ["I-LOC"]) == [(0, 0, 1, 0), (2, 0, 1, 0)]


texts_of_tags = st.lists(st.lists(st.integers(0, 4), max_size=8), min_size=1, max_size=5)


def spans_by_conlleval(tags):
    """(start, end, type) of one text's spans, tag by tag (Tjong Kim Sang & De Meulder 2003)."""
    spans, start, kind = [], None, None
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, own = tag.partition("-")
        if start is not None and (prefix != "I" or own != kind):
            spans.append((start, place, TYPES.index(kind)))
            start = None
        if prefix != "O" and start is None:
            start, kind = place, own
    return spans


@settings(max_examples=100)
@given(texts_of_tags)
def test_spans_are_those_of_conlleval(texts):
    texts = [[NAMES[tag] for tag in text] for text in texts]
    expected = [(row, *span) for row, text in enumerate(texts) for span in spans_by_conlleval(text)]
    assert spans_of(*texts) == expected


@settings(max_examples=60)
@given(texts_of_tags)
def test_tags_laid_from_spans_have_the_same_spans_in_valid_bio(texts):
    bounds = np.cumsum([0, *map(len, texts)])
    tags = np.array([tag for text in texts for tag in text], np.int32)
    laid = lay_tags(find_spans(tags, bounds), bounds)
    again, spans = find_spans(laid, bounds), find_spans(tags, bounds)
    for one, other in zip(vars(again).values(), vars(spans).values(), strict=True):
        np.testing.assert_array_equal(one, other)
    for start, end in itertools.pairwise(bounds):
        _, problems = TagReader("bio", strict=True).read([NAMES[tag] for tag in laid[start:end]])
        assert problems == []


@pytest.mark.parametrize(
    ("tags", "place", "words"),
    [
        (["O", "I-LOC"], 1, "I-LOC to continue a span of its type, found it after O"),
        (["B-PER", "I-LOC"], 1, "found it after B-PER"),
        (["B-LOC", "E-LOC"], 1, "scheme bio, found 'E-LOC'"),
        (["LOC"], 0, "expected O, B-TYPE, I-TYPE"),
        (["B-"], 0, "found 'B-'"),
    ],
)
def test_bad_tag_is_told_with_its_place(tags, place, words):
    [(found, message)] = TagReader("bio", strict=True).read(tags)[1]
    assert found == place and words in message


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["S-LOC", "B-PER", "I-PER", "E-PER", "O"], ["B-LOC", "B-PER", "I-PER", "I-PER", "O"]),
        (["B-LOC", "E-LOC", "B-LOC", "E-LOC"], ["B-LOC", "I-LOC", "B-LOC", "I-LOC"]),
    ],
)
def test_bioes_becomes_bio(tags, expected):
    assert TagReader("bioes", strict=True).read(tags) == (expected, [])


@pytest.mark.parametrize(
    "tags", [["B-LOC", "O"], ["B-LOC", "S-LOC"], ["E-LOC"], ["S-LOC", "E-LOC"], ["B-LOC"]]
)
def test_bioes_that_is_not_closed_or_not_open_is_refused_under_strict(tags):
    assert len(TagReader("bioes", strict=True).read(tags)[1]) == 1


def test_without_strict_what_continues_nothing_begins_a_span():
    reader = TagReader("bio", strict=False)
    assert reader.read(["O", "I-LOC", "I-LOC", "I-PER"]) == (["O", "B-LOC", "I-LOC", "B-PER"], [])
    reader = TagReader("bioes", strict=False)
    assert reader.read(["E-LOC", "E-LOC", "I-PER", "E-PER"])[0] == ["B-LOC", "B-LOC", "B-PER", "I-PER"]


def test_scheme_is_guessed_by_the_tags_that_only_bioes_has():
    assert guess_scheme(["O", "B-LOC", "I-LOC"]) == "bio"
    assert guess_scheme(["O", "S-LOC"]) == guess_scheme(["B-LOC", "E-LOC"]) == "bioes"
