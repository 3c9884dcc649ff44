import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.corpus.tags import tag_names
from raytrain.scores.spans import count_tags, score_tags, score_types, tag_intervals
from raytrain.text.ragged import bounds_of

TYPES = ["LOC", "ORG", "PER"]
NAMES = tag_names(TYPES)


def counts_of(there, found):
    """Counts of texts given as lists of tag names."""
    bounds = bounds_of([len(text) for text in there])
    numbers = [
        np.array([NAMES.index(t) for text in texts for t in text], np.int32) for texts in (there, found)
    ]
    surprise, tokens = np.arange(len(there), dtype=float), np.full(len(there), 2)
    return count_tags(*numbers, bounds, len(TYPES), surprise, tokens)


THERE = [["B-LOC", "I-LOC", "O", "B-PER"], ["B-ORG", "I-ORG", "I-ORG"]]
FOUND = [["B-LOC", "I-LOC", "O", "O"], ["B-ORG", "I-ORG", "O"]]


def test_only_spans_that_are_just_the_same_count():
    scores = score_tags(counts_of(THERE, FOUND))
    assert scores["precision"] == 1 / 2
    assert scores["recall"] == 1 / 3
    assert scores["f1"] == pytest.approx(2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3))
    assert scores["accuracy"] == 5 / 7
    assert scores["log_loss"] == 1 / 4


def test_types_are_scored_apart():
    found = score_types(counts_of(THERE, FOUND), TYPES)
    assert found["LOC"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "spans": 1}
    assert found["ORG"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "spans": 1}
    assert found["PER"]["recall"] == 0


def test_nothing_found_and_nothing_there_are_no_error():
    empty = [["O", "O"]]
    assert score_tags(counts_of(empty, empty))["f1"] == 0
    assert score_tags(counts_of(THERE, [["O"] * 4, ["O"] * 3]))["precision"] == 0


tagged_texts = st.lists(
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), min_size=1, max_size=8),
    min_size=1,
    max_size=5,
)


@settings(max_examples=80)
@given(tagged_texts)
def test_scores_are_those_of_seqeval(texts):
    seqeval = pytest.importorskip("seqeval.metrics")
    there, found = ([[pair[i] for pair in text] for text in texts] for i in (0, 1))
    counts = counts_of(there, found)
    scores = score_tags(counts)
    assert scores["accuracy"] == pytest.approx(seqeval.accuracy_score(there, found))
    if not counts.there.sum() + counts.found.sum():
        return  # seqeval has no answer where there are no spans at all
    for name in ("precision", "recall", "f1"):
        expected = getattr(seqeval, f"{name}_score")(there, found, zero_division=0)
        assert scores[name] == pytest.approx(expected)
    report = seqeval.classification_report(there, found, output_dict=True, zero_division=0)
    for name, own in score_types(counts, TYPES).items():
        if name in report:
            expected = [report[name][key] for key in ("precision", "recall", "f1-score", "support")]
            assert list(own.values()) == pytest.approx(expected)


def test_intervals_hold_the_score_and_repeat_with_their_seed():
    rng = np.random.default_rng(0)
    there = [["B-LOC", "I-LOC", "O", "B-PER"] for _ in range(200)]
    found = [text if rng.random() < 0.7 else ["O"] * 4 for text in there]
    counts = counts_of(there, found)
    intervals, scores = tag_intervals(counts, seed=1), score_tags(counts)
    for name in ("recall", "f1", "accuracy"):
        lower, upper = intervals[name]
        assert lower < scores[name] < upper and upper - lower < 0.2
    assert tag_intervals(counts, seed=1) == intervals != tag_intervals(counts, seed=2)
