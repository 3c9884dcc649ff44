"""Texts packed into sequences of one length."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tiny_pretraining import special

from raytrain.pretraining.packing import OPEN, pack
from raytrain.pretraining.pieces import BEGINS

SPECIAL = special()
TEXTS = st.lists(st.lists(st.integers(5, 20), min_size=1, max_size=40), max_size=60)


def pieces_of(rows):
    """The pieces between the special tokens of all sequences."""
    found = []
    for row in rows & ~BEGINS:
        assert row[0] == SPECIAL.cls
        real = row[row != 0]
        assert real[-1] == SPECIAL.sep and not row[len(real) :].any()
        found += [
            part.tolist() for part in np.split(real[1:], np.flatnonzero(real[1:] == SPECIAL.sep) + 1)[:-1]
        ]
    return [part[:-1] if part[-1] == SPECIAL.sep else part for part in found]


@given(TEXTS, st.integers(4, 24))
def test_every_token_of_every_text_is_laid_once(texts, length):
    rows = pack([np.array(text, np.uint32) for text in texts], length, SPECIAL)
    cut = [text[start : start + length - 2] for text in texts for start in range(0, len(text), length - 2)]
    assert sorted(pieces_of(rows)) == sorted(cut)


@given(TEXTS)
def test_where_words_begin_is_kept(texts):
    marked = [np.array(text, np.uint32) | (np.arange(len(text)) % 2 == 0) * BEGINS for text in texts]
    rows = pack(marked, 50, SPECIAL)
    own = (rows & ~BEGINS) > 4
    assert (rows[own] & BEGINS > 0).sum() == sum((text & BEGINS > 0).sum() for text in marked)


def test_short_texts_leave_little_padding():
    rng = np.random.default_rng(0)
    texts = [np.full(size, 7, np.uint32) for size in rng.integers(5, 100, 2000)]
    rows = pack(texts, 128, SPECIAL)
    assert (rows == 0).mean() < 0.03


def test_a_new_sequence_is_begun_though_many_are_open():
    rows = pack([np.full(60, 7, np.uint32)] * (2 * OPEN), 64, SPECIAL)
    assert len(rows) == 2 * OPEN


def test_nothing_is_no_sequence():
    assert pack([], 16, SPECIAL).shape == (0, 16)
