"""Prediction from an ensemble artifact. Imports TensorFlow."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from raytrain.config.defaults import reads_words
from raytrain.corpus.tags import type_names
from raytrain.devices import compiles_predictions
from raytrain.ensemble.artifact import Ensemble
from raytrain.ensemble.labels import LabelPredictor, Voices
from raytrain.ensemble.ngrams import NgramPredictor
from raytrain.ensemble.outputs import spans_of
from raytrain.ensemble.words import read_words
from raytrain.errors import ArtifactError
from raytrain.keywords.held import HeldWords, find_words
from raytrain.network.build import WORD_EMBEDDING, build_head, build_model
from raytrain.network.encoders import build_transformer
from raytrain.network.inference import predict_emissions, predict_hidden_states, predict_logits
from raytrain.network.layers import DropoutSeed
from raytrain.network.weights import assign_variables, encoder_variables, learned_variables
from raytrain.pretrained.config import unfit_config
from raytrain.scores.classes import proba_from_logits
from raytrain.scores.decoding import Transitions, mean_transitions, no_transitions
from raytrain.scores.tagging import TaggedTexts, find_tagged, transitions_of
from raytrain.tasks import reads_encoder
from raytrain.text.batches import FeatureRows
from raytrain.text.encode import EncodedTexts, build_features, encode_texts
from raytrain.text.rows import TextRows
from raytrain.text.vocab import Vocab, parse_vocab
from raytrain.text.windows import encode_windows

keras = tf.keras

KEPT_BYTES = 4 << 30  # larger ensembles are read anew for every chunk of texts


def _read_vocab(ensemble: Ensemble) -> Vocab:
    name, folding = ensemble.encoder.vocab, ensemble.encoder.folding.folding
    try:
        return parse_vocab(name, ensemble.read(name), folding)
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{name}: not UTF-8: {error}") from error


@dataclass(frozen=True)
class _Inputs:
    """What the models read of some texts.

    Attributes:
        table: The features.
        rows: (num_rows,) the text that each of them is of.
        states: The frozen encoder's output for them, if any froze it.
        new_rows: Of words that the vocabulary lacks; they stand behind each fold's word embedding.
        held: The texts' keywords, if any are counted.
    """

    table: pa.Table
    rows: np.ndarray
    states: np.ndarray | None
    new_rows: np.ndarray | None
    held: HeldWords | None = None


class FoldModels:
    """The fold models of an ensemble, ready to run.

    One model per architecture is built; the folds' weights are laid in one after another, so that
    memory holds one model however many folds there are. A frozen encoder runs once for all heads.

    Args:
        ensemble: Of `ensemble.artifact.load_ensemble`.
        batch_size: Texts per forward pass; None takes as many as suit the device.

    Attributes:
        labels: Of the ensemble, in order.
    """

    def __init__(self, ensemble: Ensemble, batch_size: int | None = None):
        manifest = ensemble.manifest
        self.labels = ensemble.labels
        self._ensemble = ensemble
        self._passes: dict[str, Any] = {"batch_size": batch_size, "compiled": compiles_predictions()}
        self._lock = threading.Lock()  # the folds' weights are laid into one model in turn
        self._vocab = _read_vocab(ensemble)
        self._reading = manifest.config.encoder
        self._words = read_words(ensemble)
        self._kept: dict[str, dict[str, np.ndarray]] = {}
        config = ensemble.read_json(ensemble.encoder.config)
        problems = ["expected keys and their values"]
        if isinstance(config, dict):
            problems = unfit_config(config, self._vocab, self._reading.maxlen, ensemble.encoder.kind)
        if problems:
            raise ArtifactError(f"{ensemble.encoder.config} cannot be used", problems)
        self._encoder = self._build_frozen(config)
        self._models = {n: self._build(n, config) for n in manifest.architectures if reads_encoder(n)}

    @property
    def _reads_words(self) -> bool:
        return self._words.vocabulary is not None

    def _inputs(self, encoded: EncodedTexts, held: HeldWords | None = None) -> _Inputs:
        new_words, new_rows = self._words.lay_new(encoded.words)
        table, states = build_features(encoded, [*(self._words.vocabulary or []), *new_words]), None
        if self._encoder is not None:
            features = FeatureRows(table)
            rows = np.arange(len(features))
            states = predict_hidden_states(self._encoder, features, rows, **self._passes)
        return _Inputs(table, encoded.rows, states, new_rows, held)

    def _folds(
        self, architecture: str, inputs: _Inputs
    ) -> Iterator[tuple[keras.Model, FeatureRows, dict[str, np.ndarray]]]:
        """Yields the model with each fold's weights in turn, what it reads, and these weights by name."""
        model = self._models[architecture]
        states = inputs.states if self._is_frozen(architecture) else None
        for fold in self._ensemble.manifest.architectures[architecture].folds:
            counts = None
            if inputs.held is not None:
                classes = inputs.held.classes_of(self._words.keywords[fold.keywords])
                counts = inputs.held.count(classes, len(self.labels))[inputs.rows]
            weights = self._with_rows(architecture, fold.file, inputs.new_rows)
            assign_variables(learned_variables(model), weights, fold.file)
            yield model, FeatureRows(inputs.table, states, counts), weights

    def _with_rows(self, architecture: str, name: str, new_rows: np.ndarray | None) -> dict[str, np.ndarray]:
        """A fold's weights; those of its words are as many as the manifest says, and then the new ones."""
        weights = self._weights(name)
        if not reads_words(architecture) or WORD_EMBEDDING not in weights:
            return weights
        own = weights[WORD_EMBEDDING]
        expected = tuple(self._ensemble.manifest.architectures[architecture].model.embedding)
        if own.shape != expected:
            raise ArtifactError(f"{name}: {WORD_EMBEDDING}: expected shape {expected}, found {own.shape}")
        return weights if new_rows is None else {**weights, WORD_EMBEDDING: np.concatenate([own, new_rows])}

    def _build_frozen(self, config: dict[str, Any]) -> keras.Model | None:
        """The encoder that architectures share, where any froze it."""
        encoder, names = self._ensemble.encoder, self._ensemble.manifest.architectures
        if not any(self._is_frozen(name) for name in names if reads_encoder(name)):
            return None
        model = build_transformer(encoder.kind, config, 0, DropoutSeed()).model
        assign_variables(encoder_variables(model), self._weights(encoder.weights), encoder.weights)
        return model

    def _is_frozen(self, architecture: str) -> bool:
        return not self._ensemble.manifest.architectures[architecture].model.train_encoder

    def _build(self, architecture: str, config: dict[str, Any]) -> keras.Model:
        arguments = self._ensemble.manifest.architectures[architecture].model
        own = {
            "architecture": architecture,
            "num_labels": arguments.num_labels,
            "embedding": (None, arguments.embedding[1]),
            "dropout": arguments.dropout,
            "seed": 0,
            "num_keyword_classes": arguments.num_keyword_classes,
            "pooling": arguments.pooling,
        }
        if self._is_frozen(architecture):
            return build_head(hidden_size=config["hidden_size"], **own)
        kind = self._ensemble.encoder.kind
        return build_model(kind=kind, config=config, train_encoder=True, **own)

    def _weights(self, name: str) -> dict[str, np.ndarray]:
        """A file's arrays, kept in memory while all files together are not too many."""
        if name in self._kept:
            return self._kept[name]
        weights = self._ensemble.read_arrays(name)
        if sum(entry.bytes for entry in self._ensemble.manifest.files) <= KEPT_BYTES:
            self._kept[name] = weights
        return weights


class Predictor(LabelPredictor, FoldModels):
    """A classifier's ensemble; arguments as of `FoldModels`."""

    def __init__(self, ensemble: Ensemble, batch_size: int | None = None):
        super().__init__(ensemble, batch_size)
        self.rule = ensemble.manifest.rule
        self._ngrams = NgramPredictor(ensemble) if "tfidf" in ensemble.manifest.architectures else None

    def voices(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Voices:
        with self._lock:
            return self._alone_voices(texts, pairs)

    def _alone_voices(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Voices:
        """While no other thread lays weights into the models."""
        user_dict, reading = self._words.user_dict, self._reading
        encoded = encode_texts(
            texts,
            pairs,
            self._vocab,
            reading.maxlen,
            self._reads_words,
            user_dict,
            reading.truncate,
            reading.windows,
        )
        keywords = self._words.all_keywords
        held = find_words(texts, pairs, keywords, user_dict) if self._words.keywords else None
        inputs = self._inputs(encoded, held)
        text_rows, rows = TextRows(encoded.rows), np.arange(len(encoded.rows))
        voices, size = Voices(), (len(texts), len(self.labels))
        for architecture in self._models:
            folds = self._ensemble.manifest.architectures[architecture].folds
            names = [self._voice(architecture, fold.repeat) for fold in folds]
            for name, (model, features, _) in zip(names, self._folds(architecture, inputs), strict=True):
                said = proba_from_logits(predict_logits(model, features, rows, **self._passes))
                voices.setdefault(name, np.zeros(size))
                voices[name] += text_rows.pool(rows, said)
            for name in dict.fromkeys(names):
                voices[name] /= names.count(name)
        if self._ngrams is not None:
            voices |= self._ngrams.voices(texts, pairs)
        return voices


class Tagger(FoldModels):
    """A tagger's ensemble."""

    def predict(self, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
        """Each text's spans in order, each a dict of text, type, start, end and confidence."""
        types = type_names([str(label) for label in self.labels])
        return spans_of(texts, self.find_spans(texts), types)

    def find_spans(self, texts: Sequence[str]) -> TaggedTexts:
        """Averages emissions and transitions of the folds, then of the architectures, and decodes once.

        Args:
            texts: The texts, of any length.
        """
        with self._lock:
            return self._find(texts)

    def _find(self, texts: Sequence[str]) -> TaggedTexts:
        encoded, windows = encode_windows(
            texts, self._vocab, self._reading.maxlen, self._reads_words, self._words.user_dict
        )
        every, rows, num_tags = np.arange(len(texts)), np.arange(len(windows)), len(self.labels)
        if not len(rows):
            return find_tagged(windows, every, np.zeros((0, num_tags)), no_transitions(num_tags))
        inputs = self._inputs(encoded)
        emissions, transitions = np.zeros((int(windows.bounds[-1]), num_tags)), []
        for architecture in self._models:
            own: list[Transitions] = []
            share = len(self._models) * len(self._ensemble.manifest.architectures[architecture].folds)
            for model, features, weights in self._folds(architecture, inputs):
                said = windows.join(rows, predict_emissions(model, features, rows, **self._passes))
                emissions += said / share
                own.append(transitions_of(weights, num_tags))
            transitions.append(mean_transitions(own))
        if not np.isfinite(emissions).all():
            raise ArtifactError("the ensemble's emissions are not finite; its weights are damaged")
        return find_tagged(windows, every, emissions, mean_transitions(transitions))
