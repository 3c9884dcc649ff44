import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import shutil
from collections import namedtuple

import pytest

from raytrain.crossval.preflight import learned_bytes, needed_bytes, storage_problem
from raytrain.folds.spec import ModelSettings
from raytrain.network.build import build_model
from raytrain.network.weights import learned_variables
from raytrain.storage.directory import Directory

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def run(tmp_path):
    directory = Directory(tmp_path / "run")
    directory.write_bytes("config.yaml", b"name: run\n")
    return directory


def count(variables):
    return sum(int(variable.shape.num_elements()) for variable in variables.values())


@pytest.mark.parametrize("architecture", ["finetune", "textcnn", "rnn_cnn"])
@pytest.mark.parametrize("size", [(64, 20), (768, 200)])
def test_what_a_fold_learns_is_never_guessed_too_small(encoder_config, architecture, size):
    hidden, dim = size
    config = encoder_config("albert") | {"hidden_size": hidden, "intermediate_size": hidden}
    model = ModelSettings(architecture, "albert", config, 2, (50, dim), train_encoder=True, dropout=0.1)
    learned = 4 * count(learned_variables(build_model(**vars(model), seed=0)))
    assert learned <= learned_bytes(model) <= 2 * learned + 20e6


def test_a_run_needs_results_their_copies_and_checkpoints_of_the_folds_in_training():
    assert needed_bytes([(10, 3)] * 4, slots=2) == 10 * (4 + 4 + 2 * 6)
    small, large = (1, 3), (10, 3)
    assert needed_bytes([small, large, small, large, small], slots=3) == 2 * 23 + 6 * (10 + 10 + 1)
    assert needed_bytes([(10, 5), (12, 3)], slots=1) == 2 * 22 + 2 * 10 * 5


def test_n_grams_need_no_room_for_an_encoder(encoder_config):
    config = encoder_config("bert") | {"hidden_size": 768, "intermediate_size": 3072, "vocab_size": 21128}
    shape = {"embedding": (50, 20), "train_encoder": True, "dropout": 0.1}
    network, ngrams = (ModelSettings(name, "bert", config, 10, **shape) for name in ("finetune", "tfidf"))
    assert learned_bytes(ngrams) < 20e6 < learned_bytes(network)


def test_a_reachable_storage_with_room_is_no_problem(run):
    assert storage_problem(run.location, needed=1) is None
    assert run.files() == ["config.yaml"]


def test_another_disk_than_the_drivers_is_told(tmp_path):
    assert "config.yaml is missing" in storage_problem(str(tmp_path / "local"), needed=1)


def test_a_storage_that_cannot_be_written_is_told(run, monkeypatch):
    monkeypatch.setattr(Directory, "is_writable", lambda self: False)
    assert storage_problem(run.location, needed=1) == f"cannot write to {run}"


def test_too_little_room_is_told_with_both_numbers(run, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10e9, 9e9, 1.2e9))
    problem = storage_problem(run.location, needed=int(5.1e9))
    assert problem == f"{run} has 1.2 GB free; the run will write about 5.1 GB"


def test_a_scheme_that_is_none_is_told():
    assert "nowhere://bucket" in storage_problem("nowhere://bucket/run", needed=1)
