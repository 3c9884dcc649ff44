"""Whole runs of folds by time."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from folds_here import trained_here
from tiny_run import make_rows, silent_console, tiny_config, write_csv

from raytrain.crossval.driver import train_run
from raytrain.errors import ConfigError
from raytrain.ngrams.tfidf import fit_classifier

pytestmark = pytest.mark.slow
NUM_ROWS = 48
# Later rows stand first in the file; row 3 is the text of row 40 again, which is thus earlier.
DAYS = [f"2012-03-{1 + (NUM_ROWS - 1 - place) // 2:02d}" for place in range(NUM_ROWS)]
ROWS = [{**row, "day": day} for row, day in zip(make_rows(NUM_ROWS), DAYS, strict=True)]
ROWS[3]["text"] = ROWS[40]["text"]


def time_config(directory, **overrides):
    write_csv(directory / "corpus.csv", ROWS)
    chosen = {"model__architecture": "tfidf", "folds__time": "day", "folds__num_folds": 3, "baseline": "true"}
    return tiny_config(directory, **chosen | overrides)


@pytest.fixture(scope="module")
def done(local_ray, tmp_path_factory):
    config = time_config(tmp_path_factory.mktemp("time"), folds__compare="true")
    console = silent_console()
    with trained_here():
        return config, train_run(config, console), console.file.getvalue()


def run_of(config):
    return Path(config.storage) / config.name


def tables_of(config):
    run = run_of(config)
    return pq.read_table(run / "folds.parquet"), pq.read_table(run / "ensemble" / "oof.parquet")


def test_of_the_first_rows_in_time_nothing_is_said(done):
    folds, oof = tables_of(done[0])
    assert folds["fold"].to_pylist() == oof["fold"].to_pylist() == np.repeat([2, 1, 0, -1], 12).tolist()
    said = np.stack([oof["proba_a"].to_numpy(), oof["proba_b"].to_numpy()], axis=1)
    assert np.isnan(said[36:]).all() and np.isfinite(said[:36]).all()


def test_what_a_fold_says_is_learned_from_what_lies_before_it(done):
    folds, oof = tables_of(done[0])
    number, groups = folds["fold"].to_numpy(), folds["group"].to_numpy()
    assert groups[3] == groups[40]
    labels = np.array([row["label"] == "b" for row in ROWS], int)
    for fold in range(3):
        valid = number == fold
        train = (number < fold) & ~np.isin(groups, groups[valid])
        classifier = fit_classifier([ROWS[row]["text"] for row in np.flatnonzero(train)], labels[train], 2)
        expected = classifier.predict_proba([ROWS[row]["text"] for row in np.flatnonzero(valid)])
        np.testing.assert_allclose(oof["proba_b"].to_numpy()[valid], expected[:, 1], atol=1e-5)


def test_scores_count_the_rows_of_folds_alone(done):
    _, summary, said = done
    assert summary["rows"] == NUM_ROWS and "out-of-fold scores on 36 rows" in said
    entries = {**summary["architectures"], **summary["baselines"], "ensemble": summary["ensemble"]}
    assert {entry["rows"] for entry in entries.values()} == {36}
    own, baseline = summary["architectures"]["tfidf"]["oof"], summary["baselines"]["tfidf_logistic"]["oof"]
    assert own == pytest.approx(baseline, abs=1e-5)


def test_the_folds_are_told_in_the_summary(done):
    told = done[1]["time"]
    assert told["column"] == "day" and told["before"]["first"] == "2012-03-01 00:00:00"
    assert [fold["train_rows"] for fold in told["folds"]] == [12, 24, 35]
    assert [fold["left_out"] for fold in told["folds"]] == [0, 0, 1]
    assert "no fold learns from a group that it is judged by" in done[2]


def test_random_folds_are_compared_on_the_same_rows(done):
    config, summary, said = done
    compared = summary["compare"]
    by_time, at_random = compared["ways"].values()
    assert by_time["oof"] == summary["baselines"]["tfidf_logistic"]["oof"]
    assert at_random["rows"] == 36 and at_random["oof"] != by_time["oof"]
    assert json.loads((run_of(config) / "summary.json").read_text())["compare"]["model"] == "tfidf_logistic"
    assert "tfidf_logistic on the same 36 rows" in said


def test_a_run_goes_on_with_the_folds_that_it_had(done, here, tmp_path):
    config, summary, _ = done
    again = config.model_copy(update={"storage": str(tmp_path / "runs")})
    shutil.copytree(config.storage, again.storage)
    run = run_of(again)
    kept = run / "folds" / "tfidf" / "r0-fold-00" / "result" / "result.json"
    before = kept.stat().st_mtime_ns
    shutil.rmtree(run / "ensemble")
    shutil.rmtree(run / "folds" / "tfidf" / "r0-fold-02")
    found = train_run(again, silent_console())
    assert kept.stat().st_mtime_ns == before
    for key in ("ensemble", "baselines", "compare", "time"):
        assert found[key] == summary[key]
    oof = [run_of(each) / "ensemble" / "oof.parquet" for each in (config, again)]
    assert oof[0].read_bytes() == oof[1].read_bytes()
    with pytest.raises(ConfigError, match=r"folds\.time"):
        train_run(time_config(tmp_path, folds__time="null"), silent_console())


def test_a_finished_run_is_compared_later(here, tmp_path):
    first = train_run(time_config(tmp_path), silent_console())
    assert first["compare"] is None
    later = train_run(time_config(tmp_path, folds__compare="true"), silent_console())
    assert later["compare"]["ways"]["by time"]["oof"] == first["baselines"]["tfidf_logistic"]["oof"]
    assert later["ensemble"] == first["ensemble"]
