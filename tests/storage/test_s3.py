"""Directories and whole jobs on an S3 server, and through its outages."""

import gc
import logging
import os
import threading
import uuid
from unittest import mock

import pytest
from s3_server import serve_s3

from raytrain.errors import ConfigError, StorageError


def refusal(status: str, code: str) -> bytes:
    """What S3 says instead of doing what it was asked."""
    body = f"<Error><Code>{code}</Code><Message>No.</Message></Error>"
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n{body}".encode()


ACCESS_DENIED = refusal("403 Forbidden", "AccessDenied")
SLOW_DOWN = refusal("503 Slow Down", "SlowDown")
# The client asks twice by itself; the third refusal is of an attempt of ours.
REFUSALS = 3


@pytest.fixture(scope="module")
def server():
    with serve_s3() as server, mock.patch.dict(os.environ, server.environment(), clear=True):
        yield server


@pytest.fixture
def bucket(server):
    """An empty bucket for each test."""
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    server.make_bucket(name)
    return f"s3://{name}"


@pytest.fixture
def directory(server, bucket):
    return server.open(f"{bucket}/runs/tiny")


@pytest.fixture
def direct(server, bucket):
    """The same directory, past the proxy."""
    return server.open(f"{bucket}/runs/tiny", is_direct=True)


@pytest.mark.parametrize("data", [b"", b"\x00\xff", bytes(range(256)) * 25_000])
def test_what_is_written_is_read_back(directory, data):
    directory.write_bytes("deep/down/文 件+%20.bin", data)
    assert directory.read_bytes("deep/down/文 件+%20.bin") == data
    assert directory.size("deep/down/文 件+%20.bin") == len(data)


def test_files_are_all_below_and_sorted(directory, bucket, server):
    for name in ("b", "a/z", "a/b/c", "A"):
        directory.write_bytes(name, b"1")
    server.open(f"{bucket}/runs/tiny2").write_bytes("beside", b"")
    assert directory.files() == ["A", "a/b/c", "a/z", "b"]
    assert (directory / "a").files() == ["b/c", "z"]


def test_exists_knows_files_directories_and_itself(directory):
    assert not directory.exists() and directory.files() == []
    directory.write_bytes("a/b", b"")
    assert directory.exists() and directory.exists("a") and directory.exists("a/b")
    assert not directory.exists("a/c")


def test_remove_and_delete_may_be_repeated(directory):
    directory.write_bytes("a", b"")
    directory.write_bytes("b/c", b"")
    directory.remove("a")
    directory.remove("a")
    assert directory.files() == ["b/c"]
    directory.delete()
    directory.delete()
    assert directory.files() == []


def test_reading_what_is_not_there_fails_at_once(directory, caplog):
    with pytest.raises(FileNotFoundError):
        directory.read_bytes("absent")
    with pytest.raises(FileNotFoundError):
        directory.open_stream("absent")
    assert caplog.records == []


def test_no_request_is_spent_on_directories(server, directory):
    """Begin, send, complete."""
    assert server.proxy.count_requests(lambda: directory.write_bytes("deep/down/b", b"1")) == 3


def test_a_path_may_be_percent_encoded(server, bucket):
    server.open(f"{bucket}/my%20runs").write_bytes("a", b"1")
    assert server.open(f"{bucket}").files() == ["my runs/a"]


OPERATIONS = {
    "write": lambda directory: directory.write_bytes("new", b"2"),
    "read": lambda directory: directory.read_bytes("a"),
    "stream": lambda directory: directory.open_stream("a").read(),
    "exists": lambda directory: directory.exists("a"),
    "files": lambda directory: directory.files(),
    "remove": lambda directory: directory.remove("a"),
    "delete": lambda directory: directory.delete(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_waits_until_the_storage_is_back(server, directory, direct, operation):
    direct.write_bytes("a", b"1")
    with server.proxy.outage(REFUSALS):
        answer = OPERATIONS[operation](directory)
    assert answer in (b"1", True, ["a"], None)
    left = {"write": ["a", "new"], "remove": [], "delete": []}.get(operation, ["a"])
    assert direct.files() == left


def test_throttling_is_waited_for(server, directory):
    with server.proxy.outage(REFUSALS, SLOW_DOWN):
        directory.write_bytes("a", b"1")
    assert directory.read_bytes("a") == b"1"


def test_a_file_is_not_seen_before_it_is_whole(server, directory, direct):
    """The connection breaks in the middle of a large file that replaces another."""
    data = bytes(range(256)) * 50_000
    direct.write_bytes("a", b"old")
    server.proxy.switch_off_after(len(data) // 2)
    writing = threading.Thread(target=directory.write_bytes, args=("a", data), daemon=True)
    writing.start()
    server.proxy.wait_for_refusals(1)
    assert direct.read_bytes("a") == b"old"
    server.proxy.switch_on()
    writing.join()
    assert direct.read_bytes("a") == data


def test_a_write_that_is_given_up_leaves_what_was_there(server, directory, direct, monkeypatch):
    """Also once the storage is back and the client has closed the stream that failed."""
    monkeypatch.setenv("RAYTRAIN_STORAGE_PATIENCE", "0")
    direct.write_bytes("a", b"old")
    server.proxy.switch_off_after(6_000_000)
    with pytest.raises(StorageError) as caught:
        directory.write_bytes("a", bytes(12_000_000))
    server.proxy.switch_on()
    del caught
    gc.collect()
    assert directory.read_bytes("a") == b"old"


def test_a_stream_goes_on_where_it_was(server, directory, direct):
    data = bytes(range(256)) * 50_000
    direct.write_bytes("a", data)
    with directory.open_stream("a") as stream:
        parts = [stream.read(2_000_000)]
        with server.proxy.outage(REFUSALS):
            while part := stream.read(2_000_000):
                parts.append(part)
    assert b"".join(parts) == data


def test_a_storage_that_is_gone_is_one_clear_error(server, directory, bucket, monkeypatch, caplog):
    monkeypatch.setenv("RAYTRAIN_STORAGE_PATIENCE", "1.5")
    server.proxy.switch_off()
    try:
        with (
            caplog.at_level(logging.INFO, "raytrain.storage.directory"),
            pytest.raises(StorageError) as caught,
        ):
            directory.write_bytes("a", b"1")
    finally:
        server.proxy.switch_on()
    message = str(caught.value)
    for part in (
        f"{bucket}/runs/tiny",
        "writing a failed",
        "NETWORK_CONNECTION",
        "run the same command again",
    ):
        assert part in message
    assert len(caplog.records) == 1
    directory.write_bytes("a", b"1")
    assert directory.read_bytes("a") == b"1"


def test_what_is_denied_is_told_at_once(server, directory, caplog):
    server.proxy.switch_off(ACCESS_DENIED)
    try:
        for operation in ("write", "read", "exists", "files"):
            with pytest.raises(StorageError, match="ACCESS_DENIED"):
                OPERATIONS[operation](directory)
    finally:
        server.proxy.switch_on()
    assert caplog.records == []


def test_a_bucket_that_is_not_there_is_told_at_once(server, caplog):
    with pytest.raises(StorageError, match="NO_SUCH_BUCKET"):
        server.open("s3://no-such-bucket/runs").write_bytes("a", b"1")
    assert caplog.records == []


@pytest.mark.parametrize("location", ["s3://", "s3:///runs"])
def test_a_uri_without_a_bucket_is_refused(server, location):
    with pytest.raises(ConfigError):
        server.open(location)


def test_directories_of_a_bucket_share_one_client(server, bucket):
    one, other = server.open(f"{bucket}/a"), server.open(f"{bucket}/b")
    assert one._fs is other._fs
    assert server.open(f"{bucket}/a", is_direct=True)._fs is not one._fs
