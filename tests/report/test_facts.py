import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_run import NUM_FOLDS, change_summary, write_run, write_tag_run
from tiny_run import make_rows, silent_stages, write_csv

from raytrain.errors import ArtifactError
from raytrain.report.facts import read_facts
from raytrain.storage.directory import Directory


def read(run):
    return read_facts(Directory(run), silent_stages())


def change_oof(run, **columns):
    """Lays other columns over oof.parquet."""
    path = run / "ensemble" / "oof.parquet"
    table = pq.read_table(path)
    for name, values in columns.items():
        own = table.column_names
        table = (
            table.set_column(own.index(name), name, values)
            if name in own
            else table.append_column(name, values)
        )
    pq.write_table(table, path)


def test_a_run_is_read_whole(tmp_path):
    facts = read(write_run(tmp_path, architectures=("textcnn", "finetune")))
    said, rows = facts.said, make_rows(60)
    assert [parts for (parts,) in facts.texts] == [row["text"] for row in rows]
    assert [said.labels[label] for label in said.truth] == [row["label"] for row in rows]
    assert list(said.others) == ["textcnn", "finetune", "majority", "tfidf_logistic"]
    assert list(facts.models) == ["textcnn", "finetune", "ensemble", "majority", "tfidf_logistic"]
    np.testing.assert_allclose(said.proba, (said.others["textcnn"] + said.others["finetune"]) / 2)
    assert all(np.isfinite(proba).all() for proba in said.others.values())
    assert len(facts.records) == 2 * NUM_FOLDS


def test_baselines_lie_on_the_rows_of_their_folds(tmp_path):
    run = write_run(tmp_path)
    facts = read(run)
    table = pq.read_table(run / "baselines" / "fold-01.parquet")
    expected = table["majority"].combine_chunks().flatten().to_numpy().reshape(-1, 2)
    np.testing.assert_array_equal(facts.said.others["majority"][facts.said.folds == 1], expected)
    (run / "baselines" / "fold-01.parquet").unlink()
    own = read(run).said
    assert np.isnan(own.others["majority"][own.folds == 1]).all()
    assert np.isfinite(own.others["majority"][own.folds != 1]).all()


def test_one_architecture_is_the_ensemble(tmp_path):
    facts = read(write_run(tmp_path))
    assert list(facts.models) == ["textcnn", "majority", "tfidf_logistic"]


def test_rows_of_no_fold_are_left_out(tmp_path):
    run = write_run(tmp_path)
    table = pq.read_table(run / "ensemble" / "oof.parquet")
    lost = np.arange(60) < 10
    columns = {
        name: pa.array(np.where(lost, np.nan, table[name].to_numpy()))
        for name in table.column_names
        if name.startswith("proba_")
    }
    change_oof(run, **columns, fold=pa.array([None] * 10 + [0] * 50, pa.int32()))
    said = read(run).said
    assert said.rows.tolist() == list(range(10, 60))
    assert len(said.truth) == len(said.proba) == len(said.predicted) == 50


def test_what_thresholds_decide_is_what_is_said(tmp_path):
    run = write_run(tmp_path)
    change_oof(run, decision=pa.array(["b"] * 59 + [None]))
    said = read(run).said
    assert said.predicted[:59].tolist() == [1] * 59
    assert said.predicted[59] == said.proba[59].argmax()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_text("nonsense", encoding="utf-8"), "cannot be read"),
        (lambda path: write_csv(path, make_rows(90)), "not the file that the run was begun with"),
    ],
)
def test_a_corpus_that_is_another_or_gone_leaves_the_rest(tmp_path, change, reason):
    run = write_run(tmp_path)
    change(tmp_path / "corpus.csv")
    facts = read(run)
    assert facts.texts is None and reason in facts.unread
    assert len(facts.said.truth) == 60


def test_a_tagger_has_texts_and_no_classes(tmp_path):
    facts = read(write_tag_run(tmp_path))
    assert facts.said is None and len(facts.texts) == facts.oof.num_rows


@pytest.mark.parametrize("name", ["summary.json", "corpus.json", "ensemble/manifest.json", "config.yaml"])
def test_what_is_no_run_is_told(tmp_path, name):
    run = write_run(tmp_path)
    (run / name).unlink()
    with pytest.raises(ArtifactError, match=name.rpartition("/")[2]):
        read(run)


@pytest.mark.parametrize("text", ["{", "[1]", "3"])
def test_a_damaged_summary_is_told(tmp_path, text):
    run = write_run(tmp_path)
    (run / "summary.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"summary\.json is damaged"):
        read(run)


def test_an_oof_table_of_other_labels_is_told(tmp_path):
    run = write_run(tmp_path)
    change_summary(run, labels=["x", "y"])
    with pytest.raises(ArtifactError, match="is damaged"):
        read(run)


def test_a_lost_record_is_left_out(tmp_path):
    run = write_run(tmp_path)
    record = run / "folds" / "textcnn" / "r0-fold-00" / "result" / "result.json"
    assert json.loads(record.read_text())["fold"] == 0
    record.unlink()
    assert [one["fold"] for one in read(run).records] == [1, 2]
