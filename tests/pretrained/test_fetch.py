import io
import json
import multiprocessing
from pathlib import Path

import pytest
from archive_server import serve
from pretrained.test_archives import FILES, write_tar, write_zip
from rich.console import Console

from raytrain.errors import CheckpointError
from raytrain.pretrained.fetch import fetch, find_checkpoint, is_fetched, locate_checkpoint, zoo_table
from raytrain.pretrained.kept import checkpoints_directory, find_kept
from raytrain.pretrained.zoo import ZOO

TINY, BASE = ZOO["albert_tiny_zh"], ZOO["albert_base_zh"]
QUIET = Console(file=io.StringIO())


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYTRAIN_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("RAYTRAIN_MIRROR", raising=False)
    return tmp_path / "home" / "checkpoints"


@pytest.fixture
def mirror(tmp_path):
    """A directory that holds the archives of two checkpoints."""
    place = tmp_path / "mirror"
    place.mkdir()
    write_zip(place / TINY.archive, FILES)
    write_tar(place / BASE.archive, FILES)
    return place


def read_all(directory):
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def fetch_tiny(url):
    """For other processes, to which no console can be sent."""
    return fetch(TINY, QUIET, url)


def refused(action, *arguments, **options):
    with pytest.raises(CheckpointError) as caught:
        action(*arguments, **options)
    return str(caught.value)


@pytest.mark.parametrize("entry", [TINY, BASE], ids=lambda entry: entry.name)
def test_a_checkpoint_is_fetched_and_only_its_files_stay(mirror, home, entry):
    directory = fetch(entry, QUIET, str(mirror))
    assert directory == home / entry.name
    assert read_all(directory) == FILES
    assert {path.name for path in home.iterdir()} == {entry.name, f"{entry.name}.json", f"{entry.name}.lock"}


def test_what_is_here_is_not_fetched_again(mirror):
    with serve({f"/{TINY.archive}": (mirror / TINY.archive).read_bytes()}) as server:
        first = fetch(TINY, QUIET, server.url)
        assert fetch(TINY, QUIET, server.url) == first
        assert len(server.requests) == 1


def test_a_mirror_may_come_from_the_environment(mirror, monkeypatch):
    monkeypatch.setenv("RAYTRAIN_MIRROR", f"file://{mirror}/")
    assert read_all(locate_checkpoint("albert_base_zh", QUIET)) == FILES


def test_two_processes_fetch_once(mirror):
    archive = (mirror / TINY.archive).read_bytes()
    with serve({f"/{TINY.archive}": archive}) as server, multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(fetch_tiny, [server.url] * 2)
        assert found[0] == found[1]
        assert len(server.requests) == 1


def test_changed_files_are_told_whenever_it_is_used(mirror):
    directory = fetch(TINY, QUIET, str(mirror))
    (directory / "vocab.txt").write_bytes(b"another")
    (directory / "albert_tiny" / "albert_config.json").unlink()
    message = refused(fetch, TINY, QUIET, str(mirror))
    assert "vocab.txt: its content has changed" in message
    assert "albert_config.json: missing" in message
    assert f"delete {directory}" in message


def test_added_files_are_told(mirror):
    directory = fetch(TINY, QUIET, str(mirror))
    (directory / "config.json").write_text("{}")
    assert "config.json: was not there when it was fetched" in refused(fetch, TINY, QUIET, str(mirror))


def test_a_home_that_is_no_directory_is_told(home, mirror):
    home.parent.write_text("")
    assert "RAYTRAIN_HOME" in refused(fetch, TINY, QUIET, str(mirror))


def test_what_a_killed_process_left_is_removed(home, mirror):
    (home / "albert_tiny_zh.abc.unpacking").mkdir(parents=True)
    fetch(TINY, QUIET, str(mirror))
    assert not list(home.glob("*.unpacking"))


def test_after_a_full_disk_it_can_be_tried_again(home, mirror, monkeypatch):
    monkeypatch.setattr("pathlib.Path.rename", broken)
    assert "cannot be written" in refused(fetch, TINY, QUIET, str(mirror))
    monkeypatch.undo()
    monkeypatch.setenv("RAYTRAIN_HOME", str(home.parent))
    assert read_all(fetch(TINY, QUIET, str(mirror))) == FILES


def test_ctrl_c_while_unpacking_keeps_what_was_fetched(mirror, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with serve({f"/{TINY.archive}": (mirror / TINY.archive).read_bytes()}) as server:
        monkeypatch.setattr("raytrain.pretrained.fetch.unpack", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch(TINY, QUIET, server.url)
        monkeypatch.undo()
        monkeypatch.setenv("RAYTRAIN_HOME", str(mirror.parent / "home"))
        assert read_all(fetch(TINY, QUIET, server.url)) == FILES
        assert len(server.requests) == 1


@pytest.mark.parametrize("location", ["a" * 300, "~nosuchuser/x"])
def test_what_is_no_path_is_told(location):
    assert "encoder.checkpoint" in refused(locate_checkpoint, location, QUIET)


def broken(*_):
    raise OSError(28, "No space left on device")


def test_the_first_fetch_binds_those_after_it(mirror, home):
    first = fetch(TINY, QUIET, str(mirror))
    (first / "vocab.txt").unlink()
    (first / "albert_tiny" / "albert_config.json").unlink()
    (first / "albert_tiny" / "model.ckpt-best.index").unlink()
    (first / "albert_tiny").rmdir()
    first.rmdir()
    other = mirror / "other"
    other.mkdir()
    write_zip(other / TINY.archive, {**FILES, "vocab.txt": b"poisoned"})
    message = refused(fetch, TINY, QUIET, str(other))
    recorded = json.loads((home / "albert_tiny_zh.json").read_text())["sha256"]
    assert recorded in message
    assert find_kept(TINY.name) is None
    assert read_all(fetch(TINY, QUIET, str(mirror))) == FILES


def test_a_broken_archive_leaves_nothing_behind(mirror, home):
    (mirror / TINY.archive).write_bytes((mirror / TINY.archive).read_bytes()[:60])
    assert "expected a whole" in refused(fetch, TINY, QUIET, str(mirror))
    assert {path.name for path in home.iterdir()} == {"albert_tiny_zh.lock"}


@pytest.mark.parametrize("text", ["{", "[]", '{"sha256": 3, "files": {}}', "{}"])
def test_a_damaged_record_is_told(mirror, home, text):
    fetch(TINY, QUIET, str(mirror))
    (home / "albert_tiny_zh.json").write_text(text)
    assert "albert_tiny_zh.json: damaged" in refused(fetch, TINY, QUIET, str(mirror))


def test_a_directory_without_its_record_is_not_trusted(mirror, home):
    fetch(TINY, QUIET, str(mirror))
    (home / "albert_tiny_zh.json").unlink()
    assert "record of its first fetch" in refused(fetch, TINY, QUIET, str(mirror))


def test_a_directory_is_a_checkpoint_as_it_is(tmp_path):
    assert locate_checkpoint(str(tmp_path), QUIET) == tmp_path


@pytest.mark.parametrize(
    "name",
    ["bert_config.json", "vocab.txt", "bert_model.ckpt", "bert_model.ckpt.index", "bert_model.ckpt.meta"],
)
def test_of_a_file_of_an_encoder_its_directory_is_taken_and_that_is_told(tmp_path, name):
    folder = tmp_path / "BERT 中文"
    folder.mkdir()
    for file in ("bert_config.json", "vocab.txt", "bert_model.ckpt.index", "bert_model.ckpt.meta"):
        (folder / file).write_bytes(b"{}")
    said = Console(file=io.StringIO(), width=20)
    assert locate_checkpoint(str(folder / name), said) == folder
    told = f"encoder.checkpoint={folder / name} is a file of an encoder; its directory {folder} is taken\n"
    assert said.file.getvalue() == told
    locate_checkpoint(str(folder / name), said, key="")
    assert said.file.getvalue() == told + told.removeprefix("encoder.checkpoint=")


def test_a_file_beside_no_config_is_no_encoder(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\n")
    message = refused(locate_checkpoint, str(tmp_path / "train.csv"), QUIET)
    assert "no such checkpoint" in message and f"no config json beside it in {tmp_path}" in message


def test_an_archive_is_unpacked_once(mirror):
    directory = locate_checkpoint(str(mirror / BASE.archive), QUIET)
    assert read_all(directory) == FILES
    assert directory.parent == checkpoints_directory()
    assert locate_checkpoint(str(mirror / BASE.archive), QUIET) == directory


def test_a_changed_archive_is_another_checkpoint(mirror):
    first = locate_checkpoint(str(mirror / BASE.archive), QUIET)
    write_tar(mirror / BASE.archive, {**FILES, "vocab.txt": b"new"})
    second = locate_checkpoint(str(mirror / BASE.archive), QUIET)
    assert first != second
    assert (second / "vocab.txt").read_bytes() == b"new"


def test_a_directory_here_comes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "albert_tiny_zh").mkdir()
    assert locate_checkpoint("albert_tiny_zh", QUIET).resolve() == tmp_path / "albert_tiny_zh"


def test_an_unknown_name_says_what_was_likely_meant():
    message = refused(locate_checkpoint, "albert_bse_zh", QUIET)
    assert "encoder.checkpoint=albert_bse_zh" in message
    assert "did you mean albert_base_zh?" in message


def test_the_table_says_what_is_here(mirror):
    fetch(TINY, QUIET, str(mirror))
    console = Console(file=io.StringIO(), width=120)
    console.print(zoo_table())
    lines = {line.split()[0]: line.split() for line in console.file.getvalue().splitlines()[1:]}
    assert set(lines) == set(ZOO)
    assert lines["albert_tiny_zh"] == ["albert_tiny_zh", "Chinese", "4.0", "M", "WordPiece", "yes"]
    assert lines["albert_base_v2"][-2:] == ["SentencePiece", "no"]


def test_what_may_not_be_looked_at_is_not_fetched_but_told(tmp_path, monkeypatch):
    def refuse(path, **_):
        raise PermissionError(13, "Permission denied", str(path))

    location = str(tmp_path / "closed" / "encoder")
    with monkeypatch.context() as closed:
        closed.setattr(Path, "stat", refuse)
        assert is_fetched(location)
        message = refused(find_checkpoint, location)
    assert location in message and "cannot be looked at" in message
