import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.folds.log import FoldLog, read_log


def test_a_fold_that_has_not_begun_has_no_log(tmp_path):
    assert read_log(str(tmp_path / "absent")) == []
    (tmp_path / "begun").mkdir()
    assert read_log(str(tmp_path / "begun")) == []


@given(
    st.lists(
        st.dictionaries(
            st.text("abc 键", min_size=1, max_size=5),
            st.none() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
            max_size=3,
        ),
        max_size=4,
    )
)
def test_any_line_comes_back_whole_and_in_order(tmp_path_factory, lines):
    """Line ends of every kind stand in messages, and are no ends of lines."""
    location = str(tmp_path_factory.mktemp("fold"))
    for number, fields in enumerate(lines):
        FoldLog(location).add(f"line {number}", **fields)
    found = read_log(location)
    assert [{key: value for key, value in entry.items() if key != "time"} for entry in found] == [
        {"event": f"line {number}", **fields} for number, fields in enumerate(lines)
    ]


def test_a_line_has_the_time_in_utc_to_the_millisecond(tmp_path):
    before = datetime.now(UTC)
    FoldLog(str(tmp_path)).add("start")
    [entry] = read_log(str(tmp_path))
    time = datetime.fromisoformat(entry["time"])
    assert time.utcoffset().total_seconds() == 0 and entry["time"].count(".") == 1
    assert abs((time - before).total_seconds()) < 60


def test_the_next_attempt_goes_on_in_the_same_file(tmp_path):
    first = FoldLog(str(tmp_path))
    first.add("start")
    first.add("failure", error="SIGKILL")
    FoldLog(str(tmp_path)).add("start")
    assert [entry["event"] for entry in read_log(str(tmp_path))] == ["start", "failure", "start"]
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_score_that_is_not_defined_is_null(tmp_path):
    FoldLog(str(tmp_path)).add("epoch", auc=math.nan, loss=math.inf, accuracy=0.5)
    [line] = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(line, parse_constant=pytest.fail)["auc"] is None
    assert [read_log(str(tmp_path))[0][key] for key in ("auc", "loss", "accuracy")] == [None, None, 0.5]
