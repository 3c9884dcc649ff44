"""What training tricks make of a loss and its gradients, held against what their papers say."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import numpy as np
import pytest
import tensorflow as tf

from plain_settings import plain_settings

from raytrain.devices import set_precision
from raytrain.network.build import build_model
from raytrain.network.heads import build_head
from raytrain.network.taps import disturbed_tap
from raytrain.network.weights import learned_variables
from raytrain.training.disturbance import Attack
from raytrain.training.gradients import Gradients, divergences
from raytrain.training.objectives import Classification
from raytrain.training.step import TrainStep

pytestmark = pytest.mark.usefixtures("float32_again")

NUM_ROWS, LENGTH, NUM_WORDS = 6, 9, 20
LABELS = np.array([0, 1, 2, 0, 1, 2])
SEED = tf.constant([7, 0])
TRICKS = [
    {"adversarial": "fgm"},
    {"adversarial": "pgd"},
    {"r_drop": 1.0},
    {"mixup": 0.4},
    {"multi_sample_dropout": 3},
    {"adversarial": "fgm", "r_drop": 2.0, "mixup": 0.3, "multi_sample_dropout": 2, "ema": 0.9},
]


def batch_of(labels=LABELS, hidden_size=None):
    rng = np.random.default_rng(0)
    ids = rng.integers(5, 20, (len(labels), LENGTH)).astype(np.int32)
    ids[:, 6:] = 0
    inputs = {"token_ids": ids, "word_ids": rng.integers(1, NUM_WORDS, ids.shape).astype(np.int32)}
    if hidden_size is None:
        inputs["segment_ids"] = np.zeros_like(ids)
    else:
        inputs["hidden_states"] = rng.normal(size=(*ids.shape, hidden_size)).astype(np.float32)
    tensors = {name: tf.constant(value) for name, value in inputs.items()}
    weights = np.full(len(labels), 1 / len(labels), np.float32)
    return tensors, tf.constant(labels.astype(np.int32)), tf.constant(weights)


@pytest.fixture
def make(encoder_config):
    """A model with its encoder and how its gradients are found."""

    def make(
        architecture="finetune", kind="albert", num_labels=3, dropout=0.0, train_encoder=True, **settings
    ):
        settings = plain_settings(**settings)
        model = build_model(
            *(architecture, "albert", encoder_config("albert", dropout, num_layers=1), 3, (NUM_WORDS, 4)),
            *(train_encoder, dropout, 7),
            multi_sample_dropout=settings.multi_sample_dropout,
        )
        return model, gradients_of(model, settings)

    return make


def gradients_of(model, settings):
    learned = {name: v for name, v in learned_variables(model).items() if v.trainable}
    gradients = Gradients(model, Classification(LABELS, settings), settings, learned)
    return tf.function(gradients, autograph=False, reduce_retracing=True)


def cross_entropies(model, inputs, labels):
    logits = model(inputs, training=False)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


@pytest.mark.parametrize(
    ("trick", "architecture", "precision"),
    [
        (TRICKS[-1], "textcnn", "bfloat16"),
        (TRICKS[-1], "finetune", "float32"),
        ({"adversarial": "pgd"}, "finetune", "bfloat16"),
    ],
)
def test_ten_updates_lower_the_loss(encoder_config, architecture, precision, trick):
    set_precision(precision)
    settings = plain_settings(learning_rate=1e-2, encoder_learning_rate=1e-3, **trick)
    model = build_model(
        *(architecture, "bert", encoder_config("bert", 0.1), 3, (NUM_WORDS, 4), True, 0.1, 7),
        multi_sample_dropout=settings.multi_sample_dropout,
    )
    step = TrainStep(model, Classification(LABELS, settings), settings, None, 1)
    inputs, labels, weights = batch_of()
    before = float(tf.reduce_mean(cross_entropies(model, inputs, labels)))
    for number in range(10):
        seed = np.array([7, number], np.int32)
        loss = step([(inputs, labels, weights)], [seed], np.float32(1), np.float32(number))
        assert np.isfinite(float(loss))
    assert float(tf.reduce_mean(cross_entropies(model, inputs, labels))) < before


@pytest.mark.parametrize("trick", TRICKS[:5], ids=lambda trick: "+".join(trick))
def test_the_loss_without_dropout_is_the_plain_one_but_for_mixup(make, trick):
    """Two passes that agree diverge by nothing, and samples of no dropout are all the same."""
    batch = batch_of()
    (_, plain), (_, tricky) = make(), make(**trick)
    expected, found = float(plain(*batch, SEED, False)[0]), float(tricky(*batch, SEED, False)[0])
    assert (found == pytest.approx(expected, rel=1e-5)) is not ("mixup" in trick)


# ── adversarial ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["fgm", "pgd"])
@pytest.mark.parametrize("train_encoder", [True, False])
def test_an_attack_raises_every_text_s_loss_and_stays_in_its_ball(make, kind, train_encoder):
    model, _ = make("textcnn", train_encoder=train_encoder)
    inputs, labels, _ = batch_of()
    attack, tap, seen = Attack(kind, 0.05, inputs["token_ids"] != 0), disturbed_tap(model), []

    def change(vectors):
        seen.append(vectors)
        return attack(vectors)

    with tap.changing(change):
        for number in range(attack.num_steps + 1):
            with tf.GradientTape() as attack.tape:
                losses = cross_entropies(model, inputs, labels)
            if number == 0:
                before = losses.numpy()
            if number < attack.num_steps:
                attack.climb(attack.tape.gradient(losses, attack.disturbance))
    assert (losses.numpy() > before).all()
    moved, read = attack.disturbance.numpy(), seen[0].numpy()
    norms = np.sqrt((moved**2).sum((1, 2)) / (read[:, :6] ** 2).sum((1, 2)))
    assert (norms <= 0.05 * 1.00001).all()
    if kind == "fgm":
        np.testing.assert_allclose(norms, 0.05, rtol=1e-5)
    assert not moved[:, 6:].any()  # padding is nobody's text


def test_a_text_is_attacked_alike_whatever_stands_beside_it(make):
    _, gradients = make(adversarial="fgm", adversarial_size=0.2)
    inputs, labels, weights = batch_of()
    together = gradients(inputs, labels, weights, SEED, False)
    halves = [
        gradients({name: v[half] for name, v in inputs.items()}, labels[half], weights[half], SEED, False)
        for half in (slice(0, 2), slice(2, 6))
    ]
    assert float(together[0]) == pytest.approx(float(halves[0][0] + halves[1][0]), rel=1e-5)
    for name, value in together[1].items():
        np.testing.assert_allclose(value, halves[0][1][name] + halves[1][1][name], atol=2e-6)


def test_of_an_attack_nearly_nothing_is_left_the_plain_gradients(make):
    batch = batch_of()
    (_, plain), (_, attacked) = make(), make(adversarial="pgd", adversarial_size=1e-6)
    expected, found = plain(*batch, SEED, False)[1], attacked(*batch, SEED, False)[1]
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4)


@pytest.mark.parametrize("architecture", ["finetune", "textcnn"])
def test_a_head_alone_and_one_on_its_frozen_encoder_are_attacked_alike(make, encoder_config, architecture):
    """`finetune` reads the first position alone, whether others were computed or not."""
    model, whole = make(architecture, train_encoder=False, adversarial="fgm", adversarial_size=0.5)
    inputs, labels, weights = batch_of()
    head = build_head(architecture, encoder_config("albert")["hidden_size"], 3, (NUM_WORDS, 4), 0.0, 7)
    encoder = make("textcnn", train_encoder=False)[0].encoder
    for ours, theirs in zip(encoder.weights, model.encoder.weights, strict=True):
        ours.assign(theirs)
    states = encoder([inputs["token_ids"], inputs["segment_ids"]], training=False)
    alone = gradients_of(head, plain_settings(adversarial="fgm", adversarial_size=0.5))
    own = {"hidden_states": states, "token_ids": inputs["token_ids"], "word_ids": inputs["word_ids"]}
    expected = whole(inputs, labels, weights, SEED, False)[1]
    for name, value in alone(own, labels, weights, SEED, False)[1].items():
        np.testing.assert_allclose(value, expected[name], atol=1e-6)


# ── R-Drop ─────────────────────────────────────────────────────────────────────────────────────────


def test_divergences_are_those_of_the_formula():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 5, 3)).astype(np.float32)
    p, q = (np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in (one, other))
    expected = ((p * np.log(p / q)).sum(-1) + (q * np.log(q / p)).sum(-1)) / 2
    np.testing.assert_allclose(divergences(one, other), expected, rtol=1e-4)


def test_one_logit_diverges_as_the_two_that_it_stands_for():
    one, other = np.random.default_rng(0).normal(size=(2, 7, 1)).astype(np.float32)
    two = [np.concatenate([np.zeros_like(logit), logit], axis=1) for logit in (one, other)]
    np.testing.assert_allclose(divergences(one, other), divergences(*two), atol=1e-6)


def test_r_drop_makes_two_dropouts_agree(make):
    """By the same updates, a heavier weight leaves a smaller divergence of a text's two passes."""
    apart = []
    for weight in (0.0, 20.0):
        model, gradients = make("textcnn", dropout=0.4, r_drop=weight or 1e-9)
        inputs, labels, weights = batch_of()
        for number in range(12):
            seed = tf.constant([7, number])
            for name, value in gradients(inputs, labels, weights, seed, False)[1].items():
                learned_variables(model)[name].assign_sub(0.05 * value)
        outputs = []
        for number in (100, 101):
            model.dropout_seed.begin_step(tf.constant([7, number]))
            outputs.append(model(inputs, training=True))
        apart.append(float(tf.reduce_mean(divergences(*outputs))))
    assert apart[1] < apart[0] / 2


# ── several samples of dropout ─────────────────────────────────────────────────────────────────────


def test_gradients_are_the_mean_over_the_samples(encoder_config):
    """A logistic regression's: its two samples are what one forward pass makes of its text laid twice."""
    settings, size = plain_settings(multi_sample_dropout=2), 8
    twice, once = (build_head("finetune", size, 3, (2, 1), 0.5, 7, multi_sample_dropout=n) for n in (2, 1))
    inputs, labels, weights = batch_of(hidden_size=size)
    loss, found = gradients_of(twice, settings)(inputs, labels, weights, SEED, False)
    doubled = {name: tf.concat([value] * 2, axis=0) for name, value in inputs.items()}
    plain = gradients_of(once, plain_settings())
    expected = plain(doubled, tf.tile(labels, [2]), tf.tile(weights, [2]) / 2, SEED, False)
    assert float(loss) == pytest.approx(float(expected[0]), rel=1e-6)
    for name, value in expected[1].items():
        np.testing.assert_allclose(found[name], value, atol=1e-6)


def test_predictions_have_one_sample():
    twice, once = (
        build_head("textcnn", 8, 3, (NUM_WORDS, 4), 0.5, 7, multi_sample_dropout=n) for n in (2, 1)
    )
    inputs, _, _ = batch_of(hidden_size=8)
    np.testing.assert_array_equal(twice(inputs, training=False), once(inputs, training=False))


def test_where_the_first_position_alone_is_given_it_alone_bounds_the_attack():
    """A frozen encoder that finetune reads gives no more."""
    mask = tf.constant([[True] * 5 + [False] * 4, [True] * 9])
    vectors = tf.constant(np.random.default_rng(0).normal(size=(2, 1, 4)).astype(np.float32))
    attack = Attack("fgm", 0.1, mask)
    with tf.GradientTape() as attack.tape:
        attack(vectors)
    attack.climb(tf.ones_like(vectors))
    moved = np.linalg.norm(attack.disturbance.numpy(), axis=(1, 2))
    np.testing.assert_allclose(moved, 0.1 * np.linalg.norm(vectors.numpy(), axis=(1, 2)), rtol=1e-5)
