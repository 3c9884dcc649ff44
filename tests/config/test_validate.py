import copy

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from raytrain.config.load import load_config
from raytrain.config.validate import config_keys, describe_keys, nearest_key, validate_config
from raytrain.errors import ConfigError


def load(*overrides):
    return load_config(None, ["data.path=a.csv", *overrides])


@pytest.mark.parametrize(("key", "default", "description"), describe_keys())
def test_every_key_has_a_description(key, default, description):
    assert len(description) > 5 or key == "task"
    assert default


def test_keys_are_those_of_the_config_in_its_order():
    assert config_keys() == list(load().flat())


def test_described_defaults_are_the_defaults():
    flat = load().flat()
    for key, default, _ in describe_keys():
        if key != "data.path":
            assert yaml.safe_load(default) == flat[key]


@pytest.mark.parametrize("key", config_keys())
def test_each_key_is_nearest_to_itself_and_to_a_slip_of_it(key):
    assert nearest_key(key) == key
    assert nearest_key(f"{key[:-1]}x{key[-1]}") in config_keys()


def test_validation_leaves_the_values_as_they_are():
    values = {"data": {"path": "a.csv", "drop": ["bad"]}, "seed": "many", "train": {"epochs": 0}}
    before = copy.deepcopy(values)
    with pytest.raises(ConfigError):
        validate_config(values)
    assert values == before


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("train.adversarial=fast", ["train.adversarial: input should be 'fgm' or 'pgd'; found 'fast'"]),
        (
            "train.adversarial={finetune: fast}",
            ["train.adversarial.finetune: input should be 'fgm' or 'pgd'; found 'fast'"],
        ),
        ("train.adversarial=[fgm]", ["train.adversarial: input should be a valid dictionary; found ['fgm']"]),
        ("train.epochs={finetune: yes}", ["train.epochs: expected a number; found true"]),
        (
            "train.class_weight=balancd",
            ["train.class_weight: input should be 'balanced'; found 'balancd'; did you mean balanced?"],
        ),
        (
            "train.class_weight={text: [1]}",
            ["train.class_weight.text: input should be a valid number; found [1]"],
        ),
        (
            "train={epochs: {crf: [3]}, dropout: 7}",
            [
                "train.epochs.crf: input should be a valid integer; found [3]",
                "train.dropout: input should be less than 1; found 7",
            ],
        ),
        (
            "cluster.autoscaler={nodes: [1], cpus: 2, gpus: -1}",
            [
                "cluster.autoscaler.nodes: input should be a valid integer; found [1]",
                "cluster.autoscaler.gpus: input should be greater than or equal to 0; found -1",
            ],
        ),
        (
            "ensemble.costs={a: 1, name: {b: [2]}}",
            [
                "ensemble.costs.a: input should be a valid dictionary; found 1",
                "ensemble.costs.name.b: input should be a valid number; found [2]",
            ],
        ),
    ],
)
def test_of_a_key_that_takes_several_kinds_only_what_is_wrong_with_the_one_that_was_given(override, told):
    with pytest.raises(ConfigError) as caught:
        load(override)
    assert caught.value.problems == told


WRONG = st.recursive(
    st.sampled_from([None, True, -1, 0.5, "x", float("nan")]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["finetune", "a"]), inner),
    max_leaves=4,
)


@given(st.sampled_from([key for key in config_keys() if key not in ("name", "storage")]), WRONG)
def test_what_is_taken_is_what_was_given(key, value):
    """Nothing that is wrong is left out in silence."""
    values = load().model_dump(mode="json")
    section, _, leaf = key.rpartition(".")
    (values[section] if section else values)[leaf] = value
    try:
        found = validate_config(values).flat()[key]
    except ConfigError as error:
        assert error.problems
        return
    assert found == value or key == "train.class_weight" or (key, value) == ("data.drop", None)


def test_a_network_that_is_misspelt_is_told_with_the_one_that_was_meant():
    with pytest.raises(ConfigError, match=r"found 'finetun'; did you mean finetune\?"):
        load("train.adversarial={finetun: fgm}")


def test_keys_that_may_differ_by_network_say_so():
    said = {key for key, _, description in describe_keys() if description.endswith("; or {network: value}")}
    assert {"train.epochs", "train.adversarial", "train.dropout"} <= said
    assert not said & {"train.class_weight", "train.batch_size", "ensemble.costs", "sweep.space"}
    for key in said:
        load(f"{key}={{textcnn: {load().flat()[key] if load().flat()[key] is not None else 'null'}}}")
