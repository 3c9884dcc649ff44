"""The encoder that a config names, and by what it is known."""

import dataclasses
import io

import pytest
from rich.console import Console
from tiny_run import VOCAB, silent_console, write_encoder

from raytrain.config.sections import CheckpointConfig
from raytrain.errors import CheckpointError, ConfigError
from raytrain.pretrained.directory import read_encoder
from raytrain.pretrained.start import find_start, hash_encoder, hash_input
from raytrain.pretrained.zoo import MINI


def start(checkpoint, pretrained=False, texts=()):
    config = CheckpointConfig(checkpoint=str(checkpoint), pretrained=pretrained, maxlen=32)
    return find_start(config, lambda: iter(texts), silent_console())


def test_a_directory_is_read(tmp_path):
    assert start(write_encoder(tmp_path / "encoder")).vocab == VOCAB


def test_mini_comes_along_and_untrained_has_the_texts_vocabulary():
    assert start("mini", pretrained=True).files == read_encoder(str(MINI), True, 32).files
    untrained = start("mini", texts=["停水停水", "快转"] * 2)
    assert untrained.weights is None and "停" in untrained.vocab and len(untrained.vocab) == 9


def test_a_vocabulary_shorter_than_the_embedding_is_told(tmp_path):
    directory = write_encoder(tmp_path / "encoder")
    console = Console(file=io.StringIO(), width=300)
    config = CheckpointConfig(checkpoint=str(directory), pretrained=False, maxlen=32)
    find_start(config, list, console)
    assert console.file.getvalue() == ""
    (directory / "vocab.txt").write_text("\n".join(VOCAB[:-2]), encoding="utf-8")
    assert find_start(config, list, console).vocab == VOCAB[:-2]
    said = f"the vocabulary has {len(VOCAB) - 2} tokens and vocab_size is {len(VOCAB)}"
    assert said in console.file.getvalue()


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(CheckpointError, match="absent"):
        start(tmp_path / "absent")


def test_an_encoder_is_known_by_its_files_and_its_config(tmp_path):
    encoder = start(write_encoder(tmp_path / "encoder"))
    first = hash_encoder(encoder)
    assert hash_encoder(encoder) == first
    assert (
        hash_encoder(dataclasses.replace(encoder, config={**encoder.config, "hidden_act": "relu"})) != first
    )
    (tmp_path / "encoder" / "vocab.txt").write_text("another")
    assert hash_encoder(encoder) != first


def test_a_file_that_cannot_be_read_is_named_with_its_key(tmp_path):
    with pytest.raises(ConfigError, match=r"data\.test: cannot read .*absent\.csv"):
        hash_input("data.test", tmp_path / "absent.csv")
