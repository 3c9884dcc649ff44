"""Whole runs of taggers on one shared local Ray."""

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from folds_here import trained_here
from one_fold import each_fold_alone
from tiny_run import CHARACTERS, make_tagged, silent_console, silent_stages, tiny_tag_config, write_bio

from raytrain.crossval.driver import train_run
from raytrain.ensemble.apart import predict_test
from raytrain.ensemble.artifact import load_ensemble
from raytrain.ensemble.files import PredictedRows, predict_file
from raytrain.ensemble.words import read_words
from raytrain.report.page import write_report
from raytrain.sweep.driver import run_sweep

pytestmark = pytest.mark.slow
NAMES = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


@pytest.fixture(scope="module")
def reference(local_ray, tmp_path_factory):
    """Two folds of two architectures, with a test file to predict."""
    directory = tmp_path_factory.mktemp("tagger")
    write_bio(directory / "test.bio", make_tagged(9, seed=5))
    vectors = "".join(f"{char} 0.{i} 0.5 -0.{i}\n" for i, char in enumerate(CHARACTERS))
    (directory / "characters.vec").write_text(f"{len(CHARACTERS)} 3\n{vectors}", encoding="utf-8")
    config = tiny_tag_config(
        directory,
        model__architecture="[bilstm_crf,crf]",
        data__test=directory / "test.bio",
        words__vectors=directory / "characters.vec",
    )
    console = silent_console()
    with trained_here():
        return directory, config, train_run(config, console), console.file.getvalue()


def read_oof(directory):
    return pq.read_table(directory / "runs" / "tiny" / "ensemble" / "oof.parquet")


def reference_ensemble(directory):
    return load_ensemble(str(directory / "runs" / "tiny" / "ensemble"))


def test_summary_has_scores_of_spans_per_model_fold_and_type(reference):
    _, _, summary, told = reference
    assert list(summary["architectures"]) == ["bilstm_crf", "crf"]
    for entry in [*summary["architectures"].values(), summary["ensemble"]]:
        assert entry["oof"].keys() == {"precision", "recall", "f1", "accuracy", "log_loss"}
        lower, upper = entry["interval"]["f1"]
        assert 0 <= lower <= entry["oof"]["f1"] <= upper <= 1
        assert entry["types"].keys() == {"LOC", "PER"}
    assert summary["architectures"]["bilstm_crf"]["oof"]["f1"] > 0.5
    for words in ("valid f1", "out-of-fold scores per type", "ensemble of all"):
        assert words in told


def test_every_character_of_every_text_has_an_oof_tag(reference):
    table = read_oof(reference[0])
    texts = [text for text, _ in make_tagged(60)]
    for name in ("tags", "predicted", "confidence", "bilstm_crf_predicted", "crf_predicted"):
        assert [len(row) for row in table[name].to_pylist()] == [len(text) for text in texts]
    assert {tag for row in table["predicted"].to_pylist() for tag in row} <= set(NAMES)
    confidence = np.concatenate([np.array(row) for row in table["confidence"].to_pylist()])
    assert ((confidence > 0) & (confidence <= 1)).all()


def test_each_fold_model_repeats_its_oof_tags(reference):
    """Loaded from the artifact and asked for its valid texts, alone."""
    from raytrain.ensemble.models import Tagger

    directory, *_ = reference
    ensemble = reference_ensemble(directory)
    texts, table = [text for text, _ in make_tagged(60)], read_oof(directory)
    for architecture, fold, alone in each_fold_alone(ensemble):
        found = Tagger(alone).find_spans(texts)
        rows = np.flatnonzero(table["fold"].to_numpy() == fold.fold)
        expected = table[f"{architecture}_predicted"].take(rows).to_pylist()
        tags = [found.tags[found.bounds[row] : found.bounds[row + 1]] for row in rows]
        assert [[NAMES[tag] for tag in own] for own in tags] == expected


def test_predictions_are_spans_in_jsonl_and_the_same_in_bio(reference, tmp_path):
    directory, config, *_ = reference
    run = directory / "runs" / "tiny"
    assert predict_test(str(run), config, silent_stages()) == PredictedRows(9, 9, 0)
    rows = [json.loads(line) for line in (run / "predictions.jsonl").read_text("utf-8").splitlines()]
    assert [row["text"] for row in rows] == [text for text, _ in make_tagged(9, seed=5)]
    assert sum(len(row["spans"]) for row in rows) > 5
    for row in rows:
        for span in row["spans"]:
            assert span["text"] == row["text"][span["start"] : span["end"]]
            assert span["type"] in ("LOC", "PER") and 0 < span["confidence"] <= 1
    list(predict_file(str(run / "ensemble"), str(directory / "test.bio"), str(tmp_path / "out.bio")))
    spans = [[(s["start"], s["end"], s["type"]) for s in row["spans"]] for row in rows]
    expected = write_bio(
        tmp_path / "expected.bio", [(r["text"], s) for r, s in zip(rows, spans, strict=True)]
    )
    assert (tmp_path / "out.bio").read_text("utf-8").strip() == expected.read_text("utf-8").strip()


def test_copied_artifact_predicts_alone(reference, tmp_path):
    directory, *_ = reference
    assert reference_ensemble(directory).manifest.schema_version == 3
    shutil.copytree(directory / "runs" / "tiny" / "ensemble", tmp_path / "moved")
    (tmp_path / "in.txt").write_text("一丁七丂七丄\n\n", encoding="utf-8")
    *_, rows = predict_file(str(tmp_path / "moved"), str(tmp_path / "in.txt"), str(tmp_path / "out.jsonl"))
    assert rows == PredictedRows(2, 2, 1)


def test_artifact_has_the_vectors_of_characters_for_words_it_never_saw(reference):
    directory, *_ = reference
    words = read_words(reference_ensemble(directory))
    assert sorted(words.characters) == CHARACTERS
    new, rows = words.lay_new([CHARACTERS[9] + CHARACTERS[11] + CHARACTERS[13]])
    assert len(new) == 1
    np.testing.assert_allclose(rows[0], [(0.9 + 0.11 + 0.13) / 3, 0.5, -(0.9 + 0.11 + 0.13) / 3], atol=1e-6)


def test_finished_run_is_summed_up_without_training(reference):
    _, config, summary, _ = reference
    assert train_run(config, silent_console())["architectures"] == summary["architectures"]


def test_the_report_names_the_scores_and_shows_the_spans(reference):
    directory, _, summary, _ = reference
    place = write_report(str(directory / "runs" / "tiny"))
    page = Path(place).read_text(encoding="utf-8")
    for entry in (*summary["architectures"].values(), summary["ensemble"]):
        assert all(f"{entry['oof'][name]:.4f}" in page for name in ("precision", "recall", "f1"))
    assert 'id="types"' in page and 'class="span' in page and "not shown" not in page


def test_run_with_a_frozen_encoder_groups_and_repeats(here, tmp_path):
    """The encoder's output comes from the cache; texts of one author are in one fold."""
    rows = [
        {
            "text": text,
            "spans": [{"start": s, "end": e, "label": kind} for s, e, kind in spans],
            "author": f"author-{number // 3}",
        }
        for number, (text, spans) in enumerate(make_tagged(48))
    ]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "corpus.jsonl").write_text(lines, encoding="utf-8")
    config = tiny_tag_config(
        tmp_path,
        data__path=tmp_path / "corpus.jsonl",
        folds__group="author",
        folds__repeats=2,
        model__architecture="bilstm",
        model__train_encoder="false",
        train__epochs=1,
    )
    summary = train_run(config, silent_console())
    assert summary["ensemble"]["rows"] == 48
    assert len(summary["architectures"]["bilstm"]["folds"]) == 4
    assert list((tmp_path / "cache").glob("*.npy"))
    folds = pq.read_table(tmp_path / "runs" / "tiny" / "folds.parquet")
    first = folds["fold"].to_numpy()[:48].reshape(16, 3)
    assert (first == first[:, :1]).all()


@pytest.mark.long
def test_sweep_over_tagging_heads_is_judged_by_f1(local_ray, tmp_path):
    config = tiny_tag_config(
        tmp_path,
        name="search",
        train__epochs=1,
        sweep__num_trials=1,
        sweep__num_folds=1,
        sweep__search="random",
        sweep__space="{model.architecture: [crf, bilstm]}",
    )
    best = run_sweep(config, silent_console())
    assert best.task == "tag" and best.model.architecture in ("crf", "bilstm")
    table = pq.read_table(tmp_path / "runs" / "search" / "trials.parquet")
    assert "f1" in table.column_names and "macro_f1" not in table.column_names
    assert table["state"].to_pylist() == ["finished"]


@pytest.mark.long
def test_two_workers_per_fold_equal_one(local_ray, tmp_path):
    """A batch whose tokens two workers share gives the same update; without dropout, whose masks differ.

    By the policy of cards; a classifier's two workers share in float32 (test_crossval).
    """
    options = {"dropout": 0.0, "train__dropout": 0, "train__epochs": 2, "train__precision": "bfloat16"}
    found = {}
    for name, workers in (("one", 1), ("two", 2)):
        config = tiny_tag_config(tmp_path, name=name, cluster__workers_per_fold=workers, **options)
        with contextlib.nullcontext() if workers == 2 else trained_here():
            summary = train_run(config, silent_console())
        found[name] = summary["ensemble"]["oof"]
    assert found["two"] == pytest.approx(found["one"], abs=0.03)
    assert found["one"]["log_loss"] < 1.5
