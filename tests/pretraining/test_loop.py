"""A pre-training's steps: it learns, goes on where it stopped, and shares a batch among workers."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import itertools
import math

import numpy as np
import pytest
from encoder_checkpoints import KINDS
from tiny_pretraining import VOCAB, encoder_config, make_lines, settings, special, texts_from
from tiny_run import silent_stage

from raytrain.text.vocab import Vocab
from raytrain.devices import set_precision
from raytrain.errors import RaytrainError
from raytrain.pretraining.lines import HeldBack
from raytrain.pretraining.loop import Pretraining
from raytrain.pretraining.model import MaskedLanguageModel
from raytrain.pretraining.pieces import Encoding
from raytrain.pretraining.sequences import Sequences, write_sequences
from raytrain.storage.directory import Directory


@pytest.fixture(scope="module")
def sequences(tmp_path_factory):
    directory, lines = Directory(tmp_path_factory.mktemp("sequences")), make_lines(80)
    held, encoding = HeldBack(0.2, 1000, len(lines)), Encoding(Vocab(VOCAB), special(), 32, with_words=True)
    write_sequences(directory, "this", texts_from(lines), held, encoding, silent_stage(), 32 * 8)
    return Sequences(directory, 0)


def build(sequences, kind="albert", dropout=0.1, rank=0, num_workers=1, accumulation=1, **changes):
    model = MaskedLanguageModel(kind, encoder_config(kind, dropout), 0)
    return Pretraining(
        model, sequences, settings(**changes), special(), 7, None, rank, num_workers, accumulation
    )


def run_through(training):
    while not training.finished:
        if training.evaluation_is_due:
            training.evaluate()
        training.run()
    training.evaluate()
    return training


def weights_of(training):
    return {name: variable.numpy() for name, variable in training.model.variables_by_name().items()}


# Each kind by one precision, BERT by both.
@pytest.mark.parametrize(
    ("kind", "precision"),
    [("bert", "float32"), *zip(KINDS, itertools.cycle(["bfloat16", "float32"]), strict=False)],
)
def test_it_learns(sequences, kind, precision, float32_again):
    set_precision(precision)
    training = run_through(build(sequences, kind, dropout=0.0, steps=40, evaluate_every=40))
    first, last = training.history[0], training.history[-1]
    assert first["step"] == 0 and math.isnan(first["loss"]) and last["step"] == 40
    assert last["perplexity"] < 0.8 * first["perplexity"] and last["accuracy"] > first["accuracy"]
    assert training.num_told > 40 * 4 and training.seconds > 0


def test_evaluations_fall_where_they_are_asked_for(sequences, eagerly):
    training = run_through(build(sequences, steps=5, evaluate_every=2, checkpoint_every=3))
    assert [entry["step"] for entry in training.history] == [0, 2, 4, 5]
    assert training.history[2]["epoch"] == round(4 * 4 / sequences.num_sequences, 3)
    assert training.passes == 5 * 4 / sequences.num_sequences


def test_it_stops_at_checkpoints_too_and_where_it_is_told_to(sequences, eagerly):
    training = build(sequences, steps=6, evaluate_every=4, checkpoint_every=3)
    stops = []
    while not training.finished:
        assert training.run()
        stops.append(training.step)
    assert stops == [3, 4, 6]
    paused = build(sequences, steps=6)
    assert not paused.run(pause=lambda: paused.step == 1) and paused.step == 1


@pytest.mark.parametrize("stop", [0, 2, 3])
def test_resumed_equals_uninterrupted(sequences, tmp_path, stop, eagerly):
    whole = run_through(build(sequences))
    first = build(sequences)
    while first.step < stop:
        if first.evaluation_is_due:
            first.evaluate()
        first.run(pause=lambda: first.step >= stop)
    first.save(tmp_path)
    second = build(sequences)
    second.load(tmp_path)
    run_through(second)
    expected, found = weights_of(whole), weights_of(second)
    assert all(np.array_equal(expected[name], found[name]) for name in expected)
    told = [{key: value for key, value in entry.items()} for entry in whole.history]
    assert [list(map(str, entry.values())) for entry in second.history[-1:]] == [
        list(map(str, told[-1].values()))
    ]


def test_pieces_of_a_batch_make_the_same_update(sequences, eagerly):
    expected, found = (
        weights_of(run_through(build(sequences, dropout=0.0, steps=2, accumulation=pieces)))
        for pieces in (1, 3)
    )
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=2e-4, err_msg=name)


@pytest.mark.parametrize("num_workers", [2, 3, 5])
def test_workers_share_each_batch_without_overlap(sequences, num_workers):
    [whole], told = build(sequences)._lay(3)
    shares = []
    for rank in range(num_workers):
        [(inputs, targets, weights)], own_told = build(sequences, rank=rank, num_workers=num_workers)._lay(3)
        assert own_told == told and len(weights) == -(-4 // num_workers)
        shares += [
            (*row, *places)
            for row, places in zip(
                inputs["token_ids"][weights > 0].tolist(), targets[weights > 0].tolist(), strict=True
            )
        ]
        assert np.allclose(weights[weights > 0], 1 / told)
    inputs, targets, _ = whole
    rows = zip(inputs["token_ids"].tolist(), targets.tolist(), strict=True)
    assert sorted(shares) == sorted((*row, *places) for row, places in rows)


def test_a_loss_that_is_not_finite_ends_it(sequences, eagerly):
    training = build(sequences)
    next(iter(training.model.variables_by_name().values())).assign_add(
        np.full(next(iter(training.model.variables_by_name().values())).shape, np.nan)
    )
    with pytest.raises(RaytrainError, match="not finite"):
        training.run()


def test_weights_that_the_last_step_broke_are_neither_kept_nor_evaluated(sequences, eagerly, tmp_path):
    """The loss of a step is of the weights before it."""
    training = build(sequences)
    training.run()
    [*_, last] = training.model.variables_by_name().values()
    last.assign(np.full(last.shape, np.inf))
    with pytest.raises(RaytrainError, match=f"not finite after step {training.step}"):
        training.evaluate()
    with pytest.raises(RaytrainError, match="not finite"):
        training.save(tmp_path / "checkpoint")
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_is_told_at_a_pause_too(sequences, eagerly):
    training = build(sequences)
    for variable in training.model.variables_by_name().values():
        variable.assign(np.full(variable.shape, np.nan))
    asked = iter([False, True])
    with pytest.raises(RaytrainError, match="not finite by step 1"):
        training.run(pause=lambda: next(asked))


def test_without_texts_held_back_there_is_nothing_to_tell(sequences, eagerly, monkeypatch):
    training = build(sequences)
    monkeypatch.setattr(sequences, "held_back", lambda: np.zeros((0, 32), np.uint32))
    entry = training.evaluate()
    assert math.isnan(entry["perplexity"]) and math.isnan(entry["accuracy"])


def test_progress_is_told_at_the_end_of_each_stretch(sequences, eagerly):
    told = []
    build(sequences).run(lambda *event: told.append(event))
    assert told[-1][:2] == (2, 6) and told[-1][2] > 0
