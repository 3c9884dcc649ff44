import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from raytrain.corpus.corpus import Corpus
from raytrain.ensemble import apart as apart_module
from raytrain.errors import ArtifactError
from raytrain.files.reading import Reading
from raytrain.refit import teacher as teacher_module
from raytrain.refit.teacher import ask_ensemble, read_oof
from raytrain.storage.directory import Directory
from raytrain.storage.files import parquet_bytes

CORPUS = Corpus(pa.table({"id": ["甲", "乙"], "text": ["天", "地"]}), [0, 1], "a" * 64, "a.csv", {})
OOF = {"id": ["甲", "乙"], "label": [0, 1], "proba_0": [0.25, np.nan], "proba_1": [0.75, np.nan]}


class Artifact:
    """Of an ensemble, what a student reads."""

    directory, labels = "runs/甲/ensemble", [0, 1]

    def __init__(self, table):
        self.table = table

    def read(self, name):
        assert name == "oof.parquet"
        return parquet_bytes(pa.table(self.table)) if isinstance(self.table, dict) else self.table


def test_the_word_on_the_labelled_rows_is_out_of_fold_and_nan_where_no_fold_covered_them():
    np.testing.assert_array_equal(read_oof(Artifact(OOF), CORPUS), [[0.25, 0.75], [np.nan, np.nan]])


def test_what_a_dropped_fold_said_is_not_taught(tmp_path):
    for name, rows in (("fold-00", [1]), ("fold-01", [0, 1])):
        table = pa.table({"row": rows, "proba_0": [0.5] * len(rows), "proba_1": [0.5] * len(rows)})
        Directory(tmp_path).write_bytes(f"{name}/result/oof.parquet", parquet_bytes(table))
    said = Artifact(OOF | {"proba_0": [0.25, 0.5], "proba_1": [0.75, 0.5]})
    alive = read_oof(said, CORPUS, [f"{tmp_path}/fold-00"])
    np.testing.assert_array_equal(alive, [[0.25, 0.75], [np.nan, np.nan]])
    assert np.isnan(read_oof(said, CORPUS, [f"{tmp_path}/fold-00", f"{tmp_path}/fold-01"])).all()


@pytest.mark.parametrize("rows", [None, [2], ["甲"]])
def test_a_dropped_fold_that_cannot_be_read_is_told(tmp_path, rows):
    if rows is not None:
        Directory(tmp_path).write_bytes("result/oof.parquet", parquet_bytes(pa.table({"row": rows})))
    with pytest.raises(ArtifactError, match="result is damaged"):
        read_oof(Artifact(OOF), CORPUS, [str(tmp_path)])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (OOF | {"id": ["乙", "甲"]}, "found others"),
        ({"id": ["甲", "乙"], "proba_0": [0.5, 0.5]}, "damaged"),
        (b"PAR1", "damaged"),
    ],
)
def test_another_word_is_refused(table, said):
    with pytest.raises(ArtifactError, match=said):
        read_oof(Artifact(table), CORPUS)


@pytest.fixture
def asked(monkeypatch):
    """Predicts 0.1 for the first row, 0.2 for the second…, and counts how often it was asked."""
    calls = []

    def predict(ensemble, texts, directory, name, columns, id_column, stages, reading):
        calls.append((ensemble, texts, columns))
        with Path(texts).open(encoding=reading.encoding or "utf-8", newline="") as stream:
            values = np.arange(1, len(list(csv.DictReader(stream))) + 1) / 10
        directory.write_bytes(name, parquet_bytes(pa.table({"proba_0": values, "proba_1": 1 - values})))

    assert teacher_module.predict_apart is apart_module.predict_apart
    monkeypatch.setattr(teacher_module, "predict_apart", predict)
    return calls


def test_the_word_on_a_file_is_kept_and_empty_texts_are_left_out(tmp_path, asked):
    path = tmp_path / "new.csv"
    path.write_text("t,u\n天,一\n ,二\n地,\n人,四\n", encoding="utf-8")
    arguments = Artifact(OOF), str(path), ["t"], Directory(tmp_path), "teacher.parquet", None
    for _ in range(2):
        taught = ask_ensemble(*arguments)
        assert taught.texts == (["天", "地", "人"],) * 2
        np.testing.assert_allclose(taught.proba[:, 0], [0.1, 0.3, 0.4])
    assert asked == [("runs/甲/ensemble", str(path), ["t"])]


def test_texts_are_read_as_is_said(tmp_path, asked):
    path = tmp_path / "new.csv"
    path.write_text("t\n臺灣\n棒球\n", encoding="big5")
    reading = Reading("big5", by_flags=True)
    taught = ask_ensemble(Artifact(OOF), str(path), ["t"], Directory(tmp_path), "a.parquet", None, reading)
    assert taught.texts == (["臺灣", "棒球"],) * 2


def test_of_pairs_both_texts_are_there(tmp_path, asked):
    path = tmp_path / "new.csv"
    path.write_text("t,u\n天,一\n ,二\n地,\n人,四\n", encoding="utf-8")
    taught = ask_ensemble(Artifact(OOF), str(path), ["t", "u"], Directory(tmp_path), "a.parquet", None)
    assert taught.texts == (["天", "人"], ["一", "四"])
    np.testing.assert_allclose(taught.proba[:, 0], [0.1, 0.4])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.5, 2.0])
def test_a_word_that_is_no_probability_is_refused(tmp_path, bad):
    with pytest.raises(ArtifactError, match=r"from 0 to 1, found .* in row 1"):
        read_oof(Artifact(OOF | {"proba_1": [bad, np.nan]}), CORPUS)
    path = tmp_path / "new.csv"
    path.write_text("t\n天\n", encoding="utf-8")
    Directory(tmp_path).write_bytes(
        "a.parquet", parquet_bytes(pa.table({"proba_0": [bad], "proba_1": [bad]}))
    )
    with pytest.raises(ArtifactError, match=r"a\.parquet is damaged: expected .*delete it"):
        ask_ensemble(Artifact(OOF), str(path), ["t"], Directory(tmp_path), "a.parquet", None)
