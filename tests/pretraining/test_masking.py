"""Which tokens are to be told: whole words, a share of them, never special ones; by the seed alone."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_pretraining import VOCAB, make_lines, packed, special

from raytrain.pretraining.masking import NGRAM_SHARES, mask_batch, most_told
from raytrain.pretraining.pieces import BEGINS
from raytrain.pretraining.settings import MaskSettings

SPECIAL = special()
SETTINGS = st.builds(MaskSettings, rate=st.floats(0.05, 0.5), ngrams=st.booleans())


def told_places(masked, length):
    """(rows, length) bool: where tokens are to be told."""
    told = np.zeros((len(masked.positions), length), bool)
    rows = np.arange(len(told))[:, None]
    told[
        np.broadcast_to(rows, masked.positions.shape)[masked.targets > 0],
        masked.positions[masked.targets > 0],
    ] = 1
    return told


def words_of(row):
    """Begins and ends of the words of a sequence, special tokens each a word."""
    ids = row & ~BEGINS
    is_special = np.isin(ids, SPECIAL.never_told)
    begins = (row & BEGINS > 0) | is_special | np.append(True, is_special[:-1])
    bounds = np.append(np.flatnonzero(begins), len(row))
    return list(itertools.pairwise(bounds))


@given(st.integers(0, 2**31), SETTINGS)
def test_whole_words_are_told_and_no_special_token(seed, chosen):
    rows = packed(make_lines(20, seed % 97), 48)
    ids = (rows & ~BEGINS).astype(int)
    masked = mask_batch(rows, chosen, SPECIAL, np.random.default_rng(seed))
    told = told_places(masked, 48)
    assert not told[np.isin(ids, SPECIAL.never_told)].any()
    for row, places in zip(rows, told, strict=True):
        assert all(places[begin:end].all() or not places[begin:end].any() for begin, end in words_of(row))
    kept = np.where(told, 0, ids)
    np.testing.assert_array_equal(np.where(told, 0, masked.token_ids), kept)
    rows_of = np.broadcast_to(np.arange(len(rows))[:, None], masked.positions.shape)
    is_told = masked.targets > 0
    np.testing.assert_array_equal(masked.targets[is_told], ids[rows_of[is_told], masked.positions[is_told]])


@given(st.integers(0, 2**31), SETTINGS)
def test_no_more_than_the_share_of_a_rows_tokens_is_told(seed, chosen):
    rows = packed(make_lines(20, seed % 97), 48)
    masked = mask_batch(rows, chosen, SPECIAL, np.random.default_rng(seed))
    may = (~np.isin(rows & ~BEGINS, SPECIAL.never_told)).sum(axis=1)
    most = np.clip(np.round(may * chosen.rate), 1, most_told(48, chosen.rate))
    assert ((masked.targets > 0).sum(axis=1) <= most).all()


@pytest.mark.parametrize("ngrams", [False, True])
def test_nearly_the_whole_share_is_told(ngrams):
    rows = packed(make_lines(300), 64)
    masked = mask_batch(rows, MaskSettings(0.15, ngrams), SPECIAL, np.random.default_rng(0))
    may = (~np.isin(rows & ~BEGINS, SPECIAL.never_told)).sum()
    assert (masked.targets > 0).sum() / may == pytest.approx(0.15, abs=0.01)


def test_of_told_tokens_most_are_masked_some_are_others_some_stay():
    rows = packed(make_lines(600), 64)
    masked = mask_batch(rows, MaskSettings(0.3), SPECIAL, np.random.default_rng(0))
    told = told_places(masked, 64)
    before, after = (rows & ~BEGINS)[told], masked.token_ids[told]
    is_mask, stays = after == SPECIAL.mask, after == before
    assert is_mask.mean() == pytest.approx(0.8, abs=0.02)
    assert stays.mean() == pytest.approx(0.1 + 0.1 / len(SPECIAL.drawn), abs=0.02)
    assert np.isin(after[~is_mask], SPECIAL.drawn).all()


def test_every_word_has_the_same_chance():
    row = packed(["网传明天停水，快转给家人"], 16)
    rows = np.repeat(row, 4000, axis=0)
    told = told_places(mask_batch(rows, MaskSettings(0.17), SPECIAL, np.random.default_rng(0)), 16)
    shares = [
        told[:, begin].mean()
        for begin, end in words_of(row[0])
        if row[0, begin] & ~BEGINS > 4 and end - begin == 2
    ]
    assert max(shares) - min(shares) < 0.05


def test_ngrams_are_words_side_by_side():
    """Of a row with room for all, the runs of masked words are longer than single ones alone make."""
    rows = np.repeat(packed(["网传明天停水，快转给家人" * 4], 64, with_words=False), 500, axis=0)
    runs = {}
    for ngrams in (False, True):
        told = told_places(mask_batch(rows, MaskSettings(0.1, ngrams), SPECIAL, np.random.default_rng(1)), 64)
        edges = np.diff(told.astype(int), axis=1, prepend=0, append=0)
        runs[ngrams] = told.sum() / (edges == 1).sum()
    expected = sum(size * share for size, share in enumerate(NGRAM_SHARES, 1))
    assert runs[False] < 1.3 < expected * 0.8 < runs[True]


@given(st.integers(0, 1000))
def test_the_same_seed_masks_the_same(seed):
    rows = packed(make_lines(8), 32)
    first, again = (
        mask_batch(rows, MaskSettings(), SPECIAL, np.random.default_rng([seed, 3])) for _ in range(2)
    )
    other = mask_batch(rows, MaskSettings(), SPECIAL, np.random.default_rng([seed, 4]))
    for name in ("token_ids", "positions", "targets"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert (first.token_ids != other.token_ids).any()


@pytest.mark.parametrize("ids", [[0] * 8, [2, 3, 0, 0, 0, 0, 0, 0], [2, 1, 1, 3, 0, 0, 0, 0]])
def test_rows_without_a_word_are_left_as_they_are(ids):
    rows = np.array([ids], np.uint32) | BEGINS
    masked = mask_batch(rows, MaskSettings(), SPECIAL, np.random.default_rng(0))
    assert masked.token_ids.tolist() == [ids] and not masked.targets.any() and not masked.positions.any()


def test_the_number_of_places_is_fixed():
    for count in (1, 5, 40):
        rows = packed(make_lines(count), 32)
        masked = mask_batch(rows, MaskSettings(0.15), SPECIAL, np.random.default_rng(0))
        assert masked.positions.shape == masked.targets.shape == (len(rows), most_told(32, 0.15))
    assert len(VOCAB) > 40
