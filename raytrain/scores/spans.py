"""Scores of tagged spans: precision, recall and F1 of exact spans, as conlleval and seqeval count them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raytrain.corpus.tags import Spans, find_spans
from raytrain.scores.resampling import MOST, draw_counts, num_resamples

BOOTSTRAP_WORK = 200_000_000  # resampled texts × counts: some seconds


@dataclass(frozen=True)
class TagCounts:
    """What is counted in each text; scores are ratios of sums.

    Attributes:
        hits: (num_texts, num_types) spans found just as they are.
        found: (num_texts, num_types) spans predicted.
        there: (num_texts, num_types) spans there are.
        right: (num_texts,) characters with their own tag.
        characters: (num_texts,).
        surprise: (num_texts,) negative log-likelihood of the tokens' tags, in nats.
        tokens: (num_texts,).
    """

    hits: np.ndarray
    found: np.ndarray
    there: np.ndarray
    right: np.ndarray
    characters: np.ndarray
    surprise: np.ndarray
    tokens: np.ndarray

    def columns(self) -> np.ndarray:
        """(num_texts, 7): all but the types, which are summed."""
        per_type = [self.hits.sum(axis=1), self.found.sum(axis=1), self.there.sum(axis=1)]
        return np.stack([*per_type, self.right, self.characters, self.surprise, self.tokens], axis=1)


def count_tags(
    there: np.ndarray,
    found: np.ndarray,
    bounds: np.ndarray,
    num_types: int,
    surprise: np.ndarray,
    tokens: np.ndarray,
) -> TagCounts:
    """Counts what two taggings of the same texts have in common.

    Args:
        there: (num_characters,) the true tags.
        found: (num_characters,) the predicted ones.
        bounds: (num_texts + 1,); text i has tags bounds[i]:bounds[i + 1].
        num_types: Types of spans.
        surprise: (num_texts,) negative log-likelihoods.
        tokens: (num_texts,) how many tokens these are of.
    """
    own, other = find_spans(there, bounds), find_spans(found, bounds)
    num_texts = len(bounds) - 1
    both = _common(own, other)
    same = np.concatenate([[0], np.cumsum(there == found)])

    def tally(spans: Spans, chosen: np.ndarray | slice) -> np.ndarray:
        cells = spans.rows[chosen] * num_types + spans.types[chosen]
        return np.bincount(cells, minlength=num_texts * num_types).reshape(num_texts, num_types)

    return TagCounts(
        hits=tally(own, both),
        found=tally(other, slice(None)),
        there=tally(own, slice(None)),
        right=same[bounds[1:]] - same[bounds[:-1]],
        characters=np.diff(bounds),
        surprise=surprise,
        tokens=tokens,
    )


def _common(own: Spans, other: Spans) -> np.ndarray:
    """(len(own),) bool: which of them are among the others."""
    others = set(zip(*_parts(other), strict=True))
    return np.array([span in others for span in zip(*_parts(own), strict=True)], bool)


def _parts(spans: Spans) -> list[list[int]]:
    return [part.tolist() for part in (spans.rows, spans.starts, spans.ends, spans.types)]


def scores_of(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of summed `TagCounts.columns`, (…, 7); 0 where there is nothing to divide by, as in conlleval.

    Returns:
        precision, recall and f1 over all types (micro), accuracy of characters, log_loss of a token in nats.
    """
    hits, found, there, right, characters, surprise, tokens = np.moveaxis(sums, -1, 0)
    return {
        "precision": hits / np.maximum(found, 1),
        "recall": hits / np.maximum(there, 1),
        "f1": 2 * hits / np.maximum(found + there, 1),
        "accuracy": right / np.maximum(characters, 1),
        "log_loss": surprise / np.maximum(tokens, 1),
    }


def score_tags(counts: TagCounts) -> dict[str, float]:
    """The scores of all texts together, as plain floats."""
    return {name: float(value) for name, value in scores_of(counts.columns().sum(axis=0)).items()}


def score_types(counts: TagCounts, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Precision, recall and F1 of each type, and how many spans there are."""
    hits, found, there = (part.sum(axis=0) for part in (counts.hits, counts.found, counts.there))
    return {
        name: {
            "precision": float(hits[i] / max(found[i], 1)),
            "recall": float(hits[i] / max(there[i], 1)),
            "f1": float(2 * hits[i] / max(found[i] + there[i], 1)),
            "spans": int(there[i]),
        }
        for i, name in enumerate(names)
    }


def tag_intervals(
    counts: TagCounts,
    seed: int,
    resamples: int = MOST,
    level: float = 0.95,
    groups: np.ndarray | None = None,
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap over texts, or over groups of texts, of every score; as `bootstrap_interval`."""
    columns = counts.columns()
    resamples = num_resamples(columns.size, BOOTSTRAP_WORK, resamples)
    sums = np.stack([drawn @ columns for drawn in draw_counts(len(columns), resamples, seed, groups)])
    tail = 100 * (1 - level) / 2
    ends = {name: np.percentile(values, [tail, 100 - tail]) for name, values in scores_of(sums).items()}
    return {name: (float(lower), float(upper)) for name, (lower, upper) in ends.items()}
