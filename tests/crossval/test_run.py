"""A run that has ended, from Python: of folds that were committed by hand, so that nothing is trained."""

import numpy as np
import pytest
from crossval.test_plan import BOTH, LABELS, NUM_ROWS, WORDS, plan_of, shared_of
from crossval.test_results import write

from raytrain.crossval import run as run_module
from raytrain.crossval.run import Run, cross_validate
from raytrain.ensemble.artifact import load_ensemble
from raytrain.errors import ConfigError


@pytest.fixture
def run(tmp_path):
    plan = plan_of(BOTH, "name=tiny", f"storage={tmp_path}", run=tmp_path / "tiny", shared=shared_of(**WORDS))
    summary = write(plan, baselines={"majority": np.full((NUM_ROWS, 2), 0.5)})
    return Run(plan.config, summary)


def test_scores_are_those_of_each_architecture_the_ensemble_and_each_baseline(run):
    assert list(run.scores) == ["finetune", "textcnn", "ensemble", "majority"]
    assert run.scores["ensemble"]["accuracy"] == sum(LABELS) / NUM_ROWS
    assert run.scores["finetune"] == run.summary["architectures"]["finetune"]["oof"]


def test_who_changes_the_scores_does_not_change_the_summary(run):
    run.scores["ensemble"]["accuracy"] = 2.0
    assert run.scores["ensemble"]["accuracy"] == run.summary["ensemble"]["oof"]["accuracy"] < 1


def test_every_row_has_its_word_of_the_folds_that_had_not_seen_it(run):
    table = run.oof()
    assert table["id"].to_pylist() == [f"row-{row}" for row in range(NUM_ROWS)]
    np.testing.assert_allclose(table["proba_真"].to_numpy(), 0.75)


def test_the_artifact_lies_where_it_says(run, tmp_path):
    assert run.directory == f"{tmp_path}/tiny"
    assert load_ensemble(run.ensemble).labels == ["假", "真"]


@pytest.mark.parametrize("storage", ["s3://bucket/runs", "s3://bucket/runs/"])
def test_a_run_on_an_object_store_is_named_by_its_uri(storage):
    run = Run(plan_of("name=a", f"storage={storage}").config, {})
    assert (run.directory, run.ensemble) == ("s3://bucket/runs/a", "s3://bucket/runs/a/ensemble")


def test_a_run_holds_its_config_and_summary_and_tells_on_the_console_given(monkeypatch):
    told = []
    monkeypatch.setattr(run_module, "train_run", lambda *given: told.append(given) or {"rows": 3})
    config = plan_of().config
    assert cross_validate(config, "console") == Run(config, {"rows": 3})
    assert told == [(config, "console")]


def test_without_a_console_lines_go_to_the_log(monkeypatch, caplog):
    caplog.set_level("INFO", "raytrain")
    monkeypatch.setattr(run_module, "train_run", lambda config, console: console.print("12 rows") or {})
    cross_validate(plan_of().config)
    assert [record.getMessage() for record in caplog.records] == ["12 rows"]


def test_what_cannot_be_used_is_raised(tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.yaml").write_text(
        plan_of("seed=7", "name=tiny").config.to_yaml(), encoding="utf-8"
    )
    with pytest.raises(ConfigError, match="exists with another config"):
        cross_validate(plan_of("name=tiny", f"storage={tmp_path}").config)
