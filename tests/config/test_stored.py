"""A run is held to the config and the inputs that it was begun with."""

import pytest

from raytrain.config.keys import FREE_KEYS, PRETRAIN_FREE_KEYS
from raytrain.config.load import load_config, read_config
from raytrain.config.pretraining import PretrainConfig
from raytrain.config.stored import CONFIG_FILE, check_config, check_hashes, read_stored
from raytrain.errors import ArtifactError, ConfigError
from raytrain.storage.directory import Directory


def of_run(*overrides):
    return load_config(None, ["data.path=a.csv", *overrides]), FREE_KEYS


def of_pretraining(*overrides):
    return read_config(PretrainConfig, None, ["data.path=a.txt", *overrides]), PRETRAIN_FREE_KEYS


@pytest.fixture(params=[of_run, of_pretraining])
def kind(request):
    return request.param


@pytest.fixture
def run(tmp_path, kind):
    directory = Directory(tmp_path / "run")
    directory.write_bytes(CONFIG_FILE, kind()[0].to_yaml().encode())
    return directory


def test_the_same_config_and_free_keys_are_accepted(run, kind):
    check_config(run, *kind())
    check_config(run, *kind("cluster.time_budget=5", "storage=elsewhere"))


def test_all_keys_that_differ_are_named_with_both_values(run, kind):
    with pytest.raises(ConfigError) as raised:
        check_config(run, *kind("seed=7", "train.batch_size=8"))
    assert raised.value.problems[:2] == [
        "seed: the run was begun with 42, found 7",
        "train.batch_size: the run was begun with 32, found 8",
    ]
    assert "choose another name" in raised.value.problems[2]


def test_a_run_that_was_not_begun_takes_any(tmp_path, kind):
    check_config(Directory(tmp_path), *kind("seed=7"))


def test_a_config_of_another_command_is_told_as_that(tmp_path):
    run = Directory(tmp_path)
    run.write_bytes(CONFIG_FILE, of_run()[0].to_yaml().encode())
    with pytest.raises(ConfigError, match="another command made") as caught:
        check_config(run, *of_pretraining())
    assert "another name" in caught.value.problems[0]


def test_inputs_that_changed_are_named(tmp_path):
    run = Directory(tmp_path)
    check_hashes(run, {"a": "1"}, {"a": "1"})
    with pytest.raises(ConfigError) as raised:
        check_hashes(run, {"a": "1", "b": "2"}, {"a": "3", "b": "2", "c": "4"})
    assert [problem.split(":")[0] for problem in raised.value.problems[:2]] == ["a", "c"]


def test_a_stored_config_is_read_back(tmp_path):
    run = Directory(tmp_path)
    with pytest.raises(ArtifactError, match=r"is no run: expected the file config\.yaml there"):
        read_stored(run)
    config, _ = of_run("seed=7", "data.labels=b.csv")
    run.write_bytes(CONFIG_FILE, config.to_yaml().encode())
    assert read_stored(run) == config
    run.write_bytes(CONFIG_FILE, of_pretraining()[0].to_yaml().encode())
    with pytest.raises(ArtifactError, match="is not the config of a run"):
        read_stored(run)
