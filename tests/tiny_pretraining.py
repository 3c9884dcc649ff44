"""Texts, a vocabulary and a pre-training so small that its steps take no time."""

import random

import numpy as np
from encoder_kinds import OF_KIND

from raytrain.pretraining.lines import Texts
from raytrain.pretraining.packing import pack
from raytrain.pretraining.pieces import SpecialIds, encode_lines, special_ids
from raytrain.pretraining.settings import MaskSettings, PretrainSettings
from raytrain.text.vocab import Vocab

SENTENCES = [
    "网传明天停水，快转给家人",
    "记者核实后说，停水的消息不是真的",
    "店家说今天不开门，大家不要白跑一趟",
    "房间干净，早餐好吃，服务热情周到",
]
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set("".join(SENTENCES)))]


def make_lines(count: int, seed: int = 0) -> list[str]:
    """Texts of one to three of the sentences, of which some recur."""
    rng = random.Random(seed)
    return [
        "。".join(rng.choices(SENTENCES, k=rng.randrange(1, 4))) + str(rng.randrange(9)) for _ in range(count)
    ]


def texts_from(lines: list[str]) -> Texts:
    return Texts(lambda: iter(lines), len(lines), [{"path": "made up"}], {"data.path": "made up"})


def special() -> SpecialIds:
    return special_ids(Vocab(VOCAB))


def packed(lines: list[str], length: int = 32, with_words: bool = True) -> np.ndarray:
    bounds, tokens = encode_lines(lines, Vocab(VOCAB), with_words)
    return pack([tokens[bounds[i] : bounds[i + 1]] for i in range(len(lines))], length, special())


def settings(**changes) -> PretrainSettings:
    plain = {
        "steps": 6,
        "batch_size": 4,
        "learning_rate": 1e-2,
        "warmup": 0.1,
        "weight_decay": 0.01,
        "clip_norm": 1.0,
        "evaluate_every": 3,
        "checkpoint_every": 2,
        "mask": MaskSettings(),
    }
    return PretrainSettings(**plain | changes)


def encoder_config(kind: str, dropout: float = 0.1) -> dict:
    config = {
        "vocab_size": len(VOCAB),
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "hidden_act": "gelu_new" if kind == "albert" else "gelu",
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        "max_position_embeddings": 64,
        "type_vocab_size": 2,
    }
    return config | OF_KIND[kind]
