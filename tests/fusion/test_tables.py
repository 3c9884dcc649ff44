import io

import pytest
from fusion.test_fit import FOLDS, LABELS, members
from rich.console import Console

from raytrain.fusion.fit import FusionSettings
from raytrain.fusion.fuse import fuse_members
from raytrain.fusion.tables import alternative_table, fusion_lines, member_table


def summary_of(own, **settings):
    mean = sum(own.values()) / len(own)
    return {"fusion": fuse_members(own, mean, LABELS, FOLDS, FusionSettings(**settings), ["假", "真"]).told}


def shown(table):
    console = Console(file=io.StringIO(), width=120)
    console.print(table)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def summary():
    return summary_of(members(), weights="greedy", threshold="f1")


def test_members_have_their_weights_and_scores(summary):
    text = shown(member_table(summary))
    for name, member in summary["fusion"]["members"].items():
        row = next(line for line in text.splitlines() if line.startswith(name)).split()
        assert row[1] == f"{member['weight']:.3f}" and row[-1] == f"{member['scores']['ece']:.4f}"


def test_ways_to_fuse_stand_beside_each_other(summary):
    lines = shown(alternative_table(summary)).splitlines()
    assert len(lines) == 2 + 9 and lines[-1].startswith("chosen")
    scores = summary["fusion"]["alternatives"][3]["scores"]
    assert f"{scores['log_loss']:.4f}" in lines[5] and "fitted" in lines[5]


def test_what_calibration_and_the_threshold_brought_is_a_line_each():
    fusion = summary_of(members(), calibrate=True, threshold="f1")["fusion"]
    calibration, decision = fusion_lines({"fusion": fusion})
    before, after = (fusion["calibration"][when]["log_loss"] for when in ("before", "after"))
    assert calibration.startswith(
        f"calibration: log loss {before:.3f} → {after:.3f}, expected calibration error "
    )
    assert calibration.endswith(f"temperature {fusion['rule']['temperature']:.2f}") and after < before
    threshold = fusion["threshold"]
    assert decision.endswith(f"; F1 {threshold['before']:.4f} → {threshold['after']:.4f}")


def test_of_one_member_only_calibration_is_told():
    own = {"tfidf/r0": members()["tfidf/r0"]}
    summary = summary_of(own)
    assert member_table(summary) is None and alternative_table(summary) is None
    assert [line.split(":")[0] for line in fusion_lines(summary)] == ["calibration"]


def test_a_stack_has_no_weights():
    assert "stacked" in shown(member_table(summary_of(members(), weights="stack")))


def test_of_a_tagger_and_of_older_runs_there_is_nothing_to_tell():
    assert (member_table({}), alternative_table({}), fusion_lines({})) == (None, None, [])


def test_why_nothing_was_fitted_is_told(summary):
    fusion = summary["fusion"] | {"unfit": "9 rows are few", "alternatives": [], "threshold": None}
    lines = fusion_lines({"fusion": fusion | {"rule": {"temperature": 1.0}}})
    assert lines == ["the ensemble is the mean of its members: 9 rows are few"]
    assert alternative_table({"fusion": fusion}) is None
