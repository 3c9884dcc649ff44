import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from raytrain.errors import CheckpointError
from raytrain.tensors.safetensors import open_safetensors


def test_arrays_are_read_by_name(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1.5], np.float16)}
    save_file({**arrays, "n": np.arange(2)}, tmp_path / "x.safetensors", metadata={"format": "pt"})
    tensors = open_safetensors(tmp_path / "x.safetensors")
    assert tensors.shapes == {"a": (2, 3), "b": (1,), "n": (2,)}
    for name, array in arrays.items():
        np.testing.assert_array_equal(tensors.read(name), array)
    with pytest.raises(ValueError, match="expected floats, found I64"):
        tensors.read("n")


def test_bfloat16_is_read_without_numpy_knowing_it(tmp_path):
    header = json.dumps({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    data = len(header).to_bytes(8, "little") + header + b"\x80\x3f\x20\xc0"
    (tmp_path / "x.safetensors").write_bytes(data)
    np.testing.assert_array_equal(open_safetensors(tmp_path / "x.safetensors").read("a"), [1.0, -2.5])


@pytest.mark.parametrize("data", [b"", b"garbage" * 9, (1 << 40).to_bytes(8, "little") + b"{}"])
def test_what_is_none_is_refused(tmp_path, data):
    (tmp_path / "x.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        open_safetensors(tmp_path / "x.safetensors")
