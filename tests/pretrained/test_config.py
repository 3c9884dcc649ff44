"""Configs that no model can be built of, and kinds of encoders that are not known."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentencepiece_model import tiny_model

from raytrain.pretrained.config import ACTIVATIONS, SIZES, unfit_config, unfit_pairs, unknown_kinds
from raytrain.text.sentencepiece import SentencePieceTokenizer
from raytrain.text.vocab import SPECIAL_TOKENS, Vocab

VOCAB = [*SPECIAL_TOKENS, "天", "气", "好"]
CONFIG = {
    "vocab_size": len(VOCAB),
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 64,
}


def unfit(vocab=VOCAB, maxlen=16, **changes):
    return unfit_config(CONFIG | changes, Vocab(vocab), maxlen)


def unknown(vocab=VOCAB, **changes):
    return unknown_kinds(CONFIG | changes, Vocab(vocab))


@given(
    st.integers(1, 200),
    st.integers(1, 64),
    st.integers(1, 64),
    st.integers(1, 4_096),
    st.floats(0, 1, exclude_max=True) | st.none(),
    st.sampled_from(ACTIVATIONS),
)
def test_sizes_that_fit_together_are_a_config(layers, heads, width, inner, rate, activation):
    changes = {
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "hidden_size": heads * width,
        "intermediate_size": inner,
        "hidden_dropout_prob": rate,
        "hidden_act": activation,
    }
    assert unfit(**changes) == [] and unknown(**changes) == []


def test_sizes_that_are_believable_each_may_be_too_many_parameters():
    """They would be allocated before weights are compared with them."""
    large = {"hidden_size": 16_384, "num_hidden_layers": 200, "intermediate_size": 65_536}
    [problem] = unfit(**large)
    assert problem.startswith("config: expected at most 20,000,000,000 parameters, found 644,288,937,984 by")
    assert "hidden_size" in problem
    assert unfit(**large, model_type="albert", embedding_size=128) == []  # its layers are one
    billions = {"hidden_size": 2048, "num_hidden_layers": 48, "intermediate_size": 8192}
    assert unfit(**billions, vocab_size=30_000) == []


@pytest.mark.parametrize("value", [None, 0, -1, "8", 2.5, [8], True, 10**12])
@pytest.mark.parametrize("key", SIZES)
def test_sizes_are_positive_integers_that_can_be_believed(key, value):
    [problem] = unfit(**{key: value})
    assert key in problem and repr(value) in problem


def test_all_missing_sizes_are_named():
    problems = unfit_config({}, Vocab(VOCAB), 16)
    assert [key for key in SIZES for problem in problems if f"integer {key}," in problem] == list(SIZES)
    assert len(problems) == len(SIZES)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("max_position_embeddings", value) for value in (None, "512", [1], 32.0, True, 10**12)),
        *(("type_vocab_size", value) for value in ("2", 0, -1, 2.0)),
        *(("embedding_size", value) for value in ("6", -6, True)),
        ("num_hidden_layers", 2000),
        *(("hidden_dropout_prob", value) for value in ("0.1", -1, 1, 1.5, float("nan"), True)),
        ("attention_probs_dropout_prob", 1),
        *(("layer_norm_eps", value) for value in ("1e-12", -1.0, 0.0, float("nan"), float("inf"), 10**400)),
    ],
)
def test_numbers_of_a_config_are_checked(key, value):
    [problem] = unfit(**{key: value})
    assert key in problem


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
KEYS = [*CONFIG, "embedding_size", "type_vocab_size", "hidden_dropout_prob", "layer_norm_eps"]
KINDS = ["hidden_act", "ln_type", "model_type", "position_embedding_type", "num_hidden_groups"]


@given(st.dictionaries(st.sampled_from(KEYS + KINDS), json_values))
def test_whatever_a_config_says_is_judged(changes):
    changes = json.loads(json.dumps(changes))
    for problem in unfit(**changes) + unknown(**changes):
        assert problem.startswith(("config: ", "maxlen="))


@pytest.mark.parametrize(("positions", "maxlen"), [(64, 65), (None, 513)])
def test_texts_are_no_longer_than_the_positions(positions, maxlen):
    config = {key: value for key, value in CONFIG.items() if key != "max_position_embeddings"}
    config |= {} if positions is None else {"max_position_embeddings": positions}
    assert unfit_config(config, Vocab(VOCAB), maxlen - 1) == []
    assert f"maxlen={maxlen}" in unfit_config(config, Vocab(VOCAB), maxlen)[0]


def test_everything_that_does_not_fit_together_is_told():
    text = "\n".join(unfit([*VOCAB, "天"], 65, num_attention_heads=3, num_hidden_groups=2))
    for part in ("the vocabulary has 9", "no multiple", "only 64 positions", "groups"):
        assert part in text


@pytest.mark.parametrize("key", ["num_hidden_groups", "inner_group_num"])
def test_groups_of_layers_are_refused(key):
    assert unfit(**{key: 1}) == []
    assert "groups" in unfit(**{key: 2})[0]


def test_a_vocabulary_that_could_not_be_read_is_no_second_problem():
    assert unfit([]) == [] and unknown([]) == []


def test_a_sentencepiece_model_has_as_many_pieces_as_the_config_says():
    size = len(SentencePieceTokenizer(tiny_model()))
    assert unfit(tiny_model(), vocab_size=size) == [] and unknown(tiny_model()) == []
    assert unfit(tiny_model(), vocab_size=size + 1) == []
    assert f"vocab_size {size - 1} tokens" in unfit(tiny_model(), vocab_size=size - 1)[0]


def test_a_vocabulary_is_no_longer_than_the_embedding():
    assert unfit(VOCAB[:-1]) == []
    [problem] = unfit([*VOCAB, "天"])
    assert "at most vocab_size 8 tokens, but the vocabulary has 9" in problem


def test_bytes_that_are_no_sentencepiece_model_are_told():
    [problem] = unfit(b"no model")
    assert "SentencePiece" in problem


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model_type": "roberta"}, "found 'roberta': its tokens are pieces of bytes"),
        ({"model_type": "gpt2"}, "model_type of bert, albert, electra, ernie, nezha, roformer; found 'gpt2'"),
        ({"position_embedding_type": "relative_key"}, "absolute position"),
        ({"hidden_act": "swish"}, "found 'swish'"),
        ({"hidden_act": None}, "found None"),
        ({"ln_type": "preln"}, "found 'preln'"),
        ({"is_decoder": True}, "found is_decoder True"),
        ({"model_type": "bert", "add_cross_attention": True}, "found add_cross_attention True"),
    ],
)
def test_other_kinds_of_encoders_are_refused(changes, told):
    [problem] = unknown(**changes)
    assert told in problem


def test_all_that_is_unknown_is_told_at_once():
    assert len(unknown(["天"], model_type="t5", hidden_act="swish", ln_type="preln")) == 4


def test_padding_must_be_token_0():
    [problem] = unknown([VOCAB[1], VOCAB[0], *VOCAB[2:]])
    assert "[PAD]" in problem and "[UNK]" in problem


PUBLISHED = {
    "bert": {
        "directionality": "bidi",
        "pooler_fc_size": 768,
        "pooler_type": "first_token_transform",
        "classifier_dropout": None,
        "use_cache": True,
        "is_decoder": False,
        "add_cross_attention": False,
        "position_embedding_type": "absolute",
        "architectures": ["BertForMaskedLM"],
    },
    "electra": {"embedding_size": 4, "summary_type": "first", "generator_size": "0.25"},
    "ernie": {"use_task_id": True, "task_type_vocab_size": 3, "hidden_act": "relu"},
    "nezha": {"use_relative_position": True, "max_relative_position": 64},
    "roformer": {"rotary_value": False, "embedding_size": 8},
}


@pytest.mark.parametrize("model_type", PUBLISHED)
def test_what_published_configs_say_is_no_problem(model_type):
    changes = {"model_type": model_type, **PUBLISHED[model_type]}
    assert unfit(**changes) + unknown(**changes) == []


def test_the_second_roformer_has_neither_biases_nor_a_norm_of_layers():
    said = {"model_type": "roformer", "norm_type": "rms_norm", "use_bias": False}
    assert unknown(**said) == [] and unknown(**said, embedding_size=8) == []
    for changes in ({"norm_type": "layer_norm"}, {"use_bias": True}, {"norm_type": "other"}):
        [problem] = unknown(**(said | changes))
        assert "norm_type" in problem
    assert "embedding_size is its hidden_size" in unknown(**said, embedding_size=4)[0]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model_type": "ernie", "use_task_id": "yes"}, "true or false as use_task_id, found 'yes'"),
        ({"model_type": "roformer", "rotary_value": None}, "rotary_value, found None"),
        ({"model_type": "nezha", "use_relative_position": False}, "relative positions"),
    ],
)
def test_switches_of_a_kind_are_checked(changes, told):
    [problem] = unknown(**changes)
    assert told in problem


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model_type": "electra"}, "integer embedding_size"),
        ({"model_type": "ernie", "use_task_id": True, "task_type_vocab_size": 10**9}, "task_type_vocab_size"),
        ({"model_type": "nezha", "max_relative_position": 0}, "max_relative_position"),
        ({"model_type": "roformer", "hidden_size": 6}, "even number of channels"),
    ],
)
def test_sizes_of_a_kind_are_checked(changes, told):
    [problem] = unfit(**changes)
    assert told in problem


def test_rotary_and_relative_positions_are_bounded_by_the_config_alone():
    config = {key: value for key, value in CONFIG.items() if key != "max_position_embeddings"}
    for model_type in ("roformer", "nezha"):
        assert unfit_config(config | {"model_type": model_type}, Vocab(VOCAB), 5000) == []
        assert "only 64 positions" in unfit(maxlen=65, model_type=model_type)[0]


def test_another_kind_than_is_said_elsewhere_is_told():
    assert unfit_config(CONFIG, Vocab(VOCAB), 16, "bert") == []
    assert unfit_config(CONFIG, Vocab(VOCAB), 16, "nezha") == [
        "config: expected that of a nezha, found that of a bert"
    ]


def test_a_vocabulary_of_words_is_refused_and_a_few_are_forgiven():
    many = [*VOCAB, *(chr(0x4E00 + number) for number in range(100 - len(VOCAB)))]
    assert unknown([*many[:-2], "天气", "早餐"]) == []
    assert "20 words of several" in unknown([*many[:80], *["天气"] * 20])[0]


@pytest.mark.parametrize(
    ("said", "is_fit"), [({}, True), ({"type_vocab_size": 2}, True), ({"type_vocab_size": 1}, False)]
)
def test_pairs_need_two_segments(said, is_fit):
    assert (unfit_pairs(CONFIG | said) == []) is is_fit
    assert unfit(**said) == []  # single texts are read by one
