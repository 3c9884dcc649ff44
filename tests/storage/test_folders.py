"""A user's cache of folders: what is taken is what was kept, and else nothing."""

import os

import pytest

from raytrain.storage.directory import Directory
from raytrain.storage.files import sha256
from raytrain.storage.folders import HASHES, is_whole, keep_folder, take_folder


@pytest.fixture
def made(tmp_path):
    place = Directory(tmp_path / "made")
    place.write_bytes("config.json", b"{}")
    place.write_bytes("weights", b"\x00" * 1000)
    return place


def test_what_is_taken_is_what_was_kept(made, tmp_path):
    kept, into = tmp_path / "cache" / "a", Directory(tmp_path / "into")
    assert not is_whole(kept) and not take_folder(kept, into)
    keep_folder(made, kept, 3)
    assert is_whole(kept) and take_folder(kept, into)
    assert {name: into.read_bytes(name) for name in into.files()} == {
        name: made.read_bytes(name) for name in made.files()
    }


@pytest.mark.parametrize("name", ["config.json", "weights", HASHES])
@pytest.mark.parametrize("data", [b"", b"[1]", b"other", None])
def test_a_damaged_one_is_none(made, tmp_path, name, data):
    kept, into = tmp_path / "cache" / "a", Directory(tmp_path / "into")
    keep_folder(made, kept, 3)
    (kept / name).unlink()
    if data is not None:
        (kept / name).write_bytes(data)
    assert not is_whole(kept) and not take_folder(kept, into)


def test_names_that_lead_elsewhere_are_none_of_a_folder(made, tmp_path):
    kept, into = tmp_path / "cache" / "a", Directory(tmp_path / "into" / "here")
    keep_folder(made, kept, 3)
    (kept.parent / "outside").write_bytes(b"x")
    (kept / HASHES).write_text(f'{{"../outside": "{sha256(b"x")}"}}')
    assert not is_whole(kept) and not take_folder(kept, into)
    assert not (tmp_path / "into" / "outside").exists()


def test_one_that_is_there_stays_until_the_new_one_is_whole(made, tmp_path, monkeypatch):
    kept = tmp_path / "cache" / "a"
    keep_folder(made, kept, 3)
    before = (kept / "weights").read_bytes()
    made.write_bytes("weights", b"new")
    with monkeypatch.context() as patch:
        patch.setattr("raytrain.storage.folders.json_bytes", lambda value: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            keep_folder(made, kept, 3)
    assert is_whole(kept) and (kept / "weights").read_bytes() == before
    keep_folder(made, kept, 3)
    assert is_whole(kept) and (kept / "weights").read_bytes() == b"new"
    assert list(kept.parent.iterdir()) == [kept]


def test_the_longest_unused_give_way(made, tmp_path):
    cache, into = tmp_path / "cache", Directory(tmp_path / "into")
    for age, name in enumerate("abc"):
        keep_folder(made, cache / name, 3)
        os.utime(cache / name, (1000 + age, 1000 + age))
    assert take_folder(cache / "a", into)
    keep_folder(made, cache / "d", 3)
    assert sorted(path.name for path in cache.iterdir()) == ["a", "c", "d"]
