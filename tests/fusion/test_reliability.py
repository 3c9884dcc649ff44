import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.fusion.reliability import NUM_BINS, judge_proba, read_bins, reliability


def test_bins_and_their_error():
    confidence = np.array([0.62, 0.64, 0.98, 1.0])
    found = reliability(confidence, np.array([True, False, True, True]))
    held = np.flatnonzero(found.counts)
    assert held.tolist() == [9, NUM_BINS - 1] and found.counts[held].tolist() == [2, 2]
    assert found.confidence[held] == pytest.approx([0.63, 0.99])
    assert found.accuracy[held] == pytest.approx([0.5, 1.0])
    assert found.error == pytest.approx((2 * 0.13 + 2 * 0.01) / 4)
    assert found.excess == pytest.approx((2 * 0.13 - 2 * 0.01) / 4)
    assert np.isnan(found.accuracy[0])


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_every_row_is_in_one_bin_and_the_error_is_at_least_the_excess(rows):
    confidence, is_right = (np.array(part) for part in zip(*rows, strict=True))
    found = reliability(confidence, is_right)
    assert found.counts.sum() == len(rows)
    assert abs(found.excess) <= found.error + 1e-12 <= 1 + 1e-9
    assert found.excess == pytest.approx(confidence.mean() - is_right.mean())


def test_probabilities_that_mean_what_they_say_have_nearly_no_error():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 100_000)
    assert reliability(confidence, rng.uniform(size=len(confidence)) < confidence).error < 0.01


def test_the_bins_and_their_mean_gap_by_hand():
    proba = np.array([[0.95, 0.05], [0.96, 0.04], [0.45, 0.55], [1.0, 0.0]])
    labels = np.array([0, 1, 1, 0])
    expected = [(1, 0.55, 1.0), (3, (0.95 + 0.96 + 1) / 3, 2 / 3)]
    found = [
        (part["rows"], part["confidence"], part["accuracy"]) for part in judge_proba(labels, proba).to_bins()
    ]
    assert found == [pytest.approx(part) for part in expected]
    assert judge_proba(labels, proba).error == pytest.approx((0.45 + abs(2.91 - 2)) / 4)


def test_a_bin_holds_its_upper_edge():
    proba = np.array([[9 / 15, 6 / 15], [9 / 15 + 1e-6, 6 / 15 - 1e-6]])
    assert [part["rows"] for part in judge_proba(np.array([0, 0]), proba).to_bins()] == [1, 1]


def test_bins_that_were_told_are_read_back():
    found = reliability(np.array([0.62, 0.64, 0.98]), np.array([True, False, True]))
    again = read_bins(found.to_bins())
    assert again.counts.tolist() == [2, 1] and again.to_bins() == found.to_bins()
    assert (again.error, again.excess) == pytest.approx((found.error, found.excess))
    with pytest.raises(KeyError):
        read_bins([{"rows": 1}])
