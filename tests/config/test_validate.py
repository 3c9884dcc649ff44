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
