"""What is wrong with a pre-training is told before Ray is started, all of it at once."""

import pytest
from tiny_run import silent_console, write_encoder

from raytrain.config.load import read_config
from raytrain.config.pretraining import PretrainConfig
from raytrain.errors import ConfigError
from raytrain.pretraining import driver
from raytrain.pretraining.driver import encoder_location, hash_of, pretrain


@pytest.fixture(autouse=True)
def without_ray(monkeypatch):
    def refuse(address):
        raise AssertionError("Ray was started")

    monkeypatch.setattr(driver, "connect", refuse)


def config_of(directory, *overrides):
    encoder = write_encoder(directory / "encoder")
    plain = [f"storage={directory}/runs", f"encoder.checkpoint={encoder}", "encoder.pretrained=false"]
    return read_config(PretrainConfig, None, [*plain, "encoder.maxlen=32", *overrides])


def problems_of(config):
    with pytest.raises(ConfigError) as raised:
        pretrain(config, silent_console())
    return "\n".join(raised.value.problems)


def test_files_encoder_and_batch_are_looked_at_together(tmp_path):
    told = problems_of(
        config_of(
            tmp_path,
            f"data.path=[{tmp_path}/absent.txt,{tmp_path}/notes.docx]",
            "encoder.maxlen=500",
            "train.batch_size=2",
            "cluster.workers=3",
        )
    )
    for part in ("absent.txt", "notes.docx", "only 64 positions", "train.batch_size: expected at least"):
        assert part in told
    assert not (tmp_path / "runs" / "pretrain" / "config.yaml").exists()


def test_a_vocabulary_without_a_mask_is_told(tmp_path):
    (tmp_path / "posts.txt").write_text("停水", encoding="utf-8")
    config = config_of(tmp_path, f"data.path={tmp_path}/posts.txt")
    vocab = tmp_path / "encoder" / "vocab.txt"
    vocab.write_text(vocab.read_text(encoding="utf-8").replace("[MASK]", "[mask]"), encoding="utf-8")
    assert "[MASK]" in problems_of(config)


def test_a_sound_one_reaches_ray(tmp_path):
    (tmp_path / "posts.txt").write_text("停水", encoding="utf-8")
    with pytest.raises(AssertionError, match="Ray was started"):
        pretrain(config_of(tmp_path, f"data.path={tmp_path}/posts.txt"), silent_console())


def test_a_hash_is_of_values_whatever_their_order():
    assert hash_of({"a": 1, "b": 2}) == hash_of({"b": 2, "a": 1}) != hash_of({"a": 1, "b": 3})


def test_the_encoder_lies_in_the_runs_directory(tmp_path):
    config = config_of(tmp_path, "data.path=a.txt", "name=mine")
    assert encoder_location(config) == f"{tmp_path}/runs/mine/encoder"


@pytest.mark.parametrize(
    ("storage", "told"),
    [("file:///nfs/runs/", "/nfs/runs/mine/encoder"), ("s3://bucket/runs", "s3://bucket/runs/mine/encoder")],
)
def test_of_a_disk_s_uri_the_path_is_told_which_a_run_can_take(tmp_path, storage, told):
    config = config_of(tmp_path, "data.path=a.txt", "name=mine", f"storage={storage}")
    assert encoder_location(config) == told
