import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import numpy as np
import pytest
import tensorflow as tf

from raytrain.network.crf import CRF, tagging_losses
from raytrain.scores.decoding import Transitions, weigh
from raytrain.text.ragged import bounds_of

LENGTHS = np.array([5, 1, 3, 0, 7])
NUM_TAGS = 5


@pytest.fixture
def case():
    """Emissions, tags and transitions of rows of unequal length; None is cut."""
    rng = np.random.default_rng(0)
    emissions = rng.normal(0, 2, (len(LENGTHS), 8, NUM_TAGS)).astype(np.float32)
    tags = rng.integers(0, NUM_TAGS, (len(LENGTHS), 8)).astype(np.int32)
    shapes = ((NUM_TAGS,), (NUM_TAGS,), (NUM_TAGS, NUM_TAGS))
    return emissions, tags, [rng.normal(0, 2, shape).astype(np.float32) for shape in shapes]


def losses(emissions, tags, weights, whole=None, lengths=LENGTHS):
    whole = np.ones((len(lengths), 2)) if whole is None else whole
    lengths, whole = tf.constant(lengths, tf.int32), tf.constant(whole, tf.float32)
    return tagging_losses(
        tf.constant(emissions), tf.constant(tags), lengths, whole, *map(tf.constant, weights)
    )


def likelihoods(emissions, tags, weights):
    """The same by `decoding`, which is held to an enumeration."""
    flat = np.concatenate([row[:length] for row, length in zip(emissions, LENGTHS, strict=True)])
    flat_tags = np.concatenate([row[:length] for row, length in zip(tags, LENGTHS, strict=True)])
    return weigh(flat, bounds_of(LENGTHS), Transitions(*weights)).log_likelihoods(flat_tags)


def test_losses_are_negative_log_likelihoods(case):
    found = losses(*case).numpy()
    np.testing.assert_allclose(found, -likelihoods(*case), atol=1e-4)
    assert found[LENGTHS == 0] == 0 and (found[LENGTHS > 0] > 0).all()


def test_a_cut_text_scores_nothing_at_the_cut(case):
    emissions, tags, (start, end, pairs) = case
    whole = np.tile([0.0, 1.0], (len(LENGTHS), 1))
    expected = losses(emissions, tags, (np.zeros_like(start), end, pairs))
    np.testing.assert_allclose(losses(*case, whole=whole), expected, atol=1e-5)


def test_padding_changes_nothing(case):
    emissions, tags, weights = case
    wider = np.concatenate([emissions, np.full_like(emissions, 3.0)], axis=1)
    found = losses(wider, np.concatenate([tags, tags], axis=1), weights)
    np.testing.assert_allclose(found, losses(*case), atol=1e-5)


@pytest.mark.parametrize("part", range(4))
def test_gradients_are_those_of_finite_differences(case, part):
    emissions, tags, weights = case
    values = [tf.constant(value) for value in (emissions, *weights)]
    upstream = np.array([1.0, 2.0, 0.5, 3.0, 1.5], np.float32)
    whole = tf.constant([[1, 1], [0, 1], [1, 0], [1, 1], [0, 0]], tf.float32)

    def total(*values):
        own = tagging_losses(values[0], tf.constant(tags), tf.constant(LENGTHS, tf.int32), whole, *values[1:])
        return tf.reduce_sum(own * upstream)

    with tf.GradientTape() as tape:
        tape.watch(values)
        loss = total(*values)
    gradient = tf.convert_to_tensor(tape.gradient(loss, values)[part]).numpy()
    rng = np.random.default_rng(part)
    for _ in range(6):
        direction = rng.normal(size=gradient.shape).astype(np.float32)
        ends = []
        for sign in (1, -1):
            moved = list(values)
            moved[part] = values[part] + sign * 1e-2 * direction
            ends.append(float(total(*moved)))
        assert (ends[0] - ends[1]) / 2e-2 == pytest.approx(
            float((gradient * direction).sum()), rel=0.02, abs=0.02
        )


def test_the_loss_works_in_a_graph_of_any_length(case):
    emissions, tags, weights = case
    specs = [tf.TensorSpec((None, None, NUM_TAGS)), tf.TensorSpec((None, None), tf.int32)]
    whole, lengths = tf.ones((len(LENGTHS), 2)), tf.constant(LENGTHS, tf.int32)

    @tf.function(input_signature=specs, autograph=False)
    def run(emissions, tags):
        return tagging_losses(emissions, tags, lengths, whole, *map(tf.constant, weights))

    np.testing.assert_allclose(run(emissions, tags), losses(*case), atol=1e-5)


def test_layer_begins_without_transitions_and_stays_float32():
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        layer = CRF(name="crf")
        output = layer(tf.ones((2, 3, 4), tf.bfloat16))
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    assert output.dtype == tf.float32
    assert {weight.dtype for weight in layer.weights} == {tf.float32}
    assert [weight.shape.as_list() for weight in layer.weights] == [[4], [4], [4, 4]]
    assert not any(np.any(weight) for weight in layer.weights)


def test_long_rows_of_large_scores_keep_their_precision():
    """In float32; their weights are exp of thousands."""
    rng = np.random.default_rng(3)
    length, num_tags = 510, 21
    emissions = rng.normal(0, 10, (1, length, num_tags)).astype(np.float32)
    tags = rng.integers(0, num_tags, (1, length)).astype(np.int32)
    parts = [rng.normal(0, 2, size).astype(np.float32) for size in (num_tags, num_tags, (num_tags, num_tags))]
    weights = [tf.constant(part) for part in parts]
    scores = tf.constant(emissions)
    with tf.GradientTape() as tape:
        tape.watch([scores, *weights])
        loss = tagging_losses(scores, tf.constant(tags), tf.constant([length]), tf.ones((1, 2)), *weights)
    d_scores, _, _, d_pairs = tape.gradient(loss, [scores, *weights])
    lattice = weigh(emissions[0], np.array([0, length]), Transitions(*parts))
    assert loss.numpy()[0] == pytest.approx(-lattice.log_likelihoods(tags[0])[0], rel=1e-5)
    expected = lattice.marginals() - np.eye(num_tags)[tags[0]]
    np.testing.assert_allclose(d_scores[0], expected, atol=1e-4)
    assert np.abs(d_pairs.numpy().sum()) < 1e-2
