"""Encoder directories: the config, the vocabulary and the weights' place, read without TensorFlow."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytrain.errors import CheckpointError

SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")


@dataclass(frozen=True)
class EncoderFiles:
    """An encoder as it lies on disk.

    Attributes:
        kind: `bert` or `albert`.
        config: Google's config json, as a dict.
        vocab: Token i has id i.
        weights: Prefix of a TensorFlow checkpoint, or None for an untrained encoder.
    """

    kind: str
    config: dict[str, Any]
    vocab: list[str]
    weights: str | None


def mini_encoder(vocab: list[str], maxlen: int) -> EncoderFiles:
    """A small untrained ALBERT over the given vocabulary; it needs nothing downloaded.

    Two layers of 128: on the bundled example larger ones cost time and win nothing.
    """
    config = {
        "model_type": "albert",
        "vocab_size": len(vocab),
        "embedding_size": 128,
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 512,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.0,
        "max_position_embeddings": max(maxlen, 128),
        "type_vocab_size": 2,
    }
    return EncoderFiles("albert", config, vocab, None)


def read_encoder(location: str, pretrained: bool, maxlen: int) -> EncoderFiles:
    """Reads a directory in Google's BERT or ALBERT format, or one folder down from it.

    Args:
        location: The directory: *config*.json, vocab*.txt and, if `pretrained`, *.ckpt*.index.
        pretrained: Whether its weights are wanted.
        maxlen: Longest text in tokens.

    Raises:
        CheckpointError: With everything missing or unfit at once.
    """
    directory = Path(location).expanduser()
    if not directory.is_dir():
        raise CheckpointError(
            f"encoder.checkpoint={location}: no such directory",
            ["expected `mini`, or a directory with a config json, vocab.txt and *.ckpt files"],
        )
    directory = _one_down(directory)
    problems: list[str] = []
    config = _read_json(_only(directory, "*config*.json", problems), problems)
    vocab_file = _only(directory, "vocab*.txt", problems)
    if vocab_file is None and any(directory.glob("*.model")):
        problems.append("it holds a SentencePiece model, and only WordPiece vocabularies are supported")
    index = _only(directory, "*.ckpt*.index", problems) if pretrained else None
    vocab = _read_vocab(vocab_file, problems) if vocab_file else []
    if config is not None:
        problems += unfit_config(config, vocab, maxlen)
    if pretrained and index is None:
        problems.append("to start from untrained weights say encoder.pretrained=false")
    if problems or config is None:
        raise CheckpointError(f"encoder.checkpoint={location}: {directory} cannot be used", problems)
    kind = "albert" if "embedding_size" in config or config.get("model_type") == "albert" else "bert"
    return EncoderFiles(kind, config, vocab, str(index).removesuffix(".index") if index else None)


def _one_down(directory: Path) -> Path:
    """Google's archives hold one folder; the user may name that or the one above it."""
    if any(directory.glob("*config*.json")):
        return directory
    below = [path for path in directory.iterdir() if path.is_dir() and any(path.glob("*config*.json"))]
    return below[0] if len(below) == 1 else directory


def _only(directory: Path, pattern: str, problems: list[str]) -> Path | None:
    found = sorted(directory.glob(pattern))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        problems.append(f"expected one file {pattern}, found {names}")
        return None
    return found[0]


def _read_json(path: Path | None, problems: list[str]) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        problems.append(f"{path.name}: not readable as JSON: {error}")
        return None
    if not isinstance(config, dict):
        problems.append(f"{path.name}: expected a JSON object, found a {type(config).__name__}")
        return None
    return config


def _read_vocab(path: Path, problems: list[str]) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
        return [(line.split() or [""])[0] for line in lines]
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path.name}: not readable as UTF-8: {error}")
        return []


def unfit_config(config: dict[str, Any], vocab: list[str], maxlen: int) -> list[str]:
    """Everything in an encoder's config that no model can be built of, a line each."""
    problems = []
    for key in SIZES:
        if not isinstance(config.get(key), int) or config[key] < 1:
            problems.append(f"config: expected a positive integer {key}, found {config.get(key)!r}")
    if problems:
        return problems
    if vocab and len(vocab) != config["vocab_size"]:
        problems.append(f"config: vocab_size is {config['vocab_size']}, but the vocabulary has {len(vocab)}")
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
