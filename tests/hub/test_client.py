"""What is asked of a hub, and what is told of what it answers."""

import errno
from types import SimpleNamespace

import pytest
from hub_server import COMMIT, LATER, serve_hub

from raytrain.config.hub_address import HubAddress
from raytrain.errors import CheckpointError
from raytrain.hub.client import HubClient, counting
from raytrain.hub.errors import is_passing, tell_failure

FILES = {"config.json": b"{}", "vocab.txt": b"[PAD]\n", "model.safetensors": b"0123456789" * 1000}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with serve_hub({"org/encoder": {COMMIT: FILES}}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        for name in ("HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
        yield server


def client(repository="org/encoder", revision="main"):
    return HubClient(HubAddress(*repository.split("/"), revision), pause=0)


def fetch(name, commit=COMMIT):
    return client().fetch(commit, name, lambda done: None)


def refused(action, *arguments):
    with pytest.raises(CheckpointError) as caught:
        action(*arguments)
    return str(caught.value)


def test_a_listing_has_sizes_and_of_large_files_a_hash(hub):
    listing = client().list_files("main")
    assert listing.commit == COMMIT and set(listing.files) == set(FILES)
    assert listing.files["vocab.txt"].size == 6 and listing.files["vocab.txt"].sha256 is None
    assert len(listing.files["model.safetensors"].sha256) == 64


@pytest.mark.parametrize("name", ["../config.json", "/etc/x.model", "a/../../b", "a\\..\\b", ""])
def test_names_that_lead_out_of_the_repository_are_left_out(hub, name):
    hub.repositories["org/encoder"] = {COMMIT: {**FILES, name: b"x"}}
    assert set(client().list_files("main").files) == set(FILES)


def test_a_file_lands_in_the_cache_as_others_expect_it(hub, tmp_path):
    told = []
    path = client().fetch(COMMIT, "model.safetensors", told.append)
    assert path == tmp_path / "hf/hub/models--org--encoder/snapshots" / COMMIT / "model.safetensors"
    assert path.read_bytes() == FILES["model.safetensors"] and path.is_symlink()
    assert told[-1] == len(FILES["model.safetensors"]) and told == sorted(told)


def test_of_what_comes_by_xet_the_bytes_of_the_file_are_counted_once():
    """The network's bytes, told beside them, may be more than the file has."""
    from huggingface_hub.utils._xet_progress_reporting import XetDownloadProgressReporter

    told = []
    with XetDownloadProgressReporter(
        reconstruction_desc="a", total=100, log_level=20, tqdm_class=counting(told.append)
    ) as reporter:
        for written, network in ((0, 60), (40, 90), (40, 130), (100, 130)):
            reporter.update_progress(
                SimpleNamespace(
                    total_bytes=100,
                    total_bytes_completed=written,
                    total_bytes_completion_rate=None,
                    total_transfer_bytes_completed=network,
                    total_transfer_bytes_completion_rate=1.0,
                )
            )
    assert told == [40, 100]


def test_the_cache_is_where_the_environment_says_now(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "elsewhere"))
    assert fetch("config.json").is_relative_to(tmp_path / "elsewhere")


def test_a_broken_connection_goes_on_where_it_stopped(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub.cuts[:] = [4000, 3000]
    assert fetch("model.safetensors").read_bytes() == FILES["model.safetensors"]
    ranges = [asked for method, path, asked in hub.requests if path.startswith("/cdn/") and method == "GET"]
    assert ranges == [None, "bytes=4000-", "bytes=7000-"]


def test_a_hub_that_is_busy_for_a_while_is_asked_again(hub):
    hub.statuses[:] = [503, 502]
    assert client().list_files("main").commit == COMMIT
    assert len(hub.requests) == 3


def test_a_hub_that_stays_broken_is_told_with_its_address(hub):
    hub.statuses[:] = [500] * 50
    message = refused(client().list_files, "main")
    assert f"{hub.url} cannot be reached: HTTP 500" in message and "HF_ENDPOINT" in message


def test_where_nobody_answers_the_endpoint_is_named(hub, monkeypatch):
    hub.server_close()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    message = refused(client().list_files, "main")
    assert "http://127.0.0.1:9 cannot be reached" in message and "HF_ENDPOINT names a mirror" in message


def test_a_token_opens_what_is_gated_and_is_not_sent_elsewhere(hub, monkeypatch, tmp_path):
    hub.gated = ("org/encoder",)
    message = refused(client().list_files, "main")
    assert f"{hub.url}/org/encoder is gated (HTTP 403)" in message
    assert "agree to its terms" in message and "HF_TOKEN" in message
    (tmp_path / "token").write_text("hf_right\n")
    assert client().list_files("main").commit == COMMIT
    (tmp_path / "token").unlink()
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    fetch("model.safetensors")
    assert {token for path, token in hub.tokens if path.startswith("/cdn/")} == {None}


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_asks_for_a_token(hub, status):
    hub.statuses[:] = [status, None, None]
    message = refused(client("org/other").list_files, "main")
    assert "HF_TOKEN" in message and "hf auth login" in message


def test_a_repository_that_is_not_there_says_what_was_meant(hub):
    message = refused(client("hfl/chinese-macbert-bas").list_files, "main")
    assert "no such repository, or a private one" in message
    assert "did you mean hf:hfl/chinese-macbert-base?" in message and "HF_TOKEN" in message


@pytest.mark.parametrize("kind", ["dataset", "space"])
def test_a_dataset_or_a_space_is_called_so(hub, kind):
    hub.others[f"{kind}s"] = ("org/data",)
    message = refused(client("org/data").list_files, "main")
    assert f"it is a {kind} of that name" in message


def test_a_revision_that_is_not_there_is_told(hub):
    message = refused(client(revision="nowhere").list_files, "nowhere")
    assert "has no revision 'nowhere'" in message and "branch, a tag or the full name of a commit" in message


@pytest.mark.parametrize(
    "answer",
    [
        *({"sha": "main"}, {"sha": None}, {"sha": COMMIT + "/.."}),
        *({"siblings": [{"size": 3}]}, {"siblings": "x"}, {"siblings": [1]}),
        {"siblings": [{"rfilename": "a", "lfs": {"size": 1}}]},
        *({"siblings": [{"rfilename": name}]} for name in (None, 3, ["a"], {})),
    ],
)
def test_what_answers_otherwise_than_a_hub_is_told(hub, answer):
    hub.answer = answer
    message = refused(client().list_files, "main")
    assert "not what a hub answers" in message or "does not answer as a Hugging Face hub does" in message


def test_an_answer_that_is_no_json_is_told(hub, monkeypatch):
    monkeypatch.setattr("hub_server.json.dumps", lambda _: "<html>sign in</html>")
    message = refused(client().list_files, "main")
    assert "does not answer as a Hugging Face hub does" in message and "HF_ENDPOINT" in message


def test_offline_the_cache_is_what_there_is(hub, monkeypatch):
    for name in FILES:
        fetch(name)
    before = len(hub.requests)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "nothing is fetched offline" in refused(client().list_files, "main")
    listing = client().list_files(COMMIT)
    assert {name: file.size for name, file in listing.files.items()} == {
        name: len(data) for name, data in FILES.items()
    }
    assert fetch("config.json").read_bytes() == b"{}"
    assert "is not in" in refused(fetch, "other.json")
    assert len(hub.requests) == before


def test_a_ref_says_to_others_where_the_branch_was(hub, monkeypatch):
    fetch("config.json")
    client().keep_ref(COMMIT)
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "yes")
    assert client().list_files("main").commit == COMMIT
    client(revision=LATER).keep_ref(LATER)
    assert not (client().folder / "refs" / LATER).exists()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied"), "cannot be used: Permission denied"),
        (ConnectionResetError("reset"), "cannot be reached: reset"),
        (RuntimeError("lost"), "cannot be fetched: unforeseen RuntimeError: lost"),
        (AssertionError(), "cannot be fetched: unforeseen AssertionError: AssertionError"),
        (ZeroDivisionError("by zero"), "unforeseen ZeroDivisionError"),
    ],
)
def test_what_the_system_says_is_told_with_advice(tmp_path, error, told):
    found = tell_failure(error, HubAddress("org", "encoder"), "http://127.0.0.1:9", tmp_path)
    assert told in str(found) and found.problems
    assert is_passing(error) is isinstance(error, ConnectionError)


def test_a_wrong_call_of_ours_is_told_with_its_line(hub, monkeypatch):
    one = client()
    with monkeypatch.context() as broken:
        broken.setattr("raytrain.hub.client.counting", lambda: None)  # which is called with one
        message = refused(one.fetch, COMMIT, "config.json", lambda done: None)
    assert "unforeseen TypeError at " in message and "raytrain/hub/client.py:" in message
    assert "no fault of the network" in message and "cannot be reached" not in message
