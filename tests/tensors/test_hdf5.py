import h5py
import numpy as np
import pytest

from raytrain.errors import CheckpointError
from raytrain.tensors.hdf5 import open_hdf5


def test_arrays_are_read_by_their_paths(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["bert/encoder/kernel:0"] = np.arange(6, dtype=np.float16).reshape(2, 3)
        file["bert/ids"] = np.arange(3)
    tensors = open_hdf5(tmp_path / "x.h5")
    assert tensors.shapes == {"bert/encoder/kernel:0": (2, 3), "bert/ids": (3,)}
    read = tensors.read("bert/encoder/kernel:0")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, np.arange(6).reshape(2, 3))
    with pytest.raises(ValueError, match="expected floats"):
        tensors.read("bert/ids")


def test_a_group_that_holds_itself_is_entered_once(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/b"] = np.zeros(2, np.float32)
        file["a/again"] = file["a"]
    assert list(open_hdf5(tmp_path / "x.h5").shapes.values()) == [(2,)]


@pytest.mark.parametrize("link", [h5py.SoftLink("/elsewhere"), h5py.ExternalLink("secret.h5", "/a")])
def test_a_link_is_refused(tmp_path, link):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"] = link
    with pytest.raises(CheckpointError, match="a link to another place"):
        open_hdf5(tmp_path / "x.h5")


@pytest.mark.parametrize("how", ["external", "virtual"])
def test_numbers_in_another_file_are_refused(tmp_path, how):
    (tmp_path / "secret").write_bytes(bytes(8))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        if how == "external":
            file.create_dataset("a", (2,), "f4", external=[(tmp_path / "secret", 0, 8)])
        else:
            layout = h5py.VirtualLayout((2,), "f4")
            layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "a", (2,))
            file.create_virtual_dataset("a", layout)
    with pytest.raises(CheckpointError, match="lie in another file"):
        open_hdf5(tmp_path / "x.h5")


@pytest.mark.parametrize("data", [b"", b"garbage" * 100, b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_what_is_none_is_refused(tmp_path, data):
    (tmp_path / "x.h5").write_bytes(data)
    with pytest.raises(CheckpointError, match="not an HDF5 file"):
        open_hdf5(tmp_path / "x.h5")
