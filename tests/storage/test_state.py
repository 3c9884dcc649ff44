import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from raytrain.storage.state import read_state, write_state

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
ARRAYS = arrays(
    np.float32, array_shapes(max_dims=2, max_side=3), elements=st.floats(width=32, allow_nan=False)
)


@given(part=st.dictionaries(NAMES, ARRAYS, max_size=3), step=st.integers(0, 2**40))
def test_what_was_written_is_read(part, step, tmp_path_factory):
    directory = tmp_path_factory.mktemp("state")
    write_state(directory, {"weight": part, "optimizer": {}, "": {"alone": np.arange(3)}}, {"step": step})
    parts, values = read_state(directory)
    assert values == {"step": step}
    assert parts.keys() - {"weight"} == {""} and parts[""]["alone"].tolist() == [0, 1, 2]
    assert parts.get("weight", {}).keys() == part.keys()
    for name, value in part.items():
        np.testing.assert_array_equal(parts["weight"][name], value)


def test_names_may_look_like_paths(tmp_path):
    write_state(tmp_path, {"optimizer": {"m/layer/kernel": np.ones(1)}}, {})
    assert list(read_state(tmp_path)[0]["optimizer"]) == ["m/layer/kernel"]
