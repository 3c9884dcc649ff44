import socket
from dataclasses import replace

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
