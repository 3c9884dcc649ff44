"""Hugging Face's names and Google's for the same parameters."""

import pytest

from raytrain.pretrained.names import GROUP, google_name, hugging_face_name, is_turned

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
ALL = [(kind, *pair) for kind, pairs in PAIRS.items() for pair in pairs.items()]


@pytest.mark.parametrize(("kind", "hugging_face", "google"), ALL)
def test_each_name_has_its_other_in_both_directions(kind, hugging_face, google):
    assert google_name(kind, hugging_face) == google
    assert hugging_face_name(kind, google) == hugging_face


@pytest.mark.parametrize(("kind", "hugging_face", "google"), ALL)
def test_a_bare_encoders_names_are_known_too(kind, hugging_face, google):
    if hugging_face.startswith(f"{kind}."):
        assert google_name(kind, hugging_face.removeprefix(f"{kind}.")) == google


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize(
    "name",
    [
        *("pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "cls.seq_relationship.bias"),
        *("cls.predictions.decoder.weight", "predictions.decoder.bias", "embeddings.position_ids"),
    ],
)
def test_what_google_has_no_name_for_keeps_its_own(kind, name):
    assert google_name(kind, name) == name


def test_a_variable_that_hugging_face_lacks_is_told():
    with pytest.raises(KeyError, match="global_step"):
        hugging_face_name("bert", "global_step")


def test_products_are_turned_and_embeddings_are_not():
    assert is_turned("bert/encoder/layer_0/output/dense/kernel")
    assert not is_turned("bert/embeddings/word_embeddings") and not is_turned("a/bias")
