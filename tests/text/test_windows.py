import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.corpus.tags import find_spans
from raytrain.text.encode import encode_texts
from raytrain.text.ragged import bounds_of
from raytrain.text.vocab import Vocab
from raytrain.text.windows import cut_windows, encode_windows, tag_windows
from raytrain.text.wordpiece import Tokens

VOCAB = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *"我在北京大学见了他",
    "2019",
    "covid",
    "new",
    "##s",
    "york",
]
NAMES = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


def tokens_of(sizes):
    """Texts of one token a character."""
    bounds = bounds_of(sizes)
    places = np.concatenate([np.arange(size) for size in sizes] or [[]]).astype(np.int64)
    return Tokens(bounds, np.arange(bounds[-1]), places, places + 1)


def cut(sizes, room):
    return cut_windows(tokens_of(sizes), np.array(sizes), room)


some_sizes = st.lists(st.integers(0, 60), min_size=1, max_size=6)


@settings(max_examples=80)
@given(some_sizes, st.integers(2, 20))
def test_windows_cover_every_token_and_own_each_once(sizes, room):
    windows = cut(sizes, room)
    assert (windows.sizes <= room).all()
    for text, size in enumerate(sizes):
        own = windows.rows == text
        owned = [place for start, end in windows.owned[own] for place in range(start, end)]
        assert owned == list(range(size))
        assert (windows.owned[own, 0] >= windows.firsts[own]).all()
        assert (windows.owned[own, 1] <= windows.firsts[own] + windows.sizes[own]).all()
        assert own.sum() == 1 or size > room


@settings(max_examples=60)
@given(some_sizes, st.integers(4, 20))
def test_a_token_is_answered_for_where_it_stands_farthest_from_a_cut(sizes, room):
    windows = cut(sizes, room)
    for text, size in enumerate(sizes):
        own = np.flatnonzero(windows.rows == text)
        for place in range(size):
            depths, owner = [], None
            for window in own:
                first, last = windows.firsts[window], windows.firsts[window] + windows.sizes[window] - 1
                before = np.inf if first == 0 else place - first
                behind = np.inf if last == size - 1 else last - place
                depths.append(min(before, behind))
                owner = (
                    len(depths) - 1 if windows.owned[window][0] <= place < windows.owned[window][1] else owner
                )
            assert depths[owner] >= max(depths) - 1  # in the middle of an overlap both are as far


@settings(max_examples=40)
@given(some_sizes, st.integers(2, 20))
def test_joined_windows_are_the_texts_again(sizes, room):
    windows = cut(sizes, room)
    laid = []
    for row, first, size in zip(windows.rows, windows.firsts, windows.sizes, strict=True):
        start = windows.bounds[row] + first
        laid += [-1, *range(start, start + size), -1]
    joined = windows.join(np.arange(len(windows)), np.array(laid)[:, None])
    assert joined[:, 0].tolist() == list(range(sum(sizes)))


def test_some_texts_windows_join_to_these_texts():
    windows = cut([3, 9, 2, 8], 4)
    chosen = np.flatnonzero(np.isin(windows.rows, [1, 3]))
    laid = np.concatenate(
        [
            [-1, *(windows.bounds[windows.rows[w]] + windows.firsts[w] + np.arange(windows.sizes[w])), -1]
            for w in chosen
        ]
    )
    assert windows.of_texts(chosen).tolist() == [1, 3]
    assert windows.join(chosen, laid).tolist() == [*range(3, 12), *range(14, 22)]
    assert windows.token_bounds(np.array([1, 3])).tolist() == [0, 9, 17]


def test_short_texts_are_encoded_as_a_classifier_has_them():
    texts = ["我在北京大学", "", "他covid了"]
    encoded, windows = encode_windows(texts, Vocab(VOCAB), 16, with_words=True)
    expected = encode_texts(texts, None, Vocab(VOCAB), 16, with_words=True)
    for name in ("offsets", "token_ids", "segment_ids", "word_ids"):
        np.testing.assert_array_equal(getattr(encoded, name), getattr(expected, name))
    assert encoded.words == expected.words and encoded.counts == expected.counts
    assert windows.rows.tolist() == [0, 1, 2]


def test_each_window_is_a_row_with_its_own_tokens_and_their_words():
    text = "我在北京大学见了他" * 3
    encoded, windows = encode_windows([text, "我"], Vocab(VOCAB), 8, with_words=True)
    whole = encode_texts([text], None, Vocab(VOCAB), 64, with_words=True)
    assert len(windows) == len(encoded.offsets) - 1 > 4
    for number, (row, first, size) in enumerate(
        zip(windows.rows, windows.firsts, windows.sizes, strict=True)
    ):
        ids = encoded.token_ids[encoded.offsets[number] : encoded.offsets[number + 1]]
        words = encoded.word_ids[encoded.offsets[number] : encoded.offsets[number + 1]]
        assert ids[0] == VOCAB.index("[CLS]") and ids[-1] == VOCAB.index("[SEP]") and len(ids) <= 8
        if row == 0:
            assert ids[1:-1].tolist() == whole.token_ids[1 + first : 1 + first + size].tolist()
            assert words[1:-1].tolist() == whole.word_ids[1 + first : 1 + first + size].tolist()


def tagged(text, spans):
    """A text's windows with the spans (start, end, type) in its characters."""
    tags = np.zeros(len(text), np.int32)
    for start, end, kind in spans:
        tags[start:end] = 2 * kind + 2
        tags[start] -= 1
    _, windows = encode_windows([text], Vocab(VOCAB), 64, with_words=False)
    return tag_windows(windows, tags, NAMES)


@pytest.mark.parametrize(
    ("text", "spans", "expected"),
    [
        ("他在2019见covid", [(2, 6, 0), (7, 12, 1)], ["O", "O", "B-LOC", "O", "B-PER"]),
        ("在New Yorks见他", [(1, 10, 0)], ["O", "B-LOC", "I-LOC", "I-LOC", "O", "O"]),
        ("北京大学", [(0, 2, 0), (2, 4, 0)], ["B-LOC", "I-LOC", "B-LOC", "I-LOC"]),
        ("在 京他", [(1, 3, 0)], ["O", "B-LOC", "O"]),  # the span begins at a blank, which is no token
        ("2019", [(1, 3, 0)], ["O"]),  # begins within a token
    ],
)
def test_a_token_has_the_tag_of_the_characters_it_covers(text, spans, expected):
    found = tagged(text, spans)
    assert [NAMES[tag] for tag in found.tags] == expected


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("他在2019见covid了", [(2, 6, 0), (7, 12, 1)]),
        ("在New Yorks 见他", [(1, 10, 0), (12, 13, 1)]),
        ("北京大学", [(0, 2, 0), (2, 4, 0)]),
        ("𠀀北京㊣大学", [(1, 3, 0), (4, 6, 1)]),
    ],
)
def test_spans_come_back_from_tokens_to_the_same_characters(text, spans):
    found = tagged(text, spans)
    windows = found.windows
    placed, kept = windows.character_spans(find_spans(found.tags, windows.bounds))
    assert kept.all()
    assert (
        list(zip(placed.starts.tolist(), placed.ends.tolist(), placed.types.tolist(), strict=True)) == spans
    )


def test_targets_say_where_a_text_is_cut():
    """At [CLS] and [SEP] 1 where the text begins and ends, in between the tags."""
    windows = cut([5, 2], 4)
    tags = np.array([1, 2, 2, 0, 3, 0, 1], np.int32)
    targets = tag_windows(windows, tags, NAMES).targets()
    assert windows.firsts.tolist() == [0, 1, 0]
    assert targets.tolist() == [1, 1, 2, 2, 0, 0, 0, 2, 2, 0, 3, 1, 1, 0, 1, 1]
