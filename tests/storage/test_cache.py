"""A bounded cache of files: what is in use stays, what is longest unused gives way, what grows is kept."""

import fcntl
import os
from pathlib import Path

import numpy as np
import pytest

from raytrain.storage.cache import (
    finish_partial,
    make_room,
    map_array,
    new_file,
    open_in_use,
    open_partial,
    partial_path,
)


def write(path, size, age):
    path.write_bytes(b"0" * size)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def test_the_longest_unused_file_gives_way(tmp_path):
    old, new = write(tmp_path / "old.npy", 400, 2), write(tmp_path / "new.npy", 400, 1)
    assert make_room(tmp_path, 500, 1e-6) is None
    assert (old.exists(), new.exists()) == (False, True)


def test_a_file_in_use_stays(tmp_path):
    used = write(tmp_path / "used.npy", 600, 2)
    with used.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
        assert "in use" in make_room(tmp_path, 500, 1e-6)
    assert used.exists()
    assert make_room(tmp_path, 500, 1e-6) is None
    assert not used.exists()


def test_what_a_crash_left_is_removed_and_what_is_being_written_is_not(tmp_path):
    crashed = write(tmp_path / "a.npy.1.unfinished", 10, 0)
    with new_file(tmp_path / "b.npy") as stream:
        stream.write(b"0")
        assert make_room(tmp_path, 1, 1) is None
        assert not crashed.exists()
        assert len(list(tmp_path.iterdir())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["b.npy"]


def test_a_file_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="broken"), new_file(tmp_path / "a.npy"):
        raise ValueError("broken")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("size", "max_gb", "reason"), [(2e6, 1e-3, "cache.max_gb"), (1e18, 1e12, "free")])
def test_what_does_not_fit_is_said(tmp_path, size, max_gb, reason):
    assert reason in make_room(tmp_path, int(size), max_gb)


def test_a_file_that_vanishes_while_room_is_made_is_no_matter(tmp_path, monkeypatch):
    old = write(tmp_path / "old.npy", 400, 1)
    monkeypatch.setattr(Path, "iterdir", lambda self: iter([tmp_path / "gone.npy", old]))
    assert make_room(tmp_path, 700, 1e-6) is None
    assert not old.exists()


# ── a file that grows from run to run ──────────────────────────────────────────────────────────────


def never():
    raise AssertionError("nobody else has it")


def test_what_is_written_is_found_by_the_next_one(tmp_path):
    path = partial_path(tmp_path / "new" / "a.npy")
    with open_partial(path, never) as stream:
        stream.write(b"one")
    with open_partial(path, never) as stream:
        assert stream.read() == b"one"
    assert path.name == "a.partial.npy"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_it_is_for_one_run_alone(tmp_path):
    path, waits = partial_path(tmp_path / "a.npy"), []
    first = open_partial(path, never)

    def wait():
        waits.append(1)
        if len(waits) == 3:
            first.close()

    with open_partial(path, wait):
        assert len(waits) == 3


def test_who_waited_for_a_file_that_was_finished_begins_another(tmp_path):
    path = tmp_path / "a.npy"
    first = open_partial(partial_path(path), never)
    first.write(b"whole")

    def finish():
        finish_partial(first, path)
        first.close()

    with open_partial(partial_path(path), finish) as second:
        assert second.read() == b""
    assert path.read_bytes() == b"whole"


def test_a_finished_file_is_in_use_until_it_is_closed(tmp_path):
    path = tmp_path / "a.npy"
    stream = open_partial(partial_path(path), never)
    np.save(stream, np.arange(6, dtype=np.float16).reshape(2, 3))
    stream.flush()
    finish_partial(stream, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.npy"]
    assert "in use" in make_room(tmp_path, 1, 1e-9)
    with open_in_use(path) as opened:
        assert map_array(opened).tolist() == [[0, 1, 2], [3, 4, 5]]
    stream.close()
    assert make_room(tmp_path, 1, 1e-9) is None
    assert not path.exists()


def test_what_grows_is_not_counted_twice_and_gives_way_as_others_do(tmp_path):
    own = write(partial_path(tmp_path / "own.npy"), 900, 5)
    other = write(partial_path(tmp_path / "other.npy"), 300, 1)
    assert make_room(tmp_path, 900, 1.2e-6, own) is None
    assert own.exists() and other.exists()
    assert make_room(tmp_path, 900, 1.1e-6, own) is None
    assert own.exists() and not other.exists()


def test_what_is_growing_does_not_give_way(tmp_path):
    path = partial_path(tmp_path / "a.npy")
    with open_partial(path, never) as stream:
        stream.write(b"0" * 600)
        stream.flush()
        assert "in use" in make_room(tmp_path, 500, 1e-6)
    assert make_room(tmp_path, 500, 1e-6) is None
    assert not path.exists()


def test_there_is_nothing_to_open(tmp_path):
    assert open_in_use(tmp_path / "absent.npy") is None
