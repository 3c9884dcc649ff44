import io
import json
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from raytrain.scores.classes import METRICS, score_proba
from raytrain.scores.oof import assemble_oof, mean_oof, oof_table, score_baseline, score_folds, score_oof
from raytrain.scores.tables import compare_table, dead_lines, fold_table, score_table
from raytrain.storage.files import json_bytes

NUM_ROWS = 24
LABELS = np.arange(NUM_ROWS) % 2
FOLDS = np.stack([np.arange(NUM_ROWS) % 3, np.arange(NUM_ROWS) // 8])


def proba_of(seed):
    positive = np.random.default_rng(seed).uniform(0.01, 0.99, NUM_ROWS)
    return np.stack([1 - positive, positive], axis=1)


def parts_of(*probas):
    """What the fold runs of each repeat predict of their valid rows."""
    return [
        (np.flatnonzero(folds == fold), proba[folds == fold])
        for folds, proba in zip(FOLDS, probas, strict=False)
        for fold in range(3)
    ]


def shown(table, width=200):
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()


def entry_of(seed):
    return {
        **score_folds([score_proba(LABELS, proba_of(seed)), score_proba(LABELS, proba_of(seed + 1))]),
        **score_oof(LABELS, proba_of(seed), seed=0),
    }


def summary_of(*architectures):
    def folds(name):
        metrics = dict.fromkeys(METRICS, 0.123456) | {"auc": None}
        return [
            {"name": f"{name}/r0-fold-0{i}", "metrics": metrics, "epochs": 3, "seconds": 61.7}
            for i in range(2)
        ]

    return {
        "rows": 12345,
        "architectures": {
            name: {"folds": folds(name), **entry_of(i)} for i, name in enumerate(architectures)
        },
        "ensemble": entry_of(9),
        "baselines": {"majority": entry_of(7)},
    }


def test_each_row_takes_the_probabilities_of_its_fold():
    assert assemble_oof(parts_of(proba_of(0)), NUM_ROWS, 2) == pytest.approx(proba_of(0))


def test_rows_that_no_fold_covers_are_nan():
    oof = assemble_oof([(np.array([2, 0]), np.array([[0.2, 0.8], [0.6, 0.4]]))], 3, 2)
    assert oof.tolist()[0] == [0.6, 0.4]
    assert oof.tolist()[2] == [0.2, 0.8]
    assert np.isnan(oof[1]).all()


def test_no_parts_at_all_are_nan():
    assert np.isnan(assemble_oof([], 4, 3)).all()


def test_repeats_are_averaged():
    oof = assemble_oof(parts_of(proba_of(0), proba_of(1)), NUM_ROWS, 2)
    assert oof == pytest.approx((proba_of(0) + proba_of(1)) / 2)


@given(st.permutations(range(6)))
def test_the_order_of_folds_does_not_matter(order):
    parts = parts_of(proba_of(0), proba_of(1))
    oof = assemble_oof([parts[i] for i in order], NUM_ROWS, 2)
    assert oof == pytest.approx(assemble_oof(parts, NUM_ROWS, 2), abs=1e-15)


def table_of(oof, names=("假", "真")):
    return oof_table(pa.array([f"n{i}" for i in range(NUM_ROWS)]), FOLDS, names, LABELS, oof, mean_oof(oof))


def test_oof_of_one_architecture_is_named_once():
    table = table_of({"finetune": proba_of(0)})
    assert table.column_names == ["id", "fold", "label", "proba_假", "proba_真"]
    assert table["fold"].to_pylist() == FOLDS[0].tolist()
    assert table["label"].to_pylist()[:2] == ["假", "真"]
    assert table["proba_真"].to_pylist() == proba_of(0)[:, 1].tolist()


def test_oof_of_several_architectures_is_their_mean_then_each():
    table = table_of({"textcnn": proba_of(0), "finetune": proba_of(1)})
    each = [f"{name}_proba_{label}" for name in ("textcnn", "finetune") for label in ("假", "真")]
    assert table.column_names == ["id", "fold", "label", "proba_假", "proba_真", *each]
    mean = (proba_of(0) + proba_of(1)) / 2
    assert table["proba_真"].to_pylist() == pytest.approx(mean[:, 1].tolist())
    assert table["finetune_proba_假"].to_pylist() == proba_of(1)[:, 0].tolist()


def test_integer_labels_stay_integers():
    table = table_of({"finetune": proba_of(0)}, names=(0, 1))
    assert table["label"].type == pa.int64()
    assert "proba_1" in table.column_names


def test_scores_have_an_interval_of_each_metric():
    scores = score_oof(LABELS, proba_of(0), seed=0)
    assert scores["oof"] == score_proba(LABELS, proba_of(0))
    assert scores["interval"].keys() == set(METRICS)


def test_mean_and_sample_deviation_over_folds():
    folds = [dict.fromkeys(METRICS, value) for value in (0.5, 0.7, 0.9)]
    scores = score_folds(folds)
    assert scores["mean"] == pytest.approx(dict.fromkeys(METRICS, 0.7))
    assert scores["sd"] == pytest.approx(dict.fromkeys(METRICS, 0.2))


def test_one_fold_has_no_deviation():
    entry = entry_of(0) | {"folds": []} | score_folds([dict.fromkeys(METRICS, 0.5)])
    assert entry["mean"] == dict.fromkeys(METRICS, 0.5)
    assert json.loads(json_bytes(entry["sd"])) == dict.fromkeys(METRICS)
    for sd in (entry["sd"], dict.fromkeys(METRICS)):  # as it is, and as it is read again
        told = shown(fold_table({"architectures": {"finetune": entry | {"sd": sd}}}))
        assert told.splitlines()[-1].split() == ["finetune", "sd", *["–"] * len(METRICS)]


def test_baseline_has_the_parts_of_an_architecture():
    scores = score_baseline(LABELS, FOLDS[0], proba_of(0), seed=0)
    assert scores.keys() == {"mean", "sd", "rows", "oof", "interval"}
    of_folds = [score_proba(LABELS[FOLDS[0] == f], proba_of(0)[FOLDS[0] == f])["accuracy"] for f in range(3)]
    assert scores["mean"]["accuracy"] == pytest.approx(np.mean(of_folds))


def test_table_of_folds_names_each_and_their_mean():
    text = shown(fold_table(summary_of("finetune", "textcnn")))
    for part in (
        "finetune/r0-fold-00",
        "textcnn/r0-fold-01",
        "finetune mean",
        "textcnn sd",
        "0.1235",
        "62",
        "macro-F1",
    ):
        assert part in text


def test_metric_that_is_not_defined_is_a_dash():
    row = next(line for line in shown(fold_table(summary_of("finetune"))).splitlines() if "fold-00" in line)
    assert row.split() == ["finetune/r0-fold-00", "0.1235", "0.1235", "–", "0.1235", "3", "62"]


def test_a_dead_fold_is_marked():
    summary = summary_of("finetune")
    summary["architectures"]["finetune"]["folds"][1]["dead"] = True
    rows = [line for line in shown(fold_table(summary)).splitlines() if "-fold-0" in line]
    assert [row.split()[:2] for row in rows] == [
        ["finetune/r0-fold-00", "0.1235"],
        ["finetune/r0-fold-01", "dead"],
    ]


def test_where_all_folds_learned_there_is_nothing_to_say():
    assert dead_lines({"dead": [], "dropped": []}) == []
    assert dead_lines(summary_of("finetune")) == []  # of a run before there was such a word


def test_dead_folds_are_named_with_what_to_do_and_what_became_of_them():
    what, dropped, kept = dead_lines({"dead": ["a/0", "b/0", "b/1"], "dropped": ["a/0"]})
    assert what.startswith("3 fold runs learned nothing") and "a/0, b/0, b/1" in what
    assert all(key in what for key in ("train.learning_rate", "train.warmup", "seed"))
    assert dropped.startswith("left out of the ensemble: a/0 (") and "out-of-fold scores count" in dropped
    assert kept.startswith("in the ensemble all the same: b/0, b/1;")
    assert len(dead_lines({"dead": ["a/0"], "dropped": ["a/0"]})) == 2


def test_dead_folds_of_a_member_without_weight_are_in_no_ensemble():
    dead = ["a/r0-fold-00", "b/r0-fold-00", "b/r1-fold-01"]
    members = {"a/r0": {"weight": 0.4}, "b/r0": {"weight": 0.0}, "b/r1": {"weight": 0.6}}
    summary = {"dead": dead, "dropped": ["b/r1-fold-01"], "fusion": {"members": members}}
    what, _, kept = dead_lines(summary)
    assert all(name in what for name in dead)
    assert kept.startswith("in the ensemble all the same: a/r0-fold-00;")
    members["a/r0"]["weight"] = 0.0
    assert len(dead_lines(summary)) == 2
    stacked = {name: {"weight": None} for name in members}
    assert "a/r0-fold-00, b/r0-fold-00;" in dead_lines({**summary, "fusion": {"members": stacked}})[2]


def test_table_of_scores_names_models_and_baselines():
    summary = summary_of("finetune", "textcnn")
    text = shown(score_table(summary))
    assert f"scores on {NUM_ROWS} rows" in text  # those that folds were judged by, not all
    names = ["finetune", "textcnn", "ensemble of all", "majority"]
    places = [text.index(name) for name in names]
    assert places == sorted(places)
    assert f"{summary['ensemble']['oof']['accuracy']:.4f}" in text
    lower, upper = summary["ensemble"]["interval"]["auc"]
    assert f"{lower:.4f}–{upper:.4f}" in text


def test_models_that_were_scored_on_other_rows_tell_on_how_many():
    """As where a time budget ended one of them, and its folds covered some rows alone."""
    summary = summary_of("finetune", "textcnn")
    summary["architectures"]["textcnn"]["rows"] = 1600
    lines = shown(score_table(summary), width=80).splitlines()
    assert lines[0].strip() == "out-of-fold scores, with 95 % bootstrap intervals"
    below = {line.split()[0]: after.strip() for line, after in pairwise(lines)}
    assert below["finetune"].startswith(f"on {NUM_ROWS} rows ")
    assert below["textcnn"].startswith("on 1,600 rows ")
    assert below["majority"].startswith(f"on {NUM_ROWS} rows ")


def test_one_architecture_is_no_ensemble_of_all():
    assert "ensemble of all" not in shown(score_table(summary_of("finetune")))


def test_one_architecture_that_is_calibrated_is_told_as_an_ensemble():
    summary = summary_of("finetune")
    rows = [line.split()[0] for line in shown(score_table(summary)).splitlines() if line.split()]
    assert "ensemble" not in rows
    for plain in (True, False):
        text = shown(score_table(summary | {"fusion": {"plain": plain}}))
        rows = [line.split()[0] for line in text.splitlines() if line.split()]
        assert ("ensemble" in rows) is not plain


def test_names_are_whole_in_eighty_columns():
    text = shown(score_table(summary_of("finetune", "textcnn")), width=80)
    assert "ensemble of all" in text
    assert max(map(len, text.splitlines())) <= 80


def test_table_of_folds_by_time_and_at_random_has_both():
    summary = {
        **summary_of("finetune"),
        "compare": {"model": "a", "ways": {"by time": entry_of(1), "at random": entry_of(2)}},
    }
    text = shown(compare_table(summary))
    assert f"a on the same {NUM_ROWS} rows" in text and text.index("by time") < text.index("at random")
    for way in ("by time", "at random"):
        assert f"{summary['compare']['ways'][way]['oof']['accuracy']:.4f}" in text


@pytest.mark.parametrize("found", [{}, {"compare": None}])
def test_what_was_not_compared_has_no_table(found):
    assert compare_table({**summary_of("finetune"), **found}) is None
