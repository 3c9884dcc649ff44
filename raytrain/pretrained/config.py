"""What an encoder's config may say: sizes that can be built, kinds that are known."""

import math
import re
from typing import Any

from raytrain.errors import CheckpointError
from raytrain.text.encode import count_tokens
from raytrain.text.vocab import SPECIAL_TOKENS, Vocab

ACTIVATIONS = ("gelu", "gelu_new", "relu", "tanh")
_IS_CASED = re.compile(r"^(?!\[.*\]$)(?!<.*>$).*[A-Z]")
_FEW_CASED = 0.02
SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
# The most that is believed; what a config of others says is allocated before its weights are looked at.
_LARGEST = {
    "vocab_size": 2_000_000,
    "hidden_size": 16_384,
    "num_hidden_layers": 200,
    "num_attention_heads": 1_024,
    "intermediate_size": 65_536,
    "embedding_size": 16_384,
    "max_position_embeddings": 65_536,
    "type_vocab_size": 1_024,
}


def unfit_config(config: dict[str, Any], vocab: Vocab, maxlen: int) -> list[str]:
    """Everything in an encoder's config that no model can be built of, a line each."""
    problems = _unfit_numbers(config)
    if problems:
        return problems
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
    positions = config.get("max_position_embeddings", 512)
    if maxlen > positions:
        problems.append(f"encoder.maxlen={maxlen}: the encoder has only {positions} positions")
    if config.get("num_hidden_groups", 1) != 1 or config.get("inner_group_num", 1) != 1:
        problems.append("config: an ALBERT with several groups of layers is not supported")
    return problems


def _unfit_numbers(config: dict[str, Any]) -> list[str]:
    problems = []
    for key, largest in _LARGEST.items():
        value = config.get(key)
        if (key in SIZES or key in config) and (type(value) is not int or not 1 <= value <= largest):
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
    if config.get("model_type", "bert") not in ("bert", "albert"):
        problems.append(f"config: expected a model_type of bert or albert, found {config['model_type']!r}")
    if config.get("position_embedding_type", "absolute") != "absolute":
        found = config["position_embedding_type"]
        problems.append(f"config: expected absolute position embeddings, found {found!r}")
    if isinstance(vocab, bytes) or not vocab:
        return problems
    if vocab[0] != SPECIAL_TOKENS[0]:
        # Rows are padded with 0, and what is 0 is masked.
        problems.append(f"expected {SPECIAL_TOKENS[0]} as the vocabulary's first token, found {vocab[0]!r}")
    cased = sum(_IS_CASED.search(token) is not None for token in vocab)
    if cased > _FEW_CASED * len(vocab):
        # By what it holds: Hugging Face's config of the lower-cased bert-base-chinese calls it cased.
        problems.append(f"expected a lower-cased vocabulary, found {cased:,} tokens with capitals")
    return problems
