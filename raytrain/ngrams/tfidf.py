"""Logistic regression on character n-grams weighed by TF-IDF: fitted, laid into arrays, read back."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from raytrain.errors import ArtifactError
from raytrain.scores.classes import proba_from_logits

# Sublinear counts and C = 10: of the usual settings the strongest on short Chinese texts.
SHORTEST, LONGEST = 1, 3  # characters of an n-gram
MOST_NGRAMS = 300_000
_COUNTED: dict[str, Any] = {"analyzer": "char", "ngram_range": (SHORTEST, LONGEST), "dtype": np.float64}
_REGRESSION: dict[str, Any] = {"C": 10, "max_iter": 1000}
_END = 0xFF  # closes each n-gram in the file: no byte of UTF-8, while an n-gram may hold any character
ARRAYS = ("ngrams", "idf", "coef", "intercept")


def join_texts(columns: Sequence[Sequence[str]]) -> list[str]:
    """The text of each row; of a pair both, a blank between them."""
    return [" ".join(parts) for parts in zip(*columns, strict=True)]


def ngram_counter(ngrams: Sequence[str]) -> CountVectorizer:
    """What counts these n-grams, one at least, in texts by `transform`, and no others."""
    return CountVectorizer(vocabulary=ngrams, **_COUNTED)


@dataclass(frozen=True)
class NgramClassifier:
    """Logistic regression on n-grams.

    Attributes:
        ngrams: Those that it knows; there may be none, then it says the same of every text.
        idf: (num_ngrams,) how rare each is.
        coef: (num_outputs, num_ngrams); two classes have one output, more as many as they are.
        intercept: (num_outputs,).
    """

    ngrams: Sequence[str]
    idf: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray

    @functools.cached_property
    def _counter(self) -> CountVectorizer:
        return ngram_counter(self.ngrams)

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """(len(texts), num_classes) probabilities of one text at least; no text's depend on the others."""
        return self.proba(self._counter.transform(texts) if self.ngrams else csr_matrix((len(texts), 0)))

    def proba(self, counts: csr_matrix) -> np.ndarray:
        """The same of texts that are counted already.

        Args:
            counts: (num_texts, num_ngrams) of its own n-grams.
        """
        # Only columns that some text has: one text must not cost as much as all n-grams.
        used, places = np.unique(counts.indices, return_inverse=True)
        logits = np.tile(self.intercept.astype(np.float64), (counts.shape[0], 1))
        if len(used):
            own = csr_matrix((counts.data, places, counts.indptr), (counts.shape[0], len(used)))
            logits += _weigh(own, self.idf[used]) @ self.coef[:, used].T
        return proba_from_logits(logits)

    def arrays(self) -> dict[str, np.ndarray]:
        """As they stand in a fold's file, in float32; `read_classifier` reads them back."""
        text = b"".join(ngram.encode() + bytes([_END]) for ngram in self.ngrams)
        weights = {"idf": self.idf, "coef": self.coef, "intercept": self.intercept}
        kept = {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}
        return {"ngrams": np.frombuffer(text, np.uint8), **kept}


def fit_classifier(
    texts: Sequence[str],
    labels: np.ndarray,
    num_classes: int,
    class_weight: Sequence[float] | None = None,
) -> NgramClassifier:
    """Learns from texts, among which each class must be.

    Args:
        texts: The texts; of pairs, both joined.
        labels: (len(texts),) label indices.
        num_classes: Number of labels.
        class_weight: Weight per label index, or None.
    """
    counter = CountVectorizer(min_df=2, max_features=MOST_NGRAMS, **_COUNTED)
    try:
        counts = counter.fit_transform(texts)
    except ValueError:  # no n-gram occurs in two texts
        return _constant(labels, num_classes, class_weight)
    idf = TfidfTransformer().fit(counts).idf_
    weights = None if class_weight is None else dict(enumerate(class_weight))
    regression = LogisticRegression(class_weight=weights, **_REGRESSION)
    # Its vectors are short: threads that wait for each other cost a hundred times what they win on a busy
    # machine. And so their number changes no bit.
    with threadpool_limits(1):
        regression.fit(_weigh(counts, idf), labels)
    ngrams = counter.get_feature_names_out().tolist()
    return NgramClassifier(ngrams, idf, regression.coef_, regression.intercept_)


def _weigh(counts: csr_matrix, idf: np.ndarray) -> csr_matrix:
    """Sublinear counts × idf, each row of length 1; as TfidfTransformer(sublinear_tf=True) does."""
    weighed = counts.copy()
    weighed.data = (np.log(weighed.data) + 1) * idf[weighed.indices]
    return normalize(weighed, copy=False)


def _constant(labels: np.ndarray, num_classes: int, class_weight: Sequence[float] | None) -> NgramClassifier:
    """What says each class's share, the best guess by log loss, of any text."""
    weights = np.ones(num_classes) if class_weight is None else np.asarray(class_weight)
    mass = np.bincount(labels, minlength=num_classes) * weights
    logits = np.log(mass / mass.sum())
    intercept = logits[1:] - logits[:1] if num_classes == 2 else logits
    return NgramClassifier([], np.zeros(0), np.zeros((len(intercept), 0)), intercept)


def read_classifier(arrays: Mapping[str, np.ndarray], num_classes: int, name: str) -> NgramClassifier:
    """The classifier of such arrays, whose numbers are finite.

    Args:
        arrays: As of `NgramClassifier.arrays`.
        num_classes: Number of labels.
        name: Of the file, for messages.

    Raises:
        ArtifactError: They do not fit each other or the labels, or the n-grams are none.
    """
    if set(arrays) != set(ARRAYS):
        found = ", ".join(sorted(arrays)[:9]) or "none"
        raise ArtifactError(f"{name}: expected the arrays {', '.join(ARRAYS)}; found {found}")
    size, num_outputs = arrays["idf"].size, 1 if num_classes == 2 else num_classes
    shapes = {"idf": (size,), "coef": (num_outputs, size), "intercept": (num_outputs,)}
    problems = [
        f"{key}: expected {shape} float32, found {arrays[key].shape} {arrays[key].dtype}"
        for key, shape in shapes.items()
        if arrays[key].shape != shape or arrays[key].dtype != np.float32
    ]
    if size > MOST_NGRAMS:
        problems.append(f"idf: expected at most {MOST_NGRAMS:,} numbers, found {size:,}")
    ngrams = [] if problems else _read_ngrams(arrays["ngrams"], size, problems)
    if problems:
        raise ArtifactError(f"{name} cannot be used", problems)
    return NgramClassifier(ngrams, arrays["idf"], arrays["coef"], arrays["intercept"])


def _read_ngrams(text: np.ndarray, size: int, problems: list[str]) -> list[str]:
    """The n-grams, each closed by `_END`; what is wrong with them is added to `problems`."""
    if text.dtype != np.uint8 or text.ndim != 1:
        problems.append(f"ngrams: expected bytes, found {text.shape} {text.dtype}")
        return []
    count = int((text == _END).sum())  # before they are cut apart: as many pieces as there are idf, no more
    if count != size or (text.size and text[-1] != _END):
        problems.append(f"ngrams: expected {size:,}, each closed by the byte 255; found {count:,}")
        return []
    try:
        ngrams = [piece.decode() for piece in text.tobytes().split(bytes([_END]))[:-1]]
    except UnicodeDecodeError as error:
        problems.append(f"ngrams: not UTF-8: {error.reason}")
        return []
    if not all(SHORTEST <= len(ngram) <= LONGEST for ngram in ngrams):
        problems.append(f"ngrams: expected {SHORTEST} to {LONGEST} characters each")
    if len(set(ngrams)) < len(ngrams):
        problems.append("ngrams: some repeat themselves")
    return ngrams
