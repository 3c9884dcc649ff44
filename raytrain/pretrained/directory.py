"""Encoder directories: the config, the vocabulary and the weights' place, read without TensorFlow."""

import glob
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytrain.errors import CheckpointError
from raytrain.text.sentencepiece import SentencePieceTokenizer
from raytrain.text.wordpiece import SPECIAL_TOKENS, Vocab

ACTIVATIONS = ("gelu", "gelu_new", "relu", "tanh")
_IS_CASED = re.compile(r"^(?!\[.*\]$)(?!<.*>$).*[A-Z]")
_FEW_CASED = 0.02
# Hugging Face's; beside them lie configs of tokenizers, generators and sentence encoders.
_EXACT_NAMES = ("config.json", "model.safetensors")
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


@dataclass(frozen=True)
class EncoderFiles:
    """An encoder as it lies on disk.

    Attributes:
        kind: `bert` or `albert`.
        config: Google's config json, as a dict; its `hidden_act`, `gelu` where there is none, is one of
            `ACTIVATIONS`, in which `gelu` is the exact function and `gelu_new` the formula with tanh.
        vocab: WordPiece's tokens, or the bytes of a SentencePiece model.
        weights: Prefix of a TensorFlow checkpoint, a .safetensors file, or None for an untrained encoder.
        files: All that was read or will be.
    """

    kind: str
    config: dict[str, Any]
    vocab: Vocab
    weights: str | None
    files: tuple[Path, ...] = ()


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
    """Reads an encoder's directory, or the one a folder down from it.

    In Google's BERT or ALBERT format it holds *config*.json, vocab*.txt or a SentencePiece *.model, and, if
    `pretrained`, *.ckpt*.index with its data; in Hugging Face's, config.json, vocab.txt or spiece.model, and
    model.safetensors.

    Args:
        location: The directory.
        pretrained: Whether its weights are wanted.
        maxlen: Longest text in tokens.

    Raises:
        CheckpointError: With everything missing or unfit at once.
    """
    directory = Path(location).expanduser()
    if not directory.is_dir():
        raise CheckpointError(
            f"encoder.checkpoint={location}: no such directory",
            ["expected `mini`, or a directory with a config json, a vocabulary and weights"],
        )
    directory = _one_down(directory)
    problems: list[str] = []
    config_file = _only(directory, ("*config*.json",), problems)
    config = _read_json(config_file, problems)
    vocab_file = _only(directory, ("vocab*.txt", "*.model"), problems)
    weights_file = _only(directory, ("*.ckpt*.index", "*.safetensors"), problems) if pretrained else None
    if pretrained and weights_file is None:
        problems.append("to start from untrained weights say encoder.pretrained=false")
    vocab = _read_vocab(vocab_file, problems) if vocab_file else []
    if config is not None:
        config = _normalize(config, weights_file)
        problems += unfit_config(config, vocab, maxlen) + unknown_kinds(config, vocab)
    if problems or config is None:
        raise CheckpointError(f"encoder.checkpoint={location}: {directory} cannot be used", problems)
    weights = str(weights_file).removesuffix(".index") if weights_file else None
    data = sorted(directory.glob(f"{glob.escape(Path(weights).name)}.data-*")) if weights else []
    files = [path for path in (config_file, vocab_file, weights_file) if path is not None]
    return EncoderFiles(_kind(config), config, vocab, weights, (*files, *data))


def _kind(config: dict[str, Any]) -> str:
    kind = config.get("model_type")
    if kind in ("bert", "albert"):
        return str(kind)
    return "albert" if "embedding_size" in config else "bert"


def _normalize(config: dict[str, Any], weights_file: Path | None) -> dict[str, Any]:
    """Says in the config what Google's format leaves to the code that reads it.

    ALBERT's modeling.py computes GELU by the formula with tanh and calls it gelu; so do BERT's releases
    since 2019, but not the Chinese one of 2018. Where it matters, `gelu_new` says so.
    """
    config = dict(config)
    if config.get("hidden_act") == "gelu_pytorch_tanh":
        config["hidden_act"] = "gelu_new"
    is_google_albert = "model_type" not in config and "embedding_size" in config
    if is_google_albert and config.get("hidden_act", "gelu") == "gelu":
        config["hidden_act"] = "gelu_new"
    if weights_file is not None and _is_layer_shared(weights_file):
        # Of this release's factorized embedding the product is read (`network.weights.open_weights`).
        config["embedding_size"] = config.get("hidden_size")
    return config


def _is_layer_shared(weights_file: Path) -> bool:
    """Whether a checkpoint has the names of the first albert_zh release.

    An index holds names uncompressed, and spells out where one differs from the name before it.
    """
    return weights_file.suffix == ".index" and b"layer_shared/" in weights_file.read_bytes()


def _one_down(directory: Path) -> Path:
    """Google's archives hold one folder; the user may name that or the one above it."""
    if any(directory.glob("*config*.json")):
        return directory
    below = [
        path
        for path in directory.iterdir()
        if path.is_dir() and path.name != "__MACOSX" and any(path.glob("*config*.json"))
    ]
    return below[0] if len(below) == 1 else directory


def _only(directory: Path, patterns: tuple[str, ...], problems: list[str]) -> Path | None:
    """The one file of any of these names; a file that is named exactly so, if several are."""
    found = sorted({path for pattern in patterns for path in directory.glob(pattern)})
    found = [path for path in found if path.is_file() and not path.name.startswith("._")]  # macOS has these
    exact = [path for path in found if path.name in _EXACT_NAMES]
    if len(found) > 1 and len(exact) == 1:
        return exact[0]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        problems.append(f"expected one file {' or '.join(patterns)}, found {names}")
        return None
    return found[0]


def _read_json(path: Path | None, problems: list[str]) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        problems.append(f"{path.name}: not readable as JSON: {error}")
        return None
    if not isinstance(config, dict):
        problems.append(f"{path.name}: expected a JSON object, found a {type(config).__name__}")
        return None
    return config


def _read_vocab(path: Path, problems: list[str]) -> Vocab:
    try:
        if path.suffix == ".model":
            return path.read_bytes()
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
        return [(line.split() or [""])[0] for line in lines]
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path.name}: not readable as UTF-8: {error}")
        return []


def unfit_config(config: dict[str, Any], vocab: Vocab, maxlen: int) -> list[str]:
    """Everything in an encoder's config that no model can be built of, a line each."""
    problems = _unfit_numbers(config)
    if problems:
        return problems
    problems += _unfit_vocab(vocab, config["vocab_size"])
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


def _unfit_vocab(vocab: Vocab, expected: int) -> list[str]:
    try:
        size = len(SentencePieceTokenizer(vocab)) if isinstance(vocab, bytes) else len(vocab)
    except CheckpointError as error:
        return [f"{error.summary}: {problem}" for problem in error.problems]
    if size and size != expected:
        return [f"config: vocab_size is {expected}, but the vocabulary has {size}"]
    return []


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
