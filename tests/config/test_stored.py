"""A run is held to the config and the inputs that it was begun with."""

import pytest

from raytrain.config.keys import FREE_KEYS, PRETRAIN_FREE_KEYS
from raytrain.config.load import load_config, read_config
from raytrain.config.pretraining import PretrainConfig
from raytrain.config.stored import CONFIG_FILE, check_config, check_hashes, load_stored
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


def test_a_stored_config_is_read_and_overridden(tmp_path):
    run, config = Directory(tmp_path), of_run("train.epochs=4", "model.architecture=[textcnn,tfidf]")[0]
    run.write_bytes(CONFIG_FILE, config.to_yaml().encode())
    assert load_stored(run) == config
    changed = load_stored(run, ["train.epochs=2", "model.architecture=textcnn"])
    assert changed.train.epochs == 2 and changed.model.architectures == ["textcnn"]
    assert changed.data == config.data


def test_a_config_from_before_a_default_was_another_is_read_as_it_was_meant(tmp_path):
    text = of_run()[0].to_yaml().replace("  duplicates: group\n", "")
    Directory(tmp_path).write_bytes(CONFIG_FILE, text.encode())
    assert load_stored(Directory(tmp_path)).folds.duplicates == "keep"
    assert load_stored(Directory(tmp_path), ["seed=3"]).folds.duplicates == "keep"


@pytest.mark.parametrize(
    ("override", "said"),
    [("seed", "expected key.path=value"), ("train.epochz=2", "did you mean train.epochs"), ("a=[", "")],
)
def test_overrides_that_are_none_are_told(tmp_path, override, said):
    Directory(tmp_path).write_bytes(CONFIG_FILE, of_run()[0].to_yaml().encode())
    with pytest.raises(ConfigError) as raised:
        load_stored(Directory(tmp_path), [override])
    assert said in str(raised.value)


def test_what_is_no_run_is_told(tmp_path):
    with pytest.raises(ArtifactError, match="expected a run's directory"):
        load_stored(Directory(tmp_path))
    Directory(tmp_path).write_bytes(CONFIG_FILE, of_pretraining()[0].to_yaml().encode())
    with pytest.raises(ConfigError, match="another command"):
        load_stored(Directory(tmp_path))
    Directory(tmp_path).write_bytes(CONFIG_FILE, b"seed: [")
    with pytest.raises(ArtifactError, match="damaged"):
        load_stored(Directory(tmp_path))


def test_a_stored_config_reads_nothing_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "geheim")
    text = of_run()[0].to_yaml().replace("path: a.csv", "path: ${oc.env:SECRET}")
    Directory(tmp_path).write_bytes(CONFIG_FILE, text.encode())
    assert load_stored(Directory(tmp_path), ["seed=3"]).data.path == "${oc.env:SECRET}"
