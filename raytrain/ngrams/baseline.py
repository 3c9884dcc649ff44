"""What a user could have without a network: a majority guess, and character n-grams."""

from collections.abc import Sequence

import numpy as np

from raytrain.ngrams.tfidf import fit_classifier

BASELINES = ("majority", "tfidf_logistic")


def predict_baselines(
    texts: Sequence[str], labels: np.ndarray, is_train: np.ndarray, is_valid: np.ndarray, num_classes: int
) -> dict[str, np.ndarray]:
    """Both baselines' probabilities of one fold's valid rows, learned from its training rows.

    Args:
        texts: (num_rows,) texts; of a pair, both joined.
        labels: (num_rows,) label indices.
        is_train: (num_rows,) bool, whether the fold learns from the row.
        is_valid: (num_rows,) bool, whether the row is one of the fold's valid ones.
        num_classes: Number of labels.

    Returns:
        Baseline to (valid rows, num_classes).
    """
    train, valid = np.flatnonzero(is_train).tolist(), np.flatnonzero(is_valid).tolist()
    # The share of each class is the best constant guess by log loss; its argmax is the majority.
    shares = np.bincount(labels[train], minlength=num_classes) / len(train)
    majority = np.tile(shares, (len(valid), 1))
    classifier = fit_classifier([texts[row] for row in train], labels[train], num_classes)
    proba = classifier.predict_proba([texts[row] for row in valid])
    return {"majority": majority, "tfidf_logistic": proba}
