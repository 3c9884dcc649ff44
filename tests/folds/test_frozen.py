"""A frozen encoder's output: its name, the order in which it is computed, and where it is laid."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.folds.frozen import _CHUNK_TOKENS, EncoderSource, _chunk_by_length, _lay

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


def name_of(features, kind="albert", config=CONFIG, weights=None, digest="a", precision="auto"):
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
            {"precision": "float32"},
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


@settings(max_examples=40, deadline=None)
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


@settings(max_examples=40, deadline=None)
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
