"""The driver around folds that are committed already, so that there is nothing to train; without Ray."""

import contextlib
import io
import json
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import ray
from crossval.test_plan import (
    TAGGED,
    corpus_of,
    keywords_of,
    plan_of,
    shared_of,
    tag_plan_of,
)
from crossval.test_results import commit_folds
from rich.console import Console
from tiny_run import make_rows, tiny_config, write_csv

from raytrain.crossval import driver
from raytrain.crossval import train as train_module
from raytrain.crossval.driver import _clear_checkpoints, announce, train_run
from raytrain.crossval.plan import load_plan
from raytrain.crossval.prepare import prepare_run
from raytrain.crossval.specs import build_specs
from raytrain.crossval.train import frozen_states
from raytrain.errors import (
    ArtifactError,
    ClusterError,
    ConfigError,
    CorpusError,
    StorageError,
    TimeBudgetError,
)
from raytrain.folds.result import CHECKPOINT, read_fold
from raytrain.splits.duplicates import Duplicates
from raytrain.stages import Stages
from raytrain.storage.directory import Directory
from raytrain.text.rows import TextRows


def wide_console():
    return Console(file=io.StringIO(), width=400)


# ── what is about to be learned from ───────────────────────────────────────────────────────────────


def announced(plan):
    console = wide_console()
    announce(plan, console)
    return console.file.getvalue().splitlines()


def test_a_corpus_is_told_with_its_labels_and_nothing_that_is_not_there():
    assert announced(plan_of()) == ["a.csv: 8 rows (假: 5, 真: 3)"]


def test_how_a_file_was_read_is_told():
    assert announced(plan_of(corpus=corpus_of(reading=("read as Big5",))))[1:] == ["  read as Big5"]


def test_rows_that_were_dropped_are_told_by_kind():
    lines = announced(plan_of(corpus=corpus_of(dropped={"empty_text": 1200, "no_label": 2})))
    assert lines[1:] == ["  dropped 1,200 rows: empty_text", "  dropped 2 rows: no_label"]


def test_changed_labels_are_told_with_their_file():
    plan = plan_of("data.labels=suspects.csv", corpus=corpus_of(changed_labels=12, dropped={"by_hand": 3}))
    assert announced(plan)[1:] == ["  dropped 3 rows: by_hand", "  changed 12 labels by suspects.csv"]


def test_near_duplicates_are_told_where_there_are_any():
    assert announced(plan_of(duplicates=Duplicates("group", np.arange(8), 0)))[1:] == []
    found = Duplicates("group", np.array([0, 0, 2, 3, 4, 0, 3, 7]), 0)
    assert announced(plan_of(duplicates=found))[1:] == [
        "folds: 5 of 8 rows are near-duplicates of others, in 2 groups; each group lies in one fold "
        "(folds.duplicates=group)"
    ]


def test_a_taggers_corpus_is_told_with_the_spans_of_each_type():
    assert announced(tag_plan_of()) == ["a.bio: 4 rows, 4 spans (LOC: 4)"]


def test_spans_that_cut_a_token_are_told():
    plan = tag_plan_of()
    texts = [text for text, _ in TAGGED]
    cut = [[0, 0, 0, 1], *[[0] * len(text) for text in texts[1:]]]
    table = plan.corpus.table.set_column(2, "tags", pa.array(cut, pa.list_(pa.int32())))
    windows, begins = plan.shared.rows, plan.shared.rows.tokens.begins.copy()
    begins[3] = 2  # the first text's last two characters are one token
    whole = replace(windows, tokens=replace(windows.tokens, begins=begins))
    lines = announced(
        replace(plan, corpus=replace(plan.corpus, table=table), shared=replace(plan.shared, rows=whole))
    )
    assert lines == [
        "a.bio: 4 rows, 1 span (LOC: 1)",
        "  1 of 1 spans do not begin and end with a token: no tagger can find just them",
    ]


def test_windows_are_told():
    shared = shared_of(rows=TextRows(np.array([0, 1, 1, 1, 2, 2, 3])))
    lines = announced(plan_of("encoder.windows=3", shared=shared))
    assert lines[1:] == ["2 texts are read in several windows, all texts in 7"]


@pytest.mark.parametrize(
    ("unread", "said"),
    [
        ([], "encoder: Google's BERT"),
        (["a", "b"], "encoder: Google's BERT; 2 variables beside the encoder are not read: a, b"),
        (
            [*"abcdef"],
            "encoder: Google's BERT; 6 variables beside the encoder are not read: a, b, c, d, …",
        ),
    ],
)
def test_an_encoders_layout_is_told_with_what_is_not_read(unread, said):
    facts = {"digest": "d", "layout": "Google's BERT", "unread": unread}
    assert announced(plan_of(encoder_facts=facts))[1:] == [said]


def test_words_are_told_and_where_their_vectors_come_from():
    found = {"own": 1200, "characters": 34, "none": 5}
    words = shared_of(vocabulary=["停水"] * 1239, coverage=found)
    assert announced(plan_of(shared=words))[1:] == ["1,239 words"]
    assert announced(plan_of("words.vectors=a.vec", shared=words))[1:] == [
        "1,239 words: 1,200 with a vector of their own, 34 with their characters' mean, 5 with none"
    ]


def test_keywords_are_told():
    assert announced(plan_of(shared=shared_of(keywords=keywords_of({"停水": 0, "核实": 1}))))[1:] == [
        "2 keywords (假: 1, 真: 1)"
    ]


def test_labels_are_told_as_they_are():
    """Brackets are no markup."""
    assert announced(plan_of(corpus=corpus_of(labels=["[red]", "[/]"]))) == [
        "a.csv: 8 rows ([red]: 5, [/]: 3)"
    ]


# ── a run ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(autouse=True)
def without_ray(monkeypatch):
    """The driver's process holds what it would hand to Ray; whoever asks for more fails."""
    monkeypatch.setattr(driver, "connect", lambda address: None)
    monkeypatch.setattr(ray, "put", lambda value: value)


class Committed:
    """A run of two folds that are committed and not yet summed up."""

    def __init__(self, directory, stopped=(), dead=()):
        self.config = tiny_config(directory, num_rows=12)
        self.directory = directory / "runs" / "tiny"
        self.run = Directory(self.directory)
        stages = Stages(wide_console())
        plan = load_plan(self.run, self.config, prepare_run(self.run, self.config, stages), stages)
        self.specs = build_specs(plan, None)
        self.stopped = stopped
        commit_folds(plan, self.specs, stopped, dead)

    def train(self, **changes):
        """Returns the summary and what was said."""
        console = wide_console()
        summary = train_run(self.config.model_copy(update=changes), console)
        return summary, console.file.getvalue()


@pytest.fixture
def committed(tmp_path):
    return Committed(tmp_path)


def test_committed_folds_are_summed_up_without_training(committed):
    summary, said = committed.train()
    assert [fold["name"] for fold in summary["architectures"]["finetune"]["folds"]] == [
        "finetune/r0-fold-00",
        "finetune/r0-fold-01",
    ]
    assert summary["seconds"] >= 0 and summary["baselines"] == {}
    none = {"rows": 0, "groups": 0, "groups_of_several_labels": 0}
    assert summary["duplicates"] == {"policy": "group", **none}
    for name in ("config.yaml", "corpus.json", "folds.parquet", "ensemble/manifest.json"):
        assert committed.run.exists(name)
    assert json.loads(committed.run.read_bytes("summary.json")) == summary
    assert "corpus.csv: 12 rows (a: 6, b: 6)" in said and "valid scores per fold" in said
    assert "time_budget" not in said


def test_a_finished_run_is_told_again_and_not_written_again(committed):
    first, _ = committed.train()
    before = {name: (committed.directory / name).stat().st_mtime_ns for name in committed.run.files()}
    again, said = committed.train()
    assert again == first and "is finished; nothing to train" in said and "valid scores per fold" in said
    assert {name: (committed.directory / name).stat().st_mtime_ns for name in committed.run.files()} == before


@pytest.mark.parametrize("name", ["summary.json", "ensemble/manifest.json"])
def test_a_run_that_lost_its_summary_or_ensemble_gets_it_again(committed, name):
    first, _ = committed.train()
    (committed.directory / name).unlink()
    again, said = committed.train()
    assert again["architectures"] == first["architectures"] and "nothing to train" not in said
    assert committed.run.exists(name)


def test_dead_folds_are_told_with_what_to_do_and_dropped_or_kept_as_the_config_says(tmp_path):
    run = Committed(tmp_path, dead=["finetune/r0-fold-01"])
    weights = run.directory / "ensemble" / "finetune" / "r0-fold-01.safetensors"
    for drop, told in ((False, "in the ensemble all the same"), (True, "left out of the ensemble")):
        ensemble = run.config.ensemble.model_copy(update={"drop_dead": drop})
        summary, said = run.train(ensemble=ensemble)
        said = " ".join(said.split())
        assert summary["dead"] == ["finetune/r0-fold-01"] and weights.exists() is not drop
        assert "1 fold run learned nothing" in said and "train.learning_rate" in said and told in said
        assert "nothing to train" not in said
        assert "nothing to train" in run.train(ensemble=ensemble)[1]


def test_other_keys_of_the_ensemble_make_it_anew_and_the_same_ones_do_not(committed):
    committed.train()
    costs = {"b": {"a": 3.0}}
    changes = [{}, {"average": "logits"}, {"threshold": "cost", "costs": costs}]
    for change in changes:
        ensemble = committed.config.ensemble.model_copy(update=change)
        summary, said = committed.train(ensemble=ensemble)
        assert ("nothing to train" in said) is (change == {})
        assert "nothing to train" in committed.train(ensemble=ensemble)[1]
    assert summary["fusion"]["decision"] == "b where its probability is above 0.250"
    manifest = json.loads(committed.run.read_bytes("ensemble/manifest.json"))
    assert manifest["schema_version"] == 6 and manifest["fusion"]["costs"] == [[0.0, 1.0], [3.0, 0.0]]
    committed.train()
    assert "fusion" not in json.loads(committed.run.read_bytes("ensemble/manifest.json"))


def test_a_run_that_was_finished_before_there_were_such_keys_is_left_as_it_is(committed):
    summary, _ = committed.train()
    old = {key: value for key, value in summary.items() if key not in ("ensemble_keys", "fusion")}
    committed.run.write_bytes("summary.json", json.dumps(old).encode())
    found, said = committed.train()
    assert found == old and "nothing to train" in said and "members" not in said


def test_a_damaged_ensemble_of_a_finished_run_is_told(committed):
    committed.train()
    weights = committed.directory / "ensemble" / "finetune" / "r0-fold-00.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    with pytest.raises(ArtifactError, match=r"finetune/r0-fold-00\.safetensors"):
        committed.train()


@pytest.mark.parametrize("finished", [False, True])
def test_a_changed_corpus_is_refused(committed, tmp_path, finished):
    committed.train()
    if not finished:
        (committed.directory / "summary.json").unlink()
    write_csv(tmp_path / "corpus.csv", make_rows(14))
    with pytest.raises(ConfigError, match=r"data\.path"):
        committed.train()


def test_a_fold_that_was_changed_is_refused_and_no_ensemble_is_made(committed):
    path = committed.directory / "folds" / "finetune" / "r0-fold-01" / "result" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(ArtifactError, match=r"model\.safetensors is missing or changed"):
        committed.train()
    assert not committed.run.exists("ensemble")


def test_a_fold_of_another_run_is_refused(committed):
    path = committed.directory / "folds" / "finetune" / "r0-fold-01" / "result" / "result.json"
    path.write_text(path.read_text().replace(committed.specs[1].identity, "another"))
    with pytest.raises(ArtifactError, match="another config or corpus"):
        committed.train()
    assert not committed.run.exists("ensemble")


def test_texts_to_predict_that_cannot_be_read_are_told_though_the_run_is_finished(committed):
    committed.train()
    data = committed.config.data.model_copy(update={"test": "absent.csv"})
    with pytest.raises(CorpusError, match=r"absent\.csv"):
        committed.train(data=data)


def test_an_error_gives_the_run_free_again(committed, tmp_path):
    committed.train()
    summary = committed.run.read_bytes("summary.json")
    committed.run.write_bytes("summary.json", b"{")
    for _ in range(2):
        with pytest.raises(ArtifactError, match=r"summary\.json is damaged"):
            committed.train()
    committed.run.write_bytes("summary.json", summary)
    committed.train()


@pytest.fixture
def trains(monkeypatch):
    """Stands for the cluster: `trains(*names)` are the folds that get to their end; what was asked of it."""
    asked = []

    def train(*names):
        def run_folds(ready, kept, *_):
            asked.append([spec.name for spec in ready if spec.name not in kept])
            found = {spec.name: read_fold(spec.location, spec.identity) for spec in ready}
            return kept | {
                name: replace(found[name], record=found[name].record | {"stopped_early": False})
                for name in names
            }

        monkeypatch.setattr(train_module, "run_folds", run_folds)
        monkeypatch.setattr(driver, "prepare_cluster", lambda *_: None)
        return asked

    return train


EARLY = "finetune/r0-fold-01"


def test_a_fold_that_was_stopped_early_goes_on(tmp_path, trains):
    run, asked = Committed(tmp_path, stopped=[EARLY]), trains(EARLY)
    summary, said = run.train()
    assert asked == [[EARLY]] and summary["stopped_early"] == [] and "time_budget" not in said


def test_a_fold_that_was_stopped_early_counts_where_it_does_not_go_on(tmp_path, trains):
    run, asked = Committed(tmp_path, stopped=[EARLY]), trains()
    for _ in range(2):  # a run with open folds is not finished
        summary, said = run.train()
        assert summary["stopped_early"] == [EARLY] and summary["missing"] == []
        assert "1 fold run stopped early, 0 not trained" in said and "again to go on" in said
    assert asked == [[EARLY], [EARLY]]


def test_folds_that_were_not_trained_are_missing(committed, trains):
    (committed.directory / "folds" / EARLY / "result" / "result.json").unlink()
    trains()
    summary, said = committed.train()
    assert summary["missing"] == [EARLY] and "0 fold runs stopped early, 1 not trained" in said


def test_a_time_budget_that_ends_before_anything_is_learned_is_an_error(committed, trains):
    for spec in committed.specs:
        (committed.directory / "folds" / spec.name / "result" / "result.json").unlink()
    trains()
    cluster = committed.config.cluster.model_copy(update={"time_budget": 90.0})
    with pytest.raises(TimeBudgetError, match="used up before one fold had learned anything"):
        committed.train(cluster=cluster)
    assert not committed.run.exists("ensemble") and not committed.run.exists("summary.json")


def test_a_time_budget_that_ends_before_the_folds_begin_costs_none_that_is_committed(committed, monkeypatch):
    name = committed.specs[0].name
    (committed.directory / "folds" / name / "result" / "result.json").unlink()
    monkeypatch.setattr(driver, "prepare_cluster", lambda *_: None)

    @contextlib.contextmanager
    def used_up(*_):
        raise TimeBudgetError("used up: computing hidden states, 3 of 9 tokens")
        yield

    monkeypatch.setattr(train_module, "hidden_states_of", used_up)
    summary, said = committed.train()
    assert summary["missing"] == [name]
    assert "used up: computing hidden states, 3 of 9 tokens" in said
    assert committed.run.exists("ensemble/manifest.json")
    (committed.directory / "folds" / committed.specs[1].name / "result" / "result.json").unlink()
    with pytest.raises(TimeBudgetError, match="3 of 9 tokens"):
        committed.train()


def test_a_time_budget_counts_from_the_start_of_the_run(committed, monkeypatch):
    deadlines = []
    monkeypatch.setattr(driver, "_train", lambda plan, stages: deadlines.append(stages.deadline) or 1 / 0)
    before = time.time()
    for budget in (None, 90.0):
        cluster = committed.config.cluster.model_copy(update={"time_budget": budget})
        with pytest.raises(ZeroDivisionError):
            committed.train(cluster=cluster)
    assert deadlines[0] is None and before + 90 <= deadlines[1] <= time.time() + 90


# ── refused before anything is done ────────────────────────────────────────────────────────────────


def test_a_submitted_job_with_a_relative_storage_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    config = tiny_config(tmp_path, num_rows=12, storage="runs")
    with pytest.raises(ClusterError, match="storage=runs: a submitted job's working directory is temporary"):
        train_run(config, wide_console())
    assert not (tmp_path / "runs").exists()


def test_a_storage_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    config = tiny_config(tmp_path, num_rows=12, storage=tmp_path / "file")
    with pytest.raises(StorageError, match="cannot be written"):
        train_run(config, wide_console())


# ── what goes on beside the folds ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("override", "weights"),
    [("cache.max_gb=0", "weights"), ("cache.max_gb=1", None)],
    ids=["no cache", "own"],
)
def test_without_a_cache_or_shared_weights_the_encoder_runs_in_every_step(override, weights):
    facts = {"digest": "d", "layout": None}
    plan = plan_of(override, encoder_weights=weights, encoder_facts=facts)
    with frozen_states(plan, None, Stages(wide_console())) as states:
        assert states is None


def test_what_only_an_unfinished_fold_needs_is_removed_of_a_committed_one(tmp_path):
    """Its driver may have died between the two."""
    for name in ("left", "clean"):
        Directory(tmp_path / name / "result").write_bytes("result.json", b"{}")
    Directory(tmp_path / "left" / CHECKPOINT).write_bytes("latest.json", b"{}")
    _clear_checkpoints([str(tmp_path / name) for name in ("left", "clean", "absent")])
    assert [path.name for path in tmp_path.glob("*/*")] == ["result", "result"]
