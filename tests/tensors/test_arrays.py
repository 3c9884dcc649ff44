import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.tensors.arrays import BFLOAT16, floats_of


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_floats_are_widened_or_narrowed_to_float32(kind):
    array = np.array([[1.5, -2.0, 0.25]], kind)
    read = floats_of(array.tobytes(), kind, (1, 3))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, array)


@given(st.floats(width=32, allow_nan=False))
def test_a_bfloat16_is_the_upper_half_of_a_float32(value):
    bits = np.array([value], np.float32).view(np.uint32)
    upper = (bits >> 16).astype("<u2")
    read = floats_of(upper.tobytes(), BFLOAT16, (1,))
    assert read.view(np.uint32)[0] == (bits[0] >> 16) << 16


def test_integers_are_no_weights():
    with pytest.raises(ValueError, match="expected floats, found int64"):
        floats_of(bytes(8), "int64", (1,))


def test_too_few_bytes_are_told():
    with pytest.raises(ValueError, match="expected 12 bytes, found 8"):
        floats_of(bytes(8), "float32", (3,))
