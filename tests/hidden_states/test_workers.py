"""Workers that encode, on one shared local Ray, and are lost."""

import os
from pathlib import Path

import numpy as np
import pytest
import ray
from tiny_run import silent_stages

from raytrain.devices import cpu_has_bfloat16
from raytrain.errors import CheckpointError, LostWorkersError
from raytrain.hidden_states import encode as module
from raytrain.hidden_states.encode import EncoderSource, EncodingWorkers, write_states
from raytrain.hidden_states.hardware import all_nodes_have_bfloat16
from raytrain.storage.cache import map_array

LENGTHS = (7, 20, 3, 33, 12)
EXPECTED = np.arange(sum(LENGTHS))[:, None] + [0, 0.5]


@pytest.fixture(scope="module")
def table(ragged):
    return ragged([([5] * length, [0] * length, [1] * length) for length in LENGTHS])


@pytest.fixture
def encode(local_ray, monkeypatch, tmp_path, table):
    """A chunk a row, whose states are each token's number; workers that the fourth chunk ends.

    Gives a function of how often it ends them, and of how often they may be lost, or what it raises.
    """
    monkeypatch.setattr(module, "_CHUNK_TOKENS", 1)
    path = tmp_path / "a.npy"
    path.touch()

    def encode(deaths=0, max_failures=0, error=None):
        class Worker:  # of a function, so that Ray sends it by value
            def __init__(self, *_):
                self._offsets = np.concatenate([[0], np.cumsum(LENGTHS)])

            def encode(self, number, rows, features, weights):
                assert (features.num_rows, weights) == (len(LENGTHS), {})
                [row] = rows
                died = len([*Path(tmp_path).glob("died-*")])
                if number == 3 and error is not None:
                    raise error
                if number == 3 and died < deaths:
                    (Path(tmp_path) / f"died-{died}").touch()
                    os._exit(1)
                return number, np.arange(self._offsets[row], self._offsets[row + 1])[:, None] + [0, 0.5]

        monkeypatch.setattr(module, "_EncoderWorker", Worker)
        encoder = EncoderSource("bert", {"hidden_size": 2}, ray.put({}), "a", "float32")
        with path.open("r+b") as stream:
            write_states(encoder, table, EncodingWorkers(1, 1, 0.0, max_failures), stream, silent_stages())
            return map_array(stream)

    return encode


@pytest.mark.slow
def test_a_worker_that_is_lost_is_begun_again(encode, tmp_path):
    np.testing.assert_array_equal(encode(deaths=2, max_failures=2), EXPECTED)
    assert len([*tmp_path.glob("died-*")]) == 2


@pytest.mark.slow
def test_workers_that_are_lost_too_often_are_told_and_the_next_call_goes_on(encode, tmp_path):
    with pytest.raises(LostWorkersError) as caught:
        encode(deaths=1, max_failures=0)
    told = str(caught.value)
    assert "lost 0 times at most (cluster.max_failures)" in told and "the same command goes on" in told
    assert (tmp_path / "a.npy").read_bytes()[-5:] == bytes([1, 1, 1, 0, 0])
    np.testing.assert_array_equal(encode(), EXPECTED)


@pytest.mark.slow
def test_an_error_of_ours_comes_as_itself(encode):
    with pytest.raises(CheckpointError, match="damaged") as caught:
        encode(max_failures=2, error=CheckpointError("damaged"))
    assert type(caught.value) is CheckpointError


@pytest.mark.slow
def test_a_worker_that_cannot_begin_is_told_with_its_cause(encode, monkeypatch, table, tmp_path):
    class Worker:
        def __init__(self, *_):
            raise RuntimeError("no card of this kind")

        def encode(self, *_):
            """Is never asked."""

    monkeypatch.setattr(module, "_EncoderWorker", Worker)
    (tmp_path / "b.npy").touch()
    encoder = EncoderSource("bert", {"hidden_size": 2}, ray.put({}), "a", "float32")
    with (
        (tmp_path / "b.npy").open("r+b") as stream,
        pytest.raises(ray.exceptions.ActorDiedError, match="no card of this kind"),
    ):
        write_states(encoder, table, EncodingWorkers(1, 1, 0.0, 0), stream, silent_stages())


@pytest.mark.slow
def test_the_nodes_are_asked_what_they_multiply_in(local_ray):
    assert all_nodes_have_bfloat16(False, silent_stages()) is cpu_has_bfloat16()
