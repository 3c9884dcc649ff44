"""The baselines of a run: begun beside the folds, kept fold by fold, never in the ensemble's way."""

import io

import numpy as np
import pyarrow as pa
import pytest
import ray
from crossval.test_plan import NUM_ROWS, corpus_of, plan_of, tag_plan_of
from rich.console import Console
from tiny_run import silent_stages

from raytrain.crossval import baselines
from raytrain.crossval.baselines import finish_baselines, predict_folds, start_baselines
from raytrain.errors import StorageError
from raytrain.ngrams.baseline import BASELINES
from raytrain.stages import Stages
from raytrain.storage.directory import Directory

LABELS = np.arange(12) % 2
FOLDS = np.arange(12) // 6
IS_TRAIN = np.stack([fold != FOLDS for fold in range(2)])
TEXTS = [f"{'好看' if label else '难看'}的电影{row}" for row, label in enumerate(LABELS)]


def predict(directory, identity="mine", texts=TEXTS):
    return dict(predict_folds(Directory(directory), identity, texts, LABELS, FOLDS, IS_TRAIN, 2))


def test_each_fold_is_told(tmp_path):
    told = predict(tmp_path)
    assert list(told) == [0, 1]
    for proba in told.values():
        assert tuple(proba) == BASELINES
        assert all(values.shape == (6, 2) for values in proba.values())


def test_a_fold_that_is_kept_is_read_and_not_predicted(tmp_path, monkeypatch):
    first = predict(tmp_path)
    monkeypatch.setattr(baselines, "predict_baselines", lambda *_: pytest.fail("it was there"))
    again = predict(tmp_path)
    for fold, proba in first.items():
        for name, values in proba.items():
            np.testing.assert_array_equal(again[fold][name], values)


def test_another_run_s_are_not_taken(tmp_path):
    first, other = predict(tmp_path), predict(tmp_path, "another", TEXTS[::-1])
    assert not np.array_equal(first[0]["tfidf_logistic"], other[0]["tfidf_logistic"])


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"PAR1"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.with_name("fold-01.parquet").read_bytes()[:-9]),
    ],
)
def test_what_is_damaged_is_predicted_again(tmp_path, damage):
    first = predict(tmp_path)
    damage(tmp_path / "fold-00.parquet")
    np.testing.assert_array_equal(predict(tmp_path)[0]["tfidf_logistic"], first[0]["tfidf_logistic"])


def test_a_fold_of_another_size_is_predicted_again(tmp_path):
    first = predict(tmp_path)
    directory = Directory(tmp_path)
    four = (TEXTS[:10], LABELS[:10], FOLDS[:10], IS_TRAIN[:, :10])  # rows that fold 1 has
    list(predict_folds(directory, "mine", *four, 2))
    assert predict(tmp_path)[1]["majority"].shape == first[1]["majority"].shape


# ── beside the folds ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("plan", [plan_of("baseline=false"), tag_plan_of()], ids=["not wanted", "tagger"])
def test_without_baselines_none_are_begun(plan):
    assert start_baselines(plan) is None
    assert finish_baselines(plan, None, silent_stages()) == {}


def test_baselines_see_pairs_as_one_text(monkeypatch):
    given = []
    remote = type("Remote", (), {"remote": lambda self, *arguments: given.append(arguments)})()
    monkeypatch.setattr(ray, "remote", lambda **options: lambda function: remote)
    table = corpus_of().table.append_column("text_pair", pa.array(["天"] * NUM_ROWS))
    start_baselines(plan_of(corpus=corpus_of(table=table)))
    [(_, _, texts, targets, folds, is_train, num_classes)] = given
    assert texts[0] == "第0条 天" and len(texts) == len(targets) == len(folds) and num_classes == 2
    assert is_train.shape == (2, len(folds)) and (is_train[0] == (folds != 0)).all()


def finish(stream, deadline=None):
    """What is taken of a stream of folds, and what is said."""
    console = Console(file=io.StringIO(), width=200)
    return finish_baselines(plan_of(), stream, Stages(console, deadline)), console.file.getvalue()


@ray.remote(num_cpus=0, num_returns="streaming")
def two_folds(error=None):
    for fold in range(2):
        yield fold, {name: np.full((NUM_ROWS // 2, 2), fold / 4) for name in BASELINES}
        if error is not None:
            raise error


@ray.remote(num_cpus=0, num_returns="streaming")
def endless():
    import time

    time.sleep(60)
    yield


def test_what_the_folds_say_lies_on_their_rows(local_ray):
    oof, said = finish(two_folds.remote())
    folds = plan_of().folds.valid[0]
    for name in BASELINES:
        np.testing.assert_array_equal(oof[name], np.repeat(folds[:, None] / 4, 2, axis=1))
    assert said == ""


@pytest.mark.parametrize("error", [MemoryError("a large corpus"), StorageError("it is gone")])
def test_baselines_that_fail_cost_no_ensemble(local_ray, error):
    oof, said = finish(two_folds.remote(error))
    assert oof == {}
    assert "the baselines are left out, they failed: " in said and str(error) in said


def test_the_time_budget_ends_them(local_ray):
    oof, said = finish(endless.remote(), deadline=1.0)
    assert oof == {}
    assert "the baselines are left out, cluster.time_budget was used up: baselines, 0 of 2 folds" in said


def test_what_was_done_in_time_counts_after_it(local_ray):
    stream = two_folds.remote()
    ray.wait([stream.completed()])
    assert finish(stream, deadline=1.0)[0].keys() == set(BASELINES)
