"""Everything equals what enumerating all taggings gives."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.corpus.tags import find_spans
from raytrain.scores import decoding
from raytrain.scores.decoding import Transitions, best_tags, mean_transitions, no_transitions, weigh

NUM_TAGS = 5  # O and two types


def random_crf(seed, scale=2.0, num_tags=NUM_TAGS):
    rng = np.random.default_rng(seed)
    return Transitions(*(rng.normal(0, scale, size) for size in (num_tags, num_tags, (num_tags, num_tags))))


def all_taggings(emissions, crf):
    """Every tagging of one sequence, and the score of each."""
    taggings = np.array(list(itertools.product(range(emissions.shape[1]), repeat=len(emissions))))
    scores = crf.start[taggings[:, 0]] + crf.end[taggings[:, -1]]
    scores += emissions[np.arange(len(emissions)), taggings].sum(axis=1)
    scores += crf.pairs[taggings[:, :-1], taggings[:, 1:]].sum(axis=1)
    return taggings, scores


def probabilities(scores):
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()


sequences = st.lists(st.integers(0, 5), min_size=1, max_size=6)
seeds = st.integers(0, 10_000)


def random_sequences(sizes, seed):
    emissions = np.random.default_rng([seed, 1]).normal(0, 2, (sum(sizes), NUM_TAGS))
    bounds = np.cumsum([0, *sizes])
    parts = [emissions[i:j] for i, j in itertools.pairwise(bounds) if i < j]
    return emissions, bounds, parts


@settings(max_examples=30)
@given(sequences, seeds)
def test_best_tags_score_highest_of_all(sizes, seed):
    crf, (emissions, bounds, parts) = random_crf(seed), random_sequences(sizes, seed)
    expected = []
    for part in parts:
        taggings, scores = all_taggings(part, crf)
        expected += list(taggings[scores.argmax()])
    assert best_tags(emissions, bounds, crf).tolist() == expected


@settings(max_examples=30)
@given(sequences, seeds)
def test_totals_are_sums_over_all_taggings(sizes, seed):
    crf, (emissions, bounds, parts) = random_crf(seed), random_sequences(sizes, seed)
    expected = [np.log(np.exp(all_taggings(part, crf)[1]).sum()) for part in parts]
    found = weigh(emissions, bounds, crf).log_totals
    np.testing.assert_allclose(found[np.array(sizes) > 0], expected)
    assert not found[np.array(sizes) == 0].any()


@settings(max_examples=30)
@given(sequences, seeds)
def test_marginals_are_shares_of_all_taggings(sizes, seed):
    crf, (emissions, bounds, parts) = random_crf(seed), random_sequences(sizes, seed)
    expected = [np.zeros((0, NUM_TAGS))]
    for part in parts:
        taggings, scores = all_taggings(part, crf)
        proba = probabilities(scores)
        expected += [np.stack([proba @ (taggings == tag) for tag in range(NUM_TAGS)], axis=1)]
    np.testing.assert_allclose(
        weigh(emissions, bounds, crf).marginals(), np.concatenate(expected), atol=1e-12
    )


@settings(max_examples=30)
@given(sequences, seeds)
def test_likelihoods_are_those_of_the_enumeration(sizes, seed):
    crf, (emissions, bounds, parts) = random_crf(seed), random_sequences(sizes, seed)
    tags = np.random.default_rng([seed, 2]).integers(0, NUM_TAGS, len(emissions))
    expected, start = [], 0
    for part in parts:
        taggings, scores = all_taggings(part, crf)
        own = (taggings == tags[start : start + len(part)]).all(axis=1)
        expected.append(np.log(probabilities(scores)[own][0]))
        start += len(part)
    found = weigh(emissions, bounds, crf).log_likelihoods(tags)
    np.testing.assert_allclose(found[np.array(sizes) > 0], expected)


def span_set(tags):
    spans = find_spans(np.asarray(tags), np.array([0, len(tags)]))
    return set(zip(spans.starts.tolist(), spans.ends.tolist(), spans.types.tolist(), strict=True))


@settings(max_examples=25)
@given(st.integers(1, 5), seeds)
def test_span_probability_is_the_share_of_taggings_that_mean_the_span(size, seed):
    """Of any span of the sequence, begun by B- or by I-, whatever stands around it."""
    crf, (emissions, bounds, [part]) = random_crf(seed, 1.0), random_sequences([size], seed)
    taggings, scores = all_taggings(part, crf)
    proba, held = probabilities(scores), [span_set(tagging) for tagging in taggings]
    lattice = weigh(emissions, bounds, crf)
    tags = np.random.default_rng([seed, 3]).integers(0, NUM_TAGS, size)
    spans = find_spans(tags, bounds)
    for found, span in zip(
        lattice.span_probabilities(spans),
        zip(spans.starts.tolist(), spans.ends.tolist(), spans.types.tolist(), strict=True),
        strict=True,
    ):
        assert found == pytest.approx(
            sum(p for p, spans_of in zip(proba, held, strict=True) if span in spans_of)
        )


def test_spans_of_several_sequences_are_weighed_each_in_its_own():
    crf = random_crf(3)
    emissions, bounds, parts = random_sequences([3, 0, 4], seed=3)
    tags = np.array([1, 2, 0, 0, 3, 4, 1])
    together = weigh(emissions, bounds, crf).span_probabilities(find_spans(tags, bounds))
    alone = [
        weigh(part, np.array([0, len(part)]), crf).span_probabilities(
            find_spans(own, np.array([0, len(part)]))
        )
        for part, own in zip(parts, (tags[:3], tags[3:]), strict=True)
    ]
    np.testing.assert_allclose(together, np.concatenate(alone))
    assert len(together) == 3


def test_without_transitions_each_token_is_a_softmax():
    emissions, bounds, _ = random_sequences([4, 2], seed=1)
    crf = no_transitions(NUM_TAGS)
    expected = np.exp(emissions) / np.exp(emissions).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(weigh(emissions, bounds, crf).marginals(), expected)
    assert best_tags(emissions, bounds, crf).tolist() == emissions.argmax(axis=1).tolist()


def test_mean_of_scores_is_the_score_of_means():
    """A tagging's score under averaged emissions and transitions is the mean of its scores."""
    models = [(random_sequences([4], seed)[0], random_crf(seed)) for seed in (1, 2, 3)]
    scores = [all_taggings(*model)[1] for model in models]
    emissions = np.mean([part for part, _ in models], axis=0)
    _, mean = all_taggings(emissions, mean_transitions([crf for _, crf in models]))
    np.testing.assert_allclose(mean, np.mean(scores, axis=0))


def test_long_sequences_and_large_scores_stay_finite():
    emissions = np.random.default_rng(0).normal(0, 500, (2000, NUM_TAGS)).astype(np.float32)
    lattice = weigh(emissions, np.array([0, 2000]), random_crf(0, scale=500))
    marginals = lattice.marginals()
    np.testing.assert_allclose(marginals.sum(axis=1), 1, atol=1e-6)


def test_blocks_of_sequences_change_nothing(monkeypatch):
    crf, (emissions, bounds, _) = random_crf(4), random_sequences([3, 0, 5, 1, 4, 4], seed=4)
    tags, lattice = best_tags(emissions, bounds, crf), weigh(emissions, bounds, crf)
    monkeypatch.setattr(decoding, "BLOCK_SCORES", 2 * NUM_TAGS**2)
    again = weigh(emissions, bounds, crf)
    assert best_tags(emissions, bounds, crf).tolist() == tags.tolist()
    np.testing.assert_array_equal(again.forward, lattice.forward)
    np.testing.assert_array_equal(again.backward, lattice.backward)
    np.testing.assert_array_equal(again.log_totals, lattice.log_totals)
