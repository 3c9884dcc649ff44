import asyncio
from types import SimpleNamespace

import pytest
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from raytrain.errors import InputError
from raytrain.serving import ingress
from raytrain.serving.ingress import ServeBackend
from raytrain.serving.metrics import Metrics
from raytrain.serving.refusals import RefusedError


class Handle:
    """Answers as it is told, call by call: what is an exception is raised."""

    def __init__(self, *said):
        self.said, self.asked = list(said), []
        self.predict = self.words = self.facts = SimpleNamespace(remote=self._remote)

    async def _remote(self, *given):
        self.asked.append(given)
        one = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        if isinstance(one, Exception):
            raise one
        return one


def ask(handle, metrics=None):
    return asyncio.run(ServeBackend({"posts": handle}, metrics or Metrics()).predict("posts", ["a"], None))


def test_what_a_lost_replica_was_asked_is_asked_again():
    metrics = Metrics()
    handle = Handle(ActorDiedError(), ActorDiedError(), "an answer")
    assert ask(handle, metrics) == "an answer"
    assert handle.asked == [(["a"], None)] * 3
    assert b"raytrain_asked_again_total 2.0" in metrics.page()


@pytest.mark.parametrize("lost", [ActorDiedError(), DeploymentUnavailableError(None)])
def test_where_no_replica_comes_back_it_ends(monkeypatch, lost):
    monkeypatch.setattr(ingress, "AGAIN_SECONDS", 0.15)
    with pytest.raises(RefusedError) as caught:
        ask(Handle(lost))
    assert (caught.value.status, caught.value.retry) == (503, 5)


def test_a_full_queue_is_refused():
    with pytest.raises(RefusedError) as caught:
        ask(Handle(BackPressureError(9, 9)))
    assert caught.value.headers == {"Retry-After": "1"} and caught.value.status == 429


def test_an_error_of_the_input_comes_back_as_itself():
    cause = InputError("expected pairs")
    wrapped = RayTaskError("predict", "a remote traceback", cause).as_instanceof_cause()
    with pytest.raises(InputError, match=r"^expected pairs$") as caught:
        ask(Handle(wrapped))
    assert caught.value is cause


def test_other_errors_are_not_asked_again():
    handle = Handle(ValueError("a fault"))
    with pytest.raises(ValueError, match="a fault"):
        ask(handle)
    assert len(handle.asked) == 1
