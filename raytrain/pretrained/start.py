"""The encoder that a config names, wherever it comes from."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from raytrain.config.sections import CheckpointConfig
from raytrain.errors import ConfigError, printable
from raytrain.pretrained.directory import KEY, EncoderFiles, read_encoder, read_notes, untrained_mini
from raytrain.pretrained.fetch import find_checkpoint, locate_checkpoint
from raytrain.pretrained.kept import find_origin
from raytrain.storage.files import hash_file
from raytrain.text.vocab import LOWERED, Vocab
from raytrain.text.wordpiece import build_vocab


def find_start(
    config: CheckpointConfig, read_texts: Callable[[], Iterable[str]], console: Console, key: str = KEY
) -> EncoderFiles:
    """The encoder that the config names, fetched where it is not here yet.

    Args:
        config: Of the encoder.
        read_texts: Gives the texts of which an untrained mini has its vocabulary.
        console: Where a download is told, and what `read_notes` tells.
        key: As in `read_encoder`.

    Raises:
        CheckpointError: There is none of that name, or it cannot be fetched or used.
    """
    if config.checkpoint == "mini" and not config.pretrained:
        return untrained_mini(Vocab(build_vocab(read_texts())), config.maxlen)
    directory = locate_checkpoint(config.checkpoint, console, key=key)
    encoder = read_encoder(str(directory), config.pretrained, config.maxlen, key)
    for note in read_notes(encoder):
        console.print(printable(f"{key}{config.checkpoint}: {note}"), markup=False, highlight=False)
    return replace(encoder, origin=find_origin(directory))


def check_start(config: CheckpointConfig, key: str = KEY) -> None:
    """Looks at what of an encoder can be wrong before anything is fetched or unpacked.

    Args:
        config: Of the encoder.
        key: As in `read_encoder`.

    Raises:
        CheckpointError: There is none of that name, or its directory cannot be used.
    """
    if config.checkpoint == "mini" and not config.pretrained:
        return  # of any vocabulary and length
    found = find_checkpoint(config.checkpoint, key)
    if isinstance(found, Path) and found.is_dir():
        read_encoder(str(found), config.pretrained, config.maxlen, key)


def hash_encoder(encoder: EncoderFiles) -> str:
    """Of the whole files, because the ends of two weights may be alike, and of how they are read."""
    read: list[Any] = [encoder.kind, encoder.config]
    if encoder.vocab.folding != LOWERED:  # runs that were begun before foldings were read go on
        read.append(asdict(encoder.vocab.folding))
    digest = hashlib.sha256(json.dumps(read, sort_keys=True).encode())
    for path in encoder.files:
        digest.update(hash_input("encoder.checkpoint", Path(path)).encode())
    return digest.hexdigest()


def hash_input(key: str, path: Path) -> str:
    """Of a file that a key names. Raises ConfigError where it cannot be read."""
    try:
        return hash_file(path)
    except OSError as error:
        raise ConfigError(f"{key}: cannot read {path}: {error.strerror or error}") from error
