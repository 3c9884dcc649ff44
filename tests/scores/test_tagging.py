import numpy as np
import pytest

from raytrain.corpus.tags import find_spans
from raytrain.scores import tagging
from raytrain.scores.decoding import Transitions, best_tags, no_transitions, weigh
from raytrain.scores.tagging import find_and_count, find_tagged, transitions_of
from raytrain.text.ragged import bounds_of
from raytrain.text.vocab import Vocab
from raytrain.text.windows import encode_windows, tag_windows

VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"我在北京大学见了他", "2019", "covid"]
NAMES = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
TEXTS = ["我在 北京大学", "", "他2019见covid了"]


@pytest.fixture(scope="module")
def windows():
    return encode_windows(TEXTS, Vocab(VOCAB), 6, with_words=False)[1]


def sure_of(tags, scale=9.0):
    """Emissions that mean these tags."""
    return scale * np.eye(len(NAMES))[np.array(tags)]


def test_spans_are_places_in_characters_with_text_between_tokens(windows):
    """The blank within the first span and all characters of `2019` and `covid` belong to theirs."""
    tags = [0, 1, 2, 2, 0, 0, 0, 3, 0, 1, 0]
    found = find_tagged(windows, np.arange(3), sure_of(tags), no_transitions(5))
    spans = list(zip(found.spans.rows, found.spans.starts, found.spans.ends, found.spans.types, strict=True))
    assert spans == [(0, 1, 5, 0), (2, 1, 5, 1), (2, 6, 11, 0)]
    assert [NAMES[tag] for tag in found.tags[found.bounds[0] : found.bounds[1]]] == [
        *("O", "B-LOC", "I-LOC", "I-LOC", "I-LOC", "O", "O")
    ]
    assert (found.confidences > 0.99).all()


def test_every_character_has_a_tag_and_a_confidence(windows):
    emissions = np.random.default_rng(0).normal(size=(11, 5))
    found = find_tagged(windows, np.arange(3), emissions, no_transitions(5))
    assert len(found.tags) == len(found.tag_confidences) == sum(map(len, TEXTS))
    assert ((found.tag_confidences > 0) & (found.tag_confidences <= 1)).all()
    token = np.exp(emissions[0]) / np.exp(emissions[0]).sum()
    assert found.tag_confidences[0] == pytest.approx(token.max())
    # The blank goes with the token before it.
    second = np.exp(emissions[1]) / np.exp(emissions[1]).sum()
    assert found.tag_confidences[2] == found.tag_confidences[1] == pytest.approx(second.max())


def test_a_text_of_several_windows_is_decoded_in_one_piece(windows):
    """Tags and how sure they are come from the whole text's emissions."""
    assert (windows.rows == 0).sum() > 1
    rng = np.random.default_rng(1)
    crf = Transitions(rng.normal(size=5), rng.normal(size=5), rng.normal(size=(5, 5)))
    emissions, bounds = rng.normal(size=(6, 5)), np.array([0, 6])
    found = find_tagged(windows, np.array([0]), emissions, crf)
    best = best_tags(emissions, bounds, crf)
    expected = weigh(emissions, bounds, crf).marginals()[np.arange(6), best]
    on_tokens = [0, 1, 3, 4, 5, 6]  # but for the blank
    np.testing.assert_allclose(found.tag_confidences[on_tokens], expected)
    assert len(found.spans) == len(find_spans(best, bounds))


def test_counts_of_some_texts_are_those_texts_own(windows):
    tags = np.zeros(sum(map(len, TEXTS)), np.int32)
    bounds = bounds_of([len(text) for text in TEXTS])
    tags[bounds[2] + 1 : bounds[2] + 5] = [1, 2, 2, 2]
    corpus = tag_windows(windows, tags, NAMES)
    own = corpus.tags[windows.bounds[2] :]
    found, counts = find_and_count(corpus, np.array([2]), sure_of(own), no_transitions(5))
    assert counts.hits.tolist() == counts.there.tolist() == counts.found.tolist() == [[1, 0]]
    assert counts.right.tolist() == counts.characters.tolist() == [12]
    assert counts.tokens.tolist() == [5] and 0 < counts.surprise[0] < 0.01
    assert np.isfinite(found.surprise).all()


def test_a_model_without_crf_has_no_transitions():
    assert not transitions_of({"emissions.0.kernel": np.ones(3)}, 5).pairs.any()
    weights = {
        f"crf.{i}.{name}": np.full((5,) * (1 + (i == 2)), i + 1.0)
        for i, name in enumerate(("start", "end", "pairs"))
    }
    crf = transitions_of(weights, 5)
    assert (crf.start == 1).all() and (crf.end == 2).all() and (crf.pairs == 3).all()


def test_blocks_of_texts_change_nothing(windows, monkeypatch):
    rng = np.random.default_rng(2)
    crf = Transitions(rng.normal(size=5), rng.normal(size=5), rng.normal(size=(5, 5)))
    texts, emissions = np.arange(3), rng.normal(0, 3, (11, 5))
    tags = rng.integers(0, 5, 11)
    whole = find_tagged(windows, texts, emissions, crf, tags)
    monkeypatch.setattr(tagging, "BLOCK_SCORES", 1)
    pieces = find_tagged(windows, texts, emissions, crf, tags)
    assert len(whole.spans) > 2
    for name in ("bounds", "confidences", "tags", "tag_confidences", "surprise"):
        np.testing.assert_allclose(getattr(pieces, name), getattr(whole, name))
    for name in ("rows", "starts", "ends", "types"):
        np.testing.assert_array_equal(getattr(pieces.spans, name), getattr(whole.spans, name))


def test_confidences_are_weighed_where_they_are_wanted(windows):
    emissions = np.random.default_rng(3).normal(0, 3, (11, 5))
    crf = no_transitions(5)
    found = find_tagged(windows, np.arange(3), emissions, crf, confident=False)
    assert found.tags.tolist() == find_tagged(windows, np.arange(3), emissions, crf).tags.tolist()
    assert np.isnan(found.confidences).all()


def test_spans_within_a_token_are_counted(windows):
    """Of 2019 one half and covid whole; of the blank behind 在 with what follows it."""
    tags = np.zeros(sum(map(len, TEXTS)), np.int32)
    first = len(TEXTS[0])
    tags[2:4] = [1, 2]
    tags[first + 1 : first + 3] = [1, 2]
    tags[first + 6 : first + 11] = [3, 4, 4, 4, 4]
    assert tagging.count_inexpressible(tag_windows(windows, tags, NAMES)) == (2, 3)
