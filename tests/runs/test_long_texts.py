"""A whole run on texts that are longer than an encoder reads at once, on one shared local Ray."""

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from folds_here import trained_here
from one_fold import each_fold_alone
from tiny_run import make_rows, silent_console, tiny_config, write_csv

from raytrain.crossval.driver import train_run
from raytrain.ensemble.artifact import load_ensemble
from raytrain.ensemble.files import predict_file
from raytrain.ensemble.load import build_predictor
from raytrain.errors import ConfigError
from raytrain.text.encode import encode_texts
from raytrain.text.vocab import parse_vocab

pytestmark = pytest.mark.slow
ROWS, NEW = make_rows(48), make_rows(9, seed=5)
MAXLEN, READING = 12, {"truncate": "head_tail", "windows": 2}


@pytest.fixture(scope="module")
def run(local_ray, tmp_path_factory):
    """Networks on a frozen encoder, which count keywords, and n-grams; most texts have two windows."""
    directory = tmp_path_factory.mktemp("long")
    config = tiny_config(
        directory,
        model__architecture="[finetune,textcnn,tfidf]",
        model__train_encoder="false",
        encoder__maxlen=MAXLEN,
        encoder__truncate=READING["truncate"],
        encoder__windows=READING["windows"],
        words__keywords="auto",
        words__num_keywords=5,
        train__learning_rate=1e-2,
        data__test=write_csv(directory / "new.csv", NEW),
        baseline="true",
    )
    with trained_here():
        summary = train_run(config, silent_console())
    return directory, Path(config.storage) / config.name, summary


def texts_of(rows):
    return [row["text"] for row in rows]


def ensemble_of(run):
    return load_ensemble(f"{run[1]}/ensemble")


def oof_of(run):
    return pq.read_table(run[1] / "ensemble" / "oof.parquet")


def test_texts_are_judged_and_counted_once(run):
    _, path, summary = run
    assert oof_of(run)["id"].to_pylist() == [row["id"] for row in ROWS]
    for name in ("finetune", "textcnn", "tfidf"):
        assert summary["architectures"][name]["rows"] == len(ROWS)
        table = pq.read_table(path / "folds" / name / "r0-fold-00" / "result" / "oof.parquet")
        assert len(set(table["row"].to_pylist())) == table.num_rows == len(ROWS) // 2


def test_ngrams_read_whole_texts_as_the_baseline_does(run):
    own, baseline = run[2]["architectures"]["tfidf"]["oof"], run[2]["baselines"]["tfidf_logistic"]["oof"]
    assert own == pytest.approx(baseline, abs=1e-5)


def test_each_fold_repeats_its_oof_from_the_artifact(run):
    oof, asked = oof_of(run), 0
    for architecture, fold, alone in each_fold_alone(ensemble_of(run)):
        valid = oof["fold"].to_numpy() == fold.fold
        proba = build_predictor(alone, None).predict_proba(texts_of(ROWS))
        expected = oof[f"{architecture}_proba_b"].to_numpy()[valid]
        np.testing.assert_allclose(proba[valid, 1], expected, atol=2e-3 if architecture != "tfidf" else 1e-12)
        asked += 1
    assert asked == 6


def test_the_frozen_encoder_ran_once_over_all_windows(run):
    ensemble = ensemble_of(run)
    vocab = parse_vocab(ensemble.encoder.vocab, ensemble.read(ensemble.encoder.vocab))
    encoded = encode_texts(texts_of(ROWS), None, vocab, MAXLEN, False, **READING)
    assert len(ROWS) < len(encoded.rows) <= 2 * len(ROWS)
    [states] = (run[0] / "cache").glob("*.npy")
    assert len(np.load(states, mmap_mode="r")) == encoded.offsets[-1]


def test_new_texts_are_predicted_alike_by_every_road(run):
    directory, path, _ = run
    predictor = build_predictor(ensemble_of(run), None)
    proba = predictor.predict_proba(texts_of(NEW))
    alone = np.concatenate([predictor.predict_proba([text]) for text in texts_of(NEW)])
    np.testing.assert_allclose(alone, proba, atol=2e-3)
    with (path / "predictions.csv").open(encoding="utf-8-sig", newline="") as stream:
        told = list(csv.DictReader(stream))
    assert [row["id"] for row in told] == [row["id"] for row in NEW]
    np.testing.assert_allclose([float(row["proba_b"]) for row in told], proba[:, 1], atol=1e-4)
    output = directory / "again.csv"
    *_, rows = predict_file(str(path / "ensemble"), str(directory / "new.csv"), str(output))
    assert rows.done == len(NEW) and output.read_bytes() == (path / "predictions.csv").read_bytes()


def test_texts_cut_otherwise_are_another_run(run):
    directory, *_ = run
    changed = {"encoder__maxlen": MAXLEN, "encoder__truncate": "head_tail", "encoder__windows": 3}
    with pytest.raises(ConfigError, match=r"encoder\.windows: the run was begun with 2, found 3"):
        train_run(tiny_config(directory, **changed), silent_console())
