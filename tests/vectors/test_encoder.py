import dataclasses

import numpy as np
import pytest
from tiny_run import silent_console

from raytrain.config.sections import CheckpointConfig
from raytrain.errors import CheckpointError, ConfigError, InputError
from raytrain.pretrained.directory import untrained_mini
from raytrain.pretrained.start import find_start
from raytrain.text.vocab import SPECIAL_TOKENS, Vocab
from raytrain.vectors.load import build_encoder, load_encoder

TEXTS = ["今天天气很好", "今天天气不错", "股票大跌", "", "今天天气很好" * 30]


@pytest.fixture(scope="module")
def mini():
    return find_start(CheckpointConfig(maxlen=64), lambda: [], silent_console())


@pytest.fixture(autouse=True)
def float32(float32_again):
    """What is built here is built in float32, and so is what other tests build."""


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_a_text_has_the_same_vector_whatever_stands_beside_it(mini, pooling):
    model = build_encoder(mini, 64, pooling, precision="float32")
    together = model.embed(TEXTS)
    assert together.shape == (5, model.dim) and together.dtype == np.float32 and np.isfinite(together).all()
    alone = np.concatenate([model.embed([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, together, atol=2e-5)


def test_vectors_are_the_mean_of_the_hidden_states(mini):
    from raytrain.network.inference import predict_hidden_states
    from raytrain.text.batches import FeatureRows
    from raytrain.text.encode import build_features, encode_texts

    model = build_encoder(mini, 64, "mean", precision="float32")
    features = FeatureRows(build_features(encode_texts(TEXTS, None, mini.vocab, 64, False), []))
    states = predict_hidden_states(model._model.encoder, features, np.arange(len(TEXTS))).astype(np.float32)
    parts = np.split(states, np.cumsum(features.lengths)[:-1])
    means = np.stack([part.mean(axis=0) for part in parts])
    np.testing.assert_allclose(model.embed(TEXTS), means, rtol=1e-3, atol=2e-3)  # states have half precision


def test_likeness_is_told_by_angles(mini):
    first, second, other = build_encoder(mini, 64, precision="float32").embed(TEXTS[:3])
    centre = (first + second + other) / 3

    def likeness(one, another):
        one, another = one - centre, another - centre
        return one @ another / np.linalg.norm(one) / np.linalg.norm(another)

    assert likeness(first, second) > likeness(first, other)


def test_windows_read_more_of_a_long_text(mini):
    long = "今天天气很好" * 20 + "股票大跌" * 10
    short, whole = (build_encoder(mini, 64, windows=n, precision="float32").embed([long]) for n in (1, 4))
    assert np.abs(short - whole).max() > 1e-3


def test_no_texts_have_no_vectors(mini):
    model = build_encoder(mini, 64, precision="float32")
    assert model.embed([]).shape == (0, model.dim)


def test_bfloat16_says_nearly_the_same(mini):
    exact, rounded = (build_encoder(mini, 64, precision=one).embed(TEXTS) for one in ("float32", "bfloat16"))
    cosines = (exact * rounded).sum(axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rounded, axis=1)
    assert cosines.min() > 0.999


def test_from_python_an_encoder_is_loaded_by_its_name(mini):
    expected = build_encoder(mini, 64).embed(TEXTS[:2])
    np.testing.assert_array_equal(load_encoder("mini", maxlen=64).embed(TEXTS[:2]), expected)


def test_from_python_a_name_that_is_none_is_told(tmp_path):
    with pytest.raises(ConfigError, match="the encoder cannot be used"):
        load_encoder("hf:x")
    with pytest.raises(ConfigError, match="maxlen: Input should be greater than or equal to 4"):
        load_encoder("mini", maxlen=3)
    with pytest.raises(CheckpointError, match="nowhere"):
        load_encoder(str(tmp_path / "nowhere"))


def test_from_python_all_that_is_wrong_is_told_at_once():
    with pytest.raises(ConfigError) as raised:
        load_encoder("mini", maxlen=2, pooling="max", windows=0, batch_size=0)
    assert [problem.split(":")[0] for problem in raised.value.problems] == [
        *("pooling", "windows", "batch_size", "maxlen")
    ]


def test_the_callers_own_models_go_on_in_their_precision(mini):
    import tensorflow as tf

    build_encoder(mini, 64, precision="bfloat16")
    assert tf.keras.mixed_precision.global_policy().name == "float32"


def test_a_text_alone_is_no_list_of_its_characters(mini):
    model = build_encoder(mini, 64, precision="float32")
    with pytest.raises(InputError, match="found one text"):
        model.embed("网传明天停水")
    np.testing.assert_array_equal(model.embed(np.array(TEXTS[:2])), model.embed(TEXTS[:2]))


def test_pairs_are_not_read_by_an_encoder_of_one_segment():
    mini = untrained_mini(Vocab([*SPECIAL_TOKENS, "天"]), 16)
    one = dataclasses.replace(mini, config=mini.config | {"type_vocab_size": 1})
    model = build_encoder(one, 16, precision="float32")
    assert model.embed(["天"]).shape == (1, 312)
    with pytest.raises(CheckpointError, match="type_vocab_size of 2 or more for pairs"):
        model.embed(["天"], ["天"])
