import re
import signal
from types import SimpleNamespace

import pytest

from raytrain.commands.program import main
from raytrain.serving.access import digest_of
from raytrain.serving.questions import Limits

GIVEN = ["--ensemble", "runs/mine/ensemble"]


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    """Gives this process its signal handler and its environment back."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("RAY_SERVE_LOG_TO_STDERR", "0")
    monkeypatch.setattr("raytrain.serving.access.keep_ray_apart", lambda: None)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def started(monkeypatch):
    """Serves nothing, until it is told at once to stop; what it was told, start by start."""
    calls, left = [], SimpleNamespace(requests=0)

    def watch():
        raise KeyboardInterrupt

    def start(settings, host, port, stage):
        calls.append((settings, host, port))
        return SimpleNamespace(watch=watch, stop=lambda: left.requests)

    monkeypatch.setattr("raytrain.serving.start.start", start)
    return SimpleNamespace(calls=calls, left=left)


def run(*arguments):
    try:
        return main(["serve", *arguments])
    except SystemExit as error:
        return error.code


def test_the_address_and_a_new_token_are_told_and_the_end(started, capsys):
    assert run(*GIVEN) == run(*GIVEN) == 0
    told = capsys.readouterr().out
    tokens = re.findall(r"^token: (\S{32,})$", told, re.MULTILINE)
    assert len({*tokens}) == 2
    assert told.startswith("serving mine at http://127.0.0.1:8000/\n")
    assert told.endswith("stopped; no request was given up\n")
    settings, *address = started.calls[0]
    assert settings.digest == digest_of(tokens[0]) and settings.limits == Limits()
    assert (address, settings.replicas) == (["127.0.0.1", 8000], 1)


def test_all_is_taken_as_asked(started, tmp_path, capsys):
    file = tmp_path / "token"
    file.write_text("a-token-of-somebody")
    file.chmod(0o600)
    own = ["--host", "::1", "--port", "81", "--replicas", "3", "--cpus", "0.5", "--gpus", "0.25"]
    limits = ["--max-queued", "5", "--max-texts", "6", "--max-chars", "7", "--token-file", str(file)]
    assert run(*GIVEN, "--ensemble", "b=/there", *own, *limits) == 0
    [(settings, *address)] = started.calls
    assert list(settings.ensembles) == ["mine", "b"] and settings.digest == digest_of("a-token-of-somebody")
    assert (address, settings.replicas) == (["::1", 81], 3)
    assert (settings.cpus, settings.gpus, settings.limits) == (0.5, 0.25, Limits(6, 7, 5))
    told = capsys.readouterr().out
    assert "http://[::1]:81/" in told and "a-token-of-somebody" not in told


def test_requests_that_were_given_up_are_told(started, capsys):
    started.left.requests = 2
    assert run(*GIVEN, "--no-token") == 0
    told = capsys.readouterr().out
    assert "stopped; 2 requests were given up" in told and "token" not in told
    assert started.calls[0][0].digest is None


@pytest.mark.parametrize(
    "wrong",
    [
        *(["--replicas", "0"], ["--max-queued", "0"], ["--max-texts", "-1"], ["--max-chars", "0"]),
        *(["--port", "0"], ["--port", "65536"], ["--cpus", "0"], ["--cpus", "nan"], ["--gpus", "-1"]),
        *(["--gpus", "1.5"], ["--no-token", "--token-file", "x"]),
    ],
)
def test_what_is_no_number_of_its_kind_is_a_usage_error(started, capsys, wrong):
    assert run(*GIVEN, *wrong) == 2
    assert wrong[0] in capsys.readouterr().err and not started.calls


def test_an_ensemble_is_asked_for(started, capsys):
    assert run() == 2
    assert "required: --ensemble" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.com"])
def test_the_world_needs_a_token(started, capsys, host):
    assert run(*GIVEN, "--host", host, "--no-token") == 2
    assert f"found {host}" in capsys.readouterr().err and not started.calls


def test_a_token_that_others_may_read_is_refused(started, tmp_path, capsys):
    file = tmp_path / "token"
    file.write_text("a-token-of-somebody")
    file.chmod(0o644)
    assert run(*GIVEN, "--token-file", str(file)) == 2
    assert "chmod 600" in capsys.readouterr().err and not started.calls


def test_what_is_not_installed_is_named(started, monkeypatch, capsys):
    monkeypatch.setattr("raytrain.asking.serve.find_spec", lambda name: None)
    assert run(*GIVEN) == 2
    assert "raytrain[serve]" in capsys.readouterr().err and not started.calls


def test_an_ensemble_that_is_none_is_told_before_ray_starts(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("raytrain.serving.start.connect", lambda *_, **__: pytest.fail("Ray was begun"))
    assert run("--ensemble", str(tmp_path)) == 2
    assert "manifest.json" in capsys.readouterr().err
