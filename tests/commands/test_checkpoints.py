import signal
import sys
from types import SimpleNamespace

import pytest
from encoder_kinds import SMALL_FILES
from hub_server import COMMIT, serve_hub
from pretrained.test_archives import FILES, write_tar, write_zip

from raytrain.commands.program import main
from raytrain.hub.known import HUB
from raytrain.pretrained.zoo import ZOO

TINY, BASE = ZOO["albert_tiny_zh"], ZOO["albert_base_zh"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of its own, a working folder, and the signal handler given back."""
    monkeypatch.setenv("RAYTRAIN_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("RAYTRAIN_MIRROR", raising=False)
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path / "home" / "checkpoints"
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def mirror(tmp_path):
    place = tmp_path / "mirror"
    place.mkdir()
    write_zip(place / TINY.archive, FILES)
    write_tar(place / BASE.archive, FILES)
    return place


@pytest.fixture
def shown(monkeypatch):
    """Reports without TensorFlow, for which another test has this process; what was to be shown."""
    found = []
    monkeypatch.setattr("raytrain.devices.set_up_tensorflow", lambda *_: None)

    def report(directory, console):
        found.append(directory)
        return report.fits

    report.fits = True
    report.found = found
    monkeypatch.setitem(sys.modules, "raytrain.pretrained.report", SimpleNamespace(report_checkpoint=report))
    return report


def run(*arguments):
    try:
        return main(["checkpoints", *arguments])
    except SystemExit as error:
        return error.code


def listed(capsys):
    """Each name, and whether it is said to be here."""
    assert run("list") == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    return {line.split()[0]: line.split()[-1] for line in lines}


def test_every_name_is_listed_and_none_is_here_at_first(home, capsys):
    assert listed(capsys) == dict.fromkeys(ZOO, "no")
    assert not home.exists()


def test_what_is_fetched_is_said_and_listed(mirror, home, capsys):
    assert run("fetch", TINY.name, BASE.name, "--mirror", str(mirror)) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line]
    assert said == [f"{entry.name}: {home / entry.name}" for entry in (TINY, BASE)]
    assert {name for name, here in listed(capsys).items() if here == "yes"} == {TINY.name, BASE.name}


def test_one_that_fails_does_not_keep_the_others_back(mirror, home, capsys):
    (mirror / TINY.archive).unlink()
    assert run("fetch", TINY.name, BASE.name, "--mirror", str(mirror)) == 2
    said = capsys.readouterr()
    assert "1 of 2 cannot be fetched" in said.err and str(mirror / TINY.archive) in said.err
    assert said.out.strip() == f"{BASE.name}: {home / BASE.name}"


def test_a_name_that_is_none_is_told_before_anything_is_fetched(mirror, home, capsys):
    assert run("fetch", BASE.name, "albert_bse_zh", "--mirror", str(mirror)) == 2
    assert "did you mean albert_base_zh?" in capsys.readouterr().err
    assert not home.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage"),
        (["fetch"], "usage"),
        (["show"], "usage"),
        (["delete", "albert_tiny_zh"], "usage"),
        (["fetch", "albert_base_zh", "--mirror", "nowhere"], "nowhere/albert_base_zh.tar.gz"),
        (["show", "nowhere"], "nowhere"),
        (["show", "albert_tiny"], "did you mean albert_tiny_zh?"),
    ],
)
def test_checkpoints_input_error_exits_2_with_one_message(capsys, arguments, message):
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said


def test_a_name_that_is_not_here_is_not_fetched_to_be_shown(capsys, shown):
    assert run("show", TINY.name) == 2
    said = capsys.readouterr().err
    assert f"{TINY.name} is not here" in said and f"raytrain checkpoints fetch {TINY.name}" in said
    assert shown.found == []


def test_a_name_that_is_here_a_directory_and_an_archive_are_shown(mirror, home, tmp_path, capsys, shown):
    run("fetch", TINY.name, "--mirror", str(mirror))
    (tmp_path / "mine").mkdir()
    for place in (TINY.name, "mine", str(mirror / BASE.archive)):
        assert run("show", place) == 0
    assert shown.found[0] == home / TINY.name and str(shown.found[1]) == "mine"
    assert shown.found[2].parent == home and shown.found[2].name.startswith("archive-")


def test_a_directory_comes_before_a_name(tmp_path, shown):
    (tmp_path / BASE.name).mkdir()
    assert run("show", BASE.name) == 0
    assert str(shown.found[0]) == BASE.name


def test_a_checkpoint_that_cannot_be_loaded_exits_2(tmp_path, capsys, shown):
    (tmp_path / "mine").mkdir()
    shown.fits = False
    assert run("show", "mine") == 2
    assert "mine cannot be loaded" in capsys.readouterr().err


@pytest.fixture
def hub(tmp_path, monkeypatch):
    files = {**SMALL_FILES, "model.safetensors": b"weights"}
    with serve_hub({"hfl/rbt3": {COMMIT: files}, "org/encoder": {COMMIT: files}}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        for name in ("HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        yield server


def test_encoders_of_the_hub_are_listed_apart(hub, capsys):
    assert run("list", "--hub") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert {line[0]: line[-1] for line in lines} == dict.fromkeys(HUB, "no")
    assert hub.requests == []


def test_encoders_of_the_hub_are_fetched_by_name_and_address_and_shown(hub, home, capsys, shown):
    assert run("show", "hf:org/encoder") == 2
    assert "raytrain checkpoints fetch hf:org/encoder" in capsys.readouterr().err
    assert run("fetch", "rbt3", "hf:org/encoder") == 0
    said = capsys.readouterr().out
    assert f"rbt3: {home / 'hf--hfl--rbt3'}" in said
    assert f"hf:org/encoder: {home / 'hf--org--encoder'}" in said
    for name in ("rbt3", "hf:hfl/rbt3", "hf:org/encoder"):
        assert run("show", name) == 0
    assert [path.name for path in shown.found] == ["hf--hfl--rbt3", "hf--hfl--rbt3", "hf--org--encoder"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch", "hf:bert"], "expected hf:ORGANISATION/NAME"),
        (["fetch", "hf:org/nothing"], "no such repository"),
        (["fetch", "rbt3", "--mirror", "somewhere"], "HF_ENDPOINT"),
        (["show", "hf:a/b/c"], "expected hf:ORGANISATION/NAME"),
        (["fetch", "hfl/rbt3"], "did you mean hf:hfl/rbt3?"),
    ],
)
def test_what_is_wrong_with_an_encoder_of_the_hub_is_one_message(hub, capsys, arguments, message):
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said


def test_show_names_no_key_of_a_run(capsys):
    assert run("show", "albert_bse_zh") == 2
    said = capsys.readouterr().err
    assert "error: albert_bse_zh: no such checkpoint" in said and "encoder.checkpoint" not in said
