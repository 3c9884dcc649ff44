import numpy as np
import pytest
from fake_run import change_summary, write_run
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support
from tiny_run import make_rows, silent_stages

from raytrain.fusion.reliability import reliability
from raytrain.report.calibration import (
    calibration_section,
    coverage,
    decision_curves,
    decisions_section,
    read_before,
)
from raytrain.report.facts import read_facts
from raytrain.storage.directory import Directory


def read(run):
    return read_facts(Directory(run), silent_stages())


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])), min_size=1))
def test_decisions_are_scored_as_sklearn_does(rows):
    truth, proba = (np.array(part) for part in zip(*rows, strict=True))
    thresholds = np.array([0.2, 0.25, 0.5, 0.9])
    found = decision_curves(truth, proba, thresholds)
    for place, threshold in enumerate(thresholds):
        said = (proba >= threshold).astype(int)
        expected = precision_recall_fscore_support(truth, said, average="binary", zero_division=0)
        assert np.nan_to_num(found["precision"][place]) == pytest.approx(expected[0])
        assert found["recall"][place] == pytest.approx(expected[1])
        assert found["f1"][place] == pytest.approx(expected[2])


def test_the_surest_rows_come_first(tmp_path):
    said = read(write_run(tmp_path)).said
    kept, accuracy = coverage(said)
    assert kept[-1] == 1 and accuracy[-1] == pytest.approx(said.is_right.mean())
    assert accuracy[0] == said.is_right[said.proba.max(axis=1).argmax()]


def test_a_run_is_told_how_sure_it_may_be(tmp_path):
    facts = read(write_run(tmp_path))
    told = calibration_section(facts, facts.said)
    error = reliability(facts.said.proba.max(axis=1), facts.said.is_right).error
    assert f"{error:.4f}" in told and "temperature" not in told


def test_what_a_temperature_brought_is_told_and_drawn(tmp_path):
    run = write_run(tmp_path)
    bins = [
        {"rows": 30, "confidence": 0.7, "accuracy": 0.5},
        {"rows": 30, "confidence": 0.9, "accuracy": 0.9},
    ]
    change_summary(run, fusion={"rule": {"temperature": 1.5}, "calibration": {"before": {"bins": bins}}})
    facts = read(run)
    told = calibration_section(facts, facts.said)
    assert "temperature of 1.50 it was 0.1000" in told and ">without temperature</text>" in told


@pytest.mark.parametrize(
    "fusion",
    [
        {},
        {"rule": {"temperature": 1}},
        {"rule": {"temperature": 2}, "calibration": {}},
        {"rule": {"temperature": 2}, "calibration": {"before": {"bins": []}}},
        {"rule": {"temperature": 2}, "calibration": {"before": {"bins": [{"rows": 1}]}}},
        {"rule": None},
    ],
)
def test_a_fusion_that_tells_of_no_temperature_is_no_mistake(fusion):
    assert read_before(fusion) is None


def test_two_classes_have_thresholds_and_three_do_not(tmp_path):
    facts = read(write_run(tmp_path / "two"))
    told = decisions_section(facts, facts.said)
    assert "has an F1 of" in told and told.count("<svg") == 1
    more = read(write_run(tmp_path / "three", make_rows(60, 3)))
    assert decisions_section(more, more.said) is None


def test_how_is_decided_is_told(tmp_path):
    run = write_run(tmp_path, make_rows(60, 3))
    threshold = {"metric": "macro_f1", "before": 0.8, "after": 0.82}
    change_summary(run, fusion={"decision": "<by costs>", "threshold": threshold})
    facts = read(run)
    told = decisions_section(facts, facts.said)
    assert "&lt;by costs&gt;" in told and "macro-F1 is 0.8200" in told and "<svg" not in told
