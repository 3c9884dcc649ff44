import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.text.batches import (
    BUCKET,
    FeatureRows,
    choose_lengths,
    filled_batches,
    plan_epoch,
    sequential_batches,
)

NAMES = ("token_ids", "segment_ids", "word_ids")


@st.composite
def rows_of_ids(draw, max_length=50):
    lengths = draw(st.lists(st.integers(1, max_length), min_size=1, max_size=8))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    return [
        tuple(rng.integers(low, high, size) for low, high in ((1, 90), (0, 2), (1, 70))) for size in lengths
    ]


@st.composite
def corpora(draw):
    """(rows to deal, lengths of the whole corpus, batch size)."""
    lengths = np.array(draw(st.lists(st.integers(1, 130), min_size=1, max_size=60)))
    rows = draw(st.lists(st.integers(0, len(lengths) - 1), unique=True, min_size=1))
    return np.array(rows), lengths, draw(st.integers(1, 20))


def buckets(lengths):
    return -(-lengths // BUCKET)


@given(corpora(), st.integers(0, 99))
def test_plan_deals_every_row_exactly_once(corpus, seed):
    rows, lengths, batch_size = corpus
    plan = plan_epoch(rows, lengths, batch_size, np.random.default_rng(seed))
    assert sorted(np.concatenate(plan)) == sorted(rows)


@given(corpora(), st.integers(0, 99))
def test_plan_fills_all_batches_but_one(corpus, seed):
    rows, lengths, batch_size = corpus
    sizes = [len(batch) for batch in plan_epoch(rows, lengths, batch_size, np.random.default_rng(seed))]
    full, rest = divmod(len(rows), batch_size)
    assert sorted(sizes) == sorted([batch_size] * full + [rest] * (rest > 0))


@given(corpora(), st.integers(0, 99))
def test_plan_puts_like_lengths_together(corpus, seed):
    """The batches' ranges of length buckets touch at most at their ends."""
    rows, lengths, batch_size = corpus
    plan = plan_epoch(rows, lengths, batch_size, np.random.default_rng(seed))
    ranges = sorted((buckets(lengths[batch]).min(), buckets(lengths[batch]).max()) for batch in plan)
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(ranges))


def test_plan_of_a_seed_is_repeatable():
    lengths = np.arange(1, 101)
    one, two = (plan_epoch(np.arange(100), lengths, 7, np.random.default_rng(3)) for _ in range(2))
    assert [batch.tolist() for batch in one] == [batch.tolist() for batch in two]


def test_plans_of_two_seeds_differ_in_batches_and_in_their_order():
    lengths = np.repeat([10, 30, 50], 30)
    one, two = (plan_epoch(np.arange(90), lengths, 10, np.random.default_rng(seed)) for seed in (3, 4))
    assert {frozenset(batch) for batch in one} != {frozenset(batch) for batch in two}
    assert [lengths[batch[0]] for batch in one] != [lengths[batch[0]] for batch in two]


def test_plan_does_not_leave_the_longest_batches_for_the_end():
    lengths = np.repeat([10, 200], 50)
    plan = plan_epoch(np.arange(100), lengths, 10, np.random.default_rng(0))
    order = [int(lengths[batch[0]]) for batch in plan]
    assert order != sorted(order)


@given(rows=rows_of_ids(), data=st.data())
def test_collate_holds_each_rows_ids_and_zeros_behind(ragged, rows, data):
    picked = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=10))
    batch = FeatureRows(ragged(rows)).collate(picked)
    for column, name in enumerate(NAMES):
        for values, row in zip(batch[name], picked, strict=True):
            ids = rows[row][column]
            assert values[: len(ids)].tolist() == ids.tolist()
            assert not values[len(ids) :].any()


@given(rows=rows_of_ids(), data=st.data())
def test_collate_pads_to_the_next_multiple_or_to_the_longest_row(ragged, rows, data):
    picked = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=10))
    batch = FeatureRows(ragged(rows)).collate(np.array(picked))
    need = max(len(rows[row][0]) for row in picked)
    multiple = next(length for length in range(BUCKET, 1000, BUCKET) if length >= need)
    width = min(multiple, max(len(row[0]) for row in rows))
    assert {name: values.shape for name, values in batch.items()} == dict.fromkeys(
        NAMES, (len(picked), width)
    )


def test_collate_gives_int32(ragged):
    batch = FeatureRows(ragged([([1, 2], [0, 0], [1, 1])])).collate([0])
    assert {values.dtype for values in batch.values()} == {np.dtype(np.int32)}


def test_rows_of_a_table_in_several_chunks_are_those_of_one(ragged):
    rows = [
        ([2, 5, 3], [0, 0, 0], [1, 4, 1]),
        ([2, 3], [0, 0], [1, 1]),
        ([2, 6, 7, 3], [0, 0, 1, 1], [1, 2, 3, 1]),
    ]
    whole = FeatureRows(ragged(rows))
    pieces = FeatureRows(pa.concat_tables([ragged(rows[:1]), ragged(rows[1:])]))
    for name in NAMES:
        np.testing.assert_array_equal(whole.collate([2, 0, 1])[name], pieces.collate([2, 0, 1])[name])


def test_rows_of_a_slice_are_the_slices_rows(ragged):
    rows = [
        ([2, 5, 3], [0, 0, 0], [1, 4, 1]),
        ([2, 3], [0, 0], [1, 1]),
        ([2, 6, 7, 3], [0, 0, 1, 1], [1, 2, 3, 1]),
    ]
    features = FeatureRows(ragged(rows).slice(1))
    assert len(features) == 2
    assert features.collate([1])["token_ids"].tolist() == [[2, 6, 7, 3]]


@given(st.lists(st.integers(1, 600), min_size=1, max_size=80), st.integers(1, 6))
def test_few_lengths_hold_every_row(lengths, most):
    lengths = np.array(lengths)
    chosen = choose_lengths(lengths, most)
    assert 1 <= len(chosen) <= most
    assert (np.diff(chosen) > 0).all()
    assert chosen[-1] == lengths.max()
    assert all(length % BUCKET == 0 for length in chosen[:-1])
    for place, length in enumerate(chosen[:-1]):  # each holds its share of the rows
        assert (lengths <= length).mean() >= (place + 1) / most


def test_lengths_are_few_at_most_four_and_near_the_rows_own():
    assert choose_lengths(np.arange(1, 129)).tolist() == [32, 64, 96, 128]
    assert choose_lengths(np.array([5] * 90 + [100] * 10)).tolist() == [16, 100]


def test_rows_are_laid_as_long_as_is_asked(ragged):
    features = FeatureRows(ragged([([1] * size, [0] * size, [1] * size) for size in (3, 40)]))
    batch = features.collate([0], 32)
    assert {values.shape for values in batch.values()} == {(1, 32)}
    assert batch["token_ids"].sum() == 3


@given(corpora())
def test_positions_of_sequential_batches_undo_their_order(corpus):
    rows, lengths, batch_size = corpus
    restored = np.full(len(rows), -1)
    for positions, batch in sequential_batches(rows, lengths, batch_size):
        restored[positions] = batch
    assert restored.tolist() == rows.tolist()


@given(corpora())
def test_sequential_batches_start_with_the_longest(corpus):
    """So that the first batch shows whether the memory suffices."""
    rows, lengths, batch_size = corpus
    order = np.concatenate([batch for _, batch in sequential_batches(rows, lengths, batch_size)])
    assert (np.diff(lengths[order]) <= 0).all()


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_sequential_batches_keep_to_the_batch_size(batch_size):
    sizes = [len(batch) for _, batch in sequential_batches(np.arange(10), np.ones(10, int), batch_size)]
    assert max(sizes) == min(batch_size, 10)


@given(corpora(), st.integers(1, 500))
def test_sequential_batches_keep_to_the_tokens(corpus, max_tokens):
    rows, lengths, batch_size = corpus
    batches = [batch for _, batch in sequential_batches(rows, lengths, batch_size, max_tokens)]
    assert sorted(np.concatenate(batches)) == sorted(rows)
    for batch in batches:
        padded = -(-lengths[batch].max() // BUCKET) * BUCKET
        assert len(batch) == 1 or len(batch) * padded <= max_tokens


@given(corpora(), st.one_of(st.none(), st.integers(1, 9)), st.integers(1, 500))
def test_filled_batches_hold_every_row_once_in_few_shapes(corpus, batch_size, max_tokens):
    rows, lengths, _ = corpus
    restored, shapes = np.full(len(rows), -1), {}
    longest = int(lengths.max()) + 3
    for positions, batch, length in filled_batches(rows, lengths, batch_size, max_tokens, longest):
        restored[positions] = batch[: len(positions)]
        assert set(batch) == set(batch[: len(positions)])
        assert lengths[batch].max() <= length <= longest
        assert len(batch) == 1 or len(batch) * length <= max_tokens
        assert len(batch) <= (batch_size or len(batch))
        assert shapes.setdefault(length, len(batch)) == len(batch)
    assert restored.tolist() == rows.tolist()


def test_filled_batches_of_another_corpus_have_the_same_lengths():
    def lengths_of(lengths):
        lengths = np.array(lengths)
        return {length for *_, length in filled_batches(np.arange(len(lengths)), lengths, 1, 99, 512)}

    assert lengths_of([3, 17, 100, 400]) == {16, 32, 128, 512}
    assert lengths_of([16, 30, 97, 385]) == {16, 32, 128, 512}


def test_keyword_counts_follow_their_rows(ragged):
    table = ragged([([1] * size, [0] * size, [1] * size) for size in (3, 5, 2)])
    counts = np.array([[0, 1], [2, 3], [4, 5]], np.float32)
    batch = FeatureRows(table, keyword_counts=counts).collate(np.array([2, 0]))
    assert batch["keyword_counts"].tolist() == [[4, 5], [0, 1]]
    assert "keyword_counts" not in FeatureRows(table).collate(np.array([2, 0]))


@pytest.mark.parametrize(("at", "bad"), [(0, np.nan), (4, np.inf), (2, 1.0)])
def test_hidden_states_that_are_not_finite_are_found(at, bad, monkeypatch):
    monkeypatch.setattr("raytrain.text.batches._TOKENS_AT_ONCE", 2)
    table = pa.table({name: pa.array([[1, 2], [3, 4, 5]], pa.list_(pa.int32())) for name in NAMES})
    states = np.zeros((5, 3), np.float16)
    states[at, 1] = bad
    assert FeatureRows(table, states).has_finite_states() == np.isfinite(bad)
    assert FeatureRows(table).has_finite_states()
