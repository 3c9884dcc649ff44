import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plain_settings import plain_settings

from raytrain.text.batches import FeatureRows
from raytrain.training.batches import Batches
from raytrain.training.objectives import Classification

NUM_ROWS = 24
LABELS = np.arange(NUM_ROWS) % 2
CLASS_WEIGHT = (0.5, 2.0)


@pytest.fixture(scope="module")
def features(ragged, vocab):
    """Random texts of 3 to 29 tokens."""
    rng = np.random.default_rng(0)
    rows = []
    for length in rng.integers(3, 30, NUM_ROWS):
        tokens = rng.integers(9, len(vocab), length)
        rows.append((tokens, np.zeros(length, int), rng.integers(1, 20, length)))
    return FeatureRows(ragged(rows))


@pytest.fixture(scope="module")
def batches(features):
    settings = plain_settings(batch_size=8, class_weight=CLASS_WEIGHT)
    return Batches(features.lengths, Classification(LABELS, settings), settings, 0, 1, 1)


@given(
    rows=st.lists(st.integers(0, NUM_ROWS - 1), min_size=1, max_size=12, unique=True),
    num_workers=st.integers(1, 5),
    accumulation=st.integers(1, 4),
)
def test_workers_share_a_batch_between_them(batches, features, rows, num_workers, accumulation):
    """Each row of the batch lies with one worker, by its label's weight over the rows of the batch.

    All have as many pieces, for each piece ends with a sum over the workers.
    """
    dealt, counts = [], set()
    batches.num_workers, batches.accumulation = num_workers, accumulation
    for batches.rank in range(num_workers):
        pieces = batches.lay(features, np.array(rows), filled=False)
        counts.add(len(pieces))
        for inputs, labels, weights in pieces:
            assert len(labels) == len(weights) == len(inputs["token_ids"]) >= 1
            texts = [tuple(ids[ids > 0]) for ids in inputs["token_ids"]]
            own = zip(texts, labels, weights, strict=True)
            dealt += [(text, label, weight) for text, label, weight in own if weight]
    assert len(counts) == 1 and counts.pop() <= accumulation
    expected = []
    for row in rows:
        ids = features.collate([row])["token_ids"][0]
        expected.append((tuple(ids[ids > 0]), LABELS[row], np.float32(CLASS_WEIGHT[LABELS[row]] / len(rows))))
    assert [item[:2] for item in sorted(dealt)] == [item[:2] for item in sorted(expected)]
    np.testing.assert_allclose([i[2] for i in sorted(dealt)], [i[2] for i in sorted(expected)], rtol=1e-6)


def test_a_worker_without_rows_takes_one_of_weight_0(batches, features):
    batches.num_workers, batches.rank, batches.accumulation = 3, 2, 1
    [(inputs, labels, weights)] = batches.lay(features, np.array([4, 5]), filled=False)
    assert weights.tolist() == [0]
    assert len(labels) == len(inputs["token_ids"]) == 1


@pytest.mark.parametrize("accumulation", [1, 3])
def test_filled_pieces_are_alike_whatever_the_batch(batches, features, accumulation):
    batches.num_workers, batches.rank, batches.accumulation = 1, 0, accumulation
    rows = [np.arange(8), np.array([3]), np.array([20, 1, 7])]
    pieces = [piece for batch in rows for piece in batches.lay(features, batch, filled=True)]
    assert {len(weights) for _, _, weights in pieces} == {-(-8 // accumulation)}
    assert len({inputs["token_ids"].shape[1] for inputs, _, _ in pieces}) <= 4


def test_every_step_worker_and_piece_draws_from_a_seed_of_its_own(batches):
    batches.num_workers, batches.accumulation = 2, 3
    seeds = set()
    for batches.rank in range(2):
        for step in range(4):
            seeds |= {tuple(seed.tolist()) for seed in batches.seeds(7, step, 3)}
    assert len(seeds) == 2 * 4 * 3
