"""An ensemble's prediction as notebooks have it: tokenize once, then Keras predict, fold after fold."""

from raytrain.ensemble.artifact import Ensemble  # isort: skip  # first: it sets the variables that bert4keras needs

from collections.abc import Sequence

import numpy as np
from bert4keras.backend import keras
from bert4keras.snippets import sequence_padding
from bert4keras.tokenizers import Tokenizer
from loop import encode, word_ids
from safetensors.numpy import load

from raytrain.network.build import build_model
from raytrain.network.weights import assign_variables, encoder_variables, learned_variables
from raytrain.scores.classes import proba_from_logits
from raytrain.tasks import Architecture
from raytrain.text.vocab import parse_vocab


class PaddedTexts(keras.utils.Sequence):
    """Batches in the texts' order, each padded to its longest."""

    def __init__(self, ids: Sequence[tuple[list[int], list[int]]], batch_size: int):
        self.ids, self.batch_size = ids, batch_size

    def __len__(self):
        return -(-len(self.ids) // self.batch_size)

    def __getitem__(self, number):
        rows = self.ids[number * self.batch_size : (number + 1) * self.batch_size]
        token_ids = sequence_padding([row[0] for row in rows])
        words = sequence_padding([row[1] for row in rows]) if rows[0][1] else np.zeros_like(token_ids)
        return ({"token_ids": token_ids, "segment_ids": np.zeros_like(token_ids), "word_ids": words},)


class PlainPredictor:
    """The same fold models as raytrain's Predictor has, run one after another.

    Args:
        ensemble: Of `ensemble.artifact.load_ensemble`.
        batch_size: Texts per forward pass.
        most_folds: The first folds that are run; None runs all.
    """

    def __init__(self, ensemble: Ensemble, batch_size: int, most_folds: int | None = None):
        manifest, encoder = ensemble.manifest, ensemble.manifest.config.encoder
        if (encoder.truncate, encoder.windows) != ("head", 1):
            raise ValueError("expected an ensemble with encoder.truncate=head and encoder.windows=1")
        vocab = parse_vocab(ensemble.encoder.vocab, ensemble.read(ensemble.encoder.vocab))
        ids = {token: number for number, token in enumerate(vocab.tokens)}
        self._tokenizer = Tokenizer(ids, do_lower_case=True)
        self._maxlen, self._batch_size = encoder.maxlen, batch_size
        words = manifest.words

        vocabulary = ensemble.read_json(words.vocabulary) if words and words.vocabulary else []
        self._with_words = words is not None
        self._index = {word: number for number, word in enumerate(vocabulary, start=2)}
        self._models = {name: _build(ensemble, name) for name in manifest.architectures}
        self._loaded: dict[str, int] = {}  # which fold's weights stand in each model
        self._weights = {
            name: [load(ensemble.read(fold.file)) for fold in entry.folds[:most_folds]]
            for name, entry in manifest.architectures.items()
        }

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """(len(texts), num_classes): the mean over folds, then over architectures."""
        encoded = [encode(text, self._tokenizer, self._maxlen, self._with_words)[0] for text in texts]
        ids = [(row.token_ids, word_ids(row, self._index)) for row in encoded]
        batches = PaddedTexts(ids, self._batch_size)
        by_architecture = []
        for name, model in self._models.items():
            by_fold = []
            for fold, weights in enumerate(self._weights[name]):
                if self._loaded.get(name) != fold:
                    assign_variables(learned_variables(model), weights, name)
                    self._loaded[name] = fold
                by_fold.append(proba_from_logits(model.predict(batches, verbose=0)))
            by_architecture.append(np.mean(by_fold, axis=0))
        return np.mean(by_architecture, axis=0)


def _build(ensemble: Ensemble, architecture: Architecture) -> keras.Model:
    encoder = ensemble.encoder
    arguments = ensemble.manifest.architectures[architecture].model
    config = ensemble.read_json(encoder.config)
    model = build_model(architecture, encoder.kind, config, **arguments.model_dump(), seed=0)
    if not arguments.train_encoder and encoder.weights is not None:
        weights = load(ensemble.read(encoder.weights))
        assign_variables(encoder_variables(model), weights, encoder.weights)
    return model
