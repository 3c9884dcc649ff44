"""bfloat16 as cards compute it, by Keras's policy, held against float32; on whatever device there is."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from plain_settings import plain_settings

from raytrain.text.vocab import Vocab
from raytrain.text.batches import FeatureRows
from raytrain.devices import set_precision
from raytrain.text.encode import build_features
from raytrain.network.inference import predict_hidden_states, predict_logits
from raytrain.network.build import build_model
from raytrain.network.heads import build_head
from raytrain.network.weights import encoder_variables, head_variables, read_variables
from raytrain.training.objectives import Classification, Tagging
from raytrain.training.loop import FoldTraining
from raytrain.text.windows import encode_windows, tag_windows

BY_POLICY = "bfloat16"
CLASSIFIERS, TAGGERS = ("finetune", "textcnn", "rnn_cnn"), ("bilstm_crf", "bilstm", "crf")
KINDS = ("bert", "albert")
# Many rows: which of two near values a maximum or a rectifier takes is a matter of rounding, and a single
# row's gradient may then go elsewhere. The sums of all rows' agree.
NUM_TEXTS, NUM_VALID = 136, 8
CARDS = tf.config.list_physical_devices("GPU")
TAGS = ["O", "B-LOC", "I-LOC"]


pytestmark = pytest.mark.usefixtures("float32_again")


@pytest.fixture(scope="module")
def corpus(vocab):
    """Features of texts, half of which hold a place, and their windows with it tagged."""
    rng, characters = np.random.default_rng(0), vocab[5:]
    texts, tags = [], []
    for number in range(NUM_TEXTS):
        length, place = rng.integers(6, 19), rng.integers(0, 4)
        text, tag = list(rng.choice(characters[4:], length)), np.zeros(length, np.int32)
        if number % 2:
            text[place : place + 2], tag[place : place + 2] = characters[:2], [1, 2]
        texts.append("".join(text))
        tags.append(tag)
    encoded, windows = encode_windows(texts, Vocab(vocab), 20, with_words=True)
    return build_features(encoded, []), tag_windows(windows, np.concatenate(tags), TAGS)


@pytest.fixture(scope="module")
def fold(corpus, encoder_config):
    """Makes a FoldTraining in a precision; keywords that TrainSettings has go there.

    Its weights are large enough that what is cast wrongly would show.
    """
    table, tagged = corpus
    rows = np.arange(table.num_rows)

    def make(
        precision,
        architecture="finetune",
        kind="albert",
        train_encoder=True,
        *,
        dropout=0.1,
        num_keyword_classes=0,
        accumulation=1,
        seed=7,
        table=table,
        **settings,
    ):
        set_precision(precision)
        config = encoder_config(kind, dropout) | {"hidden_size": 16, "intermediate_size": 32}
        shape = (3, (20, 4), train_encoder, dropout, seed, num_keyword_classes)
        model = build_model(architecture, kind, config, *shape)
        rng = np.random.default_rng(seed)
        for variable in (head_variables(model) | encoder_variables(model)).values():
            variable.assign_add(rng.normal(0, 0.05, variable.shape))
        counts = None
        if num_keyword_classes:
            counts = rng.integers(0, 9, (len(rows), num_keyword_classes)).astype(np.float32)
        rates = {"learning_rate": 3e-3, "encoder_learning_rate": 1e-3}
        settings = plain_settings(**{"batch_size": NUM_TEXTS} | rates | settings)
        if architecture in TAGGERS:
            objective = Tagging(tagged, settings)
        else:
            objective = Classification(rows % 2, settings)  # of three, one without rows
        return FoldTraining(
            model,
            FeatureRows(table, None, counts),
            objective,
            rows[NUM_VALID:],
            rows[:NUM_VALID],
            settings,
            seed,
            accumulation=accumulation,
        )

    return make


def update_of(training):
    """Loss and gradients of the train rows as one batch, in the pieces that the training cuts it into."""
    total, summed = 0.0, {}
    for piece in training.updates.lay(training.train_rows):
        inputs, targets, weights = ({k: tf.constant(v) for k, v in piece[0].items()}, *piece[1:])
        loss, gradients = training.updates.step._differentiate(
            inputs, targets, weights, tf.constant([7, 0]), training.updates.step.compiles
        )
        total += float(loss)
        summed = {name: summed.get(name, 0) + gradient.numpy() for name, gradient in gradients.items()}
    return total, summed


def assert_alike(found, expected, loss_error=0.02, least_cosine=0.99):
    (loss, gradients), (expected_loss, expected_gradients) = found, expected
    assert loss == pytest.approx(expected_loss, rel=loss_error)
    assert gradients.keys() == expected_gradients.keys()
    whole = np.sqrt(sum(np.sum(np.square(value, dtype=np.float64)) for value in expected_gradients.values()))
    for name, gradient in expected_gradients.items():
        norms = np.linalg.norm(gradient), np.linalg.norm(gradients[name])
        assert gradients[name].dtype == np.float32, name
        if norms[0] < 1e-6 * whole:  # a bias of the keys changes no attention: what is left is rounding
            assert norms[1] < 1e-4 * whole, name
            continue
        cosine = np.sum(gradient * gradients[name], dtype=np.float64) / (norms[0] * norms[1])
        assert cosine >= least_cosine, (name, cosine)
        assert norms[1] == pytest.approx(norms[0], rel=0.1), name


# ── one update, and ten ────────────────────────────────────────────────────────────────────────────


# What stands on an encoder does not depend on its kind: each head on both, by turns.
@pytest.mark.parametrize(
    ("architecture", "kind", "train_encoder"),
    [
        (architecture, KINDS[(number + train) % 2], bool(train))
        for number, architecture in enumerate(CLASSIFIERS + TAGGERS)
        for train in (0, 1)
    ],
)
def test_an_update_is_that_of_float32_but_for_rounding(fold, architecture, kind, train_encoder):
    expected = update_of(fold("float32", architecture, kind, train_encoder))
    # Behind an LSTM more of the maxima lie near each other, and the gains of norms see it first: 0.9893 where
    # the processor itself knows no bfloat16, above 0.99 where it does.
    least_cosine = 0.98 if architecture == "rnn_cnn" else 0.99
    found = update_of(fold(BY_POLICY, architecture, kind, train_encoder))
    assert_alike(found, expected, least_cosine=least_cosine)


@pytest.mark.parametrize(("number", "architecture"), enumerate(CLASSIFIERS + TAGGERS))
def test_ten_updates_lower_the_loss(fold, request, number, architecture):
    kind, train_encoder = KINDS[number % 2], number % 4 < 2
    if architecture in ("finetune", "textcnn", "crf"):  # an LSTM's many small steps are quicker compiled
        request.getfixturevalue("eagerly")
    training = fold(BY_POLICY, architecture, kind, train_encoder, learning_rate=3e-3, schedule="constant")
    training.train_rows = training.train_rows[:16]
    pieces, before = training.updates.lay(training.train_rows), update_of(training)[0]
    for step in range(10):
        training.updates.update(pieces, step, 10, training.seed)
    assert update_of(training)[0] < 0.95 * before  # by the same masks


def in_pairs(table):
    """The same texts with a second segment from their fourth token on."""
    column = table["segment_ids"].combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    offsets = column.offsets.to_numpy()
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))
    pairs = pa.LargeListArray.from_arrays(column.offsets, pa.array((place > 3).astype(np.int8)))
    return table.set_column(table.column_names.index("segment_ids"), "segment_ids", pairs)


@pytest.mark.parametrize(
    ("architecture", "what"),
    [
        *(("finetune", "keywords"), ("textcnn", "pairs"), ("textcnn", "class weights")),
        ("finetune", "label smoothing"),
    ],
)
def test_what_a_config_adds_keeps_the_update(fold, corpus, architecture, what):
    options = {
        "keywords": {"num_keyword_classes": 3},
        "pairs": {"table": in_pairs(corpus[0])},
        "class weights": {"class_weight": (1.0, 3.0, 0.2)},
        "label smoothing": {"label_smoothing": 0.2},
    }[what]
    plain = update_of(fold(BY_POLICY, architecture, "bert"))
    found = update_of(fold(BY_POLICY, architecture, "bert", **options))
    assert_alike(found, update_of(fold("float32", architecture, "bert", **options)))
    assert found[0] != plain[0]


@pytest.mark.parametrize("architecture", ["finetune", "bilstm_crf"])
def test_a_batch_in_pieces_gives_the_update_of_the_whole(fold, architecture):
    whole, pieces = (
        update_of(fold(BY_POLICY, architecture, dropout=0.0, accumulation=count)) for count in (1, 3)
    )
    assert_alike(pieces, whole, loss_error=1e-3)


def test_weights_and_gradients_are_float32(fold):
    training = fold(BY_POLICY, "rnn_cnn")
    assert {variable.dtype for variable in training.updates.step.optimizer.variables.values()} == {tf.float32}
    assert {variable.dtype for variable in training.updates.step.optimizer.state.values()} == {tf.float32}


# ── from epoch to epoch ────────────────────────────────────────────────────────────────────────────


def trained(training, epochs=2):
    while training.epoch < epochs:
        training.run_epoch()
    return training.weights(), training.predicted


def assert_equal(found, expected):
    """To the last bit; a card adds up in any order, and there what the fold says is the same but for that."""
    if CARDS:
        np.testing.assert_allclose(found[1], expected[1], atol=0.02)
        return
    for name, value in expected[0].items():
        np.testing.assert_array_equal(found[0][name], value, name)
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("architecture", ["textcnn", "bilstm_crf"])
def test_a_fold_saved_within_an_epoch_and_resumed_equals_a_calm_one(fold, eagerly, tmp_path, architecture):
    options = {"batch_size": 48, "epochs": 2}
    calm = trained(fold(BY_POLICY, architecture, "bert", **options))
    broken = fold(BY_POLICY, architecture, "bert", **options)
    asked = iter(range(9))
    assert broken.run_epoch(pause=lambda: next(asked) == 2) is None
    broken.save(tmp_path)
    resumed = fold(BY_POLICY, architecture, "bert", **options, seed=7)
    resumed.load(tmp_path)
    assert (resumed.epoch, resumed.step) == (0, 2)
    assert_equal(trained(resumed), calm)


@pytest.mark.parametrize("architecture", ["finetune", "rnn_cnn"])
def test_a_restarted_fold_equals_a_new_one(fold, eagerly, architecture):
    options = {"batch_size": 48, "epochs": 1}
    training = fold(BY_POLICY, architecture, **options)
    trained(training, 1)
    other = fold(BY_POLICY, architecture, seed=8, **options)
    training.restart(training.train_rows, training.valid_rows, 8, other.model)
    assert_equal(trained(training, 1), trained(other, 1))


# ── prediction ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("architecture", CLASSIFIERS + TAGGERS)
def test_logits_are_those_of_float32_but_for_rounding(fold, architecture):
    logits = []
    for precision in (BY_POLICY, "float32"):
        training = fold(precision, architecture, "bert")
        inputs = training.features.collate(np.arange(40))
        logits.append(training.model(inputs, training=False))
    assert logits[0].dtype == tf.float32
    error = np.abs(logits[0] - logits[1])
    assert error.max() < 0.03 * np.abs(logits[1]).max()
    assert error.max() > 0  # both would be float32


def test_a_head_on_hidden_states_is_the_whole_model(fold, corpus):
    training = fold(BY_POLICY, "rnn_cnn", "bert", train_encoder=False)
    rows = np.arange(40)
    whole = predict_logits(training.model, training.features, rows)
    encoder = training.model.get_layer("encoder")
    states = predict_hidden_states(encoder, training.features, np.arange(NUM_TEXTS))
    head = build_head("rnn_cnn", 16, 3, (20, 4), 0.1, seed=7)
    for name, value in read_variables(head_variables(training.model)).items():
        head_variables(head)[name].assign(value)
    np.testing.assert_allclose(predict_logits(head, FeatureRows(corpus[0], states), rows), whole, atol=0.02)
