import json

import numpy as np
import pytest

from raytrain.corpus.tagged import read_tagged_corpus
from raytrain.corpus.tags import Spans, lay_tags
from raytrain.ensemble.outputs import open_spans, spans_of
from raytrain.scores.tagging import TaggedTexts

NAMES = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
TEXTS = ["王五在北京", "", "上海\n好"]


@pytest.fixture
def tagged():
    bounds = np.array([0, 5, 5, 9])
    spans = Spans(*(np.array(part) for part in ([0, 0, 2], [0, 3, 0], [2, 5, 2], [1, 0, 0])))
    confidences = np.array([0.5, 0.987654321, 1.0])
    return TaggedTexts(bounds, spans, confidences, lay_tags(spans, bounds), np.ones(9), np.zeros(3))


def test_spans_have_text_type_place_and_confidence(tagged):
    assert spans_of(TEXTS, tagged, ["LOC", "PER"]) == [
        [
            {"text": "王五", "type": "PER", "start": 0, "end": 2, "confidence": 0.5},
            {"text": "北京", "type": "LOC", "start": 3, "end": 5, "confidence": 0.987654},
        ],
        [],
        [{"text": "上海", "type": "LOC", "start": 0, "end": 2, "confidence": 1.0}],
    ]


def test_jsonl_has_a_line_a_text(tmp_path, tagged):
    path = tmp_path / "out.jsonl"
    with open_spans(path, NAMES) as write:
        write([7, 8, 9], TEXTS, tagged)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [(row["id"], row["text"], len(row["spans"])) for row in rows] == [
        (7, TEXTS[0], 2),
        (8, TEXTS[1], 0),
        (9, TEXTS[2], 1),
    ]


def test_bio_can_be_read_again(tmp_path, tagged):
    path = tmp_path / "out.bio"
    with open_spans(path, NAMES) as write:
        write([7, 8, 9], TEXTS, tagged)
    corpus = read_tagged_corpus(path, "text", "spans")
    assert corpus.table["text"].to_pylist() == ["王五在北京", "上海 好"]  # a line break would end its line
    assert corpus.labels == NAMES
    assert corpus.tags[0].tolist() == tagged.tags.tolist()
