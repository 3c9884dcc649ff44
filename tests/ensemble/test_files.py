import codecs
import csv
import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raytrain.corpus import cells
from raytrain.ensemble.files import predict_file, whole_or_not
from raytrain.ensemble.outputs import open_proba
from raytrain.errors import InputError

PROBA = np.array([[0.25, 0.75], [0.9, 0.1], [0.5, 0.5]])
IDS = ["甲", "乙", "丙"]


def read_rows(path):
    if path.suffix == ".csv":
        assert path.read_bytes().startswith(codecs.BOM_UTF8)  # spreadsheets need it
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return list(csv.DictReader(stream))
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return pq.read_table(path).to_pylist()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_rows_keep_their_order_ids_labels_and_probabilities(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    with whole_or_not(str(path)) as unfinished, open_proba(unfinished, ["真", "假"]) as write:
        write(IDS[:1], [None], PROBA[:1])
        write(IDS[1:], ["真", "假"], PROBA[1:])
    rows = read_rows(path)
    assert [row["id"] for row in rows] == IDS
    assert [row["label"] for row in rows] == ["" if suffix == ".csv" else None, "真", "假"]
    np.testing.assert_allclose([[float(row["proba_真"]), float(row["proba_假"])] for row in rows], PROBA)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_failed_prediction_leaves_the_earlier_output_and_nothing_else(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    path.write_text("earlier")
    with pytest.raises(ZeroDivisionError), whole_or_not(str(path)) as unfinished:
        with open_proba(unfinished, [0, 1]) as write:
            write([1], [1], PROBA[:1])
        raise ZeroDivisionError
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_integer_labels_stay_integers_where_the_format_has_them(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    with whole_or_not(str(path)) as unfinished, open_proba(unfinished, [0, 1]) as write:
        write([7], [1], PROBA[:1])
    assert read_rows(path)[0]["label"] == ("1" if suffix == ".csv" else 1)


def test_unknown_output_suffix_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(InputError, match=r"\.csv, \.jsonl, \.parquet"):
        next(predict_file("nowhere", "nowhere.csv", str(tmp_path / "out.xlsx")))


@pytest.mark.parametrize("link", [None, "symlink_to", "hardlink_to"])
def test_the_input_is_never_replaced(tmp_path, link):
    """Whoever writes over the texts that were asked for has lost them."""
    texts = tmp_path / "posts.csv"
    texts.write_text("text\n好\n", encoding="utf-8")
    output = texts if link is None else tmp_path / "other.csv"
    if link is not None:
        getattr(output, link)(texts)
    with pytest.raises(InputError, match="another file than the input"):
        next(predict_file(str(tmp_path), str(texts), str(output)))


def test_missing_output_folder_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(InputError, match="folder does not exist"):
        next(predict_file("nowhere", "nowhere.csv", str(tmp_path / "absent" / "out.csv")))


# ── the id column ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def encoder():
    return SimpleNamespace(windows=1)


@pytest.fixture
def predict(tmp_path, monkeypatch, encoder):
    """Predicts a file with an ensemble whose training took ids from `id`; returns ids and counts."""
    data = SimpleNamespace(text_columns=["text"], id="id")
    manifest = SimpleNamespace(config=SimpleNamespace(data=data, encoder=encoder))
    facts = {"task": "classify", "labels": ["真", "假"], "has_networks": False}
    ensemble = SimpleNamespace(manifest=manifest, **facts)
    predictor = SimpleNamespace(
        predict_proba=lambda texts, pairs: np.array([PROBA["甲乙丙".find(text)] for text in texts]),
        decide=lambda proba: np.ones(len(proba), int),
    )
    monkeypatch.setattr("raytrain.ensemble.files.load_ensemble", lambda location: ensemble)
    monkeypatch.setattr("raytrain.ensemble.files.build_predictor", lambda *args: predictor)

    def predict_ids(path, **options):
        output = tmp_path / "out.jsonl"
        *_, rows = predict_file("somewhere", str(path), str(output), **options)
        assert rows.done == rows.total
        return [row["id"] for row in read_rows(output)], (rows.total, rows.num_empty)

    return predict_ids


def write_table(path, rows):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(f"{row['text']}\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_ids_are_as_trained_where_the_file_has_them(tmp_path, predict, suffix):
    rows = [{"id": "x", "text": "甲"}, {"id": "y", "text": ""}]
    assert predict(write_table(tmp_path / f"a{suffix}", rows)) == (["x", "y"], (2, 1))


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", ".txt"])
def test_rows_are_numbered_where_the_file_has_no_ids(tmp_path, predict, suffix):
    rows = [{"text": "甲"}, {"text": "乙"}]
    assert predict(write_table(tmp_path / f"a{suffix}", rows)) == ([0, 1], (2, 0))


def test_the_id_column_that_is_given_is_taken(tmp_path, predict):
    path = write_table(tmp_path / "a.csv", [{"id": "x", "key": "k", "text": "甲"}])
    assert predict(path, id_column="key")[0] == ["k"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [("id,text,id", "expected one column of this name"), ("id,txt", "did you mean 'txt'")],
)
def test_what_is_wrong_with_the_file_is_told_and_no_ids_are_made_up(tmp_path, predict, header, expected):
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\n{header}\n", encoding="utf-8")
    with pytest.raises(InputError, match=expected):
        predict(path)


def test_ids_that_are_none_are_told(tmp_path, predict):
    path = write_table(tmp_path / "a.jsonl", [{"id": ["x"], "text": "甲"}])
    with pytest.raises(InputError, match="row 1, column id: expected an id"):
        predict(path)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_the_rows_are_read_to_count_them_and_to_predict_them(tmp_path, predict, monkeypatch, suffix):
    wanted = []
    iter_rows = cells.iter_rows
    monkeypatch.setattr(
        cells,
        "iter_rows",
        lambda path, columns, *rest: wanted.append(columns) or iter_rows(path, columns, *rest),
    )
    predict(write_table(tmp_path / f"a{suffix}", [{"id": "x", "text": "甲"}]))
    assert wanted == [["id", "text"]] * 2


@pytest.mark.parametrize(("windows", "chunks"), [(1, [4, 1]), (2, [2, 2, 1]), (9, [1] * 5)])
def test_of_texts_in_windows_fewer_are_laid_out_at_once(
    tmp_path, predict, encoder, monkeypatch, windows, chunks
):
    encoder.windows, told = windows, []
    monkeypatch.setattr("raytrain.ensemble.files.CHUNK_ROWS", 4)
    path = write_table(tmp_path / "a.txt", [{"text": text} for text in "甲乙丙丁戊"])
    for rows in predict_file("somewhere", str(path), str(tmp_path / "out.csv")):
        told.append(rows.done)
    assert np.diff(told).tolist() == chunks


# ── decisions ──────────────────────────────────────────────────────────────────────────────────────


def test_labels_are_those_that_the_predictor_decides_for(tmp_path, predict):
    predict(write_table(tmp_path / "a.txt", [{"text": text} for text in "甲乙丙"]))
    assert [row["label"] for row in read_rows(tmp_path / "out.jsonl")] == ["假"] * 3


@pytest.mark.parametrize(("reject", "labels"), [(0.5, "假假假"), (0.75, "假假-"), (0.8, "-假-"), (1, "---")])
def test_rows_that_nothing_is_probable_enough_of_are_left_to_a_person(tmp_path, predict, reject, labels):
    path = write_table(tmp_path / "a.txt", [{"text": text} for text in "甲乙丙"])
    *_, rows = predict_file("somewhere", str(path), str(tmp_path / "out.parquet"), reject=reject)
    found = [row["label"] for row in read_rows(tmp_path / "out.parquet")]
    assert found == [None if label == "-" else label for label in labels]
    assert rows.num_rejected == labels.count("-")


@pytest.mark.parametrize("reject", [0, -0.5, 1.01, float("nan")])
def test_what_is_rejected_below_is_a_probability(tmp_path, reject):
    with pytest.raises(InputError, match="reject: expected a probability"):
        next(predict_file("nowhere", "nowhere.csv", str(tmp_path / "out.csv"), reject=reject))


def test_of_a_tagger_nothing_is_rejected(tmp_path, monkeypatch):
    ensemble = SimpleNamespace(task="tag")
    monkeypatch.setattr("raytrain.ensemble.files.load_ensemble", lambda location: ensemble)
    with pytest.raises(InputError, match="reject: expected none for an ensemble of task=tag"):
        next(predict_file("somewhere", "a.bio", str(tmp_path / "out.bio"), reject=0.5))
