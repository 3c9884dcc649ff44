"""Suspects of runs whose folds were committed by hand; without Ray."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import ray
from crossval.test_driver import Committed
from crossval.test_plan import BOTH, LABELS, NUM_ROWS, WORDS, plan_of, shared_of
from crossval.test_results import write
from tiny_run import silent_stages

from raytrain.crossval import driver
from raytrain.crossval.suspects import (
    SUSPECTS_FILE,
    find_suspects,
    load_suspects,
    must_stay,
    suspects_line,
    write_suspects,
)
from raytrain.errors import ArtifactError, ConfigError
from raytrain.splits.duplicates import Duplicates
from raytrain.splits.folds import Folds

FALSE_ROWS = [f"row-{row}" for row in range(NUM_ROWS) if LABELS[row] == 0]  # all models say 真 of all rows


@pytest.fixture
def plan(tmp_path):
    """Two architectures, two repeats."""
    return plan_of(BOTH, run=tmp_path / "甲", shared=shared_of(**WORDS))


def with_texts(plan, **texts):
    """The corpus with other texts in some rows."""
    values = plan.corpus.table["text"].to_pylist()
    for row, text in texts.items():
        values[int(row.removeprefix("row"))] = text
    table = plan.corpus.table.set_column(1, "text", pa.array(values))
    return replace(plan.corpus, table=table)


def found_of(plan, corpus=None, duplicates=None, most=None):
    return find_suspects(plan.run, corpus or plan.corpus, duplicates, write(plan), silent_stages(), most)


def test_what_the_ensemble_and_all_models_say_otherwise_is_listed(plan):
    table, told = found_of(plan)
    assert table["id"].to_pylist() == FALSE_ROWS
    assert table["reasons"].to_pylist() == [["confident", "all_wrong"]] * 5
    assert (set(table["label"].to_pylist()), set(table["says"].to_pylist())) == ({"假"}, {"真"})
    np.testing.assert_allclose(table["proba_says"].to_numpy(), 0.75)
    counts = {"confident": 5, "conflict": 0, "all_wrong": 5}
    assert told == {"rows": 8, "suspects": 5, "listed": 5, **counts, "joint": [[0, 5], [0, 3]]}


def test_one_model_alone_is_no_vote(tmp_path):
    plan = plan_of("folds.repeats=1", run=tmp_path / "甲", folds=Folds(np.arange(NUM_ROWS)[None] % 2))
    table, told = found_of(plan)
    assert told["all_wrong"] == 0 and table["reasons"].to_pylist() == [["confident"]] * 5


def test_as_many_are_listed_as_are_asked_for(plan):
    table, told = found_of(plan, most=2)
    assert table["id"].to_pylist() == FALSE_ROWS[:2] and (told["suspects"], told["listed"]) == (5, 2)


def test_equal_texts_of_two_labels_are_a_conflict_where_near_duplicates_are_kept(plan):
    corpus = with_texts(plan, row1="同样 的Ａ", row6="同样的a")
    table, told = found_of(plan, corpus)
    assert told["conflict"] == 2 and table["id"].to_pylist()[0] == "row-6"
    rows = dict(zip(table["id"].to_pylist(), table["reasons"].to_pylist(), strict=True))
    assert rows["row-6"] == ["confident", "conflict", "all_wrong"] and rows["row-1"] == ["conflict"]


def test_near_duplicates_of_two_labels_are_a_conflict_where_they_were_looked_for(plan):
    groups = np.array([0, 1, 2, 3, 4, 5, 1, 1])
    _, told = found_of(plan, duplicates=Duplicates("group", groups, 1))
    assert told["conflict"] == 1  # of two 假 and one 真
    _, told = found_of(plan, duplicates=Duplicates("drop", np.arange(9), 0))
    assert told["conflict"] == 0


def test_labels_that_a_person_gave_are_not_listed_again(plan):
    judged = pa.array([row in (0, 2) for row in range(NUM_ROWS)])
    corpus = replace(plan.corpus, table=plan.corpus.table.append_column("judged", judged))
    assert found_of(plan, corpus)[0]["id"].to_pylist() == FALSE_ROWS[2:]


def test_folds_and_ensembles_of_other_rows_are_told(plan):
    fewer = replace(plan.corpus, table=plan.corpus.table.slice(0, 7))
    with pytest.raises(ArtifactError, match=r"oof\.parquet was written for other rows"):
        found_of(plan, fewer)
    summary = write(plan)
    (plan.run / "folds/textcnn/r1-fold-00/result").remove("oof.parquet")
    with pytest.raises(ArtifactError, match=r"textcnn/r1-fold-00/result is damaged"):
        find_suspects(plan.run, plan.corpus, None, summary, silent_stages(), None)


def test_the_file_is_written_anew_but_not_over_what_a_person_filled_in(plan):
    summary = write(plan)

    def again():
        return write_suspects(plan.run, plan.corpus, None, summary, silent_stages())["kept"]

    assert not must_stay(plan.run) and not again()
    content = plan.run.read_bytes(SUSPECTS_FILE)
    assert not must_stay(plan.run) and not again() and plan.run.read_bytes(SUSPECTS_FILE) == content
    for filled in (content.replace(b",\r\n", ",真\r\n".encode()), b"id,text\r\n1,\xff\r\n"):
        plan.run.write_bytes(SUSPECTS_FILE, filled)
        assert must_stay(plan.run) and again() and plan.run.read_bytes(SUSPECTS_FILE) == filled


def told(**changes):
    counts = {"rows": 3387, "suspects": 61, "listed": 61, "confident": 50, "conflict": 31, "all_wrong": 12}
    return counts | {"kept": False} | changes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "61 of 3,387 labels look wrong (31 conflict, 12 wrong in all models); fill in new_label"),
        ({"conflict": 0, "all_wrong": 0}, "61 of 3,387 labels look wrong; fill in new_label"),
        (
            {"suspects": 1200, "listed": 1000, "conflict": 0},
            "12 wrong in all models), the first 1,000 listed; ",
        ),
        ({"kept": True}, "12 wrong in all models); the file is not written over what was filled in there"),
        ({"suspects": 0}, "none of 3,387 labels looks wrong"),
    ],
)
def test_one_line_tells_how_many_there_are(plan, changes, said):
    line = suspects_line(plan.run, told(**changes))
    assert line.startswith(f"{plan.run}/suspects.csv: ") and said in line


# ── a run ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def committed(tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "connect", lambda address: None)
    monkeypatch.setattr(ray, "put", lambda value: value)
    return Committed(tmp_path)


def test_a_finished_run_has_a_line_and_a_file_which_it_finds_again(committed):
    summary, said = committed.train()
    assert summary["suspects"]["suspects"] == 6
    line = suspects_line(committed.run, summary["suspects"])
    assert line in said and line in committed.train()[1]
    text = committed.run.read_bytes(SUSPECTS_FILE).decode("utf-8-sig")
    listed = [row["id"] for row in csv.DictReader(io.StringIO(text, newline=""))]
    table = load_suspects(committed.run, silent_stages())
    assert table["id"].to_pylist() == listed and len(listed) == 6
    assert load_suspects(committed.run, silent_stages(), 2)["id"].to_pylist() == listed[:2]


def test_texts_to_predict_are_not_asked_for(committed):
    committed.train()
    data = committed.config.data.model_copy(update={"test": "absent.csv"})
    config = committed.config.model_copy(update={"data": data})
    committed.run.write_bytes("config.yaml", config.to_yaml().encode())
    assert load_suspects(committed.run, silent_stages()).num_rows == 6


def test_a_run_that_is_none_or_not_finished_or_of_another_corpus_is_told(committed):
    with pytest.raises(ArtifactError, match=r"expected a run's directory with config\.yaml"):
        load_suspects(committed.run, silent_stages())
    committed.train()
    inputs = json.loads(committed.run.read_bytes("corpus.json"))
    committed.run.write_bytes("corpus.json", b"{}")
    with pytest.raises(ArtifactError, match=r"corpus\.json is damaged"):
        load_suspects(committed.run, silent_stages())
    inputs["inputs"]["data.path"] = "0" * 64
    committed.run.write_bytes("corpus.json", json.dumps(inputs).encode())
    with pytest.raises(ConfigError, match=r"data\.path: its content is not what the run was begun with"):
        load_suspects(committed.run, silent_stages())
    committed.run.remove("summary.json")
    with pytest.raises(ArtifactError, match="is not finished"):
        load_suspects(committed.run, silent_stages())
    committed.run.write_bytes("config.yaml", b"task: tag\ndata: {path: a.bio}\n")
    with pytest.raises(ConfigError, match="expected a run of task=classify, found task=tag"):
        load_suspects(committed.run, silent_stages())
    committed.run.write_bytes("config.yaml", b"task: cook\n")
    with pytest.raises(ArtifactError, match=r"config\.yaml is damaged"):
        load_suspects(committed.run, silent_stages())
