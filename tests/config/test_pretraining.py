"""The config of a pre-training: read, checked and described by what reads a run's."""

import pytest

from raytrain.config.keys import PRETRAIN_FREE_KEYS, binding_keys
from raytrain.config.load import load_config, read_config
from raytrain.config.pretraining import PretrainConfig
from raytrain.config.validate import config_keys, describe_keys, nearest_key
from raytrain.errors import ConfigError


def load(*overrides, path="data.path=posts.txt"):
    return read_config(PretrainConfig, None, [path, *overrides])


def test_defaults_are_those_described():
    config, flat = load(), load().flat()
    assert config_keys(PretrainConfig) == list(flat)
    assert all(text for _, _, text in describe_keys(PretrainConfig))
    assert config.encoder.checkpoint == "mini" and config.mask.rate == 0.15


def test_one_file_or_several():
    assert load().data.paths == ["posts.txt"]
    assert load(path="data.path=[a.txt,b.csv]").data.paths == ["a.txt", "b.csv"]
    for path in ("[]", "[a.txt,a.txt]"):
        with pytest.raises(ConfigError, match="each file once"):
            load(path=f"data.path={path}")


@pytest.mark.parametrize(
    ("override", "advice"),
    [
        ("mask.rates=0.2", "mask.rate"),
        ("train.batchsize=8", "train.batch_size"),
        ("cluster.worker=2", "cluster.workers"),
        ("model.architecture=finetune", ""),
        ("folds.num_folds=3", ""),
    ],
)
def test_an_unknown_key_is_told_with_what_was_meant(override, advice):
    with pytest.raises(ConfigError) as raised:
        load(override)
    assert f"{override.split('=')[0].split('.')[0]}" in str(raised.value)
    assert not advice or f"did you mean {advice}?" in str(raised.value)


def test_each_config_knows_its_own_keys_alone():
    assert nearest_key("mask.rates", PretrainConfig) == "mask.rate"
    with pytest.raises(ConfigError, match="unknown key"):
        load_config(None, ["data.path=a.csv", "mask.rate=0.2"])


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(ConfigError) as raised:
        load("mask.rate=0.9", "train.steps=0", "cluster.gpus_per_worker=2")
    assert {problem.split(":")[0] for problem in raised.value.problems} == {
        *("mask.rate", "train.steps", "cluster.gpus_per_worker")
    }


def test_a_path_is_required():
    with pytest.raises(ConfigError, match=r"data(\.path)?: required"):
        read_config(PretrainConfig)


def test_it_comes_back_from_yaml(tmp_path):
    config = load("train.steps=10", "mask.ngrams=true")
    (tmp_path / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    assert read_config(PretrainConfig, tmp_path / "config.yaml") == config


def test_what_may_change_is_where_it_is_computed_and_not_what_is_learned():
    keys = binding_keys(load(), PRETRAIN_FREE_KEYS)
    assert {"cluster.workers", "train.steps", "mask.rate", "seed"} <= keys.keys()
    assert not {"cluster.time_budget", "storage", "train.compile"} & keys.keys()
    assert all(
        any(key.startswith(free) for key in config_keys(PretrainConfig)) for free in PRETRAIN_FREE_KEYS
    )
