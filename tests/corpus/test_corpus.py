import hashlib
import json

import numpy as np
from text_files import write, write_csv

from raytrain.corpus.labelled import read_corpus
from raytrain.corpus.tagged import read_tagged_corpus

GOOD = [("甲店很好", "好"), ("乙店不好", "坏"), ("丙店也好", "好"), ("丁店也坏", "坏")]
BIO = "我 O\n在 O\n北 B-LOC\n京 I-LOC\n\n王\tB-PER\n五\tI-PER\n"


def test_summary_is_json_with_counts_and_duplicates(tmp_path):
    path = write_csv(tmp_path / "a.csv", [*GOOD, GOOD[0], GOOD[0], ("", "坏")])
    corpus = read_corpus(path, ["text"], "label", drop=["empty_text"])
    summary = corpus.summary()
    assert json.loads(json.dumps(summary)) == summary
    assert summary == {
        "path": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "rows": 6,
        "labels": [{"label": "坏", "rows": 2}, {"label": "好", "rows": 4}],
        "duplicate_texts": 2,
        "dropped": {"empty_text": 1},
    }


def test_rows_that_are_left_out_are_counted_by_kind(tmp_path):
    path = write_csv(tmp_path / "a.csv", [*GOOD, ("", "坏")])
    corpus = read_corpus(path, ["text"], "label", drop=["empty_text"])
    fewer = corpus.without(np.array([False, True, False, True]), "bad_day")
    assert fewer.table["text"].to_pylist() == ["甲店很好", "丙店也好"]
    assert fewer.dropped == {"bad_day": 2, "empty_text": 1} and fewer.labels == corpus.labels
    assert corpus.without(np.zeros(4, bool), "bad_day") == corpus


def test_pairs_are_duplicates_where_both_texts_are(tmp_path):
    rows = [("甲", "乙", 0), ("甲", "丙", 1), ("甲", "乙", 1), ("乙", "甲", 0)]
    path = write_csv(tmp_path / "a.csv", rows, ("q", "a", "label"))
    assert read_corpus(path, ["q", "a"], "label").summary()["duplicate_texts"] == 1


def test_summary_counts_spans_and_the_texts_that_hold_them(tmp_path):
    text = BIO + "\n北 B-LOC\n京 B-LOC\n"
    summary = read_tagged_corpus(write(tmp_path / "a.bio", text), "text", "spans").summary()
    assert summary["labels"] == [
        {"label": "LOC", "rows": 2, "spans": 3},
        {"label": "PER", "rows": 1, "spans": 1},
    ]
    json.dumps(summary)


def test_strata_are_the_rarest_types_that_every_fold_can_have(tmp_path):
    """LOC in all 12, PER in 4 of them, ORG in one: too rare to count."""
    lines = []
    for number in range(12):
        lines += ["北 B-LOC", "五 B-PER" if number < 4 else "五 O", "司 B-ORG" if number == 0 else "司 O", ""]
    corpus = read_tagged_corpus(write(tmp_path / "a.bio", "\n".join(lines)), "text", "spans")
    strata = corpus.strata(num_folds=4)
    assert len(set(strata[:4].tolist())) == 1
    assert len(set(strata[4:].tolist())) == 1
    assert strata[0] != strata[5]
