import html

import numpy as np
import pytest
from fake_run import change_summary, write_run, write_tag_run
from tiny_run import silent_stages

from raytrain.report import question
from raytrain.report.facts import read_facts
from raytrain.report.question import Difference, answer_sentence, compare, compare_all, question_section
from raytrain.scores.classes import score_proba
from raytrain.scores.resampling import draw_counts
from raytrain.storage.directory import Directory


def section_of(run):
    return question_section(read_facts(Directory(run), silent_stages()))


def drawn(rng, truth, skill, num_classes=3):
    logits = rng.normal(size=(len(truth), num_classes))
    logits[np.arange(len(truth)), truth] += skill
    proba = np.exp(logits)
    return proba / proba.sum(axis=1, keepdims=True)


@pytest.fixture
def models():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 300)
    return truth, drawn(rng, truth, 2.0), drawn(rng, truth, 1.0), np.arange(300) % 5


def test_scores_and_differences_are_those_of_the_metrics(models):
    truth, ours, theirs, folds = models
    found = compare(truth, ours, theirs, folds, 0)
    own, other = score_proba(truth, ours), score_proba(truth, theirs)
    for metric, one in found.items():
        assert one.ours == pytest.approx(own[metric]) and one.theirs == pytest.approx(other[metric])
        assert one.lower <= one.value <= one.upper
        by_fold = [
            score_proba(truth[folds == fold], ours[folds == fold])[metric]
            - score_proba(truth[folds == fold], theirs[folds == fold])[metric]
            for fold in range(5)
        ]
        assert one.by_fold == pytest.approx(by_fold)
        assert one.fold_mean == pytest.approx(np.mean(by_fold))
        assert one.fold_error == pytest.approx(np.std(by_fold, ddof=1) / 5**0.5)
    assert [found[metric].verdict(metric) for metric in found] == ["better"] * 3
    assert found["log_loss"].num_better("log_loss") == 5


def test_the_other_way_round_is_worse(models):
    truth, ours, theirs, folds = models
    found = compare(truth, theirs, ours, folds, 0)
    assert [found[metric].verdict(metric) for metric in found] == ["worse"] * 3


def test_a_model_against_itself_is_unsure(models):
    truth, ours, _, folds = models
    for metric, one in compare(truth, ours, ours.copy(), folds, 0).items():
        assert (one.value, one.lower, one.upper, one.verdict(metric)) == (0, 0, 0, "unsure")
        assert one.num_better(metric) == 0


def test_the_interval_is_that_of_paired_rows(models):
    """Models that err on the same rows differ by less than their own intervals would say."""
    truth, ours, _, folds = models
    other = ours.copy()
    other[:6] = 1 / 3 + np.array([1e-6, 0, -1e-6])
    one = compare(truth, ours, other, folds, 0)["accuracy"]
    assert one.upper - one.lower < 0.04


def test_what_thresholds_decide_is_scored(models):
    truth, ours, theirs, folds = models
    found = compare(truth, ours, theirs, folds, 0, predicted=truth)
    assert found["accuracy"].ours == found["macro_f1"].ours == 1
    assert found["log_loss"].ours == pytest.approx(score_proba(truth, ours)["log_loss"])


def test_copies_of_rows_make_no_difference_surer(models):
    truth, ours, theirs, folds = models
    once = compare(truth, ours, theirs, folds, 0)
    copied = [np.repeat(part, 4, axis=0) for part in (truth, ours, theirs, folds)]
    together = compare(*copied, 0, groups=np.repeat(np.arange(len(truth)), 4))
    for metric, one in once.items():
        assert together[metric].lower == pytest.approx(one.lower)
        assert together[metric].upper == pytest.approx(one.upper)
    apart = compare(*copied, 0)["accuracy"]
    assert apart.upper - apart.lower < 0.7 * (once["accuracy"].upper - once["accuracy"].lower)


@pytest.mark.parametrize(("num_classes", "resamples"), [(3, 647), (10, 500), (60, 100)])
def test_more_classes_take_fewer_resamples(num_classes, resamples, monkeypatch):
    asked = []

    def draw(num_rows, number, *others):
        asked.append(number)
        return draw_counts(num_rows, 2, *others)

    monkeypatch.setattr(question, "RESAMPLED_ROWS", 200_000)
    monkeypatch.setattr(question, "draw_counts", draw)
    proba = np.full((300, num_classes), 1 / num_classes)
    compare(np.arange(300) % num_classes, proba, proba, np.arange(300) % 5, 0)
    assert asked == [resamples]


def test_the_page_says_what_is_drawn(tmp_path):
    for name, groups, said in (
        ("a", None, "over rows, 95"),
        ("b", np.arange(60) // 2, "over groups of rows"),
    ):
        run = write_run(tmp_path / name, groups=groups)
        assert said in str(section_of(run))


def test_one_fold_has_no_error():
    assert np.isnan(Difference(1, 0, 0, 1, (0.5,)).fold_error)


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        (
            (0.003, 0.027),
            ["Yes.", "1.5 points above the others", "interval +0.3 to +2.7", "+1.5 ± 0.5", "in 2 of 2"],
        ),
        ((-0.01, 0.027), ["Not surely.", "1.5 points above", "−1.0 to +2.7"]),
    ],
)
def test_the_answer_is_a_sentence(ends, told):
    sentence = answer_sentence(
        "the network", "the others", Difference(0.869, 0.854, *ends, (0.01, 0.02)), "macro_f1"
    )
    assert all(part in html.unescape(sentence) for part in ["The network's macro-F1 is 0.869", *told])


def test_a_network_below_the_baseline_is_told_so():
    sentence = answer_sentence(
        "the network", "b", Difference(0.8, 0.9, -0.2, -0.05, (-0.1, -0.1)), "macro_f1"
    )
    assert "No." in sentence and "10.0 points below b" in sentence


def test_rows_that_the_baseline_lacks_do_not_count(tmp_path):
    run = write_run(tmp_path)
    (run / "baselines" / "fold-02.parquet").unlink()
    said = read_facts(Directory(run), silent_stages()).said
    found = compare_all(said, 0)
    here = said.folds != 2
    assert found["majority"]["accuracy"].ours == pytest.approx(said.is_right[here].mean())
    assert len(found["majority"]["accuracy"].by_fold) == 2


def test_the_best_baseline_is_asked_about_and_all_models_are_in_the_table(tmp_path):
    told = section_of(write_run(tmp_path, architectures=("textcnn", "finetune"), skill=3.0))
    assert "Is the ensemble better than the baselines?" in told
    assert "above TF-IDF + logistic regression" in told
    assert all(f"to {name}" in told for name in ("textcnn", "finetune", "majority guess"))


def test_ngrams_are_not_held_against_themselves(tmp_path):
    told = section_of(write_run(tmp_path, architectures=("tfidf",)))
    assert "Is tfidf better" in told and "above majority guess" in told and "logistic regression" not in told


def test_without_baselines_there_is_no_answer(tmp_path):
    assert "There is no baseline to hold it against (baseline=false)" in section_of(
        write_run(tmp_path / "off", baseline=False)
    )
    failed = write_run(tmp_path / "failed")
    change_summary(failed, baselines={})
    assert "the same command adds what is missing" in section_of(failed)


def test_what_makes_scores_less_is_told(tmp_path):
    run = write_run(tmp_path)
    assert 'class="warning"' not in section_of(run)
    lost = {"missing": ["textcnn/r0-fold-02"], "stopped_early": ["textcnn/r0-fold-01"]}
    change_summary(run, **lost, dead=["textcnn/r0-fold-00"], dropped=["textcnn/r0-fold-00"], select="best")
    told = section_of(run)
    assert told.count('class="warning"') == 4
    for words in (
        "1 fold run stopped early, 1 not trained",
        "learned nothing",
        "left out",
        "scores are too good",
    ):
        assert words in told


def test_spans_have_a_sentence_of_their_own(tmp_path):
    told = section_of(write_tag_run(tmp_path))
    assert (
        "How well are spans found?" in told and "F1 of exact spans is 0." in told and "baseline" not in told
    )
