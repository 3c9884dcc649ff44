import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import io
import json

import pytest
from rich.console import Console
from encoder_checkpoints import draw, random_arrays, transformer_of, write_directory
from pretrained.test_weights import layer_shared_shapes

from raytrain.pretrained.report import report_checkpoint
from raytrain.errors import CheckpointError
from raytrain.network.weights import named_variables


def report(directory):
    console = Console(file=io.StringIO(), width=200)
    fits = report_checkpoint(directory, console)
    return fits, console.file.getvalue()


def test_a_whole_checkpoint_is_shown(encoder_config, vocab, tmp_path):
    transformer = transformer_of("albert", encoder_config("albert"))
    arrays = random_arrays(transformer) | draw({"cls/predictions/output_bias": (3,)})
    fits, text = report(write_directory(tmp_path / "x", encoder_config("albert"), vocab, arrays))
    assert fits
    count = sum(variable.numpy().size for variable in named_variables(transformer).values())
    for part in (
        f"{count:,} parameters",
        "Google's ALBERT",
        "hidden_act",
        f"WordPiece, {len(vocab)} tokens",
        "can be loaded",
    ):
        assert part in text
    lines = {line.split()[0]: line for line in text.splitlines() if line.startswith(("bert/", "cls/"))}
    assert lines.keys() == arrays.keys()
    assert "6 × 8" in lines["bert/encoder/embedding_hidden_mapping_in/kernel"]
    assert [name for name, line in lines.items() if "not read" in line] == ["cls/predictions/output_bias"]


def test_what_does_not_fit_is_listed(encoder_config, vocab, tmp_path):
    arrays = random_arrays(transformer_of("albert", encoder_config("albert")))
    del arrays["bert/embeddings/LayerNorm/beta"]
    fits, text = report(write_directory(tmp_path / "x", encoder_config("albert"), vocab, arrays))
    assert not fits
    assert "expected the variable bert/embeddings/LayerNorm/beta" in text


def test_a_missing_data_file_is_no_checkpoint_that_can_be_loaded(encoder_config, vocab, tmp_path):
    arrays = random_arrays(transformer_of("albert", encoder_config("albert")))
    directory = write_directory(tmp_path / "x", encoder_config("albert"), vocab, arrays)
    (directory / "model.ckpt-best.data-00000-of-00001").unlink()
    fits, text = report(directory)
    assert not fits
    assert "cannot be read" in text


def test_names_are_shown_as_they_are(encoder_config, vocab, tmp_path):
    arrays = random_arrays(transformer_of("albert", encoder_config("albert")))
    config = encoder_config("albert") | {"[/red]": "[/b]"}
    fits, text = report(write_directory(tmp_path / "x", config, vocab, arrays | draw({"x[/red]y": (1,)})))
    assert fits
    assert "x[/red]y" in text


def test_what_a_terminal_would_obey_is_shown_escaped(encoder_config, vocab, tmp_path):
    arrays = random_arrays(transformer_of("albert", encoder_config("albert")))
    del arrays["bert/embeddings/LayerNorm/beta"]
    config = encoder_config("albert") | {
        "a\x1b[2Jb": "\x1b]0;title\x07",
        "half": "\ud800",
        "bidi": ["\u202e"],
    }
    directory = write_directory(tmp_path / "x", config, vocab, arrays | draw({"x\x1b[1my": (1,)}))
    fits, text = report(directory)
    assert not fits and "\x1b" not in text and "\x07" not in text and "\u202e" not in text
    assert text.encode() and "\\ud800" in text
    assert "a\\x1b[2Jb" in text and "\\x1b]0;title\\x07" in text and "x\\x1b[1my" in text


def test_the_first_albert_zh_is_named(encoder_config, vocab, tmp_path):
    arrays = draw(layer_shared_shapes(len(vocab), 6, 8, 16))
    fits, text = report(write_directory(tmp_path / "x", encoder_config("albert"), vocab, arrays))
    assert fits
    assert "layer_shared" in text


def test_a_shape_without_weights_is_shown(encoder_config, vocab, tmp_path):
    (tmp_path / "bert_config.json").write_text(json.dumps(encoder_config("bert")))
    (tmp_path / "vocab.txt").write_text("\n".join(vocab), encoding="utf-8")
    fits, text = report(tmp_path)
    assert fits
    assert "encoder.pretrained=false" in text


def test_a_directory_without_an_encoder_is_refused(tmp_path):
    with pytest.raises(CheckpointError):
        report(tmp_path)
