import socket
from dataclasses import replace
from types import SimpleNamespace

import pytest

from raytrain.errors import ClusterError, ConfigError, InputError
from raytrain.serving import start
from raytrain.serving.access import digest_of
from raytrain.serving.questions import Limits
from raytrain.serving.settings import ServeSettings

DIGEST = digest_of("a token")
SETTINGS = ServeSettings({"a": "/a", "b": "/b"}, 2, 1.5, 0.0, Limits(), DIGEST)


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port}"):
            start.check_port("127.0.0.1", port)
    start.check_port("127.0.0.1", port)


def test_replicas_that_have_no_room_are_told_before_they_are_waited_for(monkeypatch):
    monkeypatch.setattr(start.ray, "cluster_resources", lambda: {"CPU": 4.0})
    with pytest.raises(ClusterError, match=r"expected 6 CPUs for 4 replicas of --cpus 1\.5, found 4"):
        start._check_room(SETTINGS)
    start._check_room(replace(SETTINGS, cpus=1.0))
    with pytest.raises(ClusterError, match="--gpus"):
        start._check_room(replace(SETTINGS, cpus=1.0, gpus=0.5))


def test_the_application_knows_the_token_by_its_digest_only():
    application = start.build_application(SETTINGS)
    _, limits, digest = application._bound_deployment.init_args
    assert limits == Limits() and digest == DIGEST
    assert start.build_application(replace(SETTINGS, digest=None))._bound_deployment.init_args[2] is None


def test_what_is_deployed_by_a_file_is_looked_at_first(tmp_path):
    args = {"ensembles": {"mine": str(tmp_path)}, "token_sha256": DIGEST.hex()}
    with pytest.raises(InputError, match="manifest"):
        start.deployed(args)


class Serve:
    """Stands for Ray Serve on a cluster: what was told it, and where it listens."""

    def __init__(self, monkeypatch, listening=("127.0.0.1", 8000), applications=()):
        self.calls, self.applications = [], dict.fromkeys(applications)
        client = SimpleNamespace(http_config=SimpleNamespace(host=listening[0], port=listening[1]))
        self.client = client
        monkeypatch.setenv("RAY_ADDRESS", "a cluster")
        monkeypatch.setattr(start, "load_ensemble", lambda location: None)
        monkeypatch.setattr(start, "connect", lambda *arguments, **options: None)
        monkeypatch.setattr(start, "_get_global_client", lambda **options: self.client)
        monkeypatch.setattr(start.ray, "shutdown", lambda: self.calls.append("disconnect"))
        for name in ("start", "status", "run_many", "delete", "shutdown"):
            monkeypatch.setattr(start.serve, name, getattr(self, name))

    def start(self, **options):
        self.client = self.client or SimpleNamespace(http_config=SimpleNamespace(**options["http_options"]))

    def status(self):
        return SimpleNamespace(applications=self.applications)

    def run_many(self, targets, **options):
        self.applications["raytrain"] = SimpleNamespace(status="DEPLOYING")
        return [SimpleNamespace()]

    def delete(self, name):
        self.calls.append("delete")

    def shutdown(self):
        self.calls.append("shutdown")


class Interrupted:
    """A stage during which Ctrl-C comes."""

    def check(self):
        raise KeyboardInterrupt


def test_an_address_that_serve_does_not_listen_on_is_refused(monkeypatch):
    """Serve keeps the one it was begun with, silently: perhaps all addresses, without a token."""
    found = Serve(monkeypatch, ("0.0.0.0", 8000))
    with pytest.raises(ClusterError, match=r"on 127\.0\.0\.1, port 9000.*it does on 0\.0\.0\.0, port 8000"):
        start.start(SETTINGS, "127.0.0.1", 9000, Interrupted())
    assert "raytrain" not in found.applications


@pytest.mark.parametrize(("was_there", "ended"), [(True, "delete"), (False, "shutdown")])
def test_what_is_interrupted_while_it_starts_is_not_left_on_a_cluster(monkeypatch, was_there, ended):
    found = Serve(monkeypatch)
    if not was_there:
        found.client = None
    with pytest.raises(KeyboardInterrupt):
        start.start(SETTINGS, "127.0.0.1", 8000, Interrupted())
    assert found.calls == [ended, "disconnect"]


@pytest.mark.parametrize("where", ["start", "run_many"])
def test_nor_what_is_interrupted_while_serve_begins(monkeypatch, where):
    found = Serve(monkeypatch)
    found.client = None

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(start.serve, where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        start.start(SETTINGS, "127.0.0.1", 8000, Interrupted())
    assert found.calls == ["shutdown", "disconnect"]


def test_the_application_of_another_is_left_where_it_is(monkeypatch):
    found = Serve(monkeypatch, applications=["raytrain"])
    with pytest.raises(ClusterError, match="expected no application"):
        start.start(SETTINGS, "127.0.0.1", 8000, Interrupted())
    assert found.calls == ["disconnect"]


def test_what_does_not_drain_is_ended_all_the_same(monkeypatch):
    """As where Ctrl-C comes a second time."""
    found = Serve(monkeypatch)
    running = start.Running(is_own=False, began_serve=True)
    with pytest.raises(AttributeError):
        running.stop()
    assert found.calls == ["shutdown", "disconnect"]


def test_serve_stays_where_others_came_to_it(monkeypatch):
    found = Serve(monkeypatch, applications=["raytrain", "another"])
    running = start.Running(is_own=False, began_serve=True)
    running._is_deployed = True
    running.end()
    assert found.calls == ["delete", "disconnect"]
