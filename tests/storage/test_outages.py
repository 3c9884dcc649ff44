"""Waiting for a storage, on a clock of our own."""

import errno
import logging
import pickle

import pyarrow as pa
import pytest

from raytrain.errors import ConfigError, StorageError
from raytrain.storage import outages
from raytrain.storage.outages import may_pass, outlast, patience

NETWORK = OSError("AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 7")


class Clock:
    """Seconds that pass only while somebody sleeps."""

    def __init__(self):
        self.now, self.pauses = 1000.0, []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(outages, "time", clock)
    monkeypatch.setattr(outages, "_outages", {})
    monkeypatch.delenv("RAYTRAIN_STORAGE_PATIENCE", raising=False)
    return clock


def failing(*errors, result="done"):
    """An attempt that fails with each error once, then succeeds."""
    left = list(errors)

    def attempt():
        if left:
            raise left.pop(0)
        return result

    return attempt


def always(error):
    def attempt():
        raise error

    return attempt


def try_it(attempt, root="s3://bucket"):
    return outlast(attempt, "writing a.json", f"{root}/runs", root)


def test_what_succeeds_does_not_wait(clock):
    assert try_it(failing()) == "done"
    assert clock.pauses == []


def test_what_fails_for_a_while_is_tried_again_after_growing_pauses(clock):
    assert try_it(failing(*[NETWORK] * 5)) == "done"
    assert len(clock.pauses) == 5
    assert clock.pauses == sorted(clock.pauses) and clock.pauses[0] < 1 < clock.pauses[-1]


def test_patience_ends_after_a_minute_with_what_was_tried_where_and_why(clock):
    with pytest.raises(StorageError) as caught:
        try_it(always(NETWORK))
    assert sum(clock.pauses) == pytest.approx(60)
    for part in ("s3://bucket/runs", "writing a.json", "60 s", str(NETWORK), "run the same command again"):
        assert part in str(caught.value)
    assert caught.value.exit_code == 1


def test_the_environment_sets_the_patience(clock, monkeypatch):
    monkeypatch.setenv("RAYTRAIN_STORAGE_PATIENCE", "600")
    with pytest.raises(StorageError, match="600 s"):
        try_it(always(NETWORK))
    assert sum(clock.pauses) == pytest.approx(600)


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_a_patience_that_is_no_number_of_seconds_is_refused(monkeypatch, text):
    monkeypatch.setenv("RAYTRAIN_STORAGE_PATIENCE", text)
    with pytest.raises(ConfigError, match=f"RAYTRAIN_STORAGE_PATIENCE={text}"):
        patience()


def test_an_operation_within_an_outage_has_only_what_is_left(clock):
    for _ in range(3):  # as when a job ends: its error, its log, its lock
        with pytest.raises(StorageError):
            try_it(always(NETWORK))
    assert sum(clock.pauses) == pytest.approx(60)


def test_after_a_success_patience_is_whole_again(clock):
    with pytest.raises(StorageError):
        try_it(always(NETWORK))
    try_it(failing())
    clock.pauses.clear()
    with pytest.raises(StorageError):
        try_it(always(NETWORK))
    assert sum(clock.pauses) == pytest.approx(60)


def test_an_outage_long_ago_is_another_one(clock):
    with pytest.raises(StorageError):
        try_it(always(NETWORK))
    clock.now += 3600
    assert try_it(failing(NETWORK)) == "done"


def test_successes_of_others_do_not_keep_a_lost_cause_alive(clock):
    def attempt():
        outages._note_success("s3://bucket", "s3://bucket/other")
        raise NETWORK

    with pytest.raises(StorageError):
        try_it(attempt)
    assert sum(clock.pauses) == pytest.approx(60)


def test_an_outage_of_one_storage_is_not_another_ones(clock):
    with pytest.raises(StorageError):
        try_it(always(NETWORK))
    assert try_it(failing(NETWORK), root="s3://elsewhere") == "done"


def test_an_outage_is_told_once_and_so_is_its_end(caplog):
    with caplog.at_level(logging.INFO, "raytrain.storage.directory"):
        try_it(failing(NETWORK, NETWORK, NETWORK))
        try_it(failing())
    begin, end = (record.getMessage() for record in caplog.records)
    assert "s3://bucket/runs: writing a.json failed, trying again for 60 s" in begin
    assert str(NETWORK) in begin
    assert "answers again" in end


def test_facts_come_through_at_once(clock):
    for kind in (FileNotFoundError, IsADirectoryError, NotADirectoryError, FileExistsError):
        with pytest.raises(kind):
            try_it(always(kind(1, "a fact")))
    assert clock.pauses == []


@pytest.mark.parametrize(
    "error",
    [
        NETWORK,
        OSError("AWS Error SLOW_DOWN during PutObject operation: Please reduce your request rate."),
        OSError("AWS Error SERVICE_UNAVAILABLE during GetObject operation (HTTP status 503)"),
        OSError("AWS Error UNKNOWN (HTTP status 500) during UploadPart operation"),
        OSError("AWS Error UNKNOWN (HTTP status 429) during UploadPart operation"),
        OSError("google::cloud::Status(UNAVAILABLE: Retry policy exhausted)"),
        OSError("When reading 'ACCESS_DENIED': AWS Error NETWORK_CONNECTION during GetObject operation"),
        OSError(errno.EIO, "an NFS server that is away"),
        OSError(errno.ESTALE, "or came back as another"),
        TimeoutError(errno.ETIMEDOUT, "or is too slow"),
        ConnectionResetError(errno.ECONNRESET, "or hung up"),
        pa.ArrowException("Unknown error"),
    ],
)
def test_what_may_pass_is_waited_for(error):
    assert may_pass(error)
    assert try_it(failing(error)) == "done"


@pytest.mark.parametrize(
    "error",
    [
        OSError("AWS Error ACCESS_DENIED during HeadObject operation: No response body."),
        OSError("AWS Error NO_SUCH_BUCKET during PutObject operation: The specified bucket does not exist"),
        OSError("AWS Error INVALID_ACCESS_KEY_ID during PutObject operation"),
        OSError("AWS Error SIGNATURE_DOES_NOT_MATCH during PutObject operation"),
        OSError("AWS Error UNKNOWN (HTTP status 400) during HeadObject operation: No response body."),
        OSError("AWS Error UNKNOWN (HTTP status 301) during HeadObject operation: No response body."),
        OSError("Bucket 'bucket' not found."),
        OSError("google::cloud::Status(PERMISSION_DENIED: Permission denied)"),
        OSError("Cannot open for reading: path '/a' is a directory"),
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.EROFS, "Read-only file system"),
        OSError(errno.ENOSPC, "No space left on device"),
        pa.ArrowInvalid("not a path"),
    ],
)
def test_what_will_not_pass_is_told_at_once(clock, error):
    assert not may_pass(error)
    with pytest.raises(StorageError) as caught:
        try_it(always(error))
    assert str(error) in str(caught.value) and "run the same command again" in str(caught.value)
    assert clock.pauses == []


def test_the_error_of_an_inner_operation_is_told_as_it_is(clock):
    inner = StorageError("a/b: reading c failed")
    with pytest.raises(StorageError) as caught:
        try_it(always(inner))
    assert caught.value is inner and clock.pauses == []


def test_the_error_survives_the_way_from_a_worker():
    error = StorageError("s3://bucket/runs: writing a.json failed")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is StorageError and str(copy) == str(error) and copy.exit_code == 1
