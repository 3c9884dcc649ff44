"""Hugging Face's names and Google's for the same parameters."""

import pytest

from raytrain.kinds import KINDS
from raytrain.pretrained.names import (
    GROUP,
    bert_name,
    google_name,
    hugging_face_name,
    is_turned,
    layer_sources,
)

LAYER = "albert.encoder.albert_layer_groups.0.albert_layers.0"
PAIRS = {
    "bert": {
        "bert.embeddings.word_embeddings.weight": "bert/embeddings/word_embeddings",
        "bert.embeddings.token_type_embeddings.weight": "bert/embeddings/token_type_embeddings",
        "bert.embeddings.LayerNorm.weight": "bert/embeddings/LayerNorm/gamma",
        "bert.encoder.layer.11.attention.self.key.weight": "bert/encoder/layer_11/attention/self/key/kernel",
        "bert.encoder.layer.0.attention.output.LayerNorm.bias": (
            "bert/encoder/layer_0/attention/output/LayerNorm/beta"
        ),
        "bert.encoder.layer.3.output.dense.bias": "bert/encoder/layer_3/output/dense/bias",
        "cls.predictions.transform.dense.weight": "cls/predictions/transform/dense/kernel",
        "cls.predictions.transform.LayerNorm.weight": "cls/predictions/transform/LayerNorm/gamma",
        "cls.predictions.bias": "cls/predictions/output_bias",
    },
    "albert": {
        "albert.embeddings.position_embeddings.weight": "bert/embeddings/position_embeddings",
        "albert.encoder.embedding_hidden_mapping_in.weight": (
            "bert/encoder/embedding_hidden_mapping_in/kernel"
        ),
        f"{LAYER}.attention.query.weight": f"{GROUP}/attention_1/self/query/kernel",
        f"{LAYER}.attention.dense.bias": f"{GROUP}/attention_1/output/dense/bias",
        f"{LAYER}.attention.LayerNorm.weight": f"{GROUP}/LayerNorm/gamma",
        f"{LAYER}.ffn.weight": f"{GROUP}/ffn_1/intermediate/dense/kernel",
        f"{LAYER}.ffn_output.bias": f"{GROUP}/ffn_1/intermediate/output/dense/bias",
        f"{LAYER}.full_layer_layer_norm.bias": f"{GROUP}/LayerNorm_1/beta",
        "predictions.dense.weight": "cls/predictions/transform/dense/kernel",
        "predictions.LayerNorm.bias": "cls/predictions/transform/LayerNorm/beta",
        "predictions.bias": "cls/predictions/output_bias",
    },
}
PAIRS["electra"] = {
    "electra.embeddings.position_embeddings.weight": "bert/embeddings/position_embeddings",
    "electra.embeddings_project.weight": "bert/encoder/embedding_hidden_mapping_in/kernel",
    "electra.embeddings_project.bias": "bert/encoder/embedding_hidden_mapping_in/bias",
    "electra.encoder.layer.7.output.LayerNorm.bias": "bert/encoder/layer_7/output/LayerNorm/beta",
    "generator_predictions.dense.weight": "cls/predictions/transform/dense/kernel",
    "generator_predictions.LayerNorm.weight": "cls/predictions/transform/LayerNorm/gamma",
    "generator_lm_head.bias": "cls/predictions/output_bias",
}
PAIRS["ernie"] = {
    "ernie.embeddings.task_type_embeddings.weight": "bert/embeddings/task_type_embeddings",
    "ernie.encoder.layer.0.intermediate.dense.weight": "bert/encoder/layer_0/intermediate/dense/kernel",
    "cls.predictions.bias": "cls/predictions/output_bias",
}
PAIRS["nezha"] = {
    "nezha.encoder.layer.0.attention.self.query.bias": "bert/encoder/layer_0/attention/self/query/bias",
    "cls.predictions.transform.dense.bias": "cls/predictions/transform/dense/bias",
}
PAIRS["roformer"] = PAIRS["roformer_v2"] = {
    "roformer.embeddings_project.weight": "bert/encoder/embedding_hidden_mapping_in/kernel",
    "roformer.encoder.layer.3.attention.output.dense.weight": (
        "bert/encoder/layer_3/attention/output/dense/kernel"
    ),
}
ALL = [(kind, *pair) for kind, pairs in PAIRS.items() for pair in pairs.items()]


@pytest.mark.parametrize(("kind", "hugging_face", "google"), ALL)
def test_each_name_has_its_other_in_both_directions(kind, hugging_face, google):
    assert google_name(kind, hugging_face) == google
    assert hugging_face_name(kind, google) == hugging_face


@pytest.mark.parametrize(("kind", "hugging_face", "google"), ALL)
def test_a_bare_encoders_names_are_known_too(kind, hugging_face, google):
    prefix = f"{KINDS[kind].model_type}."
    if hugging_face.startswith(prefix):
        assert google_name(kind, hugging_face.removeprefix(prefix)) == google


@pytest.mark.parametrize(("kind", "hugging_face", "google"), ALL)
def test_an_encoder_may_be_called_bert_in_the_file_whatever_its_kind(kind, hugging_face, google):
    prefix = f"{KINDS[kind].model_type}."
    if hugging_face.startswith(prefix):
        assert google_name(kind, f"bert.{hugging_face.removeprefix(prefix)}") == google


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize(
    "name",
    [
        *("pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "cls.seq_relationship.bias"),
        *("cls.predictions.decoder.weight", "predictions.decoder.bias", "embeddings.position_ids"),
        *("encoder.embed_positions.weight", "discriminator_predictions.dense.weight"),
        *("encoder.layer.0.attention.self.relative_positions_encoding.positions_encoding",),
        "generator_lm_head.weight",
    ],
)
def test_what_google_has_no_name_for_keeps_its_own(kind, name):
    assert google_name(kind, name) == name


@pytest.mark.parametrize(
    ("name", "berts"),
    [
        ("electra/embeddings/word_embeddings", "bert/embeddings/word_embeddings"),
        ("electra/embeddings_project/bias", "bert/encoder/embedding_hidden_mapping_in/bias"),
        ("electra/encoder/layer_2/output/dense/kernel", "bert/encoder/layer_2/output/dense/kernel"),
        *((name, name) for name in ("generator/encoder/a", "generator_predictions/dense/kernel", "bert/a")),
    ],
)
def test_googles_electra_has_berts_names(name, berts):
    assert bert_name(name) == berts


def test_a_variable_that_hugging_face_lacks_is_told():
    with pytest.raises(KeyError, match="global_step"):
        hugging_face_name("bert", "global_step")


def test_products_are_turned_and_embeddings_are_not():
    assert is_turned("bert/encoder/layer_0/output/dense/kernel")
    assert not is_turned("bert/embeddings/word_embeddings") and not is_turned("a/bias")


def test_a_head_of_other_variables_is_left_out_and_a_layer_of_others_refused():
    """bert4keras's head had `bias` before it had `beta`."""
    layers = {
        "Embedding-Token": ["bert/embeddings/word_embeddings"],
        "MLM-Bias": ["cls/predictions/output_bias"],
    }
    names = {"a": "Embedding-Token/embeddings:0", "b": "MLM-Bias/bias:0"}
    assert layer_sources(names, layers) == {"bert/embeddings/word_embeddings": "a"}
    with pytest.raises(ValueError, match="Embedding-Token: expected embeddings; found gamma"):
        layer_sources({"a": "Embedding-Token/gamma:0"}, layers)
