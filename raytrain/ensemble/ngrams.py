"""Prediction by the n-gram classifiers of an ensemble, without TensorFlow."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_matrix

from raytrain.ensemble.artifact import Ensemble
from raytrain.ensemble.labels import LabelPredictor, Voices, voice_of
from raytrain.ngrams.tfidf import NgramClassifier, join_texts, ngram_counter, read_classifier


class NgramPredictor(LabelPredictor):
    """The n-gram classifiers of an ensemble: all of it, or one voice of several.

    Texts are counted once for all folds.

    Args:
        ensemble: Of `ensemble.artifact.load_ensemble`; it has the architecture `tfidf`.

    Attributes:
        labels: Of the ensemble, in order.
        rule: Of its manifest.
        reads_pairs: Whether it was trained on pairs of texts.
    """

    def __init__(self, ensemble: Ensemble):
        self.labels, self.rule = ensemble.labels, ensemble.manifest.rule
        self.reads_pairs = ensemble.reads_pairs
        known: dict[str, int] = {}
        read: list[tuple[str, NgramClassifier, np.ndarray]] = []
        for fold in ensemble.manifest.architectures["tfidf"].folds:
            arrays = ensemble.read_arrays(fold.file)
            classifier = read_classifier(arrays, len(self.labels), fold.file)
            own = np.array([known.setdefault(ngram, len(known)) for ngram in classifier.ngrams], np.int32)
            # What they are is known once for all folds: a fold need only know where its own stand.
            voice = voice_of(self.rule, "tfidf", fold.repeat)
            read.append((voice, replace(classifier, ngrams=()), own))
        self._counter = ngram_counter(list(known))
        self._num_ngrams = len(known)
        self._folds = [(voice, classifier, self._places(own)) for voice, classifier, own in read]

    def voices(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Voices:
        joined = join_texts([texts] if pairs is None else [texts, pairs])
        counts = csr_matrix((len(joined), 0))
        if self._num_ngrams:
            counts = self._counter.transform(joined)
        said: dict[str, list[np.ndarray]] = {}
        for voice, classifier, places in self._folds:
            own = _of_fold(counts, places, classifier.idf.size)
            said.setdefault(voice, []).append(classifier.proba(own))
        return {voice: np.mean(folds, axis=0) for voice, folds in said.items()}

    def _places(self, own: np.ndarray) -> np.ndarray:
        """(num_ngrams,) int32, where each n-gram stands in a fold, -1 where it has none; once for all texts.

        Args:
            own: Where the fold's own stand among all.
        """
        places = np.full(self._num_ngrams, -1, np.int32)
        places[own] = np.arange(len(own))
        return places


def _of_fold(counts: csr_matrix, places: np.ndarray, size: int) -> csr_matrix:
    """(num_texts, size) the counts of a fold's n-grams, which stand at these places in it."""
    columns = places[counts.indices]
    kept = columns >= 0
    bounds = np.concatenate([[0], np.cumsum(kept)])[counts.indptr]
    return csr_matrix((counts.data[kept], columns[kept], bounds), (counts.shape[0], size))
