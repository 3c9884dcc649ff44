import numpy as np
import pytest
from fake_run import change_summary, write_run
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from tiny_run import silent_stages

from raytrain.report.facts import read_facts
from raytrain.report.scores import MOST_CELLS, class_scores, count_confusion, scores_section
from raytrain.storage.directory import Directory


def section_of(run):
    return scores_section(read_facts(Directory(run), silent_stages()))


def rows_of(num_classes, num_rows=None):
    count = num_rows or 6 * num_classes
    return [
        {"id": f"{number}", "text": f"文{number}", "label": f"类{number % num_classes:02d}"}
        for number in range(count)
    ]


def test_classes_are_scored_as_sklearn_does():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 4, 200), rng.integers(0, 3, 200)
    confusion = count_confusion(truth, predicted, 4)
    np.testing.assert_array_equal(confusion, confusion_matrix(truth, predicted, labels=range(4)))
    expected = precision_recall_fscore_support(truth, predicted, labels=range(4), zero_division=0)
    for found, own in zip(class_scores(confusion).values(), expected[:3], strict=True):
        np.testing.assert_allclose(found, own)


def test_every_model_and_class_has_a_line(tmp_path):
    run = write_run(tmp_path, architectures=("textcnn", "finetune"))
    told = section_of(run)
    facts = read_facts(Directory(run), silent_stages())
    for entry in facts.models.values():
        assert f"{entry['oof']['accuracy']:.4f}" in told
        assert "{:.4f}–{:.4f}".format(*entry["interval"]["log_loss"]) in told
    assert "TF-IDF + logistic regression" in told and "Each class" in told


def test_models_that_were_scored_on_other_rows_tell_on_how_many(tmp_path):
    run = write_run(tmp_path)
    assert "Out of fold, on 60 rows, with" in section_of(run)
    baselines = read_facts(Directory(run), silent_stages()).summary["baselines"]
    baselines["majority"]["rows"] = 1600
    change_summary(run, baselines=baselines)
    told = section_of(run)
    assert "Out of fold, with 95 %" in told
    assert (
        "majority guess<small> on 1,600 rows</small>" in told and "textcnn<small> on 60 rows</small>" in told
    )


@pytest.mark.parametrize("num_classes", [2, 3, 12])
def test_the_matrix_has_a_cell_for_each_pair(tmp_path, num_classes):
    told = section_of(write_run(tmp_path, rows_of(num_classes)))
    assert told.count('class="cell right"') == num_classes
    assert told.count('class="cell wrong"') == num_classes * (num_classes - 1)
    assert told.count('class="upright"') == (12 if num_classes == 12 else 0)
    assert ("most frequent mistakes" in told) == (num_classes > 2)


def test_of_too_many_classes_the_pairs_alone_are_told(tmp_path):
    told = section_of(write_run(tmp_path, rows_of(MOST_CELLS + 1), skill=0.5))
    assert "cell right" not in told and " taken for " in told


def test_a_score_that_is_not_defined_is_a_dash(tmp_path):
    run = write_run(tmp_path)
    summary = read_facts(Directory(run), silent_stages()).summary
    entry = summary["architectures"]["textcnn"]
    entry["oof"]["auc"], entry["interval"]["auc"] = None, [None, None]
    change_summary(run, **summary)
    assert "<td>–</td>" in section_of(run)


def test_what_a_fusion_tells_is_shown(tmp_path):
    run = write_run(tmp_path, architectures=("textcnn", "finetune"))
    assert "Members" not in section_of(run)
    scores = {"accuracy": 0.9, "macro_f1": 0.9, "auc": None, "log_loss": 0.3, "ece": 0.01}
    members = {"textcnn": {"weight": 0.75, "scores": scores}, "finetune": {"weight": None, "scores": {}}}
    ways = [{"name": "<greedy>", "calibrated": True, "chosen": True, "scores": scores}]
    change_summary(run, fusion={"members": members, "alternatives": ways})
    told = section_of(run)
    assert "0.750" in told and "<strong>&lt;greedy&gt;</strong>" in told and "fitted" in told


def test_folds_by_time_are_shown_beside_random_ones(tmp_path):
    run = write_run(tmp_path)
    facts = read_facts(Directory(run), silent_stages())
    entry = facts.models["textcnn"]
    change_summary(run, compare={"model": "tfidf_logistic", "ways": {"by time": entry, "at random": entry}})
    told = section_of(run)
    assert "How much easier other folds are" in told and "by time" in told
