"""The fold models of an artifact, built once and laid out in turn. Imports TensorFlow."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from raytrain.config.defaults import reads_words
from raytrain.devices import compiles_predictions
from raytrain.ensemble.artifact import Ensemble, read_vocab
from raytrain.ensemble.words import read_words
from raytrain.errors import ArtifactError
from raytrain.keywords.held import HeldWords
from raytrain.network.build import build_model, vector_model
from raytrain.network.encoders import build_transformer
from raytrain.network.heads import WORD_EMBEDDING, build_head
from raytrain.network.inference import predict_hidden_states
from raytrain.network.layers import DropoutSeed
from raytrain.network.weights import assign_variables, encoder_variables, learned_variables
from raytrain.pretrained.config import unfit_config
from raytrain.tasks import reads_encoder
from raytrain.text.batches import FeatureRows
from raytrain.text.encode import EncodedTexts, build_features

keras = tf.keras

KEPT_BYTES = 4 << 30  # larger ensembles are read anew for every chunk of texts


@dataclass(frozen=True)
class Inputs:
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
        self._vocab = read_vocab(ensemble)
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
        self._vectors: dict[str, keras.Model] = {}
        self._models = {n: self._build(n, config) for n in manifest.architectures if reads_encoder(n)}

    @property
    def _reads_words(self) -> bool:
        return self._words.vocabulary is not None

    def _inputs(self, encoded: EncodedTexts, held: HeldWords | None = None) -> Inputs:
        new_words, new_rows = self._words.lay_new(encoded.words)
        table, states = build_features(encoded, self._words.number_with(new_words)), None
        if self._encoder is not None:
            features = FeatureRows(table)
            rows = np.arange(len(features))
            states = predict_hidden_states(self._encoder, features, rows, **self._passes)
        return Inputs(table, encoded.rows, states, new_rows, held)

    def _folds(
        self, architecture: str, inputs: Inputs
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

    def _vector_model(self, architecture: str) -> keras.Model:
        """What is run for vectors; it shares the weights that are laid into the architecture's model."""
        if architecture not in self._vectors:
            self._vectors[architecture] = vector_model(self._models[architecture])
        return self._vectors[architecture]

    def _weights(self, name: str) -> dict[str, np.ndarray]:
        """A file's arrays, kept in memory while all files together are not too many."""
        if name in self._kept:
            return self._kept[name]
        weights = self._ensemble.read_arrays(name)
        if sum(entry.bytes for entry in self._ensemble.manifest.files) <= KEPT_BYTES:
            self._kept[name] = weights
        return weights
