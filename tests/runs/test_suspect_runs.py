"""A whole run on flipped labels, and one that takes back what a person made of its suspects."""

import csv
import json
from pathlib import Path

import pytest
from tiny_run import make_rows, silent_console, silent_stages, tiny_config, write_csv

from raytrain.crossval import driver
from raytrain.crossval.driver import train_run
from raytrain.crossval.suspects import load_suspects
from raytrain.errors import ConfigError
from raytrain.storage.directory import Directory
from raytrain.storage.lock import lock_run

pytestmark = pytest.mark.slow
FLIPPED = (4, 11, 30, 45, 57)


def true_rows():
    """Of the tiny corpora's rows those that are long enough to be told apart."""
    return [row for row in make_rows(200) if len(row["text"]) >= 14][:80]


def fill_in(path, target):
    """What a person who knows the truth writes into `new_label`; returns the ids that changed."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    truth = {row["id"]: row["label"] for row in true_rows()}
    for row in rows:
        row["new_label"] = truth[row["id"]]
    write_csv(target, rows)
    return {row["id"] for row in rows if row["label"] != row["new_label"]}


def test_flipped_labels_are_listed_first_and_given_back(here, tmp_path):
    rows = true_rows()
    for number in FLIPPED:
        rows[number]["label"] = "ab"[rows[number]["label"] == "a"]
    write_csv(tmp_path / "corpus.csv", rows)
    first = tiny_config(tmp_path, model__architecture="tfidf", folds__num_folds=4)
    summary = train_run(first, silent_console())
    run = Path(first.storage) / first.name
    listed = load_suspects(Directory(run), silent_stages())["id"].to_pylist()
    assert summary["suspects"]["suspects"] == len(listed)
    found = {rows[number]["id"] for number in FLIPPED} & set(listed[: len(FLIPPED)])
    assert len(found) >= 4
    filled = tmp_path / "filled.csv"
    changed = fill_in(run / "suspects.csv", filled)
    assert found <= changed
    config = tiny_config(
        tmp_path, model__architecture="tfidf", folds__num_folds=4, name="again", data__labels=filled
    )
    again = train_run(config, silent_console())
    told = json.loads((Path(config.storage) / "again" / "corpus.json").read_text(encoding="utf-8"))
    assert told["changed_labels"] == len(changed) and "data.labels" in told["inputs"]
    better, worse = again["ensemble"]["oof"]["accuracy"], summary["ensemble"]["oof"]["accuracy"]
    assert better > worse
    second = load_suspects(Directory(config.storage) / "again", silent_stages())["id"].to_pylist()
    assert not set(second) & set(listed)
    assert train_run(config, silent_console())["ensemble"] == again["ensemble"]


def test_a_run_interrupted_while_labels_are_looked_at_lists_them_when_it_goes_on(here, tmp_path, monkeypatch):
    """And nobody else writes the run while its ensemble predicts."""
    test = write_csv(tmp_path / "test.csv", [{"id": "1", "text": "明天停水"}])
    config = tiny_config(tmp_path, model__architecture="tfidf", data__test=test)
    run = Directory(config.storage) / config.name
    with monkeypatch.context() as patch:

        def interrupt(*_):
            raise KeyboardInterrupt

        patch.setattr(driver, "write_suspects", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_run(config, silent_console())
    assert not run.exists("summary.json")
    predict, held = driver.predict_test, []

    def watch(*arguments):
        with pytest.raises(ConfigError, match="by another job"), lock_run(run):
            raise AssertionError("it is free")
        held.append(True)
        return predict(*arguments)

    monkeypatch.setattr(driver, "predict_test", watch)
    assert "suspects" in train_run(config, silent_console())
    assert held and run.exists("suspects.csv") and run.exists("predictions.csv")
