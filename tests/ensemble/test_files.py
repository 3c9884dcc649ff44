import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from raytrain.ensemble.files import predict_file, whole_or_not
from raytrain.ensemble.proba_output import open_proba
from raytrain.errors import InputError

PROBA = np.array([[0.25, 0.75], [0.9, 0.1], [0.5, 0.5]])
IDS = ["甲", "乙", "丙"]


def read_rows(path):
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return pq.read_table(path).to_pylist()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_rows_keep_their_order_ids_labels_and_probabilities(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    with whole_or_not(str(path)) as unfinished, open_proba(unfinished, ["真", "假"]) as write:
        write(IDS[:2], PROBA[:2])
        write(IDS[2:], PROBA[2:])
    rows = read_rows(path)
    assert [row["id"] for row in rows] == IDS
    assert [row["label"] for row in rows] == ["假", "真", "真"]
    np.testing.assert_allclose([[float(row["proba_真"]), float(row["proba_假"])] for row in rows], PROBA)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_failed_prediction_leaves_the_earlier_output_and_nothing_else(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    path.write_text("earlier")
    with pytest.raises(ZeroDivisionError), whole_or_not(str(path)) as unfinished:
        with open_proba(unfinished, [0, 1]) as write:
            write([1], PROBA[:1])
        raise ZeroDivisionError
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_integer_labels_stay_integers_where_the_format_has_them(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    with whole_or_not(str(path)) as unfinished, open_proba(unfinished, [0, 1]) as write:
        write([7], PROBA[:1])
    assert read_rows(path)[0]["label"] == ("1" if suffix == ".csv" else 1)


def test_unknown_output_suffix_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(InputError, match=r"\.csv, \.jsonl, \.parquet"):
        predict_file("nowhere", "nowhere.csv", str(tmp_path / "out.xlsx"))


def test_missing_output_folder_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(InputError, match="folder does not exist"):
        predict_file("nowhere", "nowhere.csv", str(tmp_path / "absent" / "out.csv"))
