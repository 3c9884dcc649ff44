import io
import threading

import pytest
from rich.console import Console

from raytrain.errors import CheckpointError
from raytrain.pretrained.kept import (
    checkpoints_directory,
    find_changes,
    find_kept,
    find_origin,
    hash_record,
    lock_kept,
    read_record,
    shown_progress,
    verified,
    write_record,
)
from raytrain.storage.files import hash_files


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYTRAIN_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "checkpoints"


@pytest.fixture
def kept(home):
    (home / "some" / "inner").mkdir(parents=True)
    (home / "some" / "a.txt").write_text("a")
    (home / "some" / "inner" / "b.txt").write_text("b")
    files = hash_files(home / "some")
    write_record("some", {"source": "there", "revision": "1", "sha256": hash_record(files), "files": files})
    return home / "some"


def test_what_is_as_it_was_is_verified(kept):
    assert find_kept("some") == kept == verified("some")
    assert find_kept("other") is None


def test_every_change_is_found(kept):
    expected = read_record("some")["files"]
    (kept / "a.txt").write_text("A")
    (kept / "inner" / "b.txt").rename(kept / "c.txt")
    assert find_changes(kept, expected) == {
        "a.txt": "its content has changed (sha256 differs)",
        "c.txt": "was not there when it was fetched",
        "inner/b.txt": "missing",
    }
    with pytest.raises(CheckpointError, match=r"(?s)a\.txt.*c\.txt.*inner/b\.txt.*delete "):
        verified("some")


def test_links_are_followed(kept, tmp_path):
    (tmp_path / "blob").write_text("a")
    (kept / "a.txt").unlink()
    (kept / "a.txt").symlink_to(tmp_path / "blob")
    assert verified("some") == kept
    (tmp_path / "blob").write_text("changed")
    assert list(find_changes(kept, read_record("some")["files"])) == ["a.txt"]


def test_many_files_have_one_hash_by_names_and_contents(kept):
    files = hash_files(kept)
    assert len({hash_record(files), hash_record({**files, "a.txt": "0"}), hash_record({"x": "y"})}) == 3
    assert hash_record(dict(reversed(files.items()))) == hash_record(files)


def test_whence_it_came_is_found_of_what_is_kept(kept, tmp_path):
    assert find_origin(kept) == {
        "source": "there",
        "revision": "1",
        "sha256": hash_record(hash_files(kept)),
    }
    assert find_origin(tmp_path) is None and find_origin(checkpoints_directory() / "other") is None


def test_a_second_one_waits_for_the_lock(home):
    said = io.StringIO()
    console = Console(file=said, width=200)
    with lock_kept("some", console):
        entered = threading.Event()

        def second():
            with lock_kept("some", console):
                entered.set()

        thread = threading.Thread(target=second)
        thread.start()
        while "waiting for another process" not in said.getvalue():
            thread.join(0.05)
        assert not entered.is_set()
    thread.join()
    assert entered.is_set()


def test_progress_is_silent_where_nobody_looks():
    said = io.StringIO()
    with shown_progress("some", Console(file=said)) as on_progress:
        on_progress(1, 2)
        on_progress(2, None)
    assert said.getvalue().strip() == ""
