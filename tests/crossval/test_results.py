"""What is made of folds that were committed by hand. Also what other tests here commit folds with."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import ray
from crossval.test_plan import (
    BOTH,
    FOLDS,
    LABELS,
    NUM_ROWS,
    TAG_FOLDS,
    TAG_NAMES,
    TAGGED,
    WORDS,
    keywords_of,
    plan_of,
    shared_of,
    tag_plan_of,
)
from safetensors.numpy import load
from tiny_run import silent_stages

from raytrain.crossval.results import write_results
from raytrain.crossval.specs import build_specs
from raytrain.ensemble.artifact import load_ensemble
from raytrain.folds.result import commit_fold, read_fold
from raytrain.scores.classes import bootstrap_interval
from raytrain.scores.oof import proba_of, score_oof
from raytrain.splits.folds import Folds
from raytrain.storage.files import read_parquet
from raytrain.tasks import TASK_METRICS

ALMOST = 1e-3


def said_of_labels(spec, plan):
    """Of label 真: the repeats say 0.9 and 0.7 of each row, textcnn a tenth less."""
    rows = np.flatnonzero(plan.folds.valid[spec.repeat] == spec.fold)
    true = np.full(len(rows), (0.9, 0.7)[spec.repeat] - 0.1 * (spec.architecture == "textcnn"))
    ids = plan.corpus.table["id"].combine_chunks().take(pa.array(rows))
    return pa.table({"row": rows, "id": ids, "proba_0": 1 - true, "proba_1": true})


def said_of_tags(spec, plan):
    """The true tags, for sure."""
    texts = np.flatnonzero(plan.folds.valid[spec.repeat] == spec.fold)
    emissions = [(9.0 * np.eye(3)[TAGGED[text][1]]).reshape(-1) for text in texts]
    scores = json.dumps([[0.0] * 3, [0.0] * 3, [[0.0] * 3] * 3])
    kind = pa.large_list(pa.float64())
    table = pa.table({"row": texts, "id": texts, "emissions": pa.array(emissions, kind)})
    return table.replace_schema_metadata({"transitions": scores})


def commit_folds(plan, specs, stopped=(), dead=()):
    """Commits folds as their workers would; each has its number in its weights and its accuracy."""
    data = plan.fold_data()
    for number, spec in enumerate(specs):
        said = (said_of_labels if spec.task == "classify" else said_of_tags)(spec, plan)
        metrics = dict.fromkeys(TASK_METRICS[spec.task], number / 10)
        facts = {
            "stopped_early": spec.name in stopped,
            "dead": spec.name in dead,
            "device": "a processor",
        }
        history = [{"epoch": 1, **metrics}, {"epoch": 2.5, **metrics}]
        weights = {"number": np.full(100, number, np.float32)}
        commit_fold(spec, data, weights, said, metrics, history, 1.5, facts)
    return {spec.name: read_fold(spec.location, spec.identity) for spec in specs}


@pytest.fixture
def run(tmp_path):
    return tmp_path / "甲"


def write(plan, specs=None, done=None, stopped=(), baselines=None, dead=()):
    """Commits the folds `done` of `specs` and writes what there is. Returns the summary."""
    specs = build_specs(plan, None) if specs is None else specs
    results = commit_folds(plan, specs if done is None else done, stopped, dead)
    return write_results(plan, specs, results, 0.0, baselines or {}, silent_stages())


def oof_of(run):
    return read_parquet((run / "ensemble" / "oof.parquet").read_bytes())


def test_a_summary_tells_every_fold_by_architecture(run):
    summary = write(plan_of(BOTH, run=run, shared=shared_of(**WORDS)))
    assert list(summary["architectures"]) == ["finetune", "textcnn"]
    folds = summary["architectures"]["textcnn"]["folds"]
    assert [fold["name"] for fold in folds] == [
        f"textcnn/r{repeat}-fold-0{fold}" for repeat in range(2) for fold in range(2)
    ]
    assert folds[0] == {
        "name": "textcnn/r0-fold-00",
        "metrics": dict.fromkeys(TASK_METRICS["classify"], 0.4),
        "epochs": 2.5,
        "seconds": 1.5,
        "dead": False,
    }
    assert summary["architectures"]["textcnn"]["mean"]["accuracy"] == pytest.approx(0.55)
    assert (summary["task"], summary["rows"], summary["labels"]) == ("classify", NUM_ROWS, ["假", "真"])
    assert (summary["missing"], summary["stopped_early"], summary["baselines"]) == ([], [], {})
    assert summary["encoder_seconds"] == 0.0
    assert (summary["dead"], summary["dropped"], summary["drop_dead"]) == ([], [], True)


def test_repeats_are_averaged_and_then_architectures(run):
    summary = write(plan_of(BOTH, run=run, shared=shared_of(**WORDS)))
    table = oof_of(run)
    assert table["id"].to_pylist() == [f"row-{row}" for row in range(NUM_ROWS)]
    assert table["fold"].to_pylist() == FOLDS[0].tolist()
    np.testing.assert_allclose(table["finetune_proba_真"].to_numpy(), 0.8)
    np.testing.assert_allclose(table["textcnn_proba_真"].to_numpy(), 0.7)
    np.testing.assert_allclose(table["proba_真"].to_numpy(), 0.75)
    share = sum(LABELS) / NUM_ROWS  # all are called 真
    assert summary["ensemble"]["oof"]["accuracy"] == share
    logs = {True: -np.log(0.75), False: -np.log(0.25)}
    expected = np.mean([logs[bool(label)] for label in LABELS])
    assert summary["ensemble"]["oof"]["log_loss"] == pytest.approx(expected)


def test_one_architecture_is_the_whole_ensemble(run):
    summary = write(plan_of(run=run))
    assert summary["ensemble"] == {
        key: summary["architectures"]["finetune"][key] for key in summary["ensemble"]
    }
    assert not [name for name in oof_of(run).column_names if name.startswith("finetune")]


def test_intervals_are_of_groups_of_rows_where_rows_belong_together(run):
    groups = np.arange(NUM_ROWS) // 4
    plan = plan_of(run=run, folds=Folds(FOLDS[:1], groups))
    summary, whole = write(plan), proba_of(oof_of(run), ["假", "真"])
    expected = score_oof(np.array(LABELS), whole, plan.config.seed, groups=groups)["interval"]
    assert summary["architectures"]["finetune"]["interval"] == expected
    assert (
        summary["architectures"]["finetune"]["interval"] != score_oof(np.array(LABELS), whole, 42)["interval"]
    )


def test_folds_that_are_not_there_are_missing_and_the_others_make_the_ensemble(run):
    plan = plan_of(run=run, folds=Folds(FOLDS[:1]))
    specs = build_specs(plan, None)
    summary = write(plan, specs, done=specs[1:])
    assert summary["missing"] == ["finetune/r0-fold-00"]
    assert summary["ensemble"]["rows"] == sum(FOLDS[0] == 1)
    proba = oof_of(run)["proba_真"].to_numpy()
    assert np.array_equal(np.isnan(proba), FOLDS[0] == 0)
    manifest = load_ensemble(f"{run}/ensemble").manifest
    assert [fold.fold for fold in manifest.architectures["finetune"].folds] == [1]
    assert manifest.complete is False


def test_an_architecture_without_a_fold_is_left_out(run):
    plan = plan_of(BOTH, run=run, shared=shared_of(**WORDS))
    specs = build_specs(plan, None)
    summary = write(plan, specs, done=specs[:1])
    assert list(summary["architectures"]) == ["finetune"]
    assert summary["missing"] == [spec.name for spec in specs[1:]]
    assert list(load_ensemble(f"{run}/ensemble").manifest.architectures) == ["finetune"]


def test_folds_that_were_stopped_early_count_and_are_named(run):
    name = "finetune/r1-fold-01"
    summary = write(plan_of(run=run), stopped=[name])
    assert (summary["stopped_early"], summary["missing"]) == ([name], [])
    manifest = load_ensemble(f"{run}/ensemble").manifest
    stopped = [fold.stopped_early for fold in manifest.architectures["finetune"].folds]
    assert stopped == [False, False, False, True] and manifest.complete is False


DEAD = "finetune/r0-fold-01"


def test_a_dead_fold_is_left_out_of_the_ensemble_and_counts_out_of_fold(run):
    plan = plan_of(BOTH, run=run, shared=shared_of(**WORDS))
    whole = write(plan, dead=())
    expected = oof_of(run)
    summary = write(plan, dead=[DEAD])
    assert (summary["dead"], summary["dropped"]) == ([DEAD], [DEAD])
    folds = summary["architectures"]["finetune"]["folds"]
    assert [fold["name"] for fold in folds if fold["dead"]] == [DEAD] and len(folds) == 4
    assert summary["ensemble"] == whole["ensemble"] and oof_of(run).equals(expected)
    ensemble = load_ensemble(f"{run}/ensemble")
    left = {
        name: [(f.repeat, f.fold) for f in entry.folds]
        for name, entry in ensemble.manifest.architectures.items()
    }
    everything = [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert left == {"finetune": [(0, 0), (1, 0), (1, 1)], "textcnn": everything}
    assert f"{DEAD}.safetensors" not in ensemble.directory.files()
    assert ensemble.manifest.dropped == [DEAD] and ensemble.manifest.complete


def test_a_member_without_a_living_fold_has_no_say(run):
    """All of a repeat's folds are dead: by a rule the architecture is its other repeat."""
    dead = ["finetune/r0-fold-00", "finetune/r0-fold-01"]
    summary = write(plan_of("ensemble.average=logits", run=run), dead=dead)
    assert summary["dropped"] == dead and list(summary["fusion"]["members"]) == ["finetune/r1"]
    assert load_ensemble(f"{run}/ensemble").manifest.rule is None


def test_an_ensemble_by_a_rule_tells_it_in_the_manifest_the_summary_and_the_table(run):
    costs = "ensemble.costs={假: {真: 4}}"
    plan = plan_of(BOTH, "ensemble.threshold=cost", costs, run=run, shared=shared_of(**WORDS))
    summary = write(plan)
    manifest = load_ensemble(f"{run}/ensemble").manifest
    assert manifest.schema_version == 6
    assert manifest.rule.costs.tolist() == [[0, 4], [1, 0]]
    assert list(manifest.rule.weights) == ["finetune/r0", "finetune/r1", "textcnn/r0", "textcnn/r1"]
    table = oof_of(run)
    np.testing.assert_allclose(table["proba_真"].to_numpy(), 0.75)
    assert table["decision"].to_pylist() == ["假"] * NUM_ROWS  # 0.75 is below 0.8
    assert summary["ensemble"]["oof"]["accuracy"] == 1 - sum(LABELS) / NUM_ROWS
    assert summary["fusion"]["decision"] == "真 where its probability is above 0.800"


@pytest.mark.parametrize(
    ("options", "times"),
    [([], 1), (["ensemble.threshold=cost"], 2), ([BOTH], 3), ([BOTH, "ensemble.threshold=cost"], 3)],
)
def test_nothing_is_resampled_twice(run, monkeypatch, options, times):
    scored = []

    def count(*arguments, **keys):
        scored.append(arguments)
        return bootstrap_interval(*arguments, **keys, resamples=2)

    monkeypatch.setattr("raytrain.scores.oof.bootstrap_interval", count)
    costs = ["ensemble.costs={假: {真: 4}}"] if "ensemble.threshold=cost" in options else []
    summary = write(plan_of(*options, *costs, run=run, shared=shared_of(**WORDS)))
    assert len(scored) == times and summary["fusion"]["plain"] != bool(costs)


def test_members_that_do_not_count_are_not_stored(run, monkeypatch):
    monkeypatch.setattr("raytrain.fusion.fuse.why_unfit", lambda *arguments: None)
    options = "ensemble.weights=greedy", "ensemble.calibrate=false", "ensemble.average=proba"
    plan = plan_of(BOTH, *options, run=run, shared=shared_of(**WORDS))
    summary = write(plan)
    weights = {name: member["weight"] for name, member in summary["fusion"]["members"].items()}
    assert sorted(weights.values()) == [0, 0, 0, 1]
    [best] = [name for name, weight in weights.items() if weight]
    ensemble = load_ensemble(f"{run}/ensemble")
    stored = [f"{name}/r{f.repeat}" for name, e in ensemble.manifest.architectures.items() for f in e.folds]
    assert stored == [best] * 2
    assert ensemble.manifest.rule is None and ensemble.manifest.schema_version == 1  # alone it is the mean


def test_dead_folds_are_kept_where_all_of_an_architecture_are(run):
    plan = plan_of(BOTH, run=run, shared=shared_of(**WORDS))
    dead = [spec.name for spec in build_specs(plan, None) if spec.architecture == "finetune"]
    summary = write(plan, dead=[*dead, "textcnn/r0-fold-00"])
    assert summary["dropped"] == ["textcnn/r0-fold-00"]
    manifest = load_ensemble(f"{run}/ensemble").manifest
    kept = manifest.architectures["finetune"].folds
    assert [fold.dead for fold in kept] == [True] * 4
    assert len(manifest.architectures["textcnn"].folds) == 3


def test_dead_folds_are_kept_where_the_config_says_so(run):
    summary = write(plan_of("ensemble.drop_dead=false", run=run), dead=[DEAD])
    assert (summary["dead"], summary["dropped"], summary["drop_dead"]) == ([DEAD], [], False)
    folds = load_ensemble(f"{run}/ensemble").manifest.architectures["finetune"].folds
    assert [fold.dead for fold in folds] == [False, True, False, False]


def test_a_whole_run_says_so_in_its_manifest(run):
    summary = write(plan_of(run=run))
    manifest = load_ensemble(f"{run}/ensemble").manifest
    assert manifest.complete is True and manifest.schema_version == 1
    assert json.loads((run / "ensemble" / "manifest.json").read_text())["metrics"] == summary


def test_the_artifact_holds_each_folds_weights_under_its_name(run):
    write(plan_of(run=run))
    ensemble = load_ensemble(f"{run}/ensemble")
    files = [fold.file for fold in ensemble.manifest.architectures["finetune"].folds]
    assert [load(ensemble.read(name))["number"][0] for name in files] == [0, 1, 2, 3]
    assert {fold.device for fold in ensemble.manifest.architectures["finetune"].folds} == {"a processor"}


def test_an_ensemble_made_before_leaves_nothing_behind(run):
    plan = plan_of(run=run)
    specs = build_specs(plan, None)
    write(plan, specs)
    stale = run / "ensemble" / "finetune" / "r0-fold-00.safetensors"
    assert stale.exists()
    write_results(plan, specs, commit_folds(plan, specs[1:]), 0.0, {}, silent_stages())
    assert not stale.exists()


def test_baselines_are_scored_on_the_rows_that_the_models_are(run):
    perfect = np.eye(2)[LABELS] * (1 - 2 * ALMOST) + ALMOST
    summary = write(plan_of(run=run), baselines={"majority": np.full((NUM_ROWS, 2), 0.5), "tfidf": perfect})
    assert list(summary["baselines"]) == ["majority", "tfidf"]
    tfidf = summary["baselines"]["tfidf"]
    assert tfidf["oof"]["accuracy"] == 1 and tfidf["rows"] == NUM_ROWS
    assert tfidf.keys() <= summary["architectures"]["finetune"].keys()
    assert summary["baselines"]["majority"]["oof"]["log_loss"] == pytest.approx(np.log(2))


@pytest.mark.parametrize("freezes", [False, True])
def test_an_encoder_is_in_the_artifact_once_where_it_was_frozen(run, monkeypatch, freezes):
    monkeypatch.setattr(ray, "get", lambda reference: reference)
    weights = {"kernel": np.ones((2, 2), np.float32)}
    override = f"model.train_encoder={str(not freezes).lower()}"
    write(plan_of(override, run=run, encoder_weights=weights))
    ensemble = load_ensemble(f"{run}/ensemble")
    if freezes:
        stored = load(ensemble.read(ensemble.manifest.encoder.weights))
        np.testing.assert_array_equal(stored["kernel"], weights["kernel"])
    else:
        assert ensemble.manifest.encoder.weights is None


def test_the_words_that_each_fold_counts_are_beside_it(run):
    write(plan_of(run=run, shared=shared_of(keywords=keywords_of())))
    manifest = load_ensemble(f"{run}/ensemble").manifest
    named = [fold.keywords for fold in manifest.architectures["finetune"].folds]
    assert named == [
        f"words/r{repeat}-fold-0{fold}.keywords.json" for repeat in range(2) for fold in range(2)
    ]
    assert manifest.schema_version == 2


# ── taggers ────────────────────────────────────────────────────────────────────────────────────────


def test_a_taggers_summary_has_scores_of_spans_and_types(run):
    summary = write(tag_plan_of(run=run))
    assert (summary["task"], summary["rows"], summary["labels"]) == ("tag", len(TAGGED), TAG_NAMES)
    assert summary["ensemble"]["oof"]["f1"] == 1
    assert summary["ensemble"]["types"]["LOC"]["spans"] == 4
    assert summary["architectures"]["bilstm_crf"]["mean"].keys() == set(TASK_METRICS["tag"])
    table = oof_of(run)
    assert table["predicted"].to_pylist() == [[TAG_NAMES[tag] for tag in tags] for _, tags in TAGGED]
    assert table["fold"].to_pylist() == TAG_FOLDS[0].tolist()


def test_texts_of_a_taggers_missing_fold_have_no_prediction(run):
    plan = tag_plan_of(run=run)
    specs = build_specs(plan, None)
    summary = write(plan, specs, done=specs[:1], stopped=[specs[0].name])
    assert summary["missing"] == [specs[1].name] and summary["stopped_early"] == [specs[0].name]
    assert summary["ensemble"]["rows"] == 2
    assert [row is None for row in oof_of(run)["predicted"].to_pylist()] == [False, True, True, False]


def test_a_taggers_first_texts_in_time_have_no_prediction(run):
    """Texts 1 and 2 come first, then 0, then 3."""
    folds = Folds(np.array([[0, -1, -1, 1]]), np.arange(4))
    summary = write(replace(tag_plan_of(run=run), folds=folds))
    assert summary["rows"] == 4 and summary["ensemble"]["rows"] == 2 and summary["missing"] == []
    assert summary["ensemble"]["oof"]["f1"] == 1 and summary["ensemble"]["types"]["LOC"]["spans"] == 2
    assert [row is None for row in oof_of(run)["predicted"].to_pylist()] == [False, True, True, False]
    assert oof_of(run)["fold"].to_pylist() == [0, -1, -1, 1]


def test_taggers_that_agree_are_right_together(run):
    plan = tag_plan_of("model.architecture=[crf,bilstm]", run=run)
    plan = replace(plan, shared=replace(plan.shared, **WORDS))
    summary = write(plan)
    assert list(summary["architectures"]) == ["crf", "bilstm"]
    assert summary["ensemble"]["oof"]["f1"] == 1
    assert {"crf_predicted", "bilstm_predicted"} <= set(oof_of(run).column_names)
