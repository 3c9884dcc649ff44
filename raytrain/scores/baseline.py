"""What a user could have without a network: a majority guess, and character n-grams."""

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

BASELINES = ("majority", "tfidf_logistic")


def predict_baselines(
    texts: Sequence[str], labels: np.ndarray, is_valid: np.ndarray, num_classes: int
) -> dict[str, np.ndarray]:
    """Both baselines' probabilities of one fold's valid rows, learned from all others.

    Args:
        texts: (num_rows,) texts; of a pair, both joined.
        labels: (num_rows,) label indices.
        is_valid: (num_rows,) bool, whether the row is one of the fold's valid ones.
        num_classes: Number of labels.

    Returns:
        Baseline to (valid rows, num_classes).
    """
    train, valid = np.flatnonzero(~is_valid).tolist(), np.flatnonzero(is_valid).tolist()
    # The share of each class is the best constant guess by log loss; its argmax is the majority.
    shares = np.bincount(labels[train], minlength=num_classes) / len(train)
    majority = np.tile(shares, (len(valid), 1))
    # Sublinear counts and C = 10: of the usual settings the strongest on short Chinese texts.
    vectorizer = TfidfVectorizer(
        analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True, max_features=300_000
    )
    try:
        seen = vectorizer.fit_transform([texts[row] for row in train])
    except ValueError:  # no n-gram occurs in two texts
        return {"majority": majority, "tfidf_logistic": majority}
    classifier = LogisticRegression(C=10, max_iter=1000).fit(seen, labels[train])
    proba = classifier.predict_proba(vectorizer.transform([texts[row] for row in valid]))
    return {"majority": majority, "tfidf_logistic": proba}
