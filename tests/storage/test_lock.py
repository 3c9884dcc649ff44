import pytest

from raytrain.errors import ConfigError, StorageError
from raytrain.storage.directory import Directory
from raytrain.storage.lock import lock_run


@pytest.fixture
def run(tmp_path):
    return Directory(tmp_path / "runs" / "甲")


def test_second_holder_is_refused_until_the_first_lets_go(run):
    with lock_run(run), pytest.raises(ConfigError, match="another job"), lock_run(run):
        pass
    with lock_run(run):
        pass


def test_lock_is_let_go_after_an_error(run):
    with pytest.raises(ZeroDivisionError), lock_run(run):
        raise ZeroDivisionError
    with lock_run(run):
        pass


def test_two_runs_do_not_lock_each_other(run, tmp_path):
    with lock_run(run), lock_run(Directory(tmp_path / "other")):
        assert run.exists(".lock")


def test_object_stores_have_no_lock():
    run = Directory("mock://bucket/run")
    with lock_run(run), lock_run(run):
        assert run.files() == []


def test_a_run_below_a_file_is_told(tmp_path):
    (tmp_path / "runs").write_bytes(b"")
    run = Directory(tmp_path / "runs" / "tiny")
    with pytest.raises(StorageError, match="runs/tiny cannot be written"), lock_run(run):
        pass
