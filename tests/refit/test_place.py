import json

import pytest
from committed_run import CommittedRun
from tiny_run import tiny_config

from raytrain.errors import ArtifactError, ConfigError
from raytrain.fusion.rule import FusionRule
from raytrain.refit.place import take_place

INPUTS = {"data.path": "a" * 64, "refit": "textcnn 3"}


def begin(place, config, inputs=INPUTS):
    place.training.write_bytes("corpus.json", json.dumps({"inputs": inputs}).encode())
    place.training.write_bytes("config.yaml", config.to_yaml().encode())


@pytest.fixture
def config(tmp_path):
    return tiny_config(tmp_path)


@pytest.fixture
def artifact(tmp_path):
    """Writes one that is whole."""

    def write(directory):
        run = CommittedRun(tmp_path / "other")
        run.commit("textcnn", 0)
        run.write()
        (tmp_path / "other" / "ensemble").rename(directory)

    return write


def test_the_training_lies_beside_the_artifact(tmp_path, config):
    with take_place(f"{tmp_path}/refit/", config) as place:
        assert str(place.artifact) == str(tmp_path / "refit")
        assert str(place.training) == str(tmp_path / "refit-training")
        assert not place.is_made(INPUTS)


def test_it_is_made_once_it_was_begun_and_its_artifact_is_whole(tmp_path, config, artifact):
    with take_place(str(tmp_path / "refit"), config) as place:
        begin(place, config)
        assert not place.is_made(INPUTS)
        artifact(tmp_path / "refit")
        assert place.is_made(INPUTS)
        (tmp_path / "refit" / "words" / "vocabulary.json").write_text("[]")
        with pytest.raises(ArtifactError, match="damaged"):
            place.is_made(INPUTS)


def test_other_inputs_are_refused_and_named(tmp_path, config):
    with take_place(str(tmp_path / "refit"), config) as place:
        begin(place, config)
        with pytest.raises(ConfigError, match="other inputs") as raised:
            place.is_made(INPUTS | {"refit": "textcnn 5"})
        assert raised.value.problems[0].startswith("refit:")
        place.training.write_bytes("corpus.json", b"[]")
        with pytest.raises(ArtifactError, match="damaged"):
            place.is_made(INPUTS)


@pytest.mark.parametrize("override", ["train.epochs=9", "distill.temperature=5"])
def test_another_config_is_refused(tmp_path, config, override):
    with take_place(str(tmp_path / "refit"), config) as place:
        begin(place, config)
    key, _, value = override.partition("=")
    other = tiny_config(tmp_path, **{key.replace(".", "__"): value})
    with pytest.raises(ConfigError, match="another config"), take_place(str(tmp_path / "refit"), other):
        pass


def test_where_other_files_lie_nothing_is_deleted(tmp_path, config):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("甲")
    with pytest.raises(ConfigError, match="found other files"), take_place(str(tmp_path / "mine"), config):
        pass
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "甲"


def test_one_driver_holds_a_place(tmp_path, config):
    where = str(tmp_path / "refit")
    with (
        take_place(where, config),
        pytest.raises(ConfigError, match="another job"),
        take_place(where, config),
    ):
        pass


def test_an_artifact_that_decides_otherwise_is_made_anew(tmp_path, config, artifact):
    with take_place(str(tmp_path / "refit"), config) as place:
        begin(place, config)
        artifact(tmp_path / "refit")
        rule = FusionRule({"textcnn/r0": 1.0}, temperature=2.0)
        assert place.is_made(INPUTS) and not place.is_made(INPUTS, rule)
