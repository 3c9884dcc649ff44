"""The encoder that is left: read back it says the same, in either layout; its provenance."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import json
import re

import numpy as np
import pytest
import tensorflow as tf
from encoder_checkpoints import KINDS, draw, load_directory, run
from safetensors import safe_open
from tiny_pretraining import VOCAB, encoder_config, settings

from raytrain.text.vocab import Folding, Vocab
from raytrain.errors import ArtifactError, CheckpointError
from raytrain.kinds import KINDS as KINDS_TABLE
from raytrain.pretrained.directory import read_encoder
from raytrain.pretrained.weights import open_weights
from raytrain.pretraining.directory import (
    ENCODER,
    GOOGLE,
    RECORD,
    hugging_face_config,
    is_finished,
    read_record,
    write_encoders,
    write_record,
)
from raytrain.pretraining.model import MaskedLanguageModel
from raytrain.pretraining.settings import PretrainSpec
from raytrain.storage.directory import Directory


def model_of(kind):
    model = MaskedLanguageModel(kind, encoder_config(kind), 0)
    variables = model.variables_by_name()
    arrays = draw({name: tuple(variable.shape) for name, variable in variables.items()}, seed=3)
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return model, arrays


@pytest.fixture(scope="module", params=KINDS)
def written(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    model, arrays = model_of(request.param)
    write_encoders(Directory(directory), model, Vocab(VOCAB))
    return directory, model, arrays


def test_a_record_never_lies_beside_newer_weights(tmp_path, monkeypatch):
    run, model = Directory(tmp_path), model_of("bert")[0]
    for place in (run, run / ENCODER):
        place.write_bytes(RECORD, b"{}")
    seen = []
    write = Directory.write_bytes

    def watched(self, name, data):
        seen.append(run.exists(RECORD) or (run / ENCODER).exists(RECORD))
        write(self, name, data)

    monkeypatch.setattr(Directory, "write_bytes", watched)
    write_encoders(run, model, Vocab(VOCAB))
    assert seen and not any(seen)


@pytest.mark.parametrize("layout", [ENCODER, GOOGLE])
def test_read_back_it_has_the_same_hidden_states(written, layout):
    directory, model, _ = written
    encoder, transformer, unread = load_directory(directory / layout)
    assert encoder.kind == model.kind and encoder.vocab == Vocab(VOCAB)
    np.testing.assert_array_equal(run(transformer), run(model.transformer))
    assert sorted(unread) == sorted(model.head.variables_by_name())


@pytest.mark.parametrize("layout", [ENCODER, GOOGLE])
def test_every_variable_is_there_the_heads_too(written, layout):
    directory, model, arrays = written
    encoder = read_encoder(str(directory / layout), True, 32)
    weights = open_weights(model.kind, encoder.weights)
    assert weights.shapes.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(weights.read(name), array)


def test_hugging_faces_names_are_those_of_its_masked_language_models(written):
    directory, model, _ = written
    with safe_open(str(directory / ENCODER / "model.safetensors"), "np") as opened:
        names = set(opened.keys())
        assert opened.metadata() == {"format": "pt"}
    if model.kind != "albert":
        expected = {
            "bert.embeddings.word_embeddings.weight",
            "bert.embeddings.LayerNorm.bias",
            "bert.encoder.layer.1.attention.self.query.weight",
            "bert.encoder.layer.0.attention.output.LayerNorm.weight",
            "bert.encoder.layer.1.intermediate.dense.bias",
            "cls.predictions.transform.dense.weight",
            "cls.predictions.transform.LayerNorm.bias",
            "cls.predictions.bias",
        }
        if model.kind == "electra":
            expected = {name.replace("bert.", "electra.", 1) for name in expected if "cls." not in name}
            expected |= {"electra.embeddings_project.weight", "generator_predictions.LayerNorm.bias"}
            expected |= {"generator_predictions.dense.weight", "generator_lm_head.bias"}
        model_type = KINDS_TABLE[model.kind].model_type
        expected = {re.sub(r"^bert\.", f"{model_type}.", name) for name in expected}
        if model.kind == "roformer_v2":
            expected = {name for name in expected if name.startswith("cls.") or "embeddings.word" in name}
    else:
        layer = "albert.encoder.albert_layer_groups.0.albert_layers.0"
        expected = {
            "albert.encoder.embedding_hidden_mapping_in.weight",
            f"{layer}.attention.query.weight",
            f"{layer}.attention.dense.bias",
            f"{layer}.attention.LayerNorm.weight",
            f"{layer}.ffn.weight",
            f"{layer}.ffn_output.bias",
            f"{layer}.full_layer_layer_norm.weight",
            "predictions.dense.weight",
            "predictions.LayerNorm.bias",
            "predictions.bias",
        }
    assert expected <= names and not any(name.startswith(("cls/", "bert/")) for name in names)


def test_googles_names_are_in_its_checkpoint(written):
    directory, model, arrays = written
    found = dict(tf.train.list_variables(str(directory / GOOGLE / f"{model.kind}_model.ckpt")))
    assert found == {name: list(array.shape) for name, array in arrays.items()}


def test_what_hugging_face_asks_of_a_config_is_said(written):
    directory, model, _ = written
    config = json.loads((directory / ENCODER / "config.json").read_text(encoding="utf-8"))
    assert config["model_type"] == KINDS_TABLE[model.kind].model_type and config["pad_token_id"] == 0
    assert config["architectures"] == [KINDS_TABLE[model.kind].masked]
    assert {key: config[key] for key in model.config} == model.config


@pytest.mark.parametrize("parts", [(False, False), (True, False), (False, True, False)])
def test_how_texts_are_folded_is_written_with_the_vocabulary(tmp_path, parts):
    folding = Folding(*parts)
    write_encoders(Directory(tmp_path), model_of("bert")[0], Vocab(VOCAB, folding))
    for layout in (ENCODER, GOOGLE):
        assert read_encoder(str(tmp_path / layout), True, 32).vocab == Vocab(VOCAB, folding)
    said = json.loads((tmp_path / ENCODER / "tokenizer_config.json").read_text())
    assert (said["do_lower_case"], said["tokenizer_class"]) == (folding.lower, "BertTokenizer")


def test_a_config_without_rates_and_epsilon_is_completed():
    config = {"hidden_size": 8, "hidden_dropout_prob": None, "dtype": "float16", "transformers_version": "5"}
    said = hugging_face_config("albert", config)
    assert (said["hidden_dropout_prob"], said["layer_norm_eps"], said["embedding_size"]) == (0.0, 1e-12, 8)
    assert "dtype" not in said and "transformers_version" not in said


def test_a_second_writing_takes_the_place_of_the_first(written):
    directory, model, _ = written
    write_encoders(Directory(directory), model, Vocab(VOCAB))
    assert {path.name for path in directory.iterdir()} == {ENCODER, GOOGLE}


def test_the_runs_directory_itself_is_no_encoder(written):
    with pytest.raises(CheckpointError, match="config"):
        read_encoder(str(written[0]), True, 32)


# ── Provenance ─────────────────────────────────────────────────────────────────────────────────────


def spec_of(location, identity="this"):
    return PretrainSpec(
        "tiny", str(location), identity, 42, settings(), "bert", {}, None, None, "float32", {"texts": []}
    )


TOLD = {"steps": 6, "seconds": 1.0, "stopped_early": False, "history": [{"step": 0, "perplexity": 3.0}]}


def test_the_record_is_read_back_and_travels_with_the_encoder(tmp_path):
    write_record(Directory(tmp_path), spec_of(tmp_path), TOLD)
    record = read_record(Directory(tmp_path), "this")
    assert record["settings"]["steps"] == 6 and record["texts"] == [] and is_finished(record)
    assert (tmp_path / ENCODER / RECORD).read_bytes() == (tmp_path / RECORD).read_bytes()


def test_without_one_there_is_none_and_one_that_stopped_early_is_not_finished(tmp_path):
    assert read_record(Directory(tmp_path)) is None and not is_finished(None)
    write_record(Directory(tmp_path), spec_of(tmp_path), {**TOLD, "stopped_early": True})
    assert not is_finished(read_record(Directory(tmp_path)))


def test_a_record_of_something_else_is_refused(tmp_path):
    write_record(Directory(tmp_path), spec_of(tmp_path), TOLD)
    with pytest.raises(ArtifactError, match="another config"):
        read_record(Directory(tmp_path), "other")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"identity": "this", "history": []}'])
def test_a_damaged_record_says_what_to_delete(tmp_path, text):
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(ArtifactError, match="delete it"):
        read_record(Directory(tmp_path))
