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
from raytrain.text.vocab import LOWERED, Vocab


def start(checkpoint, pretrained=False, texts=()):
    config = CheckpointConfig(checkpoint=str(checkpoint), pretrained=pretrained, maxlen=32)
    return find_start(config, lambda: iter(texts), silent_console())


def test_a_directory_is_read(tmp_path):
    assert start(write_encoder(tmp_path / "encoder")).vocab == Vocab(VOCAB)


def test_mini_comes_along_and_untrained_has_the_texts_vocabulary():
    assert start("mini", pretrained=True).files == read_encoder(str(MINI), True, 32).files
    untrained = start("mini", texts=["停水停水", "快转"] * 2)
    assert untrained.weights is None and "停" in untrained.vocab.tokens and len(untrained.vocab.tokens) == 9


def test_a_vocabulary_shorter_than_the_embedding_is_told(tmp_path):
    directory = write_encoder(tmp_path / "encoder")
    console = Console(file=io.StringIO(), width=300)
    config = CheckpointConfig(checkpoint=str(directory), pretrained=False, maxlen=32)
    find_start(config, list, console)
    assert console.file.getvalue() == ""
    (directory / "vocab.txt").write_text("\n".join(VOCAB[:-2]), encoding="utf-8")
    assert find_start(config, list, console).vocab == Vocab(VOCAB[:-2])
    said = f"the vocabulary has {len(VOCAB) - 2} tokens and vocab_size is {len(VOCAB)}"
    assert said in console.file.getvalue()


def test_no_terminal_obeys_what_is_told_of_an_encoder(tmp_path, monkeypatch):
    monkeypatch.setattr("raytrain.pretrained.start.read_notes", lambda _: ["a \x1b[2J \ud800"])
    console = Console(file=io.StringIO(), width=300)
    encoder = write_encoder(tmp_path / "encoder")
    config = CheckpointConfig(checkpoint=str(encoder), pretrained=False, maxlen=32)
    find_start(config, list, console)
    assert "a \\x1b[2J \\ud800" in console.file.getvalue()


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


def test_an_encoder_is_known_by_its_folding_where_that_is_not_the_usual_one(tmp_path):
    encoder = start(write_encoder(tmp_path / "encoder"))
    (tmp_path / "encoder/tokenizer_config.json").write_text('{"do_lower_case": true}')
    assert hash_encoder(start(tmp_path / "encoder")) == hash_encoder(encoder)
    (tmp_path / "encoder/tokenizer_config.json").write_text('{"do_lower_case": false}')
    cased = start(tmp_path / "encoder")
    (tmp_path / "encoder/tokenizer_config.json").write_text('{"do_lower_case": false, "strip_accents": true}')
    assert len({hash_encoder(one) for one in (encoder, cased, start(tmp_path / "encoder"))}) == 3


def test_what_a_person_is_to_know_of_the_reading_is_told(tmp_path):
    directory, console = write_encoder(tmp_path / "encoder"), Console(file=io.StringIO(), width=300)
    (directory / "vocab.txt").write_text("\n".join([*VOCAB[:-2], "ab", "b"]), encoding="utf-8")
    (directory / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    config = CheckpointConfig(checkpoint=str(directory), pretrained=False, maxlen=32)
    assert find_start(config, list, console).vocab.folding == LOWERED
    assert f"encoder.checkpoint={directory}: do_lower_case is false, but" in console.file.getvalue()
