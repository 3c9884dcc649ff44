"""A fold of n-grams, asked what whatever runs folds asks of one."""

import numpy as np
import pyarrow as pa
import pytest
from tiny_run import make_rows

from raytrain.folds.result import load_checkpoint, save_checkpoint
from raytrain.ngrams.tfidf import fit_classifier, read_classifier
from raytrain.ngrams.training import NgramTraining
from raytrain.scores.classes import log_loss, score_proba

ROWS = make_rows(48)
TEXTS = [row["text"] for row in ROWS]
LABELS = np.array(["ab".index(row["label"]) for row in ROWS])
VALID = np.arange(48)[::3]
TRAIN = np.setdiff1d(np.arange(48), VALID)


def new_training(**options):
    texts = pa.array(TEXTS, pa.large_string())
    return NgramTraining(
        **{
            "texts": texts,
            "labels": LABELS,
            "train_rows": TRAIN,
            "valid_rows": VALID,
            "num_classes": 2,
            "class_weight": None,
            **options,
        }
    )


def texts_of(rows):
    return [TEXTS[row] for row in rows]


@pytest.fixture(scope="module")
def trained():
    training = new_training()
    training.run_epoch()
    return training


def test_it_learns_its_training_rows_alone_in_one_epoch(trained):
    assert trained.finished and (trained.epoch, trained.step, trained.refusal) == (1, 0, None)
    weights, predicted, metrics = trained.selected()
    expected = fit_classifier(texts_of(TRAIN), LABELS[TRAIN], 2)
    np.testing.assert_allclose(predicted, expected.predict_proba(texts_of(VALID)), atol=1e-6)
    assert weights.keys() == expected.arrays().keys()
    assert trained.history == [metrics] and metrics["epoch"] == 1


def test_what_it_keeps_says_again_what_it_said(trained):
    weights, predicted, metrics = trained.selected()
    kept = read_classifier(weights, 2, "kept")
    np.testing.assert_array_equal(kept.predict_proba(texts_of(VALID)), predicted)
    assert metrics["loss"] == log_loss(LABELS[TRAIN], kept.predict_proba(texts_of(TRAIN)))
    assert score_proba(LABELS[VALID], predicted).items() <= metrics.items()


def test_its_table_has_the_rows_that_it_has_not_seen(trained):
    weights, predicted, _ = trained.selected()
    ids = pa.array([row["id"] for row in ROWS])
    table = trained.objective.oof_table(trained.valid_rows, predicted, ids, weights)
    assert table.column_names == ["row", "id", "proba_0", "proba_1"]
    assert table["row"].to_pylist() == VALID.tolist()
    assert table["id"].to_pylist() == [f"row-{row}" for row in VALID]
    np.testing.assert_array_equal(table["proba_1"].to_numpy(), predicted[:, 1])


def test_weights_of_classes_are_heeded(trained):
    weighed = new_training(class_weight=(9.0, 1.0))
    weighed.run_epoch()
    assert weighed.predicted[:, 0].mean() > trained.predicted[:, 0].mean() + 0.01


def test_a_pause_comes_before_the_fit_and_costs_nothing(trained):
    training, answers = new_training(), iter([True, False])
    assert training.run_epoch(None, lambda: next(answers)) is None
    assert not training.finished and training.epoch == 0 and training.history == []
    assert training.run_epoch(None, lambda: next(answers)) == trained.history[0]


def test_what_a_checkpoint_holds_is_that_nothing_is_done_yet(trained, tmp_path):
    save_checkpoint(str(tmp_path), new_training())
    training = new_training()
    load_checkpoint(str(tmp_path), training)
    assert training.run_epoch() == trained.history[0]


def test_workers_beside_the_first_wait_for_nothing():
    training = new_training(texts=None, rank=1)
    assert training.run_epoch() == {"epoch": 1} and training.finished


def test_without_valid_rows_all_rows_are_learned_and_there_are_no_scores():
    training = new_training(train_rows=np.arange(48), valid_rows=np.zeros(0, np.int64))
    assert set(training.run_epoch()) == {"epoch", "loss"}
    weights, predicted, _ = training.selected()
    assert predicted.shape == (0, 2)
    own = read_classifier(weights, 2, "the fold").predict_proba(TEXTS)
    np.testing.assert_allclose(own, fit_classifier(TEXTS, LABELS, 2).predict_proba(TEXTS), atol=1e-6)
    table = training.objective.oof_table(training.valid_rows, predicted, pa.array(range(48)), weights)
    assert table.column_names == ["row", "id", "proba_0", "proba_1"] and not table.num_rows
