"""Encoder directories: the config, the vocabulary and the weights' place, read without TensorFlow."""

import contextlib
import glob
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raytrain.errors import CheckpointError
from raytrain.kinds import encoder_parameters, find_kind
from raytrain.pretrained.config import unfit_config, unknown_kinds
from raytrain.pretrained.weight_files import (
    OBJECT_GRAPH,
    all_files,
    find_weights,
    has_weights,
    pointers,
    too_few_bytes,
)
from raytrain.pretrained.zoo import MINI
from raytrain.storage.files import read_whole
from raytrain.tensors.open import HDF5_SUFFIXES
from raytrain.text.encode import count_tokens
from raytrain.text.tokenizer_files import CONFIG, WHOLE, read_vocab
from raytrain.text.vocab import Vocab

KEY = "encoder.checkpoint="  # before what names an encoder, in messages of a run
# Hugging Face's; beside it lie configs of tokenizers, generators and sentence encoders.
_EXACT_NAME = "config.json"
# The same by other names: transformers', bert4keras's.
_ACTIVATIONS = {"gelu_pytorch_tanh": "gelu_new", "gelu_tanh": "gelu_new", "gelu_erf": "gelu"}
_OF_ELECTRA = b"electra/"  # in names of Google's variables; its config reads as an ALBERT's
_BY_TANH = ("albert", "nezha")  # of whose GELU Google's format leaves the formula to the code


@dataclass(frozen=True)
class EncoderFiles:
    """An encoder as it lies on disk.

    Attributes:
        kind: A key of `kinds.KINDS`, as `kinds.find_kind` finds it in the config.
        config: Google's config json, as a dict; its `hidden_act`, `gelu` where there is none, is one of
            `ACTIVATIONS`, in which `gelu` is the exact function and `gelu_new` the formula with tanh.
        vocab: WordPiece's tokens, or a SentencePiece model, and how texts are folded for it.
        weights: Prefix of a TensorFlow checkpoint, a file that `tensors.open` reads, or None for an untrained
            encoder.
        files: All that was read or will be.
        origin: Of one that was fetched, whence: `source`, `sha256`, and of the hub `revision`.
        notes: What a person is to know of how it was read, a line each.
    """

    kind: str
    config: dict[str, Any]
    vocab: Vocab
    weights: str | None
    files: tuple[Path, ...] = ()
    origin: dict[str, str] | None = None
    notes: tuple[str, ...] = ()


def untrained_mini(vocab: Vocab, maxlen: int) -> EncoderFiles:
    """The shape of the encoder that comes with the package, untrained, over another vocabulary."""
    mini = read_encoder(str(MINI), False, 0)
    positions = max(maxlen, mini.config["max_position_embeddings"])
    config = {**mini.config, "vocab_size": count_tokens(vocab), "max_position_embeddings": positions}
    return replace(mini, config=config, vocab=vocab, files=())


def read_notes(encoder: EncoderFiles) -> list[str]:
    """What a person is to know of how an encoder was read, and of a vocabulary shorter than the embedding."""
    size, rows = count_tokens(encoder.vocab), encoder.config["vocab_size"]
    spare = f"the vocabulary has {size:,} tokens and vocab_size is {rows:,}: no text asks for the rows beyond"
    return [*encoder.notes, *([spare] if size < rows else [])]


def read_encoder(location: str, pretrained: bool, maxlen: int, key: str = KEY) -> EncoderFiles:
    """Reads an encoder's directory, or the one a folder down from it.

    In Google's BERT or ALBERT format it holds *config*.json, vocab*.txt or a SentencePiece *.model, and, if
    `pretrained`, *.ckpt*.index with its data; in Hugging Face's, config.json, vocab.txt, spiece.model or
    tokenizer.json, and weights by a name of `weight_files.ORDER`.

    Args:
        location: The directory.
        pretrained: Whether its weights are wanted.
        maxlen: Longest text in tokens.
        key: What messages say before the location; empty where no key of a config names it.

    Raises:
        CheckpointError: With everything missing or unfit at once, or where a directory may not be read.
    """
    with _readable(f"{key}{location}"):
        return _read(location, pretrained, maxlen, key)


def _read(location: str, pretrained: bool, maxlen: int, key: str) -> EncoderFiles:
    directory = Path(location).expanduser()
    if not directory.is_dir():
        raise CheckpointError(
            f"{key}{location}: no such directory",
            ["expected `mini`, or a directory with a config json, a vocabulary and weights"],
        )
    directory = _one_down(directory)
    problems: list[str] = []
    notes: list[str] = []
    config_file = _only(directory, ("*config*.json",), problems)
    config = _read_json(config_file, problems)
    vocab_file = _find_vocab(directory, problems)
    weights_file = find_weights(directory, problems) if pretrained else None
    shards = list(all_files(weights_file, problems)) if weights_file is not None else []
    if pretrained and weights_file is None and key:
        problems.append("to start from untrained weights say encoder.pretrained=false")
    vocab = read_vocab(vocab_file, problems, notes) if vocab_file else Vocab(())
    if config is not None:
        if not pretrained and _OF_ELECTRA in _checkpoint_names(find_weights(directory, []), []):
            config.setdefault("model_type", "electra")  # its kind, whether or not its weights are wanted
        config = _normalize(config, _checkpoint_names(weights_file, problems), weights_file)
        problems += unfit_config(config, vocab, maxlen) + unknown_kinds(config, vocab)
    weights = str(weights_file).removesuffix(".index") if weights_file else None
    data = sorted(directory.glob(f"{glob.escape(Path(weights).name)}.data-*")) if weights else []
    if weights_file and config is not None and not problems:
        held = [weights_file, *shards, *data]
        problems += pointers(held) or too_few_bytes(held, encoder_parameters(find_kind(config), config))
    if problems or config is None:
        raise CheckpointError(f"{key}{location}: {directory} cannot be used", problems)
    files = [path for path in (config_file, vocab_file, weights_file) if path is not None]
    files += [*shards, *data]
    return EncoderFiles(find_kind(config), config, vocab, weights, tuple(files), notes=tuple(notes))


def holds_config(directory: Path) -> bool:
    """Whether a config lies in a directory, which makes it an encoder's."""
    return any(directory.glob("*config*.json"))


def holds_weights(location: str) -> bool:
    """Whether `read_encoder` finds files of weights in a directory, or in the one a folder down from it.

    Raises:
        CheckpointError: It may not be read.
    """
    with _readable(location):
        return has_weights(_one_down(Path(location).expanduser()))


@contextlib.contextmanager
def _readable(place: str) -> Iterator[None]:
    """Raises CheckpointError where a directory or what lies in it may not be looked at."""
    try:
        yield
    except OSError as error:
        advice = (
            "expected a directory that this user may list and read; change its permissions, or name a copy"
        )
        where = error.filename or place
        raise CheckpointError(
            f"{place}: {where} cannot be read: {error.strerror or error}", [advice]
        ) from error


def _normalize(config: dict[str, Any], names: bytes, weights_file: Path | None) -> dict[str, Any]:
    """Says in the config what Google's format leaves to the code that reads it.

    The modeling.py of ALBERT and of Huawei's NEZHA computes GELU by the formula with tanh and calls it gelu:
    there it becomes `gelu_new`. BERT's does so since 2019 and did not in 2018, when its Chinese encoder was
    released: its gelu is taken for the exact one, as transformers takes it. bert4keras, which saves objects
    or HDF5, computes the exact one for all.
    """
    config = dict(config)
    if _OF_ELECTRA in names:
        config.setdefault("model_type", "electra")
    is_hdf5 = weights_file is not None and weights_file.suffix in HDF5_SUFFIXES
    is_keras = is_hdf5 or OBJECT_GRAPH.encode() in names
    is_by_tanh = "model_type" not in config and not is_keras and find_kind(config) in _BY_TANH
    if is_by_tanh and config.get("hidden_act", "gelu") == "gelu":
        config["hidden_act"] = "gelu_new"
    if "hidden_act" not in config and config.get("model_type") == "albert":
        config["hidden_act"] = "gelu_new"  # transformers' default of its AlbertConfig, and of no other kind
    if "hidden_act" in config:
        config["hidden_act"] = _ACTIVATIONS.get(str(config["hidden_act"]), config["hidden_act"])
    if b"layer_shared/" in names:
        # Of the first albert_zh's factorized embedding the product is read (`weights.open_weights`).
        config["embedding_size"] = config.get("hidden_size")
    return config


def _checkpoint_names(weights_file: Path | None, problems: list[str]) -> bytes:
    """The index of a TensorFlow checkpoint, in which the scopes of its variables stand; else nothing.

    An index holds names uncompressed, and spells out where one differs from the name before it.
    """
    if weights_file is None or weights_file.suffix != ".index":
        return b""
    try:
        return read_whole(weights_file)
    except (OSError, ValueError) as error:
        problems.append(f"{weights_file.name}: not readable: {error}")
        return b""


def _one_down(directory: Path) -> Path:
    """Google's archives hold one folder; the user may name that or the one above it."""
    if holds_config(directory):
        return directory
    below = [
        path
        for path in directory.iterdir()
        if path.is_dir() and path.name != "__MACOSX" and holds_config(path)
    ]
    # sentence-transformers' has a folder for the encoder and others for what stands on it.
    below = [path for path in below if path.name == "0_Transformer"] or below
    return below[0] if len(below) == 1 else directory


def _only(directory: Path, patterns: tuple[str, ...], problems: list[str]) -> Path | None:
    """The one file of any of these names; a file that is named exactly so, if several are."""
    found = sorted({path for pattern in patterns for path in directory.glob(pattern)})
    found = [path for path in found if path.is_file() and not path.name.startswith("._")]  # macOS has these
    found = [path for path in found if path.name != CONFIG]
    if exact := [path for path in found if path.name == _EXACT_NAME]:
        return exact[0]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or _none(directory)
        problems.append(f"expected one file {' or '.join(patterns)}, found {names}")
        return None
    return found[0]


def _find_vocab(directory: Path, problems: list[str]) -> Path | None:
    """A vocabulary by itself, and where there is none a tokenizer.json, which holds one."""
    names = ("vocab*.txt", "*.model")
    if any(path for name in names for path in directory.glob(name)):
        return _only(directory, names, problems)
    return _only(directory, (*names, WHOLE), problems)


def _none(directory: Path) -> str:
    """That there is none, and where there are some."""
    below = sorted(
        path.name for path in directory.iterdir() if path.is_dir() and (path / _EXACT_NAME).is_file()
    )
    return f"none, but directories of encoders: {', '.join(below)}; name one of them" if below else "none"


def _read_json(path: Path | None, problems: list[str]) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        config = json.loads(read_whole(path).decode())
    except (OSError, ValueError, RecursionError) as error:
        problems.append(f"{path.name}: not readable as JSON: {error}")
        return None
    if not isinstance(config, dict):
        problems.append(f"{path.name}: expected a JSON object, found a {type(config).__name__}")
        return None
    return config
