import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import functools
import re

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain import kinds
from raytrain.network.encoders import build_transformer
from raytrain.errors import ArtifactError
from raytrain.network.layers import DropoutSeed
from raytrain.network.build import build_model, input_specs
from raytrain.network.heads import build_head
from raytrain.network.weights import assign_variables, encoder_variables, head_variables, read_variables

ARCHITECTURES = ("finetune", "textcnn", "rnn_cnn")
KINDS = tuple(kinds.KINDS)
NUM_WORDS = 20
# What stands on an encoder does not depend on its kind: each head on BERT, each kind below the plainest head.
EACH_HEAD_AND_KIND = pytest.mark.parametrize(
    ("architecture", "kind"),
    [*((name, "bert") for name in ARCHITECTURES), *(("finetune", kind) for kind in KINDS if kind != "bert")],
)


@pytest.fixture(scope="module")
def build(encoder_config):
    def build(architecture, kind, num_labels=2, train_encoder=True, dropout=0.1, seed=7, encoder_dropout=0.1):
        config = encoder_config(kind, encoder_dropout)
        shape = (NUM_WORDS, 4)
        return build_model(architecture, kind, config, num_labels, shape, train_encoder, dropout, seed)

    return build


def variables_of(model):
    return head_variables(model) | encoder_variables(model)


def randomize(model, scale=0.2):
    """Lays weights into every variable that make every input count (word vectors start as zeros)."""
    rng = np.random.default_rng(0)
    for variable in variables_of(model).values():
        variable.assign_add(rng.normal(0, scale, variable.shape))


@pytest.fixture(scope="module")
def runner(build):
    """A randomized model as one traced function; each is built once, for LSTMs are slow to trace."""

    @functools.cache
    def make(architecture, kind):
        model = build(architecture, kind, num_labels=3)
        initial = read_variables(variables_of(model))
        randomize(model)
        spec = tf.TensorSpec((None, None), tf.int32)
        names = ("token_ids", "segment_ids", "word_ids")
        run = tf.function(lambda ids: model(ids, training=False), [dict.fromkeys(names, spec)])
        run.model, run.initial = model, initial
        return run

    return make


def texts_of(lengths, seed, vocab_size):
    rng = np.random.default_rng(seed)
    limits = {"token_ids": (1, vocab_size), "segment_ids": (0, 2), "word_ids": (1, NUM_WORDS)}
    return [{name: rng.integers(*limit, size) for name, limit in limits.items()} for size in lengths]


def batch_of(texts, width=0):
    width = max(width, *(len(text["token_ids"]) for text in texts))
    return {
        name: np.stack([np.pad(text[name], (0, width - len(text[name]))) for text in texts]).astype(np.int32)
        for name in texts[0]
    }


# ── shapes, padding, seeds ─────────────────────────────────────────────────────────────────────────


@EACH_HEAD_AND_KIND
@settings(max_examples=10)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    extra=st.integers(1, 20),
    seed=st.integers(0, 999),
)
def test_predictions_do_not_depend_on_padding_or_batch_mates(
    runner, vocab, architecture, kind, lengths, extra, seed
):
    run = runner(architecture, kind)
    texts = texts_of(lengths, seed, len(vocab))
    alone = np.concatenate([run(batch_of([text])) for text in texts])
    together = run(batch_of(texts))
    padded = np.concatenate([run(batch_of([text], len(text["token_ids"]) + extra)) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-4, rtol=1e-5)
    np.testing.assert_allclose(padded, alone, atol=1e-4, rtol=1e-5)


@EACH_HEAD_AND_KIND
def test_every_token_of_a_text_counts(runner, vocab, architecture, kind):
    """The counterpart of the test above, which a model that reads nothing would pass."""
    run = runner(architecture, kind)
    (text,) = texts_of([12], 3, len(vocab))
    plain = run(batch_of([text])).numpy()
    for position in (0, 5, 11):
        changed = text | {"token_ids": text["token_ids"].copy()}
        changed["token_ids"][position] = 1 + changed["token_ids"][position] % (len(vocab) - 1)
        assert np.abs(run(batch_of([changed])) - plain).max() > 1e-3


@EACH_HEAD_AND_KIND
def test_segment_ids_of_a_pair_count(runner, vocab, architecture, kind):
    run = runner(architecture, kind)
    (text,) = texts_of([12], 3, len(vocab))
    pair = text | {"segment_ids": np.repeat([0, 1], 6)}
    single = text | {"segment_ids": np.zeros(12, int)}
    assert np.abs(run(batch_of([pair])) - run(batch_of([single]))).max() > 1e-3


@pytest.mark.parametrize(
    ("architecture", "count"), [("finetune", False), ("textcnn", True), ("rnn_cnn", True)]
)
def test_word_ids_count_in_fusion_heads_alone(runner, vocab, architecture, count):
    run = runner(architecture, "albert")
    (text,) = texts_of([12], 3, len(vocab))
    changed = text | {"word_ids": 1 + text["word_ids"] % (NUM_WORDS - 1)}
    difference = np.abs(run(batch_of([changed])) - run(batch_of([text]))).max()
    assert (difference > 1e-3) == count


@pytest.mark.parametrize(("num_labels", "units"), [(2, 1), (5, 5)])
@pytest.mark.parametrize("architecture", ["finetune", "textcnn"])
def test_two_classes_have_one_logit_and_five_have_five(build, vocab, architecture, num_labels, units):
    model = build(architecture, "bert", num_labels)
    assert model(batch_of(texts_of([5, 9, 3], 0, len(vocab)))).shape == (3, units)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_initial_weights_and_names_depend_on_the_seed_alone(runner, build, architecture):
    """Not on the models that the process has built before."""
    one = runner(architecture, "albert").initial
    two = read_variables(variables_of(build(architecture, "albert", num_labels=3)))
    assert list(one) == list(two)
    for name, value in one.items():
        np.testing.assert_array_equal(value, two[name], err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_initial_weights_of_another_seed_differ(runner, build, kind):
    """Everything that is drawn: kernels and the encoder's embeddings; the rest starts as constants."""
    one = runner("textcnn", kind).initial
    two = read_variables(variables_of(build("textcnn", kind, num_labels=3, seed=8)))
    drawn = {name for name in one if re.search(r"kernel|Embedding-.*embeddings", name)}
    assert {name for name in one if (one[name] != two[name]).mean() > 0.9} == drawn


def test_kernels_of_one_model_differ_from_each_other(runner):
    """Keras's own initializer gives the query, key and value kernels of a layer the same values."""
    square = [value for value in runner("finetune", "bert").initial.values() if value.shape == (8, 8)]
    assert len(square) == 8
    for index, kernel in enumerate(square):
        assert all((kernel != other).mean() > 0.9 for other in square[:index])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_variable_has_a_name_of_its_own(runner, architecture):
    model = runner(architecture, "albert").model
    assert len(variables_of(model)) == len(model.weights)


# ── the frozen encoder, dropout ────────────────────────────────────────────────────────────────────


def test_a_frozen_encoder_has_nothing_to_train(build):
    model = build("textcnn", "albert", train_encoder=False)
    assert {id(variable) for variable in model.trainable_variables} == {
        id(variable) for variable in head_variables(model).values()
    }


def noise(model, vocab):
    """How far two training steps' outputs lie from prediction's."""
    randomize(model)
    batch = batch_of(texts_of([9, 14], 3, len(vocab)))
    plain = model(batch, training=False)
    differences = []
    for step in (1, 2):
        model.dropout_seed.begin_step(tf.constant([7, step], tf.int32))
        differences.append(float(np.abs(model(batch, training=True) - plain).max()))
    return differences


@pytest.mark.parametrize("architecture", ["finetune", "textcnn"])
def test_a_frozen_encoder_runs_without_dropout(build, vocab, architecture):
    model = build(architecture, "albert", train_encoder=False, dropout=0.0, encoder_dropout=0.5)
    assert noise(model, vocab) == [0, 0]


def test_a_trained_encoder_drops_out(build, vocab):
    assert min(noise(build("finetune", "albert", dropout=0.0, encoder_dropout=0.5), vocab)) > 1e-3


def test_the_head_drops_out_on_a_frozen_encoder(build, vocab):
    model = build("textcnn", "albert", train_encoder=False, dropout=0.5, encoder_dropout=0.0)
    assert min(noise(model, vocab)) > 1e-3


@pytest.mark.parametrize("key", ["hidden_dropout_prob", "attention_probs_dropout_prob"])
def test_each_of_the_encoders_dropout_rates_is_used(encoder_config, vocab, key):
    config = encoder_config("albert", dropout=0.0) | {key: 0.5}
    model = build_model("finetune", "albert", config, 2, (2, 1), True, 0.0, seed=7)
    assert min(noise(model, vocab)) > 1e-3


def test_dropout_of_one_seed_is_the_same_in_another_model(build, vocab):
    outputs = []
    for _ in range(2):
        model = build("finetune", "albert", encoder_dropout=0.5)
        model.dropout_seed.begin_step(tf.constant([7, 1], tf.int32))
        outputs.append(model(batch_of(texts_of([9, 14], 3, len(vocab))), training=True).numpy())
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize("architecture", ["textcnn", "rnn_cnn"])
def test_a_head_drops_the_same_on_an_encoder_as_on_its_states(encoder_config, build, vocab, architecture):
    whole = build(architecture, "albert", train_encoder=False, dropout=0.5)
    head = build_head(architecture, encoder_config("albert")["hidden_size"], 2, (NUM_WORDS, 4), 0.5, 7)
    assign_variables(head_variables(head), read_variables(head_variables(whole)), "the head")
    batch = batch_of(texts_of([9, 14], 3, len(vocab)))
    states = whole.encoder([batch["token_ids"], batch["segment_ids"]], training=False)
    outputs = []
    for model, inputs in ((whole, batch), (head, {**batch, "hidden_states": states})):
        model.dropout_seed.begin_step(tf.constant([7, 1], tf.int32))
        outputs.append(model({name: inputs[name] for name in input_specs(model)}, training=True))
    np.testing.assert_allclose(*outputs, atol=1e-5)


# ── an encoder alone ───────────────────────────────────────────────────────────────────────────────


def transformer_of(encoder_config, kind, seed=7, dropout=0.1):
    return build_transformer(kind, encoder_config(kind, dropout), seed, DropoutSeed())


@pytest.fixture(scope="module")
def albert(encoder_config):
    return transformer_of(encoder_config, "albert")


# ── weights by name ────────────────────────────────────────────────────────────────────────────────


def test_variables_round_trip_by_name(runner, build):
    source, target = runner("textcnn", "albert").model, build("textcnn", "albert", num_labels=3)
    values = read_variables(variables_of(source))
    assign_variables(variables_of(target), values, "here")
    for name, value in read_variables(variables_of(target)).items():
        np.testing.assert_array_equal(value, values[name], err_msg=name)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_weights_that_are_no_finite_numbers_are_refused(wrong):
    with pytest.raises(ArtifactError, match="w: expected finite numbers"):
        assign_variables({"w": tf.Variable(np.zeros(2, np.float32))}, {"w": np.array([1, wrong])}, "here")


def test_everything_wrong_with_weights_is_listed_in_one_error():
    variables = {name: tf.Variable(np.zeros(2, np.float32)) for name in ("here", "gone", "long")}
    values = {"here": np.ones(2), "long": np.ones(3), "surplus": np.ones(2)}
    with pytest.raises(ArtifactError, match=r"fold\.safetensors") as caught:
        assign_variables(variables, values, "fold.safetensors")
    found = caught.value.problems
    assert len(found) == 3
    assert [problem for problem in found if "gone" in problem]
    assert [problem for problem in found if "surplus" in problem]
    assert [problem for problem in found if "long" in problem and "(2,)" in problem and "(3,)" in problem]


def test_wrong_weights_change_nothing():
    variables = {"here": tf.Variable([1.0]), "gone": tf.Variable([2.0])}
    with pytest.raises(ArtifactError):
        assign_variables(variables, {"here": np.array([5.0])}, "x")
    assert float(variables["here"][0]) == 1


def test_an_encoder_alone_has_the_names_it_has_in_a_model(albert, runner):
    """What load_encoder_weights reads from the one is laid into the other."""
    alone = encoder_variables(albert.model)
    assert list(alone) == list(encoder_variables(runner("textcnn", "albert").model))


# ── keywords ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_keyword_counts_reach_the_logits_of_every_architecture(encoder_config, architecture):
    config = encoder_config("albert")
    model = build_model(
        architecture, "albert", config, 2, (NUM_WORDS, 4), True, 0.1, 7, num_keyword_classes=2
    )
    randomize(model)
    text = batch_of(texts_of([9], 0, config["vocab_size"]))
    logits = [
        float(model({**text, "keyword_counts": np.array([counts], np.float32)}, training=False)[0, 0])
        for counts in ([0, 0], [1, 0], [0, 1], [30, 0])
    ]
    assert len({round(value, 4) for value in logits}) == 4
    # The logarithm of 1 + count, so that thirty words do not outweigh all else.
    if architecture == "finetune":
        assert (logits[3] - logits[0]) / (logits[1] - logits[0]) == pytest.approx(np.log2(31), rel=1e-3)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_without_keywords_a_model_is_what_it_was(build, architecture):
    model = build(architecture, "albert")
    assert set(model.input) == {"token_ids", "segment_ids", "word_ids"}
    assert not [layer.name for layer in model.get_layer("head").layers if "keyword" in layer.name]


# ── pooling ────────────────────────────────────────────────────────────────────────────────────────


def pooled(encoder_config, kind, pooling):
    """A finetuned model of this pooling and a whole encoder, of the same random weights."""
    config = encoder_config(kind)
    model = build_model("finetune", kind, config, 3, (2, 1), True, 0.1, 7, pooling=pooling)
    randomize(model)
    encoder = build_transformer(kind, config, 7, DropoutSeed())
    values = read_variables(encoder_variables(model))
    assign_variables(encoder_variables(encoder.model), values, "the same")
    return model, encoder


def texts_and_logits(model, vector):
    head = read_variables(head_variables(model))
    return vector @ head["logits.0.kernel"] + head["logits.1.bias"]


@pytest.mark.parametrize("kind", KINDS)
def test_mean_pooling_is_the_mean_over_real_tokens(encoder_config, kind):
    model, encoder = pooled(encoder_config, kind, "mean")
    texts = texts_of([5, 9], 0, 20)
    batch = batch_of(texts, 12)
    states = encoder.model([batch["token_ids"], batch["segment_ids"]], training=False).numpy()
    vector = np.stack([states[0, :5].mean(0), states[1, :9].mean(0)])
    expected = texts_and_logits(model, vector)
    np.testing.assert_allclose(model(batch, training=False), expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_layers_are_the_first_positions_of_the_last_ones_by_their_shares(encoder_config, kind):
    """Two layers, fewer than there are scores: a softmax over as many as there are."""
    model, encoder = pooled(encoder_config, kind, "layers")
    batch = batch_of(texts_of([5, 9], 0, 20))
    assert len(encoder.layer_outputs) == 2
    every = tf.keras.Model(encoder.model.inputs, encoder.layer_outputs)
    first = [states.numpy()[:, 0] for states in every([batch["token_ids"], batch["segment_ids"]])]
    scores = np.exp(read_variables(head_variables(model))["layers.0.scores"][:2])
    vector = sum(share * states for share, states in zip(scores / scores.sum(), first, strict=True))
    expected = texts_and_logits(model, vector)
    np.testing.assert_allclose(model(batch, training=False), expected, atol=1e-5)


def test_a_deep_encoder_gives_its_last_four_layers(encoder_config):
    config = {**encoder_config("bert"), "num_hidden_layers": 6}
    encoder = build_transformer("bert", config, 7, DropoutSeed(), "layers").model
    ids = np.array([[2, 7, 8, 3]])
    assert encoder([ids, ids * 0]).shape == (1, 4, config["hidden_size"])


@pytest.mark.parametrize("pooling", ["first", "mean", "layers"])
def test_every_pooling_reads_and_learns_the_same_encoder(encoder_config, pooling):
    config = encoder_config("albert")
    names = [
        list(
            encoder_variables(build_model("finetune", "albert", config, 2, (2, 1), True, 0.1, 7, pooling=own))
        )
        for own in ("first", pooling)
    ]
    assert names[0] == names[1]
