import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import numpy as np
import pytest

from raytrain.devices import in_precision
from raytrain.network import inference
from raytrain.network.build import build_model
from raytrain.network.heads import build_head
from raytrain.network.encoders import build_transformer
from raytrain.network.inference import predict_emissions, predict_hidden_states, predict_logits
from raytrain.network.layers import DropoutSeed
from raytrain.network.weights import encoder_variables, head_variables, load_weights
from raytrain.pretrained.directory import read_encoder
from raytrain.pretrained.weights import open_weights
from raytrain.pretrained.zoo import MINI
from raytrain.text.batches import FeatureRows

NUM_ROWS, NUM_WORDS = 9, 20
HALF = 2e-3  # half precision's rounding
LENGTHS = (7, 20, 3, 33, 12, 16, 17, 3, 25)


@pytest.fixture(scope="module")
def table(ragged, vocab):
    rng = np.random.default_rng(0)
    return ragged(
        [
            (
                rng.integers(5, len(vocab), length).tolist(),
                [0] * length,
                rng.integers(1, NUM_WORDS, length).tolist(),
            )
            for length in LENGTHS
        ]
    )


@pytest.fixture(scope="module")
def features(table):
    return FeatureRows(table)


def with_weights(model):
    """Weights that make every input count."""
    rng = np.random.default_rng(0)
    for variable in (head_variables(model) | encoder_variables(model)).values():
        variable.assign_add(rng.normal(0, 0.1, variable.shape))
    return model


@pytest.fixture(scope="module")
def three_classes(encoder_config):
    return with_weights(build_model("finetune", "albert", encoder_config("albert"), 3, (2, 1), True, 0.1, 7))


@pytest.fixture(scope="module")
def taggers(encoder_config):
    return {
        name: with_weights(
            build_model(name, "albert", encoder_config("albert"), 3, (NUM_WORDS, 4), True, 0.1, 7)
        )
        for name in ("bilstm", "crf")
    }


@pytest.fixture(scope="module")
def encoder(encoder_config):
    return build_transformer("albert", encoder_config("albert"), 3, DropoutSeed()).model


def test_logits_do_not_depend_on_the_batch_size(three_classes, features):
    rows = np.arange(NUM_ROWS)
    one, three, all_at_once = (predict_logits(three_classes, features, rows, size) for size in (1, 3, 64))
    assert one.shape == (NUM_ROWS, 3) and one.dtype == np.float32
    np.testing.assert_allclose(one, all_at_once, atol=1e-5)
    np.testing.assert_allclose(three, all_at_once, atol=1e-5)


def test_logits_do_not_depend_on_how_many_tokens_a_batch_may_have(three_classes, features, monkeypatch):
    rows = np.arange(NUM_ROWS)
    expected = predict_logits(three_classes, features, rows)
    for max_tokens in (None, 1, 40):
        monkeypatch.setattr(inference, "_max_tokens", lambda most=max_tokens: most)
        np.testing.assert_allclose(predict_logits(three_classes, features, rows), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("inter", "intra", "expected"), [(1, 1, 1), (1, 4, 1), (3, 1, 3), (3, 4, 2), (1, 0, 1), (2, 8, 2)]
)
def test_as_many_batches_run_at_once_as_tensorflow_has_threads_for(monkeypatch, inter, intra, expected):
    monkeypatch.setattr(inference.tf.config.threading, "get_inter_op_parallelism_threads", lambda: inter)
    monkeypatch.setattr(inference.tf.config.threading, "get_intra_op_parallelism_threads", lambda: intra)
    monkeypatch.setattr(inference, "available_cpus", lambda: 4)
    monkeypatch.setattr(inference.tf.config, "get_visible_devices", lambda kind: [])
    assert inference._batches_at_once() == expected
    assert inference._max_tokens() == inference.CORE_TOKENS * (intra or 4)


def test_a_card_computes_a_batch_while_another_is_laid(monkeypatch):
    monkeypatch.setattr(inference.tf.config, "get_visible_devices", lambda kind: ["GPU:0"])
    assert inference._batches_at_once() == 2 and inference._max_tokens() is None


@pytest.mark.parametrize("batch_size", [None, 2])
def test_compiled_in_filled_batches_rows_say_what_they_say_plain(
    three_classes, taggers, encoder, features, batch_size, monkeypatch
):
    monkeypatch.setattr(inference, "FILLED_TOKENS", 100)
    shapes = set()
    collate = features.collate

    def watched(rows, length=None):
        shapes.add((len(rows), length))
        return collate(rows, length)

    monkeypatch.setattr(features, "collate", watched)
    rows = np.array([4, 1, 8, 0, 3])
    said = [
        (
            predict_logits(three_classes, features, rows, batch_size, compiled),
            predict_emissions(taggers["bilstm"], features, rows, batch_size, compiled),
            predict_hidden_states(encoder, features, rows, batch_size, compiled),
        )
        for compiled in (False, True)
    ]
    for plain, compiled in zip(*said, strict=True):
        np.testing.assert_allclose(compiled, plain, atol=HALF)
    filled = {(2, 48), (3, 32)} if batch_size is None else {(2, 48), (2, 32), (2, 16)}
    assert {shape for shape in shapes if shape[1] is not None} == filled


def test_batches_side_by_side_say_what_they_say_one_by_one(
    three_classes, taggers, encoder, features, monkeypatch
):
    rows = np.arange(NUM_ROWS)
    said = []
    for at_once in (1, 4):
        monkeypatch.setattr(inference, "_batches_at_once", lambda at_once=at_once: at_once)
        monkeypatch.setattr(inference, "_max_tokens", lambda: 40)
        said.append(
            (
                predict_logits(three_classes, features, rows, batch_size=2),
                predict_emissions(taggers["crf"], features, rows, batch_size=2),
                predict_hidden_states(encoder, features, rows, batch_size=2),
            )
        )
    for one, other in zip(*said, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_batch_that_fails_side_by_side_fails_the_whole(three_classes, features, monkeypatch):
    monkeypatch.setattr(inference, "_batches_at_once", lambda: 3)
    monkeypatch.setattr(features, "collate", lambda rows, length: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        predict_logits(three_classes, features, np.arange(NUM_ROWS), batch_size=2)


def test_logits_come_in_the_order_of_the_rows(three_classes, features):
    rows = np.random.default_rng(1).permutation(NUM_ROWS)[:6]
    in_order = predict_logits(three_classes, features, np.arange(NUM_ROWS), 4)
    assert np.abs(in_order[rows] - np.sort(in_order[rows], axis=0)).max() > 1e-3
    np.testing.assert_allclose(predict_logits(three_classes, features, rows, 4), in_order[rows], atol=1e-5)


def test_a_row_that_is_asked_for_twice_is_answered_twice(three_classes, features):
    logits = predict_logits(three_classes, features, np.array([4, 1, 4]), 2)
    np.testing.assert_allclose(logits[0], logits[2], atol=1e-5)
    assert np.abs(logits[0] - logits[1]).max() > 1e-3


def test_texts_of_any_length_run_in_one_graph(three_classes, features):
    """Tracing another takes seconds."""
    for rows in ([0], [1, 3], range(NUM_ROWS)):
        predict_logits(three_classes, features, np.array(rows))
    assert three_classes._raytrain_functions[False].experimental_get_tracing_count() == 1


def test_no_rows_have_no_answers(three_classes, taggers, encoder, features):
    none = np.zeros(0, np.int64)
    assert predict_logits(three_classes, features, none).shape == (0, 3)
    assert predict_emissions(taggers["crf"], features, none).shape == (0, 3)
    assert predict_hidden_states(encoder, features, none).shape == (0, 8)


def test_texts_as_long_as_the_encoder_has_positions_can_be_predicted(encoder_config, ragged, eagerly):
    """20 is no multiple of the padding's 16."""
    config = encoder_config("albert") | {"max_position_embeddings": 20}
    model = build_model("finetune", "albert", config, 2, (2, 1), True, 0.1, 7)
    features = FeatureRows(ragged([([2] * 20, [0] * 20, [1] * 20), ([2] * 3, [0] * 3, [1] * 3)]))
    assert np.isfinite(predict_logits(model, features, np.arange(2))).all()


def test_without_a_bound_of_positions_compiled_texts_may_be_of_any_length(encoder_config, ragged, eagerly):
    config = {k: v for k, v in encoder_config("roformer").items() if k != "max_position_embeddings"}
    model = build_model("finetune", "roformer", config, 2, (2, 1), True, 0.1, 7)
    rows = [([1] * length, [0] * length, [0] * length) for length in (5, 700)]
    features = FeatureRows(ragged(rows))
    lengths = [length for *_, length in inference._deal(model, features, np.arange(2), None, True)]
    assert lengths == [700]
    lengths = [length for *_, length in inference._deal(model, features, np.arange(1), None, True)]
    assert lengths[0] < 512


@pytest.mark.parametrize("architecture", ["bilstm", "crf"])
def test_an_emission_does_not_depend_on_batch_mates_or_padding(taggers, features, architecture):
    model, rows = taggers[architecture], np.array([3, 0, 8, 2])
    together = predict_emissions(model, features, rows)
    alone = [predict_emissions(model, features, rows[i : i + 1]) for i in range(len(rows))]
    assert [len(part) for part in alone] == features.lengths[rows].tolist()
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-5)
    assert np.abs(together).max() > 0.1


def test_states_are_the_encoders_row_after_row(encoder, features):
    rows = np.array([3, 0, 4])
    together = predict_hidden_states(encoder, features, rows, batch_size=2)
    assert together.dtype == np.float16
    at = 0
    for row in rows:
        inputs = features.collate(np.array([row]))
        plain = encoder([inputs["token_ids"], inputs["segment_ids"]], training=False).numpy()[0]
        length = features.lengths[row]
        np.testing.assert_allclose(together[at : at + length], plain[:length], atol=HALF)
        at += length
    assert at == len(together)


def test_states_do_not_depend_on_the_shape_that_a_process_came_upon_first(features):
    """In bfloat16, where TensorFlow fuses by what it knows of shapes."""
    bundled = read_encoder(str(MINI), True, 128)
    with in_precision("bfloat16"):
        transformer = build_transformer(bundled.kind, bundled.config, 3, DropoutSeed())
    load_weights(transformer, open_weights(bundled.kind, bundled.weights))
    rows, last = np.arange(NUM_ROWS), np.array([7])
    said = []
    for first in ([0, 1], [4], last):
        transformer.model.__dict__.pop("_raytrain_functions", None)
        predict_hidden_states(transformer.model, features, np.array(first))
        said.append(predict_hidden_states(transformer.model, features, rows, batch_size=2))
    np.testing.assert_array_equal(said[0], said[1])
    np.testing.assert_array_equal(said[0], said[2])


def test_states_have_no_dropout(encoder_config, features, eagerly):
    encoder = build_transformer("albert", encoder_config("albert", 0.5), 3, DropoutSeed()).model
    one, two = (predict_hidden_states(encoder, features, np.array([0, 2])) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    inputs = features.collate(np.array([0]))
    dropped = encoder([inputs["token_ids"], inputs["segment_ids"]], training=True).numpy()[0, :7]
    assert np.abs(one[:7] - dropped).max() > 0.1


def test_a_head_alone_reads_the_states_of_its_rows(table, eagerly):
    """It has no encoder whose output should stay in a core's caches, and takes whole batches."""
    states = np.random.default_rng(0).normal(size=(sum(LENGTHS), 4)).astype(np.float16)
    head = with_weights(build_head("finetune", 4, 3, (2, 1), 0.0, 7))
    kernel, bias = (value.numpy() for value in head_variables(head).values())
    firsts = np.cumsum([0, *LENGTHS])[:-1]
    rows = np.array([8, 0, 3])
    expected = states[firsts[rows]].astype(np.float32) @ kernel + bias
    found = predict_logits(head, FeatureRows(table, states), rows, batch_size=2)
    np.testing.assert_allclose(found, expected, atol=1e-5)
