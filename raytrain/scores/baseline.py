"""What a user could have without a network: a majority guess, and character n-grams."""

from collections.abc import Sequence

import numpy as np
import ray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

BASELINES = ("majority", "tfidf_logistic")


def predict_baselines(
    texts: Sequence[str], labels: np.ndarray, folds: np.ndarray, num_classes: int
) -> dict[str, np.ndarray]:
    """Out-of-fold probabilities of both baselines; each fold learns from its training rows alone.

    Args:
        texts: (num_rows,) texts; of a pair, both joined.
        labels: (num_rows,) label indices.
        folds: (num_rows,) the fold in which each row is valid.
        num_classes: Number of labels.

    Returns:
        Baseline to (num_rows, num_classes).
    """
    oof = {name: np.full((len(texts), num_classes), np.nan) for name in BASELINES}
    for fold in np.unique(folds):
        train, valid = np.flatnonzero(folds != fold).tolist(), np.flatnonzero(folds == fold).tolist()
        # The share of each class is the best constant guess by log loss; its argmax is the majority.
        oof["majority"][valid] = np.bincount(labels[train], minlength=num_classes) / len(train)
        # Sublinear counts and C = 10: of the usual settings the strongest on short Chinese texts.
        vectorizer = TfidfVectorizer(
            analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True, max_features=300_000
        )
        try:
            seen = vectorizer.fit_transform([texts[row] for row in train])
        except ValueError:  # no n-gram occurs in two texts
            oof["tfidf_logistic"][valid] = oof["majority"][valid]
            continue
        classifier = LogisticRegression(C=10, max_iter=1000).fit(seen, labels[train])
        oof["tfidf_logistic"][valid] = classifier.predict_proba(
            vectorizer.transform([texts[row] for row in valid])
        )
    return oof


# No CPU of its own: it runs beside the first folds and must not take one's place.
baselines_on_ray = ray.remote(num_cpus=0, max_retries=1)(predict_baselines)
