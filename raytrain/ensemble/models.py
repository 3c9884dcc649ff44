"""Prediction from an ensemble artifact. Imports TensorFlow."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.preprocessing import normalize

from raytrain.corpus.given import given_pairs, given_texts
from raytrain.corpus.tags import type_names
from raytrain.ensemble.artifact import Ensemble
from raytrain.ensemble.fold_models import FoldModels, Inputs
from raytrain.ensemble.labels import LabelPredictor, Voices, voice_of
from raytrain.ensemble.ngrams import NgramPredictor
from raytrain.ensemble.outputs import spans_of
from raytrain.errors import ArtifactError
from raytrain.keywords.held import find_words
from raytrain.network.inference import predict_emissions, predict_logits
from raytrain.scores.classes import proba_from_logits
from raytrain.scores.decoding import Transitions, mean_transitions, no_transitions
from raytrain.scores.tagging import TaggedTexts, find_tagged, transitions_of
from raytrain.text.encode import encode_texts
from raytrain.text.rows import TextRows
from raytrain.text.windows import encode_windows


class Predictor(LabelPredictor, FoldModels):
    """A classifier's ensemble; arguments as of `FoldModels`."""

    def __init__(self, ensemble: Ensemble, batch_size: int | None = None):
        super().__init__(ensemble, batch_size)
        self.rule, self.reads_pairs = ensemble.manifest.rule, ensemble.reads_pairs
        self._ngrams = NgramPredictor(ensemble) if "tfidf" in ensemble.manifest.architectures else None

    def voices(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Voices:
        with self._lock:
            return self._alone_voices(texts, pairs)

    def embed(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """What the folds' last layers read of each text, one fold behind the other.

        The product of two vectors is the mean of what their cosine is in each fold: folds whose numbers
        are larger do not weigh more. n-grams have no such vectors and no share in this.

        Args:
            texts: The texts.
            pairs: The second texts, where the ensemble was trained on pairs.

        Returns:
            (len(texts), dim) float32, of length 1 each.
        """
        texts = given_texts(texts)
        pairs = given_pairs(pairs, len(texts), self.reads_pairs)
        if not texts:
            return self.embed([""], None if pairs is None else [""])[:0]
        with self._lock:
            parts = []
            text_rows, rows, inputs = self._read(texts, pairs)
            for architecture in self._models:
                model = self._vector_model(architecture)
                for _, features, _ in self._folds(architecture, inputs):
                    said = predict_logits(model, features, rows, **self._passes)
                    parts.append(normalize(text_rows.pool(rows, said)).astype(np.float32))
        return np.concatenate(parts, axis=1) / np.float32(np.sqrt(len(parts)))

    def _read(self, texts: Sequence[str], pairs: Sequence[str] | None) -> tuple[TextRows, np.ndarray, Inputs]:
        """The texts' rows, their numbers, and what the models read of them."""
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
        rows = np.arange(len(encoded.rows))
        return TextRows(encoded.rows), rows, self._inputs(encoded, held)

    def _alone_voices(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Voices:
        """While no other thread lays weights into the models."""
        text_rows, rows, inputs = self._read(texts, pairs)
        voices, size = Voices(), (len(texts), len(self.labels))
        for architecture in self._models:
            folds = self._ensemble.manifest.architectures[architecture].folds
            names = [voice_of(self.rule, architecture, fold.repeat) for fold in folds]
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
        texts = given_texts(texts)
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
