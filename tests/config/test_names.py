import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.config.load import load_config
from raytrain.config.names import MOST_BYTES, check_run_name, trial_name


@pytest.mark.parametrize("name", ["运行 一", "2026-rumours_v1.0", "谣言（二）·甲", "é", "한국어", "名" * 66])
def test_a_run_may_be_called_so(name):
    assert check_run_name(name) == name
    assert load_config(data__path="a.csv", name=name).name == name


def test_all_that_is_wrong_with_a_name_is_told():
    with pytest.raises(ValueError, match="letters of any script") as caught:
        check_run_name("-甲/乙\n" + "名" * 70 + ".")
    told = str(caught.value)
    assert "which has '\\n', '/'" in told and "begins with neither" in told
    assert "ends with a blank or a dot" in told and "of 220 bytes" in told


@given(st.text(max_size=80))
def test_a_name_that_is_taken_is_one_part_of_a_path(name):
    try:
        check_run_name(name)
    except ValueError:
        return
    assert not set(name) & set("/\\\0\n") and name not in (".", "..") and len(name.encode()) <= MOST_BYTES
    assert check_run_name(trial_name(name, 12)).endswith("-trial-0012")
