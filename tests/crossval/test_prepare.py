import re

import numpy as np
import pytest
from tiny_run import make_rows, silent_stages, tiny_config, tiny_tag_config, write_csv

from raytrain.config.load import load_config
from raytrain.crossval.prepare import check_files, fusion_settings, prepare_run, read_texts
from raytrain.errors import CheckpointError, ConfigError, CorpusError
from raytrain.fusion.fit import FusionSettings
from raytrain.storage.directory import Directory
from raytrain.storage.files import hash_file


def prepare(config):
    return prepare_run(Directory(config.storage) / config.name, config, silent_stages())


def test_a_classifiers_texts_have_a_label_each(tmp_path):
    corpus = read_texts(tiny_config(tmp_path, num_rows=12), silent_stages())
    assert corpus.num_rows == 12 and corpus.labels == ["a", "b"]
    assert corpus.table["label"].to_pylist() == [0, 1] * 6
    assert corpus.table["id"].to_pylist()[0] == "row-0"


def test_pairs_and_groups_are_read_where_the_config_names_them(tmp_path):
    rows = [row | {"other": "天", "shop": f"shop-{row['id']}"} for row in make_rows(12)]
    write_csv(tmp_path / "corpus.csv", rows)
    corpus = read_texts(
        tiny_config(tmp_path, data__text="[text,other]", folds__group="shop"), silent_stages()
    )
    assert corpus.text_names == ["text", "text_pair"]
    assert corpus.table["group"].to_pylist()[0] == "shop-row-0"


def test_a_taggers_texts_have_a_tag_a_character(tmp_path):
    corpus = read_texts(tiny_tag_config(tmp_path), silent_stages())
    tags, bounds = corpus.tags
    assert corpus.labels == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert np.diff(bounds).tolist() == [len(text) for text in corpus.table["text"].to_pylist()]
    assert set(tags) == set(range(5))


@pytest.mark.parametrize("make", [tiny_config, tiny_tag_config], ids=["classify", "tag"])
def test_texts_to_predict_are_looked_through_before_anything_is_trained(tmp_path, make):
    """They need no label; one that cannot be read would else be told after hours."""
    column = [{"id": "1", "text": "天"}]
    good = write_csv(tmp_path / "good.csv", column)
    assert read_texts(make(tmp_path, data__test=good), silent_stages()).num_rows > 1
    bad = write_csv(tmp_path / "bad.csv", [{"id": "1", "words": "天"}])
    with pytest.raises(CorpusError, match=r"bad\.csv") as caught:
        read_texts(make(tmp_path, data__test=bad), silent_stages())
    assert "text" in str(caught.value)
    with pytest.raises(CorpusError, match=r"absent\.csv"):
        read_texts(make(tmp_path, data__test=tmp_path / "absent.csv"), silent_stages())


def test_what_was_prepared_holds_all_that_a_run_is_made_of(tmp_path):
    config = tiny_config(tmp_path, num_rows=12, folds__repeats=2, train__class_weight="{b: 3}")
    prepared = prepare(config)
    assert prepared.corpus.num_rows == 12 and prepared.class_weight == (1.0, 3.0)
    assert prepared.encoder.kind == "albert" and prepared.encoder.weights is None
    assert prepared.hashes.keys() == {"data.path", "encoder.checkpoint"}
    assert prepared.folds.valid.shape == (2, 12) and set(prepared.folds.valid.ravel()) == {0, 1}


@pytest.mark.parametrize("policy", ["keep", "group", "drop"])
def test_near_duplicates_are_treated_before_anything_is_made_of_the_corpus(tmp_path, policy):
    rows = make_rows(12)
    copies = [{**row, "id": f"copy of {row['id']}", "text": f"{row['text']} "} for row in rows[:6]]
    write_csv(tmp_path / "corpus.csv", rows + copies)
    prepared = prepare(tiny_config(tmp_path, folds__duplicates=policy))
    assert prepared.corpus.num_rows == prepared.folds.valid.shape[1] == (12 if policy == "drop" else 18)
    assert (prepared.duplicates is None) == (policy == "keep")
    if policy == "group":
        assert np.array_equal(prepared.folds.valid[0, :6], prepared.folds.valid[0, 12:])
    if policy == "drop":
        assert prepared.corpus.dropped == {"near_duplicate": 6}


def test_a_run_that_is_not_begun_prepares_alike_and_leaves_nothing(tmp_path):
    config = tiny_config(tmp_path, num_rows=12)
    one, two = prepare(config), prepare(config)
    assert one.hashes == two.hashes and np.array_equal(one.folds.valid, two.folds.valid)
    assert not Directory(config.storage).exists()


@pytest.mark.parametrize(
    ("override", "error", "told"),
    [
        ({"data__path": "absent.csv"}, CorpusError, r"absent\.csv"),
        ({"words__keywords": "absent.csv"}, CorpusError, r"absent\.csv"),
        (
            {"words__user_dict": "absent.txt", "model__architecture": "textcnn"},
            (CorpusError, ConfigError),
            r"absent\.txt",
        ),
        ({"encoder__checkpoint": "absent/encoder"}, CheckpointError, "absent"),
        ({"train__class_weight": "{c: 2}"}, ConfigError, r"class_weight\.c"),
    ],
    ids=["corpus", "keywords", "dictionary", "encoder", "class weight"],
)
def test_what_cannot_be_used_is_told_and_nothing_is_written(tmp_path, override, error, told):
    config = tiny_config(tmp_path, num_rows=12, **override)
    with pytest.raises(error, match=told):
        prepare(config)
    assert not Directory(config.storage).exists()


def test_costs_of_labels_that_are_none_are_told_before_anything_is_trained(tmp_path):
    costs = {"ensemble__threshold": "cost", "ensemble__costs": "{b: {c: 2}}"}
    with pytest.raises(ConfigError, match=r"ensemble\.costs\.b\.c: no such label; the corpus has a, b"):
        prepare(tiny_config(tmp_path, num_rows=12, **costs))


def test_new_labels_are_laid_over_the_corpus_before_near_duplicates_are_dropped(tmp_path):
    rows = make_rows(12)
    rows[2]["text"] = rows[1]["text"]
    write_csv(tmp_path / "corpus.csv", rows)
    marks = [{"id": "row-1", "new_label": "a"}, {"id": "row-3", "new_label": "drop"}]
    labels = write_csv(tmp_path / "labels.csv", marks)
    config = tiny_config(tmp_path, data__labels=labels, folds__duplicates="drop")
    prepared = prepare_run(Directory(tmp_path / "runs" / "tiny"), config, silent_stages())
    corpus = prepared.corpus
    assert corpus.table["label"].to_pylist()[:3] == [0, 0, 0]
    assert corpus.table["id"].to_pylist()[:3] == ["row-0", "row-1", "row-4"]
    assert corpus.dropped == {"by_hand": 1, "near_duplicate": 1} and corpus.changed_labels == 1
    assert corpus.table["judged"].to_pylist() == [False, True, *[False] * 8]
    assert prepared.hashes["data.labels"] == hash_file(labels)


def test_new_labels_that_cannot_be_used_are_told_before_anything_starts(tmp_path):
    labels = write_csv(tmp_path / "labels.csv", [{"id": "row-1", "new_label": "x"}])
    config = tiny_config(tmp_path, data__labels=labels)
    with pytest.raises(CorpusError, match=r"data\.labels: these new labels cannot be used"):
        read_texts(config, silent_stages())


def settings_of(*overrides, names=(0, 1)):
    return fusion_settings(load_config(None, ["data.path=a.csv", *overrides]), names)


def test_settings_are_those_of_the_config():
    found = settings_of("ensemble.weights=greedy", "ensemble.metric=auc", "ensemble.calibrate=false")
    assert found == FusionSettings("greedy", "auc", "auto", False)
    costs = settings_of("ensemble.threshold=cost", "ensemble.costs={1: {0: 5}}").costs
    assert costs.tolist() == [[0, 1], [5, 0]]


def test_what_does_not_fit_the_labels_is_told():
    with pytest.raises(ConfigError, match=r"ensemble\.costs\.a: no such label; the corpus has 0, 1"):
        settings_of("ensemble.threshold=cost", "ensemble.costs={a: {0: 5}}")
    with pytest.raises(ConfigError, match=r"ensemble\.threshold: .*has 3; take macro_f1"):
        settings_of("ensemble.threshold=f1", names="abc")
    assert settings_of("ensemble.threshold=f1").threshold == "f1"


@pytest.mark.parametrize(
    ("key", "data", "told"),
    [
        ("words.vectors", "1 2\n店 nan 1\n", "line 2, 店: expected 2 finite numbers"),
        ("words.user_dict", "店 3 n x\n", "line 1: expected `word [frequency] [tag]`"),
        ("words.keywords", None, "words.keywords: cannot read"),
        ("data.test", None, "data.test: cannot read"),
        ("encoder.checkpoint", None, "no such checkpoint"),
    ],
)
def test_what_the_config_names_is_looked_at_before_the_corpus_is_read(tmp_path, monkeypatch, key, data, told):
    monkeypatch.setattr("raytrain.crossval.prepare.read_texts", lambda *_: pytest.fail("the corpus was read"))
    named = tmp_path / "named"
    if data is not None:
        named.write_text(data, encoding="utf-8")
    config = tiny_config(tmp_path, model__architecture="textcnn", **{key.replace(".", "__"): named})
    with pytest.raises((CorpusError, CheckpointError), match=re.escape(told)):
        prepare(config)


def test_all_that_is_wrong_with_what_the_config_names_is_told_at_once(tmp_path):
    absent = {"words__vectors": tmp_path / "absent.vec", "words__user_dict": tmp_path / "absent.dict"}
    config = tiny_config(tmp_path, model__architecture="textcnn", encoder__checkpoint="absent", **absent)
    with pytest.raises(ConfigError) as caught:
        prepare(config)
    assert len(caught.value.problems) == 3
    assert all(f"absent{end}" in str(caught.value) for end in (".vec", ".dict", ":"))


def test_a_tracker_that_does_not_answer_is_told_before_the_corpus_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("raytrain.crossval.prepare.read_texts", lambda *_: pytest.fail("the corpus was read"))
    with pytest.raises(ConfigError, match=r"tracking\.mlflow"):
        prepare(tiny_config(tmp_path, tracking__mlflow="nonsense://host"))


def test_files_that_no_head_reads_are_not_looked_at(tmp_path):
    config = tiny_config(tmp_path, model__architecture="finetune", words__vectors=tmp_path / "absent.vec")
    check_files(config)
