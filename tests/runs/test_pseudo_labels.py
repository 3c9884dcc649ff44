"""A whole run whose folds label texts to predict and learn them, too, on one shared local Ray."""

import json
from pathlib import Path

import pyarrow.csv
import pytest
from folds_here import trained_here
from tiny_run import make_rows, silent_console, tiny_config, write_csv

from raytrain.crossval.driver import train_run
from raytrain.errors import ConfigError
from raytrain.folds.log import read_log

pytestmark = pytest.mark.slow
NEW = make_rows(20, seed=5)


@pytest.fixture(scope="module")
def run(local_ray, tmp_path_factory):
    directory = tmp_path_factory.mktemp("pseudo")
    test = write_csv(directory / "new.csv", NEW)
    config = tiny_config(
        directory,
        model__architecture="[textcnn,tfidf]",
        train__pseudo_labels=0.6,
        train__learning_rate=2e-2,
        train__epochs=6,
        data__test=test,
    )
    with trained_here():
        summary = train_run(config, silent_console())
    return config, Path(config.storage) / config.name, summary


def records(path, architecture):
    results = sorted(path.glob(f"folds/{architecture}/*/result/result.json"))
    return [json.loads(result.read_text(encoding="utf-8")) for result in results]


def test_each_network_learns_texts_of_its_own_and_says_so(run):
    _, path, _ = run
    counts = [record.get("pseudo_labels", 0) for record in records(path, "textcnn")]
    assert any(counts) and max(counts) <= len(NEW)
    for fold, count in zip(sorted(path.glob("folds/textcnn/*")), counts, strict=True):
        told = [line["texts"] for line in read_log(str(fold)) if line["event"] == "labelled"]
        assert told == [count] * bool(count)


def test_n_grams_have_one_round(run):
    _, path, _ = run
    assert records(path, "tfidf") and not any("pseudo_labels" in record for record in records(path, "tfidf"))


def test_scores_are_of_the_labelled_rows_and_all_texts_are_predicted(run):
    _, path, summary = run
    assert summary["ensemble"]["rows"] == summary["rows"]
    assert pyarrow.csv.read_csv(path / "predictions.csv").num_rows == len(NEW)


def test_other_texts_to_learn_from_are_another_run(run, tmp_path):
    config, path, _ = run
    other = config.model_copy(deep=True)
    other.data.test = str(write_csv(tmp_path / "new.csv", NEW[:5]))
    (path / "summary.json").rename(path / "summary.kept")
    try:
        with pytest.raises(ConfigError, match="other inputs") as caught:
            train_run(other, silent_console())
    finally:
        (path / "summary.kept").rename(path / "summary.json")
    assert "data.test" in caught.value.problems[0]
