import errno
import os
import pickle

import pytest

from raytrain.errors import ConfigError, StorageError
from raytrain.storage.directory import Directory


@pytest.fixture(params=["local", "mock"])
def directory(request, tmp_path):
    """On this machine's disk, and on an object store that pyarrow simulates."""
    return Directory(tmp_path / "a b" / "运行" if request.param == "local" else "mock://bucket/run")


@pytest.mark.parametrize("data", [b"", b"\x00\xff", "内容".encode() * 1000])
def test_what_is_written_is_read_back(directory, data):
    directory.write_bytes("deep/down/文件.bin", data)
    assert directory.read_bytes("deep/down/文件.bin") == data


def test_writing_again_replaces(directory):
    directory.write_bytes("a", b"a longer first version")
    directory.write_bytes("a", b"second")
    assert directory.read_bytes("a") == b"second"
    assert directory.files() == ["a"]


def test_files_are_all_below_and_sorted(directory):
    for name in ("b", "a/z", "a/b/c", "A"):
        directory.write_bytes(name, b"")
    assert directory.files() == ["A", "a/b/c", "a/z", "b"]


def test_files_of_a_directory_that_is_not_there(directory):
    assert directory.files() == []


def test_exists_knows_files_directories_and_itself(directory):
    assert not directory.exists()
    directory.write_bytes("a/b", b"")
    assert directory.exists() and directory.exists("a") and directory.exists("a/b")
    assert not directory.exists("a/c")


def test_reading_what_is_not_there_fails(directory):
    with pytest.raises(FileNotFoundError):
        directory.read_bytes("absent")


def test_delete_removes_all_and_may_be_repeated(directory):
    directory.write_bytes("a/b", b"")
    directory.delete()
    directory.delete()
    assert not directory.exists()


def test_remove_removes_one_file_and_may_be_repeated(directory):
    directory.write_bytes("a/b", b"")
    directory.write_bytes("a/c", b"")
    directory.remove("a/b")
    directory.remove("a/b")
    assert directory.files() == ["a/c"]


def test_a_stream_gives_a_file_piece_by_piece(directory):
    data = bytes(range(256)) * 100
    directory.write_bytes("a", data)
    with directory.open_stream("a") as stream:
        assert stream.read(10) == data[:10]
        assert stream.read(7000) == data[10:7010]
        assert stream.read() == data[7010:]
        assert stream.read() == b""


def test_a_stream_of_what_is_not_there_cannot_be_opened(directory):
    with pytest.raises(FileNotFoundError):
        directory.open_stream("absent")


def test_compressed_names_are_stored_as_they_are(directory):
    directory.write_bytes("a.gz", b"plain bytes")
    assert directory.read_bytes("a.gz") == b"plain bytes"


def test_no_part_of_a_file_is_seen_before_it_is_whole(tmp_path, monkeypatch):
    directory = Directory(tmp_path)
    directory.write_bytes("a", b"old")
    seen = []

    def replace(source, target):
        seen.append((directory.read_bytes("a"), open(source, "rb").read()))  # noqa: PTH123, SIM115
        raise OSError("power cut")

    monkeypatch.setattr("os.replace", replace)
    monkeypatch.setenv("RAYTRAIN_STORAGE_PATIENCE", "0")
    with pytest.raises(OSError, match="power cut"):
        directory.write_bytes("a", b"new")
    assert seen == [(b"old", b"new")]
    assert directory.read_bytes("a") == b"old"


def test_no_temporary_file_stays(tmp_path):
    directory = Directory(tmp_path)
    directory.write_bytes("a", b"1")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_write_that_fails_leaves_nothing_and_is_tried_again(tmp_path, monkeypatch):
    replace, seen = os.replace, []

    def fail_once(source, target):
        seen.append(source)
        if len(seen) == 1:
            raise OSError(errno.ESTALE, "Stale file handle")
        replace(source, target)

    monkeypatch.setattr("os.replace", fail_once)
    Directory(tmp_path).write_bytes("a", b"1")
    assert len(set(seen)) == 2
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"1"}


def test_a_directory_arrives_elsewhere_as_itself(tmp_path):
    directory = Directory(tmp_path)
    directory.write_bytes("a", b"1")
    assert pickle.loads(pickle.dumps(directory)).read_bytes("a") == b"1"


def test_a_directory_in_a_files_place_is_told(directory):
    directory.write_bytes("a/b", b"")
    with pytest.raises(StorageError, match="reading a failed"):
        directory.read_bytes("a")


def test_local_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Directory("runs").path == str(tmp_path / "runs")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Directory("~/runs").path == str(tmp_path / "runs")


@pytest.mark.parametrize(
    ("location", "below"),
    [
        ("/data/runs", "/data/runs/a/b"),
        ("/data/runs/", "/data/runs/a/b"),
        ("mock://runs/", "mock://runs/a/b"),
    ],
)
def test_a_name_below_joins_the_location(location, below):
    assert str(Directory(location) / "a" / "b") == below


@pytest.mark.parametrize("location", ["nowhere://bucket/run", "://", "htp://a"])
def test_unknown_scheme_is_a_config_error_that_names_it(location):
    with pytest.raises(ConfigError) as caught:
        Directory(location)
    assert repr(location) in str(caught.value)
