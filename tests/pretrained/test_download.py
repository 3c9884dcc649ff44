import pytest
from archive_server import serve

from raytrain.errors import CheckpointError
from raytrain.pretrained.download import discard, download

DATA = bytes(range(256)) * 20_000  # some chunks


def fetch(source, target, **options):
    download(str(source), target, **{"pause": 0.001, "attempts": 3, **options})
    return target.read_bytes()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "cache" / "a.zip"


def test_a_file_arrives_whole_and_progress_is_told(target):
    told = []
    with serve({"/a.zip": DATA}) as server:
        assert fetch(f"{server.url}/a.zip", target, on_progress=lambda *args: told.append(args)) == DATA
    assert told[-1] == (len(DATA), len(DATA))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert [path.name for path in target.parent.iterdir()] == ["a.zip"]


def test_a_cut_connection_goes_on_where_it_broke(target):
    with serve({"/a.zip": DATA}, failures=[0.3, 0.5]) as server:
        assert fetch(f"{server.url}/a.zip", target) == DATA
    ranges = [asked for _, asked in server.requests]
    assert ranges[0] is None
    assert len(ranges) == 3
    assert all(asked.startswith("bytes=") for asked in ranges[1:])


def test_without_a_validator_a_cut_file_begins_anew(target):
    with serve({"/a.zip": DATA}, failures=[0.3], tagged=False) as server:
        assert fetch(f"{server.url}/a.zip", target) == DATA
    assert [asked for _, asked in server.requests] == [None, None]


def test_another_process_goes_on_with_what_has_come(target):
    with serve({"/a.zip": DATA}, failures=[0.6, 404]) as server:
        with pytest.raises(CheckpointError, match="404"):
            fetch(f"{server.url}/a.zip", target)
        assert fetch(f"{server.url}/a.zip", target) == DATA
    assert server.requests[-1][1] is not None


def test_a_file_exchanged_in_between_is_fetched_whole(target):
    other = DATA[::-1]
    with serve({"/a.zip": DATA}, failures=[0.6, 403]) as server:
        with pytest.raises(CheckpointError):
            fetch(f"{server.url}/a.zip", target)
        server.files["/a.zip"] = other
        assert fetch(f"{server.url}/a.zip", target) == other


def test_the_rest_of_another_file_is_not_appended(target):
    """A server that resumes whatever it is asked to."""
    with serve({"/a.zip": DATA}, failures=[0.6, 403]) as server:
        with pytest.raises(CheckpointError):
            fetch(f"{server.url}/a.zip", target)
        server.files["/a.zip"] = DATA[::-1]
        server.ignores_if_range = True
        assert fetch(f"{server.url}/a.zip", target) == DATA[::-1]


def test_a_copy_that_broke_off_is_not_resumed_over_http(tmp_path, target):
    with serve({"/a.zip": DATA}, failures=[0.6, 403]) as server:
        with pytest.raises(CheckpointError):
            fetch(f"{server.url}/a.zip", target)
        (tmp_path / "a.zip").write_bytes(DATA[::-1])
        with pytest.raises(KeyboardInterrupt):
            fetch(tmp_path / "a.zip", target, on_progress=interrupt)
        assert fetch(f"{server.url}/a.zip", target) == DATA


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_server_that_sends_less_than_the_rest_is_asked_again(target):
    with serve({"/a.zip": DATA}, failures=[0.5]) as server:
        server.most_at_once = len(DATA) // 5
        assert fetch(f"{server.url}/a.zip", target) == DATA


@pytest.mark.parametrize("tag", [b"\xff", b"a\nb", "标".encode()])
def test_a_damaged_tag_is_none(target, tag):
    target.parent.mkdir()
    target.with_name("a.zip.part").write_bytes(DATA[:9])
    target.with_name("a.zip.part.tag").write_bytes(tag)
    with serve({"/a.zip": DATA}) as server:
        assert fetch(f"{server.url}/a.zip", target) == DATA


def test_an_answer_without_end_is_cut_off(target, monkeypatch):
    monkeypatch.setattr("raytrain.pretrained.download._MAX_BYTES", 1 << 20)
    with serve({"/a.zip": DATA}) as server, pytest.raises(CheckpointError, match="larger than"):
        fetch(f"{server.url}/a.zip", target)


@pytest.mark.parametrize("url", ["http://localhost:xx/a.zip", "http://local host/a.zip"])
def test_what_is_no_url_is_told_at_once(target, url):
    with pytest.raises(CheckpointError, match="cannot be fetched"):
        fetch(url, target, pause=100)


@pytest.mark.parametrize("source", ["ftp://host/a.zip", "nonsense://host/a.zip"])
def test_unknown_schemes_are_told(target, source):
    with pytest.raises(CheckpointError, match="cannot be fetched"):
        fetch(source, target)


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be fetched"):
        fetch(tmp_path / "file", tmp_path / "file" / "a.zip")


def test_a_part_that_was_whole_only_takes_its_name(target):
    with serve({"/a.zip": DATA}, failures=[0.5, 403]) as server:
        with pytest.raises(CheckpointError):
            fetch(f"{server.url}/a.zip", target)
        target.with_name("a.zip.part").write_bytes(DATA)
        assert fetch(f"{server.url}/a.zip", target) == DATA


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(target, status):
    with serve({"/a.zip": DATA}, failures=[status, status]) as server:
        assert fetch(f"{server.url}/a.zip", target) == DATA
    assert len(server.requests) == 3


def test_it_is_given_up_after_as_many_attempts(target):
    with (
        serve({"/a.zip": DATA}, failures=[503] * 9) as server,
        pytest.raises(CheckpointError, match=r"503.*3 attempts") as caught,
    ):
        fetch(f"{server.url}/a.zip", target)
    assert len(server.requests) == 3
    assert "RAYTRAIN_MIRROR" in str(caught.value)


def test_attempts_that_bring_the_file_further_are_not_counted(target):
    with serve({"/a.zip": DATA}, failures=[0.3] * 8) as server:
        assert fetch(f"{server.url}/a.zip", target, attempts=2) == DATA


def test_a_missing_file_is_not_asked_for_again(target):
    with serve({}) as server, pytest.raises(CheckpointError, match="404"):
        fetch(f"{server.url}/a.zip", target)
    assert len(server.requests) == 1


def test_nobody_listening_is_told(target):
    with serve({}) as server:
        url = server.url
    with pytest.raises(CheckpointError, match="3 attempts"):
        fetch(f"{url}/a.zip", target, timeout=1)


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_path_and_a_uri_are_copied(tmp_path, target, prefix):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "a.zip").write_bytes(DATA)
    assert fetch(f"{prefix}{tmp_path}/mirror/a.zip", target) == DATA


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_mirror_without_the_file_is_told(tmp_path, target, prefix):
    with pytest.raises(CheckpointError, match="no such file"):
        fetch(f"{prefix}{tmp_path}/mirror/a.zip", target)


def test_what_was_left_of_a_file_can_be_removed(target):
    with serve({"/a.zip": DATA}, failures=[0.5, 404]) as server, pytest.raises(CheckpointError):
        fetch(f"{server.url}/a.zip", target)
    assert len(list(target.parent.iterdir())) == 2
    discard(target)
    assert not list(target.parent.iterdir())
