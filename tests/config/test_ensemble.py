import pytest

from raytrain.config.load import load_config
from raytrain.errors import ConfigError


def ensemble_of(*overrides):
    return load_config(None, ["data.path=a.csv", *overrides]).ensemble


def problems_of(*overrides):
    with pytest.raises(ConfigError) as caught:
        ensemble_of(*overrides)
    return caught.value.problems


def test_labels_that_are_numbers_may_be_written_as_such():
    costs = ensemble_of("ensemble.threshold=cost", "ensemble.costs={1: {0: 5}}").costs
    assert costs == {"1": {"0": 5.0}}


@pytest.mark.parametrize("override", ["ensemble.threshold=cost", "ensemble.costs={a: {b: 2}}"])
def test_costs_and_their_threshold_go_together(override):
    [problem] = problems_of(override)
    assert problem.startswith("ensemble: threshold=cost and costs go together; found threshold=")


def test_whether_to_calibrate_is_auto_or_said():
    found = [ensemble_of(f"ensemble.calibrate={value}").calibrate for value in ("auto", "true", "false")]
    assert found == ["auto", True, False]


def test_what_is_of_probabilities_is_refused_of_a_tagger():
    assert problems_of(
        "task=tag",
        "ensemble.weights=greedy",
        "ensemble.average=proba",
        "ensemble.calibrate=false",
        "ensemble.threshold=cost",
        "ensemble.costs={a: {b: 2}}",
        "ensemble.drop_dead=false",
    ) == [
        "ensemble.weights: expected equal for task=tag, found greedy",
        "ensemble.average: expected auto for task=tag, found proba",
        "ensemble.calibrate: expected auto for task=tag, found false",
        "ensemble.threshold: expected null for task=tag, found cost",
        "ensemble.costs: expected null for task=tag, found {'a': {'b': 2.0}}",
    ]
    assert ensemble_of("task=tag", "ensemble.drop_dead=false").drop_dead is False


def test_labels_that_are_booleans_are_named_as_in_the_corpus():
    costs = ensemble_of("ensemble.threshold=cost", "ensemble.costs={true: {false: 5}}").costs
    assert costs == {"true": {"false": 5.0}}


def test_costs_that_an_artifact_could_not_keep_are_refused():
    problem, *_ = problems_of("ensemble.threshold=cost", "ensemble.costs={a: {b: 1e10}}")
    assert problem.startswith("ensemble.costs.a.b: ") and "1000000000" in problem
