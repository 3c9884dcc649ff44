import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import fcntl
import os

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from raytrain.text.batches import FeatureRows
from raytrain.folds.hidden_states import EncoderSource, _chunk_by_length, _lay, _make_room, _new_file
from raytrain.network.inference import predict_hidden_states, predict_logits
from raytrain.network.build import assign_variables, build_head, build_model, head_variables, read_variables

NUM_WORDS = 20
HALF = 2e-3  # half precision's rounding, times what a head makes of it


def row(length, seed):
    rng = np.random.default_rng(seed)
    return (
        rng.integers(5, 30, length).tolist(),
        [0] * length,
        rng.integers(1, NUM_WORDS, length).tolist(),
    )


@pytest.fixture(scope="module")
def table(ragged):
    return ragged([row(length, seed) for seed, length in enumerate((7, 20, 3, 33, 12))])


# ── the cache ──────────────────────────────────────────────────────────────────────────────────────


def write(path, size, age):
    path.write_bytes(b"0" * size)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def test_the_longest_unused_file_gives_way(tmp_path):
    old, new = write(tmp_path / "old.npy", 400, 2), write(tmp_path / "new.npy", 400, 1)
    assert _make_room(tmp_path, 500, 1e-6) is None
    assert (old.exists(), new.exists()) == (False, True)


def test_a_file_in_use_stays(tmp_path):
    used = write(tmp_path / "used.npy", 600, 2)
    with used.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
        assert "in use" in _make_room(tmp_path, 500, 1e-6)
    assert used.exists()
    assert _make_room(tmp_path, 500, 1e-6) is None
    assert not used.exists()


def test_what_a_crash_left_is_removed_and_what_is_being_written_is_not(tmp_path):
    crashed = write(tmp_path / "a.npy.1.unfinished", 10, 0)
    with _new_file(tmp_path / "b.npy") as stream:
        stream.write(b"0")
        assert _make_room(tmp_path, 1, 1) is None
        assert not crashed.exists()
        assert len(list(tmp_path.iterdir())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["b.npy"]


def test_a_file_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="broken"), _new_file(tmp_path / "a.npy"):
        raise ValueError("broken")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("size", "max_gb", "reason"), [(2e6, 1e-3, "cache.max_gb"), (1e18, 1e12, "free")])
def test_what_does_not_fit_is_said(tmp_path, size, max_gb, reason):
    assert reason in _make_room(tmp_path, int(size), max_gb)


def test_the_name_depends_on_encoder_tokens_and_precision_but_not_on_words(table, ragged):
    def name(features=table, kind="albert", digest="a", precision="auto"):
        return EncoderSource(kind, {"hidden_size": 8}, None, digest, precision).hash_with(features)

    words = table.set_column(2, "word_ids", table["token_ids"])
    other = ragged([row(length, seed) for seed, length in enumerate((7, 20, 3, 33, 11))])
    assert name(words) == name()
    names = [name(), name(other), name(kind="bert"), name(digest="b"), name(precision="float32")]
    assert len(set(names)) == len(names)


@given(st.lists(st.integers(2, 512), min_size=1, max_size=400))
def test_every_row_is_in_one_chunk_and_comes_back_to_its_place(lengths):
    lengths = np.array(lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    tokens = np.arange(offsets[-1], dtype=np.float32)[:, None]
    laid = np.full_like(tokens, -1)
    for chunk in _chunk_by_length(lengths):
        assert len(chunk)
        pieces = [tokens[offsets[index] : offsets[index + 1]] for index in chunk]
        _lay(laid, offsets, chunk, np.concatenate(pieces))
    np.testing.assert_array_equal(laid, tokens)


# ── what is computed ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def encoder(encoder_config):
    from raytrain.network.encoders import build_transformer
    from raytrain.network.layers import DropoutSeed

    return build_transformer("albert", encoder_config("albert"), 3, DropoutSeed()).model


def test_states_are_the_encoders_row_after_row(encoder, table):
    features = FeatureRows(table)
    rows = np.array([3, 0, 4])
    together = predict_hidden_states(encoder, features, rows, batch_size=2)
    alone = [predict_hidden_states(encoder, features, np.array([index])) for index in rows]
    assert together.dtype == np.float16
    assert [len(states) for states in alone] == features.lengths[rows].tolist()
    np.testing.assert_allclose(together, np.concatenate(alone), atol=HALF)


@pytest.mark.parametrize("architecture", ["finetune", "textcnn", "rnn_cnn"])
def test_a_head_on_states_computed_before_is_the_whole_model(encoder_config, table, architecture):
    config = encoder_config("albert")
    arguments = {"num_classes": 3, "embedding": (NUM_WORDS, 8), "dropout": 0.0, "seed": 4}
    whole = build_model(architecture, "albert", config, train_encoder=False, **arguments)
    head = build_head(architecture, config["hidden_size"], **arguments)
    first = read_variables(head_variables(head))
    for name, value in read_variables(head_variables(whole)).items():
        np.testing.assert_array_equal(value, first[name])  # the same seed, the same start
    rng = np.random.default_rng(5)
    grown = {name: value + rng.normal(0, 0.2, value.shape) for name, value in first.items()}
    for model in (whole, head):
        assign_variables(head_variables(model), grown, "test")
    features = FeatureRows(table)
    states = predict_hidden_states(whole.get_layer("encoder"), features, np.arange(len(features)))
    rows = np.array([2, 3, 0])
    np.testing.assert_allclose(
        predict_logits(head, FeatureRows(table, states), rows, batch_size=2),
        predict_logits(whole, features, rows),
        atol=10 * HALF,
    )


def test_states_are_padded_with_zeros(table):
    features = FeatureRows(table)
    states = np.random.default_rng(0).normal(size=(features.offsets[-1], 8)).astype(np.float16)
    batch = FeatureRows(table, states).collate(np.array([2, 0]))
    assert batch["hidden_states"].shape == (2, 16, 8)
    np.testing.assert_array_equal(batch["hidden_states"][1, :7], states[:7])
    assert not batch["hidden_states"][0, 3:].any()
    assert "segment_ids" not in batch
    assert tf.convert_to_tensor(batch["hidden_states"]).dtype == tf.float32
