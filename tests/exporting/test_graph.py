import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console
from written_ensemble import WrittenEnsemble

from raytrain.config.sections import CheckpointConfig
from raytrain.ensemble.load import build_predictor
from raytrain.exporting.formats import open_onnx, write_onnx
from raytrain.exporting.graph import OUTPUT, EnsembleGraph
from raytrain.exporting.settings import NUMERICS
from raytrain.network.encoders import build_transformer
from raytrain.network.layers import DropoutSeed
from raytrain.network.weights import encoder_variables, load_weights, read_variables
from raytrain.pretrained.start import find_start
from raytrain.pretrained.weights import open_weights
from raytrain.text.batches import FeatureRows
from raytrain.text.encode import build_features, encode_texts

POOLINGS = {"bert": "layers", "nezha": "mean", "roformer_v2": "first"}


def inputs_of(graph, texts, vocab, words):
    """What the graph takes of some texts."""
    encoded = encode_texts(texts, None, vocab, 20, True)
    laid = FeatureRows(build_features(encoded, words)).collate(np.arange(len(texts)))
    return {name: laid[name] for name in graph.specs}


def traced(graph, inputs):
    """What the graph's function says."""
    return graph.trace()(**{name: tf.constant(values) for name, values in inputs.items()})[OUTPUT]


@pytest.mark.parametrize("kind", POOLINGS)
def test_encoders_of_other_kinds_say_the_same(new_ensemble, sentences, tmp_path, kind):
    ensemble = new_ensemble(tmp_path, kind, has_words=False)
    ensemble.add_architecture("finetune", True, POOLINGS[kind], folds=1)
    opened = ensemble.open()
    graph, predictor = EnsembleGraph(opened), build_predictor(opened, None)
    proba = traced(graph, inputs_of(graph, sentences, graph.vocab, []))
    np.testing.assert_allclose(proba, predictor.predict_proba(sentences), atol=NUMERICS)


def test_bilstms_are_converted(new_ensemble, sentences, tmp_path):
    ensemble = new_ensemble(tmp_path / "ensemble")
    ensemble.add_architecture("rnn_cnn", False, folds=1, noise=0.02)
    opened = ensemble.open()
    graph, predictor = EnsembleGraph(opened), build_predictor(opened, None)
    write_onnx(graph, tmp_path / "model.onnx")
    proba = open_onnx(tmp_path / "model.onnx")(inputs_of(graph, sentences, graph.vocab, ensemble.words))
    np.testing.assert_allclose(proba, predictor.predict_proba(sentences), atol=NUMERICS)


def test_a_pretrained_encoder_says_the_same(sentences, tmp_path):
    start = find_start(CheckpointConfig(checkpoint="mini"), lambda: [], Console(quiet=True))
    words, tokens = ["停水", "早餐", "服务"], start.vocab.tokens
    ensemble = WrittenEnsemble(tmp_path, start.kind, start.config, tokens, ["a", "b"], words, {"maxlen": 20})
    ensemble.add_architecture("textcnn", False, folds=2, noise=0.02)
    transformer = build_transformer(start.kind, start.config, 0, DropoutSeed())
    load_weights(transformer, open_weights(start.kind, start.weights))
    ensemble.freeze(read_variables(encoder_variables(transformer.model)))
    opened = ensemble.open()
    graph, predictor = EnsembleGraph(opened), build_predictor(opened, None)
    proba = traced(graph, inputs_of(graph, sentences, graph.vocab, words))
    np.testing.assert_allclose(proba, predictor.predict_proba(sentences), atol=NUMERICS)
