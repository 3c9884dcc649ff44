import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.corpus.tagged import read_tagged_corpus
from raytrain.corpus.tags import Spans, lay_tags
from raytrain.ensemble.outputs import PROBA_SUFFIXES, open_proba, open_spans, spans_of
from raytrain.files.bio import bio_lines, split_line
from raytrain.files.tables import iter_rows
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


# Line ends, quotes and separators, what cannot be seen, and all else but halves of pairs.
characters = st.sampled_from("\"',\t\n\r\ufeff\u2028\x85甲1 ") | st.characters(exclude_categories=["Cs"])
words = st.text(characters, min_size=1, max_size=9)


def read_back(path, columns):
    """The rows of a file as strings, or None where it is refused."""
    problems = []
    rows = [tuple(values.values()) for _, values in iter_rows(path, columns, problems)]
    return None if problems else rows


@pytest.mark.parametrize("suffix", PROBA_SUFFIXES)
@settings(max_examples=40)
@given(
    ids=st.lists(words, min_size=1, max_size=6),
    labels=st.lists(words.map(str.strip).filter(bool), min_size=2, max_size=4, unique=True),
    seed=st.integers(0, 99),
)
def test_probabilities_of_any_ids_and_labels_come_back(tmp_path_factory, suffix, ids, labels, seed):
    path = tmp_path_factory.mktemp("out") / f"a{suffix}"
    proba = np.random.default_rng(seed).dirichlet(np.ones(len(labels)), len(ids))
    decided = [labels[place] for place in proba.argmax(axis=1)]
    with open_proba(path, labels) as write:
        write(ids, decided, proba)
    names = ["id", "label", *(f"proba_{label}" for label in labels)]
    found = read_back(path, names)
    if found is None:
        assert suffix == ".csv" and any("\n" in text or "\r" in text for text in [*ids, *labels])
        return
    assert [row[:2] for row in found] == list(zip(ids, decided, strict=True))
    np.testing.assert_allclose(np.array([row[2:] for row in found], float), proba, atol=1e-6)


@settings(max_examples=60)
@given(st.lists(st.text(characters, min_size=1, max_size=8), min_size=1, max_size=5), st.randoms())
def test_spans_of_any_texts_come_back(tmp_path_factory, texts, random):
    bounds = np.cumsum([0, *map(len, texts)])
    places = [row for row in range(len(texts)) if random.random() < 0.7] or [0]
    starts = [random.randrange(len(texts[row])) for row in places]
    ends = [random.randint(start + 1, len(texts[row])) for row, start in zip(places, starts, strict=True)]
    kinds = [random.randrange(2) for _ in places]
    spans = Spans(*(np.array(part) for part in (places, starts, ends, kinds)))
    tags = lay_tags(spans, bounds)
    tagged = TaggedTexts(bounds, spans, np.ones(len(places)), tags, np.ones(len(tags)), np.zeros(len(texts)))
    folder = tmp_path_factory.mktemp("out")
    for path in (folder / "a.jsonl", folder / "a.bio"):
        with open_spans(path, NAMES) as write:
            write(list(range(len(texts))), texts, tagged)
    lines = [json.loads(line) for line in (folder / "a.jsonl").read_bytes().decode().split("\n")[:-1]]
    assert [line["text"] for line in lines] == texts
    found = [(line["id"], span["start"], span["end"]) for line in lines for span in line["spans"]]
    assert found == list(zip(places, starts, ends, strict=True))
    problems = []
    sentences = [[split_line(line) for _, line in part] for part in bio_lines(folder / "a.bio", problems)]
    written = [(char, NAMES[tag]) for char, tag in zip("".join(texts), tags.tolist(), strict=True)]
    read = [pair for sentence in sentences for pair in sentence]
    assert not problems and len(read) == len(written)
    assert [tag for _, tag in read] == [tag for _, tag in written]
    assert all(a[0] == b[0] or b[0] in "\n\r" for a, b in zip(read, written, strict=True))
