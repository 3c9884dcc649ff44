"""Files of torch.save: written here byte for byte, and by torch where it is installed."""

import contextlib
import re
import tarfile
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch_files import (
    pickle_of,
    some_arrays,
    state_pickle,
    tensor,
    text,
    write_arrays,
    write_stream,
    write_zip,
)

from raytrain.errors import CheckpointError
from raytrain.tensors.torch import open_torch
from raytrain.tensors.unpickle import MOST_BYTES

FORMS = ["zip", "stream"]
ARRAY = np.arange(6, dtype=np.float32)


def items(*parts):
    return pickle_of(b"}(", *parts, b"u")


@pytest.mark.parametrize("form", FORMS)
def test_arrays_are_read_by_name(tmp_path, form):
    arrays = some_arrays()
    tensors = open_torch(write_arrays(tmp_path / "x.bin", arrays, form))
    assert tensors.shapes == {name: array.shape for name, array in arrays.items()}
    assert tensors.form == f"PyTorch {form}"
    for name in ("encoder.weight", "encoder.bias", "wide"):
        np.testing.assert_array_equal(tensors.read(name), arrays[name].astype(np.float32))
    with pytest.raises(ValueError, match="expected floats, found int64"):
        tensors.read("encoder.position_ids")


def test_a_transposed_part_of_a_storage_that_two_share(tmp_path):
    turned = tensor("FloatStorage", "0", 6, (2, 2), offset=1, strides=(1, 3))
    data = items(text("turned"), turned, text("all"), tensor("FloatStorage", "0", 6, (2, 3)))
    tensors = open_torch(write_zip(tmp_path / "x.bin", data, {"0": ARRAY.tobytes()}))
    np.testing.assert_array_equal(tensors.read("turned"), [[1, 4], [2, 5]])
    np.testing.assert_array_equal(tensors.read("all"), ARRAY.reshape(2, 3))


def test_bfloat16(tmp_path):
    data = items(text("a"), tensor("BFloat16Storage", "0", 2, (2,)))
    tensors = open_torch(write_zip(tmp_path / "x.bin", data, {"0": b"\x80\x3f\x20\xc0"}))
    np.testing.assert_array_equal(tensors.read("a"), [1.0, -2.5])


def test_a_trainers_file_has_the_weights_further_down(tmp_path):
    inner = b"}(" + text("a") + tensor("FloatStorage", "0", 6, (6,)) + b"u"
    data = items(text("epoch"), b"K\x03", text("state_dict"), inner)
    tensors = open_torch(write_zip(tmp_path / "x.bin", data, {"0": ARRAY.tobytes()}))
    np.testing.assert_array_equal(tensors.read("a"), ARRAY)


def refused(path):
    with pytest.raises(
        CheckpointError, match=re.escape(f"{path}: not a file of PyTorch's tensors")
    ) as caught:
        tensors = open_torch(path)
        tensors.read(next(iter(tensors.shapes)))
    return str(caught.value)


def test_what_is_none_is_refused(tmp_path):
    for number, data in enumerate([b"", b"garbage" * 100, pickle_of(b"}")]):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(data)
        assert "safetensors" in refused(path)


def test_a_zip_that_came_in_part_is_told(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"PK\x03\x04" + bytes(200))
    assert "a zip that ends too early\n  - fetch it once more" in refused(path)


def test_names_of_no_tensors_are_refused(tmp_path):
    assert "expected names of tensors" in refused(
        write_zip(tmp_path / "x.bin", items(text("a"), b"K\x01"), {})
    )


def test_the_oldest_form_is_named(tmp_path):
    with tarfile.open(tmp_path / "x.bin", "w") as archive:
        archive.addfile(tarfile.TarInfo("sys_info"))
    assert "before 0.1.10" in refused(tmp_path / "x.bin")


def test_a_compressed_entry_is_refused_before_it_is_unpacked(tmp_path):
    path = write_zip(tmp_path / "x.bin", bytes(50 << 20), {}, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    assert "not compressed" in refused(path)


def test_numbers_of_another_order_are_refused(tmp_path):
    path = write_zip(tmp_path / "x.bin", state_pickle({"a": ARRAY}), {"0": ARRAY.tobytes()}, order=b"big")
    assert "little-endian" in refused(path)


def test_two_pickles_in_a_zip_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.bin", "w") as archive:
        for root in ("a", "b"):
            archive.writestr(f"{root}/data.pkl", state_pickle({"a": ARRAY}))
    assert "found 2" in refused(tmp_path / "x.bin")


@pytest.mark.parametrize("key", ["../../secret", "/etc/passwd", "1"])
def test_a_storage_that_is_not_in_the_zip_is_not_looked_for_elsewhere(tmp_path, key):
    data = items(text("a"), tensor("FloatStorage", key, 6, (6,)))
    tensors = open_torch(write_zip(tmp_path / "x.bin", data, {"0": ARRAY.tobytes()}))
    with pytest.raises(ValueError, match="no item named"):
        tensors.read("a")


def test_a_storage_shorter_than_its_tensor_is_told(tmp_path):
    tensors = open_torch(write_zip(tmp_path / "x.bin", state_pickle({"a": ARRAY}), {"0": bytes(8)}))
    with pytest.raises(ValueError, match="expected 24 bytes, found 8"):
        tensors.read("a")
    stream = write_stream(tmp_path / "y.bin", state_pickle({"a": ARRAY}), {"0": (2, bytes(8))})
    assert "expected 6 numbers, found 2" in refused(stream)


@pytest.mark.parametrize("form", FORMS)
def test_a_pickle_of_any_length_is_not_read(tmp_path, form):
    data = pickle_of(text("a" * MOST_BYTES))
    path = (write_zip if form == "zip" else write_stream)(tmp_path / "x.bin", data, {})
    assert "4,194,304 bytes at most" in refused(path)


@pytest.mark.parametrize("form", FORMS)
def test_a_storage_that_is_said_to_be_of_two_sizes_is_refused(tmp_path, form):
    views = [tensor("FloatStorage", "0", size, (6,)) for size in (1 << 30, 6)]
    data = items(text("a"), views[0], text("b"), views[1])
    if form == "zip":
        path = write_zip(tmp_path / "x.bin", data, {"0": ARRAY.tobytes()})
    else:
        path = write_stream(tmp_path / "x.bin", data, {"0": (6, ARRAY.tobytes())})
    assert "one kind and size of storage '0'" in refused(path)


@pytest.mark.parametrize("size", [-1, 1 << 62])
def test_a_stream_with_a_size_that_cannot_be(tmp_path, size):
    refused(write_stream(tmp_path / "x.bin", state_pickle({"a": ARRAY}), {"0": (size, ARRAY.tobytes())}))


@pytest.mark.parametrize("keys", [[b"](" + text("0") + b"e"], [text("0"), b"]"], [text("0"), b"}"], [b"K\0"]])
def test_a_stream_whose_names_of_storages_are_none(tmp_path, keys):
    stream = write_stream(
        tmp_path / "x.bin", state_pickle({"a": ARRAY}), {"0": (6, ARRAY.tobytes())}, keys=keys
    )
    assert "expected the names of all storages" in refused(stream)


@pytest.mark.parametrize("form", FORMS)
def test_cut_anywhere_it_is_refused(tmp_path, form):
    data = write_arrays(tmp_path / "whole.bin", {"a": ARRAY}, form).read_bytes()
    path = tmp_path / "cut.bin"
    for end in range(0, len(data) - 1, 7):
        path.write_bytes(data[:end])
        refused(path)


@pytest.mark.parametrize("form", FORMS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.data())
def test_changed_bytes_end_in_arrays_or_a_refusal(tmp_path, form, drawn):
    data = bytearray(write_arrays(tmp_path / "whole.bin", some_arrays(), form).read_bytes())
    for _ in range(drawn.draw(st.integers(1, 3))):
        data[drawn.draw(st.integers(0, len(data) - 1))] = drawn.draw(st.integers(0, 255))
    (tmp_path / "changed.bin").write_bytes(bytes(data))
    with contextlib.suppress(CheckpointError, ValueError):
        tensors = open_torch(tmp_path / "changed.bin")
        for name in tensors.shapes:
            tensors.read(name)


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("is_zip", [True, False])
def test_what_torch_saves_is_read_bit_for_bit(tmp_path, kind, is_zip):
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(5, 3).to(getattr(torch, kind))
    state = {**layer.state_dict(), "turned": layer.weight.detach().t(), "ids": torch.arange(4)}
    torch.save(state, tmp_path / "x.bin", _use_new_zipfile_serialization=is_zip)
    tensors = open_torch(tmp_path / "x.bin")
    for name in ("weight", "bias", "turned"):
        np.testing.assert_array_equal(tensors.read(name), state[name].to(torch.float32).numpy())
