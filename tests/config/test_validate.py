import copy

import pytest
import yaml

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
        ("train.adversarial=fast", "input should be 'fgm' or 'pgd'; found 'fast'"),
        ("train.adversarial={finetune: fast}", "input should be 'fgm' or 'pgd'; found 'fast'"),
        ("train.adversarial=[fgm]", "input should be a valid dictionary; found ['fgm']"),
        ("train.epochs={finetune: 0}", "input should be greater than or equal to 1; found 0"),
        ("train.epochs={finetune: yes}", "expected a number; found true"),
        ("train.class_weight=balancd", "input should be 'balanced'; found 'balancd'; did you mean balanced?"),
    ],
)
def test_of_a_key_that_takes_a_mapping_too_only_what_is_wrong_with_what_was_given(override, told):
    with pytest.raises(ConfigError) as caught:
        load(override)
    key, _, value = override.partition("=")
    where = f"{key}.finetune" if value.startswith("{finetune") and "number" not in told else key
    assert caught.value.problems == [f"{where}: {told}"]


def test_a_network_that_is_misspelt_is_told_with_the_one_that_was_meant():
    with pytest.raises(ConfigError, match=r"found 'finetun'; did you mean finetune\?"):
        load("train.adversarial={finetun: fgm}")


def test_keys_that_may_differ_by_network_say_so():
    said = {key for key, _, description in describe_keys() if description.endswith("; or {network: value}")}
    assert {"train.epochs", "train.adversarial", "train.dropout"} <= said
    assert not said & {"train.class_weight", "train.batch_size", "ensemble.costs", "sweep.space"}
    for key in said:
        load(f"{key}={{textcnn: {load().flat()[key] if load().flat()[key] is not None else 'null'}}}")
