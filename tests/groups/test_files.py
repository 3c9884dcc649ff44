import csv

import numpy as np

from raytrain.groups.files import table_path, write_groups
from raytrain.groups.find import Found
from raytrain.groups.tell import Group

TEXTS = ["记者核实", "=1+1", "早餐好吃", "别的"]
FOUND = Found(np.array([0, 0, 1, -1]), np.array([0.5, 0.25, 1, 0], np.float32), {})
GROUPS = [Group(0, 2, ["记者", "核实"], [0], [1]), Group(1, 1, ["早餐"], [2], [])]


def read(path):
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.reader(stream))


def test_each_text_has_a_row_and_each_group_one_beside_them(tmp_path):
    write_groups(tmp_path / "groups.csv", ["a", "b", "c", "d"], TEXTS, FOUND, GROUPS)
    assert read(tmp_path / "groups.csv") == [
        ["id", "group", "name", "likeness", "place", "text"],
        ["a", "0", "记者 · 核实", "0.5000", "typical", "记者核实"],
        ["b", "0", "记者 · 核实", "0.2500", "odd", "'=1+1"],
        ["c", "1", "早餐", "1.0000", "typical", "早餐好吃"],
        ["d", "", "", "", "", "别的"],
    ]
    assert table_path(tmp_path / "groups.csv") == tmp_path / "groups.table.csv"
    assert read(tmp_path / "groups.table.csv") == [
        ["group", "size", "words", "typical", "odd"],
        ["0", "2", "记者 核实", "记者核实", "'=1+1"],
        ["1", "1", "早餐", "早餐好吃", ""],
    ]
