import dataclasses
import hashlib
import json

import numpy as np
import pyarrow as pa
import pytest

from raytrain.config.keys import FORMER_VALUES, NEWER_KEYS, binding_keys
from raytrain.config.load import load_config
from raytrain.config.stored import check_config
from raytrain.corpus.corpus import Corpus
from raytrain.crossval.directory import (
    ROW_INPUTS,
    begin_run,
    check_inputs,
    check_taken_folds,
    find_folds,
    hash_labels,
    identify,
    read_summary,
)
from raytrain.errors import ArtifactError, ConfigError, CorpusError, StorageError
from raytrain.pretrained.directory import EncoderFiles
from raytrain.splits.duplicates import Duplicates
from raytrain.splits.folds import write_folds
from raytrain.storage.directory import Directory
from raytrain.storage.files import hash_file, json_bytes
from raytrain.text.vocab import Vocab

NUM_ROWS = 12
CORPUS = Corpus(
    pa.table(
        {
            "id": pa.array(range(NUM_ROWS), pa.int64()),
            "text": [f"第{i}条" for i in range(NUM_ROWS)],
            "label": pa.array([i % 2 for i in range(NUM_ROWS)], pa.int32()),
            "group": [f"店{i // 2}" for i in range(NUM_ROWS)],
        }
    ),
    ["假", "真"],
    "a" * 64,
    "a.csv",
    {"empty_text": 1},
)


def config_of(*overrides):
    return load_config(
        None, ["data.path=a.csv", "folds.num_folds=3", "model.architecture=textcnn", *overrides]
    )


@pytest.fixture
def run(tmp_path):
    return Directory(tmp_path / "runs" / "甲")


ENCODER = EncoderFiles("albert", {}, Vocab(()), None)


def begin(run, *overrides, corpus=CORPUS, encoder=ENCODER):
    config = config_of(*overrides)
    check_config(run, config)
    inputs = check_inputs(run, config, corpus, encoder)
    begin_run(run, config, corpus, inputs, find_folds(run, config, corpus))
    return identify(config, inputs)


def duplicates_of(*pairs, policy="group"):
    """As found where each second row of a pair is a near-duplicate of the first."""
    groups = np.arange(NUM_ROWS)
    for first, second in pairs:
        groups[second] = first
    return Duplicates(policy, groups, 0)


def problems_of(run, *overrides, corpus=CORPUS, encoder=ENCODER):
    with pytest.raises(ConfigError) as caught:
        begin(run, *overrides, corpus=corpus, encoder=encoder)
    assert str(run) in str(caught.value)
    return caught.value.problems


def test_config_and_corpus_are_written(run, tmp_path):
    begin(run)
    assert load_config(f"{run}/config.yaml") == config_of()
    stored = json.loads(run.read_bytes("corpus.json"))
    assert (stored["rows"], stored["dropped"], stored["sha256"]) == (NUM_ROWS, {"empty_text": 1}, "a" * 64)
    assert stored["labels"] == [{"label": "假", "rows": 6}, {"label": "真", "rows": 6}]


def test_the_same_again_is_accepted_and_has_the_same_identity(run):
    assert begin(run, "train.epochs=5") == begin(run, "train.epochs=5")


def test_identity_does_not_depend_on_name_or_place(run, tmp_path):
    other = Directory(tmp_path / "other")
    assert begin(run) == begin(other, "name=b", f"storage={tmp_path}", "cluster.max_failures=0")


@pytest.mark.parametrize(
    "override",
    ["seed=1", "train.epochs=9", "train.restarts=0", "model.architecture=rnn_cnn", "encoder.maxlen=64"],
)
def test_identity_depends_on_what_the_folds_learn(run, tmp_path, override):
    assert begin(run) != begin(Directory(tmp_path / "other"), override)


def test_identity_depends_on_the_corpus(run, tmp_path):
    other = dataclasses.replace(CORPUS, sha256="b" * 64)
    assert begin(run) != begin(Directory(tmp_path / "other"), corpus=other)


def test_keys_that_differ_are_named_with_both_values(run):
    begin(run, "train.epochs=5")
    problems = problems_of(run, "train.epochs=6", "seed=7")
    assert [problem.partition(":")[0] for problem in problems[:-1]] == ["seed", "train.epochs"]
    assert "5" in problems[1] and "6" not in problems[1].partition("found")[0] and "6" in problems[1]
    assert "another name" in problems[-1]


@pytest.mark.parametrize(
    "override",
    [
        "cluster.address=auto",
        "cluster.gpus_per_fold=0.5",
        "cluster.max_concurrent_folds=1",
        "baseline=false",
        "ensemble.drop_dead=false",
    ],
)
def test_free_keys_may_change(run, override):
    identity = begin(run)
    assert begin(run, override) == identity
    assert load_config(f"{run}/config.yaml") == config_of(override)


def test_test_file_may_change(run):
    begin(run, "data.test=a.csv")
    begin(run, "data.test=b.csv")


def test_changed_corpus_is_refused(run):
    begin(run)
    problems = problems_of(run, corpus=dataclasses.replace(CORPUS, sha256="b" * 64))
    assert problems[0].startswith("data.path:")
    assert load_config(f"{run}/config.yaml") == config_of()


@pytest.mark.parametrize("key", ["vectors", "user_dict"])
def test_changed_words_file_is_refused(run, tmp_path, key):
    path = tmp_path / "words.txt"
    path.write_text("词 1\n", encoding="utf-8")
    override = f"words.{key}={path}"
    begin(run, override)
    begin(run, override)
    path.write_text("词 2\n", encoding="utf-8")
    assert problems_of(run, override)[0].startswith(f"words.{key}:")


def test_change_in_the_midst_of_the_ends_of_a_long_file_is_seen(run, tmp_path, monkeypatch):
    monkeypatch.setattr("raytrain.crossval.directory._ENDS", 4)
    path = tmp_path / "long.vec"
    identities = set()
    for number, data in enumerate(
        [b"0123456789abcdef", b"x123456789abcdef", b"0123456789abcdex", b"0123456789abcdeff"]
    ):
        path.write_bytes(data)
        identities.add(begin(Directory(tmp_path / str(number)), f"words.vectors={path}"))
    assert len(identities) == 4


def test_missing_words_file_is_named(run, tmp_path):
    with pytest.raises(ConfigError, match=r"words\.vectors: .*absent\.vec"):
        begin(run, f"words.vectors={tmp_path}/absent.vec")


def test_changed_encoder_is_refused(run, tmp_path):
    (tmp_path / "vocab.txt").write_text("天\n", encoding="utf-8")
    encoder = dataclasses.replace(ENCODER, files=(tmp_path / "vocab.txt",))
    begin(run, encoder=encoder)
    begin(run, encoder=encoder)
    (tmp_path / "vocab.txt").write_text("地\n", encoding="utf-8")
    assert problems_of(run, encoder=encoder)[0].startswith("encoder.checkpoint:")


def test_encoders_that_differ_in_the_middle_alone_are_two(run, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(3 << 20))
    encoder = dataclasses.replace(ENCODER, files=(path,))
    begin(run, encoder=encoder)
    path.write_bytes(bytes(1 << 20) + b"x" + bytes((2 << 20) - 1))
    assert problems_of(run, encoder=encoder)[0].startswith("encoder.checkpoint:")


def test_another_reading_of_a_config_is_another_encoder(run, tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes(b"")
    begin(run, encoder=EncoderFiles("albert", {"hidden_act": "gelu"}, Vocab(()), None, (path,)))
    other = EncoderFiles("albert", {"hidden_act": "gelu_new"}, Vocab(()), None, (path,))
    assert problems_of(run, encoder=other)[0].startswith("encoder.checkpoint:")


def test_a_finished_run_does_not_look_for_its_encoder(run, tmp_path):
    (tmp_path / "vocab.txt").write_bytes(b"")
    begin(run, encoder=EncoderFiles("albert", {}, Vocab(()), None, (tmp_path / "vocab.txt",)))
    check_inputs(run, config_of(), CORPUS, encoder=None)


def test_of_a_finished_run_s_texts_to_predict_the_hash_is_known_when_they_are_gone(run, tmp_path):
    test = tmp_path / "new.csv"
    test.write_text("text\n天\n", encoding="utf-8")
    overrides = [f"data.test={test}", "train.pseudo_labels=0.9", "model.architecture=textcnn"]
    begin(run, *overrides)
    there = check_inputs(run, config_of(*overrides), CORPUS, encoder=None)
    test.unlink()
    assert check_inputs(run, config_of(*overrides), CORPUS, encoder=None) == there and "data.test" in there
    with pytest.raises(ConfigError, match=r"data\.test: cannot read"):
        check_inputs(run, config_of(*overrides), CORPUS, ENCODER)


@pytest.mark.parametrize("text", [b"name: [", b"- a\n", b"nonsense: 1\n", b"\xff", b"", b"name: ${a}\n"])
def test_damaged_config_is_an_artifact_error(run, text):
    begin(run)
    run.write_bytes("config.yaml", text)
    with pytest.raises(ArtifactError, match=r"config\.yaml is damaged"):
        begin(run)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"3", b"{}", b'{"inputs": []}', b'{"inputs": null}', b"\xff"]
)
def test_damaged_corpus_json_is_an_artifact_error(run, text):
    begin(run)
    run.write_bytes("corpus.json", text)
    with pytest.raises(ArtifactError, match=r"corpus\.json is damaged"):
        begin(run)


def test_folds_are_assigned_once_and_read_back(run):
    begin(run, "folds.repeats=2")
    written = run.read_bytes("folds.parquet")
    folds = find_folds(run, config_of("folds.repeats=2", "seed=1"), CORPUS)
    assert folds.valid.shape == (2, NUM_ROWS)
    begin(run, "folds.repeats=2")
    assert run.read_bytes("folds.parquet") == written


def test_folds_that_are_gone_are_told(run, tmp_path):
    begin(run)
    (tmp_path / "runs" / "甲" / "folds.parquet").unlink()
    with pytest.raises(ArtifactError, match=r"folds\.parquet is gone; bring it back, or delete the run"):
        find_folds(run, config_of(), CORPUS)


def test_nothing_is_written_before_the_run_begins(run):
    config = config_of()
    check_config(run, config)
    check_inputs(run, config, CORPUS, ENCODER)
    find_folds(run, config, CORPUS)
    assert not run.exists()


def test_folds_keep_groups_together_where_asked(run):
    (folds,) = find_folds(run, config_of("folds.group=店"), CORPUS).valid
    assert np.array_equal(folds[::2], folds[1::2])


def test_near_duplicates_lie_in_one_fold(run):
    folds = find_folds(run, config_of(), CORPUS, duplicates_of((0, 1), (4, 9)))
    [valid], groups = folds.valid, folds.groups
    assert valid[0] == valid[1] and valid[4] == valid[9] and not folds.in_time
    assert groups[0] == groups[1] != groups[4] == groups[9] and len(set(groups)) == NUM_ROWS - 2


def test_a_run_of_before_groups_were_kept_has_them_again(run):
    """But not where its folds tell that rows were not held together."""
    plain = find_folds(run, config_of("folds.duplicates=keep"), CORPUS)
    corpus = CORPUS.summary()
    run.write_bytes("corpus.json", json.dumps(corpus).encode())
    first, other = (int(np.flatnonzero(plain.valid[0] == fold)[0]) for fold in (0, 1))
    second = int(np.flatnonzero(plain.valid[0] == 0)[1])
    run.write_bytes("folds.parquet", write_folds(plain, CORPUS.table["id"].combine_chunks()))
    run.write_bytes("config.yaml", b"")
    together = find_folds(run, config_of(), CORPUS, duplicates_of((first, second)))
    assert together.groups[first] == together.groups[second]
    assert len(set(together.groups)) == NUM_ROWS - 1 and np.array_equal(together.valid, plain.valid)
    apart = find_folds(run, config_of(), CORPUS, duplicates_of((first, other)))
    assert apart.groups is None


def test_inputs_that_do_not_bind_may_change(run):
    begin(run)
    config = config_of()
    changed = dataclasses.replace(CORPUS, sha256="b" * 64)
    with pytest.raises(ConfigError, match=r"data\.path"):
        check_inputs(run, config, changed, None, ROW_INPUTS)
    assert check_inputs(run, config, CORPUS, ENCODER, ROW_INPUTS)["data.path"] == "a" * 64
    stored = json.loads(run.read_bytes("corpus.json"))
    stored["inputs"]["encoder.checkpoint"] = "another"
    run.write_bytes("corpus.json", json.dumps(stored).encode())
    with pytest.raises(ConfigError, match=r"encoder\.checkpoint"):
        check_inputs(run, config, CORPUS, ENCODER)
    check_inputs(run, config, CORPUS, ENCODER, ROW_INPUTS)


def test_near_duplicates_connect_the_groups_asked_for(run):
    """Rows 0 and 1 are a shop's, 6 and 7 another's, and 1 is a near-duplicate of 7."""
    (folds,) = find_folds(run, config_of("folds.group=店"), CORPUS, duplicates_of((1, 7))).valid
    assert np.array_equal(folds[::2], folds[1::2]) and folds[1] == folds[7]


def test_without_near_duplicates_folds_are_as_if_none_were_looked_for(run):
    before = find_folds(run, config_of("folds.duplicates=keep"), CORPUS).valid
    without = find_folds(run, config_of(), CORPUS, duplicates_of())
    assert np.array_equal(without.valid, before) and without.groups is None
    dropped = duplicates_of((0, 1), policy="drop")  # of the corpus as it was read
    folds = find_folds(run, config_of("folds.duplicates=drop"), CORPUS, dropped)
    assert np.array_equal(folds.valid, before)


def test_near_duplicates_that_cannot_be_folded_are_told_with_the_remedy(run):
    all_alike = duplicates_of(*((row % 2, row) for row in range(NUM_ROWS)))
    with pytest.raises(CorpusError) as caught:
        find_folds(run, config_of(), CORPUS, all_alike)
    assert "expected at least 3 groups, one per fold; found 2" in caught.value.problems[0]
    assert "folds.duplicates=keep" in caught.value.problems[-1]
    with pytest.raises(CorpusError) as caught:
        find_folds(run, config_of("folds.num_folds=13"), CORPUS, duplicates_of())
    assert "duplicates" not in str(caught.value)


def begin_without_the_key(run, *overrides):
    """As before there was `folds.duplicates`."""
    begin(run, "folds.duplicates=keep", *overrides)
    lines = run.read_bytes("config.yaml").decode().splitlines(keepends=True)
    older = "".join(line for line in lines if "duplicates" not in line)
    assert len(older) < len("".join(lines))
    run.write_bytes("config.yaml", older.encode())


def test_a_run_from_before_near_duplicates_were_looked_for_goes_on_by_keeping_them(run):
    begin_without_the_key(run)
    written = run.read_bytes("folds.parquet")
    begin(run, "folds.duplicates=keep")
    assert run.read_bytes("folds.parquet") == written
    assert load_config(f"{run}/config.yaml").folds.duplicates == "keep"


@pytest.mark.parametrize("policy", ["group", "drop"])
def test_a_run_from_before_near_duplicates_were_looked_for_says_what_it_was_begun_with(run, policy):
    begin_without_the_key(run)
    problems = problems_of(run, f"folds.duplicates={policy}")
    assert problems[:-1] == [f"folds.duplicates: the run was begun with 'keep', found '{policy}'"]


def test_damaged_folds_are_an_artifact_error(run):
    begin(run)
    run.write_bytes("folds.parquet", b"nonsense")
    with pytest.raises(ArtifactError, match=r"folds\.parquet"):
        begin(run)


def test_words_files_that_no_head_reads_are_not_looked_at(run):
    begin(run, "words.vectors=nowhere.txt", "model.architecture=finetune")


def test_summary_counts_only_once_the_ensemble_is_written(run):
    run.write_bytes("summary.json", b'{"rows": 3}')
    assert read_summary(run) is None
    run.write_bytes("ensemble/manifest.json", b"{}")
    assert read_summary(run) == {"rows": 3}


def test_damaged_summary_is_an_artifact_error(run):
    run.write_bytes("ensemble/manifest.json", b"{}")
    run.write_bytes("summary.json", b"{")
    with pytest.raises(ArtifactError, match=r"summary\.json"):
        read_summary(run)


@pytest.mark.parametrize("open_folds", ["missing", "stopped_early"])
def test_a_run_with_open_folds_is_not_finished(run, open_folds):
    run.write_bytes("ensemble/manifest.json", b"{}")
    run.write_bytes("summary.json", json_bytes({"missing": [], "stopped_early": []}))
    assert read_summary(run) is not None
    run.write_bytes("summary.json", json_bytes({open_folds: ["finetune/r0-fold-01"]}))
    assert read_summary(run) is None


def test_a_storage_that_is_away_is_not_a_damaged_run(tmp_path, monkeypatch):
    """Whom a run is called damaged to deletes it."""
    run, config = Directory(tmp_path), config_of()
    run.write_bytes("config.yaml", b"")

    def refuse(self, name):
        raise StorageError("the storage is away")

    monkeypatch.setattr(Directory, "read_bytes", refuse)
    with pytest.raises(StorageError, match="away"):
        check_config(run, config)
    with pytest.raises(StorageError, match="away"):
        check_inputs(run, config, CORPUS, None)


def test_a_classifier_by_default_is_known_as_before_there_were_other_ways():
    config, inputs = config_of("folds.duplicates=keep"), {"data.path": "a"}
    later = ("words.keywords", "words.num_keywords", *NEWER_KEYS, *FORMER_VALUES)
    later += ("data.spans", "data.scheme", "data.strict", "train.crf_learning_rate")
    known = {key: value for key, value in binding_keys(config).items() if key not in ("name", *later)}
    expected = hashlib.sha256(json.dumps([known, inputs], sort_keys=True).encode()).hexdigest()
    assert identify(config, inputs) == expected
    unread = ("words.num_keywords=7", "data.strict=false")
    assert identify(config_of("folds.duplicates=keep", *unread), inputs) == expected
    assert identify(config_of(), inputs) != expected


# ── by time ────────────────────────────────────────────────────────────────────────────────────────

IN_TIME = dataclasses.replace(
    CORPUS, table=CORPUS.table.append_column("time", pa.array([3, 1, 2, 4, 5, 6, 7, 8, 9, 10, 12, 11]))
)


def test_folds_by_time_are_read_back(run):
    config = ("folds.time=day", "folds.duplicates=keep")
    folds = find_folds(run, config_of(*config), IN_TIME)
    assert folds.valid.tolist() == [[-1] * 3 + [0] * 3 + [1] * 3 + [2] * 3]
    assert [folds.num_left_out(0, fold) for fold in range(3)] == [0, 0, 0]
    begin(run, *config, corpus=IN_TIME)
    read = find_folds(run, config_of(*config), IN_TIME)
    assert np.array_equal(read.valid, folds.valid) and np.array_equal(read.groups, folds.groups)


def test_no_fold_learns_from_near_duplicates_and_groups_of_its_valid_rows(run):
    """Shops hold two rows each: 2 and 3, 4 and 5, … ; 0 is a near-duplicate of 10, whose shop has 11 too."""
    found = duplicates_of((0, 10))
    near = find_folds(run, config_of("folds.time=day"), IN_TIME, found)
    assert np.flatnonzero(near.is_train(0, 2)).tolist() == [*range(1, 9)]
    assert np.flatnonzero(near.is_train(0, 1)).tolist() == [*range(6)]
    both = find_folds(run, config_of("folds.time=day", "folds.group=店"), IN_TIME, found)
    # Rows 0 and 1 are of one shop; 8 is of the shop of 9, and 2 of that of 3.
    assert [both.num_left_out(0, fold) for fold in range(3)] == [1, 0, 3]
    assert np.flatnonzero(both.is_train(0, 2)).tolist() == [2, 3, 4, 5, 6, 7]
    assert np.flatnonzero(both.is_train(0, 0)).tolist() == [0, 1]


def test_a_class_that_comes_late_is_refused_before_anything_is_written(run):
    labels = pa.array([0] * 6 + [1] * 6, pa.int32())
    late = dataclasses.replace(IN_TIME, table=IN_TIME.table.set_column(2, "label", labels))
    with pytest.raises(CorpusError) as caught:
        find_folds(run, config_of("folds.time=day"), late)
    told = [problem.partition(" learns")[0] for problem in caught.value.problems[:-1]]
    assert told == ["fold 0", "fold 1"] and "none of '真'" in caught.value.problems[0]
    assert not run.exists()


def test_the_column_binds_a_run_and_the_comparison_does_not(run):
    identity = begin(run, "folds.time=day", corpus=IN_TIME)
    assert begin(run, "folds.time=day", "folds.compare=true", corpus=IN_TIME) == identity
    assert problems_of(run, corpus=IN_TIME)[0].startswith("folds.time:")


def test_without_folds_by_time_the_identity_is_as_before_there_were_any():
    assert "folds.time" in NEWER_KEYS


def test_new_labels_bind_by_their_content(run, tmp_path):
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    one.write_text("id,new_label\n1,真\n")
    two.write_text("id,new_label\n2,假\n")
    both = config_of(f"data.labels=[{one},{two}]")
    assert hash_labels(config_of()) == {}
    single = hash_labels(config_of(f"data.labels={one}"))
    assert single == {"data.labels": hash_file(one)} != hash_labels(both)
    before = begin(run, f"data.labels=[{one},{two}]")
    assert begin(run, f"data.labels=[{one},{two}]") == before
    two.write_text("id,new_label\n3,假\n")
    with pytest.raises(ConfigError, match=r"data\.labels: its content is not what"):
        begin(run, f"data.labels=[{one},{two}]")
    with pytest.raises(ConfigError, match=r"data\.labels: cannot read absent\.csv"):
        hash_labels(config_of("data.labels=absent.csv"))


def test_folds_of_other_keys_are_not_taken(run):
    begin(run, "folds.num_folds=2")
    check_taken_folds(run, config_of("folds.num_folds=2", "train.epochs=9", "encoder.maxlen=16"))
    for override in ("folds.num_folds=3", "folds.group=author", "seed=7"):
        with pytest.raises(ConfigError) as raised:
            check_taken_folds(run, config_of("folds.num_folds=2", override))
        assert override.split("=")[0] in raised.value.problems[0]
        assert "its folds are taken" in raised.value.problems[-1]
