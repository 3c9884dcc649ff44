import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from raytrain.text.ragged import bounds_of, integers, number, ranges

sizes_lists = st.lists(st.integers(0, 5), max_size=8)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=8))
def test_ranges_stand_end_to_end(rows):
    starts, sizes = integers(start for start, _ in rows), integers(size for _, size in rows)
    expected = [start + step for start, size in rows for step in range(size)]
    assert ranges(starts, sizes).tolist() == expected


@given(sizes_lists)
def test_bounds_are_the_running_sum(sizes):
    bounds = bounds_of(integers(sizes))
    assert bounds.dtype == np.int64
    assert bounds.tolist() == [0, *itertools.accumulate(sizes)]


@given(st.lists(st.text("ab", max_size=2)))
def test_numbers_lead_back_to_the_items_in_order_of_first_sight(items):
    distinct, which = number(items)
    assert [distinct[i] for i in which] == items
    assert distinct == sorted(set(items), key=items.index)
