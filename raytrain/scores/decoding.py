"""Linear-chain CRFs over many sequences at once, in NumPy: the best tags, and how probable they are.

A tagging y of a sequence scores start[y_1] + Σ emissions[t, y_t] + Σ pairs[y_t, y_t+1] + end[y_n]; its
probability is exp(score) over the sum of all taggings' (Lafferty et al. 2001). Sequences lie end to end,
without padding; each step of a loop treats all sequences of a block that are as long, the longest
standing first.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raytrain.corpus.tags import Spans

BLOCK_SCORES = 1 << 23  # of pairs of tags in one array: 64 MiB


@dataclass(frozen=True)
class Transitions:
    """What a tagging scores beside its emissions; of a model without a CRF all are 0.

    Attributes:
        start: (num_tags,) of the first tag.
        end: (num_tags,) of the last.
        pairs: (num_tags, num_tags) of a tag, by row, before another.
    """

    start: np.ndarray
    end: np.ndarray
    pairs: np.ndarray


def no_transitions(num_tags: int) -> Transitions:
    """Each tag stands for itself: the CRF is a softmax at each place."""
    return Transitions(np.zeros(num_tags), np.zeros(num_tags), np.zeros((num_tags, num_tags)))


def mean_transitions(parts: Sequence[Transitions]) -> Transitions:
    """The mean of models' scores is the score of mean emissions and these."""
    means = (
        np.stack([np.asarray(getattr(part, name), np.float64) for part in parts]).mean(axis=0)
        for name in ("start", "end", "pairs")
    )
    return Transitions(*means)


def best_tags(emissions: np.ndarray, bounds: np.ndarray, transitions: Transitions) -> np.ndarray:
    """Finds each sequence's best tagging (Viterbi 1967); of equal ones the one with lower tags.

    Args:
        emissions: (num_tokens, num_tags) of all sequences.
        bounds: (num_sequences + 1,); sequence i has tokens bounds[i]:bounds[i + 1].
        transitions: Of the CRF.

    Returns:
        (num_tokens,) int64.
    """
    scores = np.array(emissions, np.float64)
    back = np.zeros(emissions.shape, np.int64)
    tags = np.zeros(len(emissions), np.int64)
    for steps in _blocks(bounds, emissions.shape[1]):
        for number, (here, _) in enumerate(steps):
            if number == 0:
                scores[here] += transitions.start
                continue
            paths = scores[here - 1][:, :, None] + transitions.pairs
            back[here] = paths.argmax(axis=1)
            scores[here] += paths.max(axis=1)
        for here, num_going_on in reversed(steps):
            on, last = here[:num_going_on], here[num_going_on:]
            tags[last] = (scores[last] + transitions.end).argmax(axis=1)
            tags[on] = back[on + 1, tags[on + 1]]
    return tags


def _blocks(bounds: np.ndarray, num_tags: int) -> list[list[tuple[np.ndarray, int]]]:
    """The steps of some sequences, then of others: as many at once as `BLOCK_SCORES` lets."""
    size = max(1, BLOCK_SCORES // num_tags**2)
    return [_steps(bounds[first : first + size + 1]) for first in range(0, len(bounds) - 1, size)]


def _steps(bounds: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """The first token of each of some sequences, then the second of those that have one, and so on.

    Returns:
        The tokens of each step, the longest sequence first, and how many of them have one behind them.
    """
    sizes = np.diff(bounds)
    order = np.argsort(-sizes, kind="stable")
    starts, falling = bounds[:-1][order], -sizes[order]
    longer = np.searchsorted(falling, -np.arange(int(sizes.max(initial=0)) + 1), "left").tolist()
    return [(starts[:count] + step, longer[step + 1]) for step, count in enumerate(longer[:-1])]


@dataclass(frozen=True)
class Lattice:
    """What all taggings of many sequences weigh together (forward-backward: Rabiner 1989).

    Attributes:
        emissions: (num_tokens, num_tags) float64.
        bounds: (num_sequences + 1,).
        transitions: Of the CRF.
        forward: (num_tokens, num_tags) log of the weight of all beginnings that end with the tag here.
        log_totals: (num_sequences,) log of the weight of all taggings; 0 of an empty sequence.
    """

    emissions: np.ndarray
    bounds: np.ndarray
    transitions: Transitions
    forward: np.ndarray
    log_totals: np.ndarray

    @functools.cached_property
    def backward(self) -> np.ndarray:
        """(num_tokens, num_tags) log of the weight of all that may follow the tag here."""
        backward = np.zeros(self.emissions.shape)
        for steps in _blocks(self.bounds, self.emissions.shape[1]):
            for here, num_going_on in reversed(steps):
                on, last = here[:num_going_on], here[num_going_on:]
                backward[last] = self.transitions.end
                following = (self.emissions[on + 1] + backward[on + 1])[:, None, :] + self.transitions.pairs
                backward[on] = _log_sum(following, axis=2)
        return backward

    def marginals(self) -> np.ndarray:
        """(num_tokens, num_tags) the probability of each tag at each token."""
        return np.exp(self.forward + self.backward - self._on_tokens(self.log_totals)[:, None])

    def log_likelihoods(self, tags: np.ndarray) -> np.ndarray:
        """(num_sequences,) log probability of one tagging of each sequence, (num_tokens,) in all."""
        places, sizes = np.arange(len(tags)), np.diff(self.bounds)
        scores = self.emissions[places, tags]
        inner = np.ones(len(tags), bool)
        inner[self.bounds[:-1][sizes > 0]] = False
        behind = places[inner]
        scores[behind] += self.transitions.pairs[tags[behind - 1], tags[behind]]
        scores[~inner] += self.transitions.start[tags[~inner]]
        last = self.bounds[1:][sizes > 0] - 1
        scores[last] += self.transitions.end[tags[last]]
        sums = np.concatenate([[0.0], np.cumsum(scores)])
        return sums[self.bounds[1:]] - sums[self.bounds[:-1]] - self.log_totals

    def span_probabilities(self, spans: Spans) -> np.ndarray:
        """How probable it is that a sequence has just this span: there, so long, of this type.

        Args:
            spans: Of tokens, each in the sequence that its row says; tags are as in `corpus.tags.tag_names`.

        Returns:
            (num_spans,) float64, summed over all taggings that mean the span, by conlleval's rule.
        """
        first, last = self.bounds[spans.rows] + spans.starts, self.bounds[spans.rows] + spans.ends - 1
        begin, inside = 2 * spans.types + 1, 2 * spans.types + 2
        pairs = self.transitions.pairs
        by_begin, by_inside = self.forward[first, begin], self._begun_by_inside(first, begin, inside, spans)
        alone = np.logaddexp(
            by_begin + self._ended(last, begin, inside, spans),
            by_inside + self._ended(last, inside, inside, spans),
        )
        # Of longer ones: into the second token either way, then from I- to I- up to the last.
        going_on = np.logaddexp(by_begin + pairs[begin, inside], by_inside + pairs[inside, inside])
        sums = np.concatenate([np.zeros((1, pairs.shape[0])), np.cumsum(self.emissions, axis=0)])
        going_on += sums[last + 1, inside] - sums[first + 1, inside]
        going_on += (last - first - 1) * pairs[inside, inside] + self._ended(last, inside, inside, spans)
        return np.exp(np.where(last > first, going_on, alone) - self.log_totals[spans.rows])

    def _begun_by_inside(
        self, first: np.ndarray, begin: np.ndarray, inside: np.ndarray, spans: Spans
    ) -> np.ndarray:
        """(num_spans,) weight of what ends with an I- at the first token that continues no span."""
        before = self.forward[first - 1] + self.transitions.pairs.T[inside]
        number = np.arange(len(spans))
        before[number, begin] = before[number, inside] = -np.inf
        begun = np.where(spans.starts > 0, _log_sum(before, axis=1), self.transitions.start[inside])
        return begun + self.emissions[first, inside]

    def _ended(self, last: np.ndarray, tag: np.ndarray, inside: np.ndarray, spans: Spans) -> np.ndarray:
        """(num_spans,) weight of what may follow `tag` at the last token so that the span ends there."""
        behind = np.minimum(last + 1, len(self.emissions) - 1)
        after = self.transitions.pairs[tag] + self.emissions[behind] + self.backward[behind]
        after[np.arange(len(spans)), inside] = -np.inf
        is_end = last + 1 == self.bounds[spans.rows + 1]
        return np.where(is_end, self.transitions.end[tag], _log_sum(after, axis=1))

    def _on_tokens(self, values: np.ndarray) -> np.ndarray:
        return np.repeat(values, np.diff(self.bounds))


def weigh(emissions: np.ndarray, bounds: np.ndarray, transitions: Transitions) -> Lattice:
    """Weighs the taggings of many sequences; arguments as of `best_tags`."""
    emissions = np.array(emissions, np.float64)
    forward = emissions.copy()
    for steps in _blocks(bounds, emissions.shape[1]):
        for number, (here, _) in enumerate(steps):
            if number == 0:
                forward[here] += transitions.start
            else:
                forward[here] += _log_sum(forward[here - 1][:, :, None] + transitions.pairs, axis=1)
    filled = np.diff(bounds) > 0
    log_totals = np.zeros(len(bounds) - 1)
    log_totals[filled] = _log_sum(forward[bounds[1:][filled] - 1] + transitions.end, axis=1)
    return Lattice(emissions, bounds, transitions, forward, log_totals)


def _log_sum(values: np.ndarray, axis: int) -> np.ndarray:
    """log Σ exp; -inf where all are."""
    top = values.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        return (np.log(np.exp(values - top).sum(axis=axis, keepdims=True)) + top).squeeze(axis)
