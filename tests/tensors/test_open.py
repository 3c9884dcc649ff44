import json

import numpy as np
import pytest
from safetensors.numpy import save_file
from torch_files import write_arrays

from raytrain.errors import CheckpointError
from raytrain.tensors.open import MOST_INDEX_BYTES, SUFFIXES, open_tensors, shard_files


@pytest.fixture
def shards(tmp_path):
    arrays = {f"layer.{number}": np.full((2,), number, np.float32) for number in range(4)}
    for place, names in enumerate([("layer.0", "layer.1"), ("layer.2", "layer.3")]):
        save_file({name: arrays[name] for name in names}, tmp_path / f"model-{place}.safetensors")
    return tmp_path, arrays


def write_index(directory, places):
    index = directory / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    return index


def test_shards_are_read_as_one(shards):
    directory, arrays = shards
    places = {name: f"model-{int(name[-1]) // 2}.safetensors" for name in arrays}
    tensors = open_tensors(write_index(directory, places))
    assert tensors.shapes.keys() == arrays.keys() and "2 shards" in tensors.form
    assert [path.name for path in tensors.files] == [
        "model.safetensors.index.json",
        "model-0.safetensors",
        "model-1.safetensors",
    ]
    for name, array in arrays.items():
        np.testing.assert_array_equal(tensors.read(name), array)


def test_every_missing_shard_is_named(shards):
    directory, _ = shards
    index = write_index(directory, {"a": "model-5.safetensors", "b": "model-6.safetensors"})
    with pytest.raises(CheckpointError) as caught:
        open_tensors(index)
    assert caught.value.problems == ["model-5.safetensors is missing", "model-6.safetensors is missing"]


def test_an_index_of_any_size_is_not_read(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    with index.open("wb") as file:
        file.truncate(MOST_INDEX_BYTES + 1)
    with pytest.raises(CheckpointError, match=f"expected {MOST_INDEX_BYTES:,} bytes at most"):
        open_tensors(index)


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", "model.py", "", "a/b.bin"])
def test_a_shard_lies_beside_its_index(shards, name):
    with pytest.raises(CheckpointError, match="beside the index"):
        shard_files(write_index(shards[0], {"a": name}))


def test_a_shard_without_its_array_is_told(shards):
    directory, _ = shards
    with pytest.raises(CheckpointError, match=r"other: not in model-0\.safetensors"):
        open_tensors(write_index(directory, {"other": "model-0.safetensors"}))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}', "[" * 100_000]
)
def test_what_is_no_index_is_refused(tmp_path, text):
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(text)
    with pytest.raises(CheckpointError, match="not an index of shards"):
        open_tensors(index)


def test_a_file_is_opened_by_its_suffix(tmp_path):
    tensors = open_tensors(
        write_arrays(tmp_path / "pytorch_model.bin", {"a": np.zeros(2, np.float32)}, "zip")
    )
    assert tensors.shapes == {"a": (2,)}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_pointer_of_git_lfs_is_told(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(CheckpointError, match="`git lfs pull`"):
        open_tensors(path)
