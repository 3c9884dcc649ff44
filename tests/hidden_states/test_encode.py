"""A frozen encoder's output: its name, the order in which it is computed, and where it is laid."""

import errno
import io
import os
from types import SimpleNamespace

import numpy as np
import pytest
import ray
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_run import silent_stages

from raytrain.errors import CheckpointError, TimeBudgetError
from raytrain.hidden_states import encode as module
from raytrain.hidden_states import hardware
from raytrain.hidden_states.encode import _CHUNK_TOKENS, EncoderSource, _chunk_by_length, _lay, write_states
from raytrain.storage.cache import map_array

CONFIG = {"hidden_size": 8, "num_hidden_layers": 2}
lengths_of_rows = st.builds(
    lambda count, longest, seed: np.random.default_rng(seed).integers(2, longest, count, endpoint=True),
    st.integers(1, 500),
    st.integers(2, 512),
    st.integers(0, 999),
)


def row(length, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(5, 30, length).tolist(), [0] * length, rng.integers(1, 20, length).tolist()


def rows(*lengths):
    return [row(length, seed) for seed, length in enumerate(lengths)]


@pytest.fixture(scope="module")
def table(ragged):
    return ragged(rows(7, 20, 3, 33, 12))


def name_of(features, kind="albert", config=CONFIG, weights=None, digest="a", precision="float32"):
    return EncoderSource(kind, config, weights, digest, precision).hash_with(features)


def test_the_name_depends_on_encoder_tokens_and_precision(table, ragged):
    other, turned = ragged(rows(7, 20, 3, 33, 11)), ragged(rows(7, 20, 3, 33, 12)[::-1])
    paired = ragged([(ids, [1] * len(ids), words) for ids, _, words in rows(7, 20, 3, 33, 12)])
    names = [name_of(features) for features in (table, other, turned, paired)]
    names += [
        name_of(table, **change)
        for change in (
            {"kind": "bert"},
            {"config": CONFIG | {"num_hidden_layers": 3}},
            {"digest": "b"},
            {"precision": "bfloat16"},
        )
    ]
    assert len(set(names)) == len(names)


def test_the_name_does_not_depend_on_words_or_on_where_the_weights_lie(table):
    words = table.set_column(2, "word_ids", table["token_ids"])
    turned = dict(reversed(CONFIG.items()))
    assert (
        name_of(words) == name_of(table, weights=object()) == name_of(table, config=turned) == name_of(table)
    )


def test_the_name_tells_rows_apart_that_hold_the_same_tokens_together(ragged):
    [(ids, segments, words)] = rows(9)
    cut = [
        ragged(
            [
                tuple(part[:at] for part in (ids, segments, words)),
                tuple(part[at:] for part in (ids, segments, words)),
            ]
        )
        for at in (3, 4)
    ]
    assert len({name_of(features) for features in [*cut, ragged(rows(9))]}) == 3


def test_the_name_is_a_plain_name_of_a_file(table):
    assert len(name_of(table)) == 32 and set(name_of(table)) <= set("0123456789abcdef")


@given(st.lists(st.booleans()), st.booleans(), st.booleans())
def test_auto_is_settled_by_the_nodes_and_shares_its_name_with_what_it_is(table, has, comes, on_cards):
    """A node for each of `has`, whose hardware multiplies in bfloat16 or does not; else one that comes."""
    kind = "GPU" if on_cards else "CPU"
    nodes = [{"Alive": True, "Resources": {kind: 1.0}, "NodeID": number} for number in range(len(has))]
    nodes += [{"Alive": False, "Resources": {kind: 1.0}, "NodeID": "lost"}]
    nodes += [{"Alive": True, "Resources": {"GPU" if kind == "CPU" else "CPU": 1.0}, "NodeID": "other"}]
    source = EncoderSource("albert", CONFIG, None, "a", "auto")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hardware, "on_node", lambda node: node)
        patch.setattr(hardware, "ray", StandInRay(nodes, has, comes))
        settled = source.settled(on_cards, silent_stages())
    expected = "bfloat16" if all(has) and (has or comes) else "float32"
    assert settled == EncoderSource("albert", CONFIG, None, "a", expected)
    assert settled.hash_with(table) == name_of(table, precision=expected)
    assert settled.settled(on_cards, silent_stages()) is settled


def test_a_node_that_has_yet_to_come_is_waited_for_within_the_time_budget(monkeypatch):
    ray_without_answer = StandInRay([], [], True)
    ray_without_answer.wait = lambda waiting, num_returns, timeout: ([], waiting)
    monkeypatch.setattr(hardware, "ray", ray_without_answer)
    with pytest.raises(TimeBudgetError, match="asking the nodes"):
        hardware.all_nodes_have_bfloat16(True, silent_stages(deadline=1.0))


def test_nodes_that_do_not_answer_do_not_count(monkeypatch):
    nodes = [{"Alive": True, "Resources": {"CPU": 1.0}, "NodeID": number} for number in range(3)]
    asked = StandInRay(nodes, [True, ray.exceptions.NodeDiedError("gone"), True], False)
    monkeypatch.setattr(hardware, "on_node", lambda node: node)
    monkeypatch.setattr(hardware, "ray", asked)
    assert hardware.all_nodes_have_bfloat16(False, silent_stages())
    asked.has[1] = ray.exceptions.RayTaskError("has_bfloat16", "traceback", ImportError("no module"))
    with pytest.raises(ray.exceptions.RayTaskError):
        hardware.all_nodes_have_bfloat16(False, silent_stages())
    monkeypatch.setattr(hardware, "ANSWER_SECONDS", 0.0)
    assert not hardware.all_nodes_have_bfloat16(False, silent_stages())


class StandInRay:
    """As much of Ray as asks nodes what they have; a node that is asked answers at once."""

    exceptions = ray.exceptions

    def __init__(self, nodes, has, comes):
        self.nodes, self.has, self.comes = lambda: nodes, has, comes

    def remote(self, **_):
        return lambda function: self

    def options(self, scheduling_strategy=None, **_):
        answer = self.comes if scheduling_strategy is None else self.has[scheduling_strategy]
        return SimpleNamespace(remote=lambda on_cards: answer)

    def wait(self, waiting, num_returns, timeout):
        return waiting[:num_returns], waiting[num_returns:]

    def get(self, answer):
        if isinstance(answer, Exception):
            raise answer
        return answer


@settings(max_examples=40)
@given(lengths_of_rows)
def test_every_row_is_in_one_chunk_and_comes_back_to_its_place(lengths):
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    tokens = np.arange(offsets[-1], dtype=np.float32)[:, None]
    laid = np.full_like(tokens, -1)
    for chunk in _chunk_by_length(lengths):
        assert len(chunk)
        pieces = [tokens[offsets[index] : offsets[index + 1]] for index in chunk]
        _lay(laid, offsets, chunk, np.concatenate(pieces))
    np.testing.assert_array_equal(laid, tokens)


@settings(max_examples=40)
@given(lengths_of_rows)
def test_chunks_fall_in_length_and_none_is_much_larger_than_a_task(lengths):
    chunks = _chunk_by_length(lengths)
    assert (np.diff(lengths[np.concatenate(chunks)]) <= 0).all()
    sizes = [int(lengths[chunk].sum()) for chunk in chunks]
    assert max(sizes) < _CHUNK_TOKENS + lengths.max()
    assert min([_CHUNK_TOKENS, *sizes[:-1]]) > _CHUNK_TOKENS - 2 * lengths.max()


@pytest.mark.parametrize("lengths", [[5], [5, 9, 5], [_CHUNK_TOKENS * 2], [_CHUNK_TOKENS, _CHUNK_TOKENS]])
def test_few_and_very_long_rows_are_chunked(lengths):
    chunks = _chunk_by_length(np.array(lengths))
    assert sorted(np.concatenate(chunks).tolist()) == list(range(len(lengths)))
    assert all(len(chunk) for chunk in chunks)


def test_rows_of_one_length_keep_their_order():
    [chunk] = _chunk_by_length(np.array([4, 9, 4, 9, 4]))
    assert chunk.tolist() == [1, 3, 0, 2, 4]


def test_a_chunk_is_laid_in_half_precision_and_leaves_the_rest():
    offsets, states = np.array([0, 2, 5, 6]), np.full((6, 2), 7, np.float16)
    _lay(states, offsets, np.array([2, 0]), np.arange(6, dtype=np.float32).reshape(3, 2))
    assert states.tolist() == [[2, 3], [4, 5], [7, 7], [7, 7], [7, 7], [0, 1]]


# ── a file that grows ──────────────────────────────────────────────────────────────────────────────

LENGTHS = (7, 20, 3, 33, 12)
NUM_TOKENS = sum(LENGTHS)


@pytest.fixture
def encode(monkeypatch):
    """A chunk a row, whose states are each token's number; says which chunks were asked for."""
    monkeypatch.setattr(module, "_CHUNK_TOKENS", 1)
    asked = []

    def tokens(encoder, features, workers, missing, chunks, stage):
        offsets = np.concatenate([[0], np.cumsum(LENGTHS)])
        for number in missing:
            asked.append(int(number))
            [row] = chunks[number]
            if len(asked) == encode.until:
                encode.then(stage)
            yield number, np.arange(offsets[row], offsets[row + 1])[:, None] + [0, 0.5]

    def encode(table, path, **options):
        asked.clear()
        encoder = EncoderSource("bert", {"hidden_size": 2}, None, "a", "float32")
        path.touch()
        with path.open("r+b") as stream:
            write_states(encoder, table, None, stream, silent_stages(**options))
            return map_array(stream)

    encode.until, encode.then, encode.asked = None, None, asked
    monkeypatch.setattr(module, "_encode", tokens)
    return encode


EXPECTED = np.arange(NUM_TOKENS)[:, None] + [0, 0.5]


def end_budget(stage):
    raise TimeBudgetError("used up")


def interrupt(stage):
    raise KeyboardInterrupt


def test_every_token_s_state_is_laid(tmp_path, table, encode):
    states = encode(table, tmp_path / "a.npy")
    assert (states.dtype, states.shape) == (np.float16, (NUM_TOKENS, 2))
    np.testing.assert_array_equal(states, EXPECTED)
    assert np.load(tmp_path / "a.npy").tolist() == EXPECTED.tolist()  # a plain array for all who read .npy


@pytest.mark.parametrize(("then", "error"), [(end_budget, TimeBudgetError), (interrupt, KeyboardInterrupt)])
def test_what_was_computed_is_not_computed_again(tmp_path, table, encode, then, error):
    encode.until, encode.then = 4, then
    with pytest.raises(error):
        encode(table, tmp_path / "a.npy")
    encode.until = None
    np.testing.assert_array_equal(encode(table, tmp_path / "a.npy"), EXPECTED)
    assert encode.asked == [3, 4]
    np.testing.assert_array_equal(encode(table, tmp_path / "a.npy"), EXPECTED)
    assert encode.asked == []


@pytest.mark.parametrize("left", [b"", b"anything else", b"0" * 500])
def test_a_file_of_another_size_begins_anew(tmp_path, table, encode, left):
    (tmp_path / "a.npy").write_bytes(left)
    np.testing.assert_array_equal(encode(table, tmp_path / "a.npy"), EXPECTED)
    assert encode.asked == [0, 1, 2, 3, 4]


def test_a_chunk_is_marked_once_its_states_are_there(tmp_path, table, encode, monkeypatch):
    """A driver that is killed loses what lies between two marks and nothing else."""
    monkeypatch.setattr(module, "_KEEP_SECONDS", 0.0)
    marks = []

    def look(stage):
        with (tmp_path / "a.npy").open("rb") as stream:
            stream.seek(-5, io.SEEK_END)
            marks.append(list(stream.read()))

    encode.until, encode.then = 3, look
    encode(table, tmp_path / "a.npy")
    assert marks == [[1, 1, 0, 0, 0]]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_states_that_are_not_finite_are_refused_and_not_kept(tmp_path, table, encode, monkeypatch, bad):
    monkeypatch.setattr(module, "_encode", lambda *_: iter([(0, np.full((max(LENGTHS), 2), bad))]))
    with pytest.raises(CheckpointError, match=r"expected finite numbers.*cache\.max_gb=0"):
        encode(table, tmp_path / "a.npy")


def test_the_disk_keeps_room_for_all_of_it_also_where_an_earlier_run_left_a_hole(tmp_path, table, encode):
    path = tmp_path / "a.npy"
    encode.until, encode.then = 4, interrupt
    with pytest.raises(KeyboardInterrupt):
        encode(table, path)
    size, marks = path.stat().st_size, path.read_bytes()[-5:]
    assert path.stat().st_blocks * 512 >= size and marks == bytes([1, 1, 1, 0, 0])
    begin = path.read_bytes()[: size // 2]
    path.write_bytes(begin)
    with path.open("r+b") as stream:
        stream.truncate(size)
        stream.seek(-5, io.SEEK_END)
        stream.write(marks)
    encode.until = None
    encode(table, path)
    assert encode.asked == [3, 4] and path.stat().st_blocks * 512 >= size


def test_without_room_what_an_earlier_run_computed_stays(tmp_path, table, encode, monkeypatch):
    def fallocate(descriptor, offset, length):
        raise OSError(errno.ENOSPC, "full")

    path = tmp_path / "a.npy"
    encode.until, encode.then = 4, end_budget
    with pytest.raises(TimeBudgetError):
        encode(table, path)
    with monkeypatch.context() as full:
        full.setattr(os, "posix_fallocate", fallocate)
        with pytest.raises(OSError, match="full"):
            encode(table, path)
    encode.until = None
    np.testing.assert_array_equal(encode(table, path), EXPECTED)
    assert encode.asked == [3, 4]
