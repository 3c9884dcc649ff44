import pytest
from finished_run import fold_entry, write_finished
from tiny_run import tiny_config

from raytrain.errors import ArtifactError, ConfigError
from raytrain.refit.finished import change_config, read_finished, without_test

BOTH = {"textcnn": [3, 1, 4], "tfidf": [1, 1, 1]}


@pytest.fixture
def run(tmp_path):
    return write_finished(tiny_config(tmp_path, model__architecture="[textcnn,tfidf]"), BOTH)


def kept_epochs(tmp_path, folds):
    config = tiny_config(tmp_path, model__architecture="textcnn")
    run = read_finished(str(write_finished(config, {"textcnn": [1]})))
    run.summary["architectures"]["textcnn"]["folds"] = folds
    return run.kept_epochs("textcnn")


@pytest.mark.parametrize(
    ("kept", "expected"), [([3, 1, 4], 3), ([2, 5], 4), ([1, 2, 2, 9], 2), ([7], 7), ([0.4], 1)]
)
def test_the_epochs_that_are_kept_are_the_folds_median(tmp_path, kept, expected):
    assert kept_epochs(tmp_path, [fold_entry(epoch) for epoch in kept]) == expected


def test_dead_folds_say_nothing_of_the_epochs_unless_all_are(tmp_path):
    dead = [fold_entry(9, dead=True), fold_entry(9, dead=True)]
    assert kept_epochs(tmp_path, [fold_entry(2), *dead]) == 2
    assert kept_epochs(tmp_path, dead) == 9


def test_scores_are_those_of_the_folds_and_say_of_which_run(run):
    scores = read_finished(str(run)).scores(["tfidf"])
    assert scores["run"] == str(run) and list(scores["architectures"]) == ["tfidf"]
    assert scores["architectures"]["tfidf"]["oof"]["accuracy"] == scores["ensemble"]["oof"]["accuracy"] == 0.9


def test_what_is_no_finished_run_is_refused(tmp_path, run):
    with pytest.raises(ArtifactError, match="give the run's"):
        read_finished(str(run / "ensemble"))
    with pytest.raises(ArtifactError, match="expected a run's directory"):
        read_finished(str(tmp_path / "nowhere"))
    (run / "ensemble" / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match="folds to train"):
        read_finished(str(run))


def test_a_run_whose_folds_were_stopped_early_is_refused(tmp_path):
    run = write_finished(tiny_config(tmp_path), {"finetune": [1]}, stopped_early=["finetune/r0-fold-00"])
    with pytest.raises(ArtifactError, match="folds to train"):
        read_finished(str(run))


def test_allowed_and_free_keys_may_be_other_than_the_runs(run):
    config = change_config(read_finished(str(run)), ["train.epochs=7", "cluster.max_failures=1"], ["train."])
    assert config.train.epochs == 7 and config.cluster.max_failures == 1


def test_other_keys_are_named_with_both_values(run):
    with pytest.raises(ConfigError) as raised:
        change_config(read_finished(str(run)), ["folds.num_folds=5", "data.label=klass"], ["train."])
    assert raised.value.problems[:2] == [
        "data.label: the run has 'label', found 'klass'",
        "folds.num_folds: the run has 2, found 5",
    ]
    assert "train.*" in raised.value.problems[2]


@pytest.mark.parametrize(("overrides", "is_kept"), [({}, False), ({"encoder__adapt": "true"}, True)])
def test_texts_to_predict_are_left_out_where_nothing_is_learned_of_them(tmp_path, overrides, is_kept):
    config = without_test(tiny_config(tmp_path, data__test="new.csv", **overrides))
    assert (config.data.test == "new.csv") is is_kept


@pytest.mark.parametrize("text", ["{}", '{"architectures": {"textcnn": {}}, "ensemble": {}}'])
def test_a_damaged_summary_is_told(run, text):
    (run / "summary.json").write_text(text)
    with pytest.raises(ArtifactError, match="damaged"):
        read_finished(str(run))


@pytest.mark.parametrize(
    ("rule", "voting"),
    [
        (None, ["textcnn", "tfidf"]),
        ({"members": {"textcnn/r0": 0.0, "tfidf/r0": 0.4, "tfidf/r1": 0.6}, "stack": None}, ["tfidf"]),
        ({"members": {"textcnn/r0": 0.0, "tfidf/r0": 1.0}, "stack": {"coef": []}}, ["textcnn", "tfidf"]),
    ],
)
def test_architectures_that_the_rule_gives_no_weight_are_not_refitted(tmp_path, rule, voting):
    config = tiny_config(tmp_path, model__architecture="[textcnn,tfidf]")
    run = write_finished(config, BOTH, fusion=rule and {"rule": rule})
    assert read_finished(str(run)).voting == voting


def test_keys_that_would_do_nothing_are_refused(tmp_path, run):
    with pytest.raises(ConfigError, match=r"ensemble\.threshold: the run has None, found 'accuracy'"):
        change_config(read_finished(str(run)), ["ensemble.threshold=accuracy"], ("train.",))
    assert change_config(read_finished(str(run)), ["cluster.max_failures=7"], ()).cluster.max_failures == 7


def test_folds_that_were_dropped_are_known_by_their_place(tmp_path, run):
    assert read_finished(str(run)).dropped == []
    config = tiny_config(tmp_path, model__architecture="[textcnn,tfidf]")
    run = write_finished(config, BOTH, dropped=["textcnn/r0-fold-01"])
    assert read_finished(str(run)).dropped == [f"{run}/folds/textcnn/r0-fold-01"]
    run = write_finished(config, BOTH, dropped=[1])
    with pytest.raises(ArtifactError, match=r"summary\.json is damaged"):
        read_finished(str(run))
