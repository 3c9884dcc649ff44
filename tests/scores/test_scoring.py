"""Each task's way from what folds said to scores and tables."""

import json

import numpy as np
import pyarrow as pa
import pytest

from raytrain.scores.decoding import Transitions, best_tags, mean_transitions
from raytrain.scores.oof import assemble_oof, mean_oof, oof_table, score_oof
from raytrain.scores.scoring import SCORINGS, ClassScoring, TagScoring
from raytrain.storage.files import parquet_bytes, read_parquet
from raytrain.tasks import ARCHITECTURES, TASK_METRICS
from raytrain.text.vocab import Vocab
from raytrain.text.windows import encode_windows, tag_windows

VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"我在北京大学"]
NAMES = ["O", "B-LOC", "I-LOC"]
TEXTS = ["我在北京", "北京大学", "我在", "大学"]
TAGS = [0, 0, 1, 2, 1, 2, 0, 0, 0, 0, 0, 0]


@pytest.fixture(scope="module")
def scoring():
    windows = encode_windows(TEXTS, Vocab(VOCAB), 16, with_words=False)[1]
    return TagScoring(NAMES, tag_windows(windows, np.array(TAGS, np.int32), NAMES))


def fold_of(texts, seed):
    """A fold's oof.parquet, and what is in it."""
    rng = np.random.default_rng(seed)
    crf = Transitions(rng.normal(size=3), rng.normal(size=3), rng.normal(size=(3, 3)))
    emissions = [rng.normal(size=(len(TEXTS[text]), 3)).astype(np.float32) for text in texts]
    table = pa.table({"row": texts, "emissions": [part.reshape(-1) for part in emissions]})
    scores = json.dumps([crf.start.tolist(), crf.end.tolist(), crf.pairs.tolist()])
    return (
        table.replace_schema_metadata({"transitions": scores}),
        dict(zip(texts, emissions, strict=True)),
        crf,
    )


def decoded(emissions, crf):
    return best_tags(emissions, np.array([0, len(emissions)]), crf)


def spans_as_tags(tags):
    """Valid BIO of any tags."""
    found, before = [], 0
    for tag in tags:
        found.append(tag if tag != 2 or before else 1)
        before = tag
    return found


def of_text(oof, text):
    start = sum(map(len, TEXTS[:text]))
    return oof.tags[start : start + len(TEXTS[text])].tolist()


def test_each_text_is_decoded_by_the_fold_that_had_not_seen_it(scoring):
    (one, first, crf), (two, second, other) = fold_of([0, 3], 1), fold_of([1, 2], 2)
    oof = scoring.assemble({"crf": [one, two]})
    assert oof.covered.all()
    for text, emissions, own in [(0, first[0], crf), (3, first[3], crf), (1, second[1], other)]:
        assert of_text(oof, text) == spans_as_tags(decoded(emissions, own))


def test_repeats_are_averaged_before_decoding(scoring):
    """Emissions and transitions of the models that had not seen a text, each text with its own models."""
    parts = [fold_of([0, 3], 1), fold_of([1, 2], 2), fold_of([0, 1], 3), fold_of([2, 3], 4)]
    oof = scoring.assemble({"crf": [table for table, _, _ in parts]})
    for text in range(4):
        own = [(said[text], crf) for _, said, crf in parts if text in said]
        assert len(own) == 2
        emissions = np.mean([part for part, _ in own], axis=0)
        expected = decoded(emissions, mean_transitions([crf for _, crf in own]))
        assert of_text(oof, text) == spans_as_tags(expected)


def test_architectures_weigh_the_same_whatever_their_folds(scoring):
    a, b, c = fold_of([0, 1, 2, 3], 1), fold_of([0, 1, 2, 3], 2), fold_of([0, 1, 2, 3], 3)
    oof = scoring.assemble({"crf": [a[0], b[0]], "bilstm_crf": [c[0]]})
    for text in range(4):
        emissions = ((a[1][text] + b[1][text]) / 2 + c[1][text]) / 2
        crf = mean_transitions([mean_transitions([a[2], b[2]]), c[2]])
        assert of_text(oof, text) == spans_as_tags(decoded(emissions, crf))


def test_texts_that_no_fold_covered_are_null_and_not_scored(scoring):
    table, *_ = fold_of([0, 2], 1)
    oof = scoring.assemble({"crf": [table]})
    assert oof.covered.tolist() == [True, False, True, False]
    assert scoring.score(oof, seed=0)["rows"] == 2
    ids = pa.array(["a", "b", "c", "d"])
    written = scoring.table(ids, np.array([[0, 1, 0, 1]]), {"crf": oof}, oof)
    assert [row is None for row in written["predicted"].to_pylist()] == [False, True, False, True]
    assert written["tags"].to_pylist()[1] == ["B-LOC", "I-LOC", "O", "O"]
    assert written.column_names == ["id", "fold", "tags", "predicted", "confidence"]


def test_perfect_emissions_have_perfect_scores(scoring):
    emissions = [9.0 * np.eye(3)[[0, 0, 1, 2]], 9.0 * np.eye(3)[[1, 2, 0, 0]], *[9.0 * np.eye(3)[[0, 0]]] * 2]
    table = pa.table({"row": [0, 1, 2, 3], "emissions": [part.reshape(-1) for part in emissions]})
    nothing = json.dumps([[0.0] * 3, [0.0] * 3, [[0.0] * 3] * 3])
    oof = scoring.assemble({"bilstm": [table.replace_schema_metadata({"transitions": nothing})]})
    scores = scoring.score(oof, seed=0)
    assert scores["oof"]["f1"] == scores["oof"]["accuracy"] == 1
    assert scores["types"] == {"LOC": {"precision": 1, "recall": 1, "f1": 1, "spans": 2}}


def test_a_text_without_characters_has_no_tags_and_costs_no_other_its_own():
    texts = ["我在", "", "北京"]
    windows = encode_windows(texts, Vocab(VOCAB), 16, with_words=False)[1]
    own = TagScoring(NAMES, tag_windows(windows, np.array([0, 0, 1, 2], np.int32), NAMES))
    emissions = [9.0 * np.eye(3)[[0, 0]], np.zeros((0, 3)), 9.0 * np.eye(3)[[1, 2]]]
    table = pa.table({"row": [0, 1, 2], "emissions": [part.reshape(-1) for part in emissions]})
    nothing = json.dumps([[0.0] * 3, [0.0] * 3, [[0.0] * 3] * 3])
    oof = own.assemble({"bilstm": [table.replace_schema_metadata({"transitions": nothing})]})
    assert oof.tags.tolist() == [0, 0, 1, 2] and oof.covered.all()
    written = own.table(pa.array(["a", "b", "c"]), np.array([[0, 1, 0]]), {"bilstm": oof}, oof)
    assert written["predicted"].to_pylist() == [["O", "O"], [], ["B-LOC", "I-LOC"]]


def test_the_order_of_folds_does_not_matter(scoring):
    tables = [fold_of(texts, seed)[0] for seed, texts in enumerate(([0, 3], [1, 2], [2, 3], [0, 1]))]
    one, other = scoring.assemble({"crf": tables}), scoring.assemble({"crf": tables[::-1]})
    assert one.tags.tolist() == other.tags.tolist()
    np.testing.assert_allclose(one.confidences, other.confidences)
    assert scoring.score(one, seed=0) == scoring.score(other, seed=0)


def test_what_a_fold_says_of_tags_survives_its_file(scoring):
    tables = [fold_of([0, 3], 1)[0], fold_of([1, 2], 2)[0]]
    stored = [read_parquet(parquet_bytes(table)) for table in tables]
    np.testing.assert_array_equal(
        scoring.assemble({"crf": stored}).confidences, scoring.assemble({"crf": tables}).confidences
    )


def test_several_architectures_have_a_column_of_tags_each(scoring):
    own = {name: [fold_of([0, 1, 2], seed)[0]] for seed, name in enumerate(("crf", "bilstm"))}
    oof = {name: scoring.assemble({name: tables}) for name, tables in own.items()}
    whole = scoring.assemble(own)
    written = scoring.table(pa.array(["a", "b", "c", "d"]), np.array([[0, 0, 0, 1]]), oof, whole)
    assert written.column_names[5:] == ["crf_predicted", "bilstm_predicted"]
    tags = written["bilstm_predicted"].to_pylist()
    assert tags[0] == [NAMES[tag] for tag in of_text(oof["bilstm"], 0)] and tags[3] is None


@pytest.mark.parametrize("task", ARCHITECTURES)
def test_each_task_has_a_scoring(task):
    assert task in SCORINGS


def test_classifiers_are_averaged_as_ever():
    labels = np.array([0, 1, 1])
    tables = [
        pa.table({"row": [0, 2], "id": ["a", "c"], "proba_0": [0.9, 0.2], "proba_1": [0.1, 0.8]}),
        pa.table({"row": [1], "id": ["b"], "proba_0": [0.4], "proba_1": [0.6]}),
    ]
    scoring = ClassScoring(["x", "y"], labels)
    parts = [(np.array([0, 2]), np.array([[0.9, 0.1], [0.2, 0.8]])), (np.array([1]), np.array([[0.4, 0.6]]))]
    expected = mean_oof({"textcnn": assemble_oof(parts, 3, 2)})
    np.testing.assert_array_equal(scoring.assemble({"textcnn": tables}), expected)


def test_a_classifiers_scores_and_table_are_those_of_its_probabilities():
    labels, oof = np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    scoring = ClassScoring(["x", "y"], labels)
    assert scoring.score(oof, seed=5) == score_oof(labels, oof, 5)
    assert set(scoring.score(oof, seed=5)["oof"]) >= set(TASK_METRICS["classify"])
    ids, folds = pa.array(["a", "b", "c"]), np.array([[0, 1, 0]])
    expected = oof_table(ids, folds, ["x", "y"], labels, {"textcnn": oof}, oof)
    assert scoring.table(ids, folds, {"textcnn": oof}, oof).equals(expected)


def test_a_classifiers_row_that_no_fold_covered_has_no_probability():
    scoring = ClassScoring([3, 7], np.array([0, 1, 1]))
    table = pa.table({"row": [2, 0], "id": ["c", "a"], "proba_3": [0.2, 0.9], "proba_7": [0.8, 0.1]})
    oof = scoring.assemble({"textcnn": [table]})
    np.testing.assert_array_equal(oof, [[0.9, 0.1], [np.nan, np.nan], [0.2, 0.8]])
    assert scoring.score(oof, seed=0)["rows"] == 2
