import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.text.ragged import bounds_of
from raytrain.text.rows import KeptEnds, TextRows, choose_ends, cut_rows, most_tokens, truncated_lengths
from raytrain.text.wordpiece import Tokens

some_sizes = st.lists(st.integers(0, 60), min_size=1, max_size=6)
truncations = st.sampled_from(["head", "tail", "head_tail"])


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 60))
def test_truncation_keeps_what_fits_and_evens_out(first, second, room):
    kept = truncated_lengths(first, second, room)
    assert sum(kept) == min(first + second, room)
    assert kept[0] <= first and kept[1] <= second
    if first + second > room:
        assert abs(kept[0] - kept[1]) <= 1 or kept[0] == first or kept[1] == second


@pytest.mark.parametrize(
    ("truncate", "expected"), [("head", (510, 0)), ("tail", (0, 510)), ("head_tail", (128, 382))]
)
def test_ends_of_a_long_text_are_those_of_sun_et_al(truncate, expected):
    ends = choose_ends(np.array([511, 510, 3]), 510, truncate)
    assert list(zip(ends.heads, ends.tails, strict=True)) == [expected, (510, 0), (3, 0)]


@given(some_sizes, st.integers(1, 20), truncations)
def test_kept_tokens_are_a_prefix_and_a_suffix_and_fill_the_room(sizes, room, truncate):
    sizes = np.array(sizes)
    bounds, places = bounds_of(sizes), np.concatenate([np.arange(size) for size in sizes])
    tokens = Tokens(bounds, places, 2 * places, 2 * places + 1)
    ends = choose_ends(sizes, room, truncate)
    kept = ends.select(tokens)
    starts, stops = ends.characters_left_out(kept)
    for text, size in enumerate(sizes.tolist()):
        own = kept.ids[kept.bounds[text] : kept.bounds[text + 1]].tolist()
        head, tail = int(ends.heads[text]), int(ends.tails[text])
        assert own == [*range(head), *range(size - tail, size)] and len(own) == min(size, room)
        left_out = [place for place in range(size - tail) if place not in own] if tail else []
        stretch = range(int(starts[text]), int(stops[text]))
        assert [place for place in range(size) if 2 * place in stretch] == left_out


def test_of_two_tokens_that_share_a_character_nothing_between_is_left_out():
    tokens = Tokens(np.array([0, 3]), np.arange(3), np.array([0, 0, 0]), np.array([1, 1, 1]))
    ends = KeptEnds(np.array([1]), np.array([1]))
    assert [part.tolist() for part in ends.characters_left_out(ends.select(tokens))] == [[1], [1]]


def test_what_a_token_that_stands_for_nothing_stands_before_is_not_left_out():
    tokens = Tokens(np.array([0, 3]), np.arange(3), np.array([2, 2, 5]), np.array([2, 5, 6]))
    ends = KeptEnds(np.array([1]), np.array([1]))
    assert [part.tolist() for part in ends.characters_left_out(ends.select(tokens))] == [[3], [5]]


@given(st.integers(1, 30), st.integers(1, 9))
def test_so_many_windows_hold_so_many_tokens_and_no_more(room, windows):
    most = most_tokens(room, windows)
    rows, firsts, sizes = cut_rows(np.array([most, most + 1]), room)
    assert np.bincount(rows).tolist() == [windows, windows + 1]
    assert (sizes == room).all() and (firsts + sizes).max() == most + 1


ROWS = TextRows(np.array([0, 1, 1, 1, 2, 3, 3, 4]))


def test_every_text_weighs_the_same_and_rows_1_on_average():
    shares = ROWS.shares()
    np.testing.assert_allclose(np.bincount(ROWS.rows, shares), 8 / 5)
    assert shares.mean() == pytest.approx(1)
    assert TextRows(np.arange(7)).shares().tolist() == [1] * 7
    assert TextRows(np.arange(0)).shares().shape == (0,)


def test_texts_that_do_not_count_leave_the_weights_of_the_others():
    """All texts weigh the same; rows 1 on average of those that count."""
    counting = np.array([True, True, True, False, False])
    shares = ROWS.shares(counting)
    np.testing.assert_allclose(shares[:5], TextRows(ROWS.rows[:5]).shares())
    np.testing.assert_allclose(np.bincount(ROWS.rows, shares), 5 / 3)


def test_rows_are_pooled_by_text():
    values = np.array([[1.0, 2.0], [3.0, 5.0], [6.0, 8.0], [9.0, 0.0], [3.0, 4.0], [5.0, 6.0]])
    rows = np.array([1, 2, 3, 4, 5, 6])
    assert ROWS.of_texts(rows).tolist() == [1, 2, 3]
    assert ROWS.pool(rows, values).tolist() == [[10 / 3, 5], [9, 0], [4, 5]]
    assert ROWS.pool(np.array([0, 4, 7]), values[:3]).tolist() == values[:3].tolist()
    assert ROWS.pool(rows, values[:, 0]).tolist() == [10 / 3, 9, 4]
    assert ROWS.pool(np.arange(0), values[:0]).shape == (0, 2)
