import json

import pytest

from raytrain.pretrained.weight_files import ORDER, all_files, find_weights, has_weights


def found(directory, *names):
    for name in names:
        (directory / name).write_bytes(b"")
    problems = []
    weights = find_weights(directory, problems)
    return weights.name if weights else problems


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_of_several_formats_the_first_is_taken(tmp_path, first):
    assert found(tmp_path, *reversed(ORDER[first:])) == ORDER[first]


def test_a_checkpoint_of_googles_comes_before_what_was_made_of_it(tmp_path):
    assert found(tmp_path, "bert_model.ckpt.index", *ORDER) == "bert_model.ckpt.index"


def test_two_checkpoints_are_both_named(tmp_path):
    (problem,) = found(tmp_path, "a.ckpt.index", "b.ckpt.index", "model.safetensors")
    assert "a.ckpt.index, b.ckpt.index; leave one" in problem


@pytest.mark.parametrize(
    "name",
    ["best.safetensors", "epoch3.bin", "x.pt", "x.pth", "x.h5", "x.hdf5", "best_model.weights", "x.index"],
)
def test_a_single_file_of_another_name_is_taken(tmp_path, name):
    assert found(tmp_path, name, "vocab.txt", "config.json") == name


def test_what_training_leaves_beside_a_model_is_no_weights(tmp_path):
    states = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin")
    assert found(tmp_path, "pytorch_model.bin", *states) == "pytorch_model.bin"
    (tmp_path / "pytorch_model.bin").unlink()
    assert not has_weights(tmp_path)
    (problem,) = found(tmp_path)
    assert problem.endswith("found none")


@pytest.mark.parametrize(
    ("names", "advice"),
    [
        (["adapter_config.json", "adapter_model.safetensors"], "merge_and_unload"),
        (["flax_model.msgpack"], "flax_model.msgpack, which is not read; save it"),
        (["model.onnx"], "model.onnx, which is not read"),
        (["best.keras"], "best.keras, which is not read; save its weights by model.save_weights"),
        (["model-00001-of-00002.safetensors"], "without the index"),
    ],
)
def test_what_cannot_be_read_is_told_with_what_to_do(tmp_path, names, advice):
    (problem,) = found(tmp_path, *names)
    assert advice in problem


def test_shards_belong_to_their_index(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "b.safetensors", "c": "a.safetensors"}}))
    problems = []
    assert list(all_files(index, problems)) == [] and len(problems) == 2
    for name in ("a.safetensors", "b.safetensors"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in all_files(index, [])] == ["a.safetensors", "b.safetensors"]
    assert list(all_files(tmp_path / "a.safetensors", [])) == []
