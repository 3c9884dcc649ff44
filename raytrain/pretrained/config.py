"""What an encoder's config may say: sizes that can be built, kinds that are known."""

import math
import re
from typing import Any

from raytrain.errors import CheckpointError
from raytrain.kinds import (
    KINDS,
    LEARNED,
    MODEL_TYPES,
    MOST_PARAMETERS,
    encoder_parameters,
    find_kind,
    most_positions,
)
from raytrain.text.encode import count_tokens
from raytrain.text.vocab import SPECIAL_TOKENS, Vocab

ACTIVATIONS = ("gelu", "gelu_new", "relu", "tanh")
_IS_WORD = re.compile(r"^[\u4e00-\u9fff]{2,}$")
_MANY_WORDS = 0.1  # of vocabularies of characters next to none, of vocabularies of words most
SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
# The most that is believed; what a config of others says is allocated before its weights are looked at.
LARGEST = {
    "vocab_size": 2_000_000,
    "hidden_size": 16_384,
    "num_hidden_layers": 200,
    "num_attention_heads": 1_024,
    "intermediate_size": 65_536,
    "embedding_size": 16_384,
    "max_position_embeddings": 65_536,
    "type_vocab_size": 1_024,
    "task_type_vocab_size": 1_024,
    "max_relative_position": 65_536,
}


def unfit_config(config: dict[str, Any], vocab: Vocab, maxlen: int, expected: str | None = None) -> list[str]:
    """Everything in an encoder's config that no model can be built of, a line each.

    Args:
        config: As a dict.
        vocab: The vocabulary beside it.
        maxlen: Longest text in tokens.
        expected: The kind that it is said to be of, where that is said elsewhere.
    """
    kind = find_kind(config)
    problems = _unfit_numbers(config)
    if expected not in (None, kind):
        problems.append(f"config: expected that of a {expected}, found that of a {kind}")
    if problems:
        return problems
    if (number := encoder_parameters(kind, config)) > MOST_PARAMETERS:
        found = f"found {number:,} by its sizes ({', '.join(SIZES)})"
        problems.append(f"config: expected at most {MOST_PARAMETERS:,} parameters, {found}")
    try:
        size = count_tokens(vocab)
    except CheckpointError as error:
        problems += [f"{error.summary}: {problem}" for problem in error.problems]
    else:
        problems += _unfit_vocab(size, config["vocab_size"])
    if config["hidden_size"] % config["num_attention_heads"]:
        problems.append(
            f"config: hidden_size {config['hidden_size']} is no multiple of "
            f"num_attention_heads {config['num_attention_heads']}"
        )
    elif KINDS[kind].positions != LEARNED and config["hidden_size"] // config["num_attention_heads"] % 2:
        problems.append(f"config: expected an even number of channels a head for a {kind}'s positions")
    positions = most_positions(kind, config)
    if positions is not None and maxlen > positions:
        problems.append(f"maxlen={maxlen}: the encoder has only {positions} positions; take at most as many")
    if config.get("num_hidden_groups", 1) != 1 or config.get("inner_group_num", 1) != 1:
        problems.append("config: an ALBERT with several groups of layers is not supported")
    return problems


def unfit_pairs(config: dict[str, Any]) -> list[str]:
    """A line where an encoder has no segment for the second text of a pair."""
    if config.get("type_vocab_size", 2) > 1:
        return []
    return [
        "config: expected a type_vocab_size of 2 or more for pairs of texts, whose second one is segment 1; "
        "found 1: take another encoder, or join each pair to one text"
    ]


def _unfit_numbers(config: dict[str, Any]) -> list[str]:
    problems = []
    needed = (*SIZES, *KINDS[find_kind(config)].needs)
    for key, largest in LARGEST.items():
        value = config.get(key)
        if (key in needed or key in config) and (type(value) is not int or not 1 <= value <= largest):
            problems.append(
                f"config: expected a positive integer {key}, {largest:,} at most; found {value!r}"
            )
    for key in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        rate = config.get(key)  # null is none
        if rate is not None and (type(rate) not in (int, float) or not 0 <= rate < 1):
            problems.append(f"config: expected a rate from 0 to below 1 as {key}, found {rate!r}")
    epsilon = config.get("layer_norm_eps", 1e-12)
    if type(epsilon) is not float or not (0 < epsilon < math.inf):
        problems.append(f"config: expected a small positive layer_norm_eps, found {epsilon!r}")
    return problems


def _unfit_vocab(size: int, expected: int) -> list[str]:
    # A shorter one never asks for the embedding's last rows; ERNIE's has 18,000 for 17,964 tokens.
    if size <= expected:
        return []
    return [
        f"config: expected at most vocab_size {expected} tokens, but the vocabulary has {size}: "
        "it is another encoder's vocabulary, or vocab_size is wrong"
    ]


def unknown_kinds(config: dict[str, Any], vocab: Vocab) -> list[str]:
    """Everything that a checkpoint may ask for and no encoder here does, a line each."""
    problems = []
    if config.get("hidden_act", "gelu") not in ACTIVATIONS:
        names = ", ".join(ACTIVATIONS)
        problems.append(f"config: expected a hidden_act of {names}; found {config['hidden_act']!r}")
    if config.get("ln_type", "postln") != "postln":
        problems.append(
            f"config: expected layers that normalize last (ln_type postln), found {config['ln_type']!r}"
        )
    problems += _unknown_models(config)
    if config.get("position_embedding_type", "absolute") != "absolute":
        found = config["position_embedding_type"]
        problems.append(f"config: expected absolute position embeddings, found {found!r}")
    tokens = vocab.tokens
    if isinstance(tokens, bytes) or not tokens:
        return problems
    if tokens[0] != SPECIAL_TOKENS[0]:
        # Rows are padded with 0, and what is 0 is masked.
        problems.append(f"expected {SPECIAL_TOKENS[0]} as the vocabulary's first token, found {tokens[0]!r}")
    words = sum(_IS_WORD.search(token) is not None for token in tokens)
    if words > _MANY_WORDS * len(tokens):
        problems.append(
            f"expected a vocabulary of characters, found {words:,} words of several, which texts would first "
            "have to be cut into; take the encoder of characters, at its publisher's often named char"
        )
    return problems


def _unknown_models(config: dict[str, Any]) -> list[str]:
    """What is asked for by `model_type` and by keys of some kinds."""
    problems = []
    model_type = config.get("model_type", "bert")
    if model_type not in (*MODEL_TYPES, *KINDS):
        advice = ""
        if isinstance(model_type, str) and "roberta" in model_type:
            advice = (
                ": its tokens are pieces of bytes and its positions begin at 2; take a RoBERTa on BERT's "
                "graph, whose model_type is bert, such as hfl/chinese-roberta-wwm-ext"
            )
        problems.append(
            f"config: expected a model_type of {', '.join(MODEL_TYPES)}; found {model_type!r}{advice}"
        )
    for key in ("use_task_id", "rotary_value"):
        if not isinstance(config.get(key, False), bool):
            problems.append(f"config: expected true or false as {key}, found {config[key]!r}")
    problems += [
        f"config: expected an encoder, which reads texts in both directions, found {key} {config[key]!r}"
        for key in ("is_decoder", "add_cross_attention")
        if config.get(key) not in (None, False)
    ]
    kind = find_kind(config)
    if kind == "nezha" and config.get("use_relative_position", True) is not True:
        problems.append("config: expected a nezha with relative positions (use_relative_position true)")
    if kind.startswith("roformer"):
        problems += _unknown_roformers(config, KINDS[kind].is_bare)
    return problems


def _unknown_roformers(config: dict[str, Any], is_bare: bool) -> list[str]:
    """RoFormer's versions: the first has norms of layers and biases, the second neither."""
    problems = []
    expected = ("rms_norm", False) if is_bare else ("layer_norm", True)
    found = config.get("norm_type", expected[0]), config.get("use_bias", expected[1])
    if found != expected:
        problems.append(
            "config: expected a roformer with norm_type layer_norm and use_bias true, or rms_norm and false; "
            f"found {found[0]!r} and {found[1]!r}"
        )
    if is_bare and config.get("embedding_size", config.get("hidden_size")) != config.get("hidden_size"):
        problems.append("config: expected a roformer without biases whose embedding_size is its hidden_size")
    return problems
