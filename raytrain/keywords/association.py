"""How strongly a word tells of a class: weighted log-odds with an informative Dirichlet prior."""

from collections.abc import Sequence

import numpy as np

MIN_SCORE = 1.0  # standard deviations: a word below this tells of no class


def log_odds(counts: np.ndarray) -> np.ndarray:
    """Scores every word against every class.

    For a word w of count y in a class, out of n there, and y' and n' in the other classes together:

        δ = log((y + α) / (n + α₀ − y − α)) − log((y' + α) / (n' + α₀ − y' − α))
        score = δ / √(1 / (y + α) + 1 / (y' + α))

    α₀ = Σα is the weight of the prior: here a class's average n, spread over the words as all counts are,
    so that α is the word's count over the number of classes. Source: Monroe, Colaresi and Quinn (2008),
    "Fightin' Words: Lexical Feature Selection and Evaluation for Identifying the Content of Political
    Conflict", Political Analysis 16(4), 372–403.

    Args:
        counts: (num_words, num_classes) how often each word occurs in each class; two classes or more.

    Returns:
        (num_words, num_classes) float64, in standard deviations; above 0 where the class has more than
        its share, 0 for a word that never occurs.
    """
    counts = np.asarray(counts, np.float64)
    total = counts.sum(axis=1, keepdims=True)
    prior = total / counts.shape[1]
    others = total - counts
    with np.errstate(divide="ignore", invalid="ignore"):
        delta = _logit(counts, prior) - _logit(others, prior)
        scores = delta / np.sqrt(1 / (counts + prior) + 1 / (others + prior))
    return np.where((total > 0) & np.isfinite(scores), scores, 0.0)


def _logit(counts: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Log of the odds of each word, smoothed by its prior."""
    smoothed = counts + prior
    return np.log(smoothed / (smoothed.sum(axis=0, keepdims=True) - smoothed))


def pick_words(
    words: Sequence[str], counts: np.ndarray, num_words: int, min_score: float = MIN_SCORE
) -> np.ndarray:
    """Picks the words that tell most of each class.

    Args:
        words: (num_words,) the words; of two that score alike the first by its characters is taken.
        counts: (num_words, num_classes) as in `log_odds`.
        num_words: Most words of each class.
        min_score: Words below it are left out.

    Returns:
        (num_words,) int16: the class each word was picked for, -1 where it was not.
    """
    classes = np.full(len(words), -1, np.int16)
    if not len(words):
        return classes
    scores = log_odds(counts)
    best = scores.argmax(axis=1)
    top = scores[np.arange(len(words)), best]
    for number in range(counts.shape[1]):
        candidates = np.flatnonzero((best == number) & (top >= min_score)).tolist()
        candidates.sort(key=lambda word: (-top[word], words[word]))
        classes[candidates[:num_words]] = number
    return classes
